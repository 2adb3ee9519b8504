import { expect, test } from '@jest/globals';
import type { ChangeTransaction } from '../../core/change.ts';
import type { Clock } from '../../core/clock.ts';
import { attempt, position } from '../../core/ids.ts';
import { systemClock } from '../../runtime/clock.ts';
import { ChangeQueue } from './change-queue.ts';

/** A clock whose time passes only when it is told to. */
class HandClock implements Clock {
  #now = 0;
  #due: { at: number; act: () => void }[] = [];
  now = (): number => this.#now;
  monotonic = (): number => this.#now;
  sleep = async (): Promise<void> => undefined;
  after = (ms: number, act: () => void): (() => void) => {
    const entry = { at: this.#now + ms, act };
    this.#due.push(entry);
    return () => {
      this.#due = this.#due.filter((other) => other !== entry);
    };
  };
  endOfTurn = (act: () => void): void => act();
  pass(ms: number): void {
    this.#now += ms;
    const due = this.#due.filter(({ at }) => at <= this.#now);
    this.#due = this.#due.filter(({ at }) => at > this.#now);
    for (const { act } of due) act();
  }
}

const { signal } = new AbortController();
const isMarker = (transaction: ChangeTransaction): boolean => transaction.events.some((event) => event.kind === 'marker');
const row = (n: number): ChangeTransaction => ({ id: null, position: position(String(n)), ageMs: 0, events: [{ kind: 'insert', table: 't', row: [n] }] });
const marker = (n: number): ChangeTransaction => ({ id: null, position: position(String(n)), ageMs: 0, events: [{ kind: 'marker', attempt: attempt(n) }] });
const positions = (batch: readonly ChangeTransaction[]): readonly string[] => batch.map((transaction) => transaction.position);
const settled = async (promise: Promise<unknown>): Promise<boolean> => Promise.race([promise.then(() => true), systemClock.sleep(1).then(() => false)]);

function queue() {
  const clock = new HandClock();
  return { clock, queue: new ChangeQueue(clock, { batchChanges: 3, batchBytes: 1_000_000, batches: 4, gatherMs: () => 5 }) };
}

test('the first batch is taken at once, the next one gathers', async () => {
  const { clock, queue: changes } = queue();
  changes.push(row(1));
  expect(positions(await changes.take(isMarker, signal))).toEqual(['1']);
  changes.push(row(2));
  const next = changes.take(isMarker, signal);
  expect(await settled(next)).toBe(false);
  clock.pass(4);
  changes.push(row(3));
  expect(await settled(next)).toBe(false);
  clock.pass(1);
  expect(positions(await next)).toEqual(['2', '3']);
});

test('a marker waits for nothing', async () => {
  const { queue: changes } = queue();
  changes.push(row(1));
  await changes.take(isMarker, signal);
  const next = changes.take(isMarker, signal);
  changes.push(row(2));
  changes.push(marker(7));
  changes.push(row(3));
  expect(positions(await next)).toEqual(['2', '7']);
});

test('a full batch waits for nothing and is not exceeded', async () => {
  const { queue: changes } = queue();
  changes.push(row(0));
  await changes.take(isMarker, signal);
  for (const n of [1, 2, 3, 4]) changes.push(row(n));
  expect(positions(await changes.take(isMarker, signal))).toEqual(['1', '2', '3']);
});

test('an abort ends the gathering', async () => {
  const { queue: changes } = queue();
  const controller = new AbortController();
  changes.push(row(1));
  await changes.take(isMarker, signal);
  changes.push(row(2));
  const next = changes.take(isMarker, controller.signal);
  controller.abort(new Error('stopped'));
  await expect(next).rejects.toThrow('stopped');
});
