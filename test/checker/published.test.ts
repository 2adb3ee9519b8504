import { describe, expect, test } from '@jest/globals';
import { check } from './check.ts';
import { type Element, History, type RowAction, type RowOperation, type State, type Step, type Transaction } from './history.ts';

/* Histories with the verdicts that their authors give. */

type Row = readonly [process: string, invoked: number, responded: number, action: RowAction, outcome?: RowOperation['outcome']];

const read = (saw: State): RowAction => ({ kind: 'read', saw });
const write = (value: State): RowAction => ({ kind: 'write', value });
const swap = (expected: State, value: State, swapped: boolean): RowAction => ({ kind: 'swap', expected, value, swapped });

function rows(operations: readonly Row[], initial: State = null): History {
  const history = new History(() => initial);
  for (const [process, invoked, responded, action, outcome = 'ok'] of operations) history.add({ process, key: 'x', invoked, responded, outcome, ...action });
  return history;
}

describe('Herlihy and Wing, "Linearizability: A Correctness Condition for Concurrent Objects", TOPLAS 12(3), 1990: histories of a register', () => {
  const beginning: readonly Row[] = [
    ['A', 1, 2, write(0)],
    ['B', 3, 8, write(1)],
    ['A', 4, 5, read(1)],
    ['C', 6, 7, write(0)],
  ];
  test('H5 is acceptable', () => expect(check(rows([...beginning, ['B', 9, 10, read(0)]])).outcome).toBe('clean'));
  test('H6 is not: the register went back to 1', () => expect(check(rows([...beginning, ['B', 9, 10, read(1)]])).outcome).toBe('violated'));
});

describe('Gibbons and Korach, "Testing Shared Memories", SIAM J. Comput. 26(4), 1997: what zones may not do', () => {
  test('two forward zones that overlap', () => {
    const { violations } = check(
      rows([
        ['A', 1, 2, write('a')],
        ['B', 3, 4, write('b')],
        ['A', 5, 6, read('a')],
        ['B', 7, 8, read('b')],
      ]),
    );
    expect(violations.map(({ kind }) => kind)).toEqual(['stale']);
  });
  test('two forward zones one after the other', () => {
    const history = rows([
      ['A', 1, 2, write('a')],
      ['B', 1, 6, write('b')],
      ['A', 3, 4, read('a')],
      ['C', 7, 8, read('b')],
    ]);
    expect(check(history).outcome).toBe('clean');
  });
  test('a backward zone inside a forward one', () => {
    const { violations } = check(
      rows([
        ['A', 1, 2, write('a')],
        ['B', 3, 6, write('b')],
        ['C', 4, 5, read('b')],
        ['A', 7, 8, read('a')],
      ]),
    );
    expect(violations.map(({ kind }) => kind)).toEqual(['lost']);
  });
  test('a backward zone that reaches out of a forward one', () => {
    const history = rows([
      ['A', 1, 2, write('a')],
      ['B', 3, 8, write('b')],
      ['C', 4, 8, read('b')],
      ['A', 6, 7, read('a')],
    ]);
    expect(check(history).outcome).toBe('clean');
  });
});

describe('Athalye, Porcupine and "Testing Distributed Systems for Linearizability", 2017 (after MIT 6.824, quiz 2 of 2017)', () => {
  test('a get that began later may miss a put that another has seen only while they overlap', () => {
    const history = rows(
      [
        ['0', 0, 100, write(100)],
        ['1', 25, 75, read(100)],
        ['2', 30, 60, read(0)],
      ],
      0,
    );
    expect(check(history).outcome).toBe('clean');
  });
  test('a get after one that saw the put must see it', () => {
    const history = rows(
      [
        ['0', 0, 100, write(200)],
        ['1', 10, 30, read(200)],
        ['2', 40, 90, read(0)],
      ],
      0,
    );
    expect(check(history)).toMatchObject({ outcome: 'violated', violations: [{ kind: 'lost' }] });
  });
  test('operations that take no time', () => {
    const most: readonly Row[] = [['0', 0, 100, write(100)]];
    expect(check(rows([...most, ['1', 25, 75, read(100)], ['2', 30, 30, read(0)], ['3', 30, 30, read(0)]], 0)).outcome).toBe('clean');
    expect(check(rows([...most, ['1', 10, 10, read(100)], ['2', 10, 10, read(100)], ['3', 40, 90, read(0)]], 0)).outcome).toBe('violated');
  });
});

