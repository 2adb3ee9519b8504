import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { check } from './check.ts';
import { explain } from './explain.ts';
import { type Call, type Element, History, type RowAction, type RowOperation, type State } from './history.ts';
import { plannedCalls, simulateRow } from './simulated/simulated-row.ts';

const seed = 20_261_128;

function call(process: string, invoked: number, responded: number, outcome: Call['outcome'] = 'ok'): Call {
  return { process, invoked, responded, outcome };
}

function historyOf(...operations: readonly (readonly [key: string, call: Call, action: RowAction])[]): History {
  const history = new History();
  for (const [key, made, action] of operations) history.add({ ...made, key, ...action });
  return history;
}

const write = (value: State): RowAction => ({ kind: 'write', value });
const read = (saw: State): RowAction => ({ kind: 'read', saw });
const add = (by: number): RowAction => ({ kind: 'increment', by });
const kinds = (history: History) => check(history).violations.map(({ kind, key }) => [kind, key]);

describe('the rows of a store at the end', () => {
  test('of a history that is right are as they must be', () => {
    fc.assert(
      fc.property(plannedCalls(['read', 'write', 'delete', 'swap'], { min: 1, max: 40 }), (planned) => {
        const history = new History();
        // A call that is done after all others have ended would come after the look at the store as well.
        const operations = simulateRow(
          planned.map((each) => ({ ...each, way: each.way === 'late' ? 'answer-lost' : each.way })),
          null,
        );
        const end = Math.max(...operations.map(({ responded }) => responded)) + 1;
        const plan = [
          ...planned.map((each) => ({ ...each, way: each.way === 'late' ? ('answer-lost' as const) : each.way })),
          { process: 0, kind: 'read' as const, way: 'answered' as const, pauses: [end, 0, 0] as const, by: 1, informed: true },
        ];
        const last = simulateRow(plan, null).at(-1) as RowOperation & { kind: 'read' };
        for (const operation of operations) history.add(operation);
        history.addFinalRows(new Map([['row', last.saw]]));
        expect(check(history).outcome).toBe('clean');
      }),
      { numRuns: 300, seed },
    );
  });

  test('a row that was acknowledged and is not there, and one that was there and is not', () => {
    const history = historyOf(['a', call('p', 1, 2), write('a1')], ['b', call('p', 3, 4), write('b1')], ['b', call('q', 5, 6), read('b1')], ['c', call('p', 7, 8), write('c1')]);
    history.addFinalRows(new Map([['c', 'c1']]));
    expect(kinds(history).sort()).toEqual([
      ['lost', 'b'],
      ['unapplied', 'a'],
    ]);
  });

  test('a row that nobody wrote', () => {
    const history = historyOf(['a', call('p', 1, 2), write('a1')]);
    history.addFinalRows(
      new Map([
        ['a', 'a1'],
        ['z', 'z1'],
      ]),
    );
    expect(kinds(history)).toEqual([['phantom', 'z']]);
  });

  test('a write that was refused and is there', () => {
    const history = historyOf(['a', call('p', 1, 2, 'failed'), write('a1')]);
    history.addFinalRows(new Map([['a', 'a1']]));
    expect(kinds(history)).toEqual([['phantom', 'a']]);
  });

  test('a delete that was acknowledged and is not done', () => {
    const history = historyOf(['a', call('p', 1, 2), write('a1')], ['a', call('p', 3, 4), { kind: 'delete' }]);
    history.addFinalRows(new Map([['a', 'a1']]));
    expect(kinds(history)).toEqual([['unapplied', 'a']]);
  });

  test('counters: too little, too much, and what a write of unknown outcome makes up', () => {
    const counter = (final: number) => {
      const history = historyOf(['n', call('p', 1, 2), add(3)], ['n', call('q', 3, 4), add(5)], ['n', call('q', 5, 9, 'unknown'), add(7)]);
      history.addFinalRows(new Map([['n', final]]));
      return kinds(history);
    };
    expect(counter(8)).toEqual([]);
    expect(counter(15)).toEqual([]);
    expect(counter(5)).toEqual([['unapplied', 'n']]);
    expect(counter(11)).toEqual([['doubled', 'n']]);
    expect(counter(9)).toEqual([['phantom', 'n']]);
  });

  test('lists: an append that is not there, and a list that nobody appended to', () => {
    const history = new History();
    const append = (process: string, at: number, key: string, value: Element) =>
      history.add({ ...call(process, at, at + 1), kind: 'transaction', keyspace: 'k', steps: [{ kind: 'append', key, value }] });
    append('p', 1, 'x', 1);
    append('q', 3, 'x', 2);
    history.addFinalLists(
      'k',
      new Map([
        ['x', [1]],
        ['y', [9]],
      ]),
    );
    expect(kinds(history).sort()).toEqual([
      ['phantom', 'k/y'],
      ['unapplied', 'k/x'],
    ]);
  });
});

