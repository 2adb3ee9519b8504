import { expect, test } from '@jest/globals';
import { systemClock } from '../../runtime/clock.ts';
import { BodyBudget } from './body-budget.ts';

const endOfTurn = (): Promise<void> => new Promise((resolve) => systemClock.endOfTurn(resolve));
const never = new AbortController().signal;

test('what does not fit waits for room, in order; who leaves the line makes way for the others', async () => {
  const budget = new BodyBudget(100);
  const begun: string[] = [];
  const take = (name: string, bytes: number, signal = never): Promise<Disposable> =>
    budget.take(bytes, signal).then((taken) => {
      begun.push(name);
      return taken;
    });
  const first = await take('first', 60);
  const second = take('second', 50);
  const leaving = new AbortController();
  const third = take('third', 90, leaving.signal);
  const fourth = take('fourth', 10); // fits, but others were here before
  await endOfTurn();
  expect(begun).toEqual(['first']);
  first[Symbol.dispose]();
  await second;
  await endOfTurn();
  expect(begun).toEqual(['first', 'second']);
  leaving.abort(new Error('gone'));
  await expect(third).rejects.toThrow('gone');
  (await fourth)[Symbol.dispose]();
  const whole = take('more than all', 1_000);
  (await second)[Symbol.dispose]();
  (await whole)[Symbol.dispose]();
  expect(begun).toEqual(['first', 'second', 'fourth', 'more than all']);
  await expect(budget.take(1, AbortSignal.abort(new Error('late')))).rejects.toThrow('late');
});