describe("Kingsbury, Knossos' README", () => {
  test('a crashed write is seen by a read beside it', () => {
    const history = rows([
      ['0', 0, 3, read(3)],
      ['1', 1, 2, write(3), 'unknown'],
    ]);
    expect(check(history).outcome).toBe('clean');
  });
  test('RethinkDB, the smallest failing history: a value that nobody wrote', () => {
    const history = rows([
      ['0', 0, 1, write(0)],
      ['1', 2, 4, read(3)],
      ['2', 3, 5, write(4)],
      ['3', 6, 7, read(4)],
    ]);
    expect(check(history)).toMatchObject({ outcome: 'violated', violations: [{ kind: 'phantom', operations: [{ process: '1' }] }] });
  });
  test('and with the failed write that it was', () => {
    const history = rows([
      ['0', 0, 1, write(0)],
      ['4', 1, 2, write(3), 'failed'],
      ['1', 2, 4, read(3)],
      ['2', 3, 5, write(4)],
      ['3', 6, 7, read(4)],
    ]);
    expect(check(history)).toMatchObject({ outcome: 'violated', violations: [{ kind: 'phantom', operations: [{ process: '4' }, { process: '1' }] }] });
  });
  test('compare-and-set on values that come twice: two that expect the same cannot both be done', () => {
    const history = rows([
      ['0', 0, 1, write(0)],
      ['1', 2, 4, swap(0, 1, true)],
      ['2', 2, 4, swap(0, 1, true)],
    ]);
    expect(check(history).outcome).toBe('violated');
    const turned = rows([
      ['0', 0, 1, write(0)],
      ['1', 2, 4, swap(0, 1, true)],
      ['2', 2, 4, swap(0, 1, false)],
    ]);
    expect(check(turned).outcome).toBe('clean');
  });
});

const saw = (key: string, ...elements: Element[]): Step => ({ kind: 'read', key, saw: elements });
const append = (key: string, value: Element): Step => ({ kind: 'append', key, value });

/** Transactions all at once, or one after the other. */
function transactions(each: Readonly<Record<string, readonly Step[]>>, { inOrder = false, failed = [] as readonly string[] } = {}): History {
  const history = new History();
  Object.entries(each).forEach(([process, steps], index) => {
    const [invoked, responded] = inOrder ? [index * 10, index * 10 + 5] : [0, 5];
    history.add({ kind: 'transaction', keyspace: 'k', process, invoked, responded, outcome: failed.includes(process) ? 'failed' : 'ok', steps } satisfies Transaction);
  });
  return history;
}

const anomalies = (history: History) => check(history).violations.map(({ kind, anomaly }) => anomaly ?? kind);