test('each row is judged by itself, and keyspaces too', () => {
  const history = historyOf(['a', call('p', 1, 2), write(1)], ['b', call('p', 3, 4), read(null)]);
  for (const keyspace of ['one', 'two']) history.add({ ...call('p', 5, 6), kind: 'transaction', keyspace, steps: [{ kind: 'append', key: 'x', value: 1 }] });
  expect(check(history)).toEqual({ outcome: 'clean', violations: [], undecided: [], operations: 4 });
});

test('a row whose search came to its limit is no pass, and hides no violation', () => {
  const history = new History(() => 0);
  for (let index = 0; index < 40; index += 1) history.add({ ...call('p', 0, 1, 'unknown'), key: 'hard', ...add(1_000_003 * (index + 7) ** 3) });
  history.add({ ...call('q', 2, 3), key: 'hard', ...read(17) });
  expect(check(history, 2_000)).toMatchObject({ outcome: 'undecided', undecided: ['hard'], violations: [] });
  history.add({ ...call('q', 2, 3), key: 'easy', ...read(17) });
  expect(check(history, 2_000)).toMatchObject({ outcome: 'violated', undecided: ['hard'], violations: [{ key: 'easy', kind: 'phantom' }] });
});

test('in a long history the newest part that is violated by itself is looked at, and told with what was there before it', () => {
  const history = new History(() => 0);
  const calls = 20_000;
  const lost = 18_001;
  for (let index = 0, sum = 0; index < calls; index += 1) {
    const at = index * 10;
    if (index % 4 === 0) history.add({ ...call('r', at, at + 5), key: 'n', ...read(sum) });
    else {
      sum += index === lost ? 0 : 1;
      history.add({ ...call(`p${index % 4}`, at, at + 5), key: 'n', ...add(1) });
    }
  }
  const [violation, ...others] = check(history).violations;
  expect(others).toEqual([]);
  expect(violation).toMatchObject({ kind: 'unapplied', key: 'n' });
  expect(violation?.said).toMatch(/; before these it held 13[0-9]{3}/);
  expect(violation?.operations.length).toBeLessThan(400);
});

test('times that make no sense are not taken', () => {
  const history = new History();
  expect(() => history.add({ ...call('p', 2, 1), key: 'a', ...write(1) })).toThrow(RangeError);
  expect(() => history.add({ ...call('p', Number.NaN, 1), key: 'a', ...write(1) })).toThrow(RangeError);
});

test('what went wrong is told by time, with the few operations that show it', () => {
  const history = historyOf(
    ['n', call('client 3', 20, 21), read(2)],
    ['n', call('client 1', 1, 2), add(1)],
    ['a', call('client 1', 3, 4.25), write('first')],
    ['a', call('client 2', 5, 6), write('second')],
    ['a', call('client 3', 7, 8), read('first')],
    ['a', call('client 3', 9, 10), read('second')],
  );
  history.add({
    ...call('client 4', 11, 12, 'unknown'),
    kind: 'transaction',
    keyspace: 'shop',
    steps: [
      { kind: 'append', key: 'x', value: 1 },
      { kind: 'append', key: 'y', value: 1 },
    ],
  });
  history.add({
    ...call('client 5', 13, 14),
    kind: 'transaction',
    keyspace: 'shop',
    steps: [
      { kind: 'read', key: 'y', saw: [1] },
      { kind: 'read', key: 'x', saw: [] },
    ],
  });
  expect(explain(check(history))).toMatchInlineSnapshot(`
"violated: 8 operations, 1 stale, 1 torn, 1 doubled

stale  a  at 8: "first" was seen though "second" had been acknowledged before, and is seen again later
    3 – 4.25  client 1  write "first"   ok
    5 – 6     client 2  write "second"  ok
    9 – 10    client 3  read "second"   ok
    7 – 8     client 3  read "first"    ok  ←

torn (G-single)  shop/x  at 14: client 5 at 13 did not see what client 4 at 11 appended to x; client 5 at 13 saw what client 4 at 11 appended to y
    11 – 12  client 4  append 1 to x, append 1 to y  outcome unknown
    13 – 14  client 5  read y = [1], read x = []     ok  ←

doubled  n  at 21: the increment by client 1 at 1 took effect twice
    1 – 2    client 1  add 1   ok
    20 – 21  client 3  read 2  ok  ←"
`);
});