describe('Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB 14(3), 2020', () => {
  test('figures 2 and 3: G-single with one real-time edge', () => {
    const history = new History();
    const add = (process: string, invoked: number, responded: number, steps: readonly Step[]) =>
      history.add({ kind: 'transaction', keyspace: 'k', process, invoked, responded, outcome: 'ok', steps });
    add('T0', 0, 1, [
      append('253', 1),
      append('253', 3),
      append('253', 4),
      append('255', 2),
      append('255', 3),
      append('255', 4),
      append('255', 5),
      append('256', 1),
      append('256', 2),
    ]);
    add('T2', 2, 3, [append('255', 8), saw('253', 1, 3, 4)]);
    add('T3', 4, 5, [append('256', 4), saw('255', 2, 3, 4, 5, 8), saw('256', 1, 2, 4), saw('253', 1, 3, 4)]);
    add('T1', 6, 7, [append('250', 10), saw('253', 1, 3, 4), saw('255', 2, 3, 4, 5), append('256', 3)]);
    const verdict = check(history);
    expect(verdict.violations.filter(({ anomaly }) => anomaly === 'G-single').map(({ operations }) => operations.map(({ process }) => process).sort())).toEqual([
      ['T1', 'T2', 'T3'],
    ]);
    // And it has a better name besides: T1 began after T2's append to 255 had been acknowledged, and missed it; T3 had seen it.
    expect(verdict.violations.filter(({ kind }) => kind !== 'cycle')).toMatchObject([
      { kind: 'lost', key: 'k/255', operations: [{ process: 'T2' }, { process: 'T3' }, { process: 'T1' }] },
    ]);
  });

  test('section 7, TiDB: G-single, read skew, after a retry without a check', () => {
    const history = transactions({
      T0: [append('34', 2), append('34', 1)],
      T1: [saw('34', 2, 1), append('36', 5), append('34', 4)],
      T2: [append('34', 5)],
      T3: [saw('34', 2, 1, 5, 4)],
    });
    expect(anomalies(history)).toEqual(['G-single']);
  });

  test('section 7, YugaByte DB: G2, two transactions that each miss what the other appends', () => {
    const history = transactions({
      T0: [append('3', 836), append('4', 883)],
      T1: [append('3', 837), saw('4', 883)],
      T2: [append('4', 885), saw('3', 836)],
    });
    expect(anomalies(history)).toEqual(['G2']);
  });

  test('section 7, FaunaDB: internal, a transaction that misses its own append', () => {
    expect(anomalies(transactions({ T1: [append('0', 6), saw('0')] }))).toEqual(['internal']);
  });

  test('section 7, Dgraph, as lists: G-single by way of a reader that saw the younger of two writes', () => {
    const history = transactions({ T1: [saw('2432', 10), saw('2434')], T2: [append('2434', 10)], T3: [append('2432', 10), saw('2434', 10)] });
    expect(anomalies(history)).toEqual(['G-single']);
  });

  test("Elle's README: G1c, circular information flow", () => {
    const history = transactions({ T1: [append('x', 1), saw('y', 1)], T2: [append('x', 2), append('y', 1)], T3: [saw('x', 1, 2)] });
    expect(anomalies(history)).toEqual(['G1c']);
  });

  test("Elle's tests: G0, a write cycle", () => {
    const history = transactions({ T1: [append('x', 1), append('y', 1)], T2: [append('x', 2), append('y', 2)], T3: [saw('x', 1, 2), saw('y', 2, 1)] });
    expect(anomalies(history)).toEqual(['G0']);
  });

  test("Elle's tests: G1a, an aborted read", () => {
    expect(anomalies(transactions({ T1: [append('x', 1)], T2: [saw('x', 1), append('x', 2)] }, { failed: ['T1'] }))).toEqual(['G1a']);
  });

  test("Elle's tests: G1b, an intermediate read", () => {
    expect(anomalies(transactions({ T1: [append('x', 1), append('x', 2)], T2: [saw('x', 1)] }))).toContain('G1b');
    expect(anomalies(transactions({ T1: [append('x', 1), saw('x', 1), append('x', 2)], T2: [saw('x', 1, 2)] }))).toEqual([]);
  });

  test("Elle's tests: internal reads", () => {
    const before = { T0: [append('x', 1), append('x', 2)] };
    expect(anomalies(transactions({ ...before, T1: [saw('x', 1, 2), append('x', 3), saw('x', 1, 2, 3), append('x', 4), saw('x', 1, 2, 3, 4)] }))).toEqual([]);
    expect(anomalies(transactions({ ...before, T1: [saw('x', 1, 2), append('x', 3), saw('x', 1, 2)] }))).toEqual(['internal']);
    expect(anomalies(transactions({ ...before, T1: [saw('x', 1, 2), append('x', 3), saw('x', 0, 2, 3)] }))).toEqual(['internal']);
    expect(anomalies(transactions({ ...before, T1: [saw('x', 1, 2), append('x', 3), saw('x', 1)] }))).toEqual(['internal']);
  });

  test('Adya, Liskov and O’Neil, figure 3, as in Elle’s tests: serializable', () => {
    const history = transactions({
      T1: [append('z', 1), append('x', 1), append('y', 1)],
      T2: [saw('x', 1), append('y', 2)],
      T3: [saw('y', 1, 2), append('z', 3)],
      T4: [saw('z', 1, 3)],
    });
    expect(check(history).outcome).toBe('clean');
  });

  test('section 5.1, real time: a long fork of which one reader is known to have come after one writer', () => {
    const history = new History();
    const add = (process: string, invoked: number, responded: number, steps: readonly Step[]) =>
      history.add({ kind: 'transaction', keyspace: 'k', process, invoked, responded, outcome: 'ok', steps });
    add('T1', 0, 10, [append('x', 1)]);
    add('T2', 1, 2, [append('y', 1)]);
    add('T3', 3, 4, [saw('x')]);
    add('T4', 0, 10, [saw('x', 1), saw('y')]);
    expect(anomalies(history)).toEqual(['G2-realtime']);
  });

  test('a read of nothing after an append was acknowledged', () => {
    const history = transactions({ T1: [append('x', 1)], T2: [saw('x')] }, { inOrder: true });
    expect(anomalies(history)).toEqual(['unapplied']);
  });
});
