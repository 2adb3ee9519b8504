import { describe, expect, test } from '@jest/globals';
import { type CounterTable, counterTables } from './counter-timelines.ts';
import { judge, type ViolationKind } from './judge.ts';
import { ColumnStore, type LoadRecord, type Observation, observationFields, opIdOf, type ReadRow, readFields, type WriteRow, writeFields } from './load-record.ts';
import type { HistoryRow, StoreFacts } from './store-facts.ts';

const secret = '0123456789abcdef012345';
const accounts = 0;
const history = 3;

interface Run {
  record: LoadRecord;
  facts: StoreFacts;
}

interface Plan {
  readonly writes: readonly Partial<WriteRow>[];
  readonly observations?: readonly Observation[];
  readonly part?: Partial<LoadRecord>;
}

const whole = (row: Partial<WriteRow>, index: number): WriteRow => ({
  kind: 0,
  gateway: 0,
  scheduledMs: index * 10,
  issuedMs: index * 10 + 1,
  endedMs: index * 10 + 5,
  outcome: 1,
  aid: 1,
  tid: 2,
  bid: 1,
  delta: 100,
  hid: row.kind === undefined || row.kind === 0 ? 0 : index + 1,
  tries: 1,
  unknown: 0,
  ...row,
});

/** A run whose store holds exactly what an honest product would hold: every acknowledged write. */
function honest({ writes, observations = [], part = {} }: Plan): Run {
  const writeStore = new ColumnStore<WriteRow>(writeFields, 2);
  const seen = new ColumnStore<Observation>(observationFields, 2);
  for (const observation of observations) seen.push(observation);
  const balances: Record<CounterTable, Map<number, number>> = { pgbench_accounts: new Map(), pgbench_tellers: new Map(), pgbench_branches: new Map() };
  const rows: HistoryRow[] = [];
  const grow = (table: CounterTable, key: number, delta: number) => balances[table].set(key, (balances[table].get(key) ?? 0) + delta);
  for (const [index, partial] of writes.entries()) {
    const row = whole(partial, index);
    writeStore.push(row);
    if (row.outcome !== 1) continue;
    if (row.kind !== 1) grow('pgbench_accounts', row.aid, row.delta);
    if (row.kind === 2) grow('pgbench_tellers', row.tid, row.delta);
    if (row.kind === 2) grow('pgbench_branches', row.bid, row.delta);
    if (row.kind !== 0) rows.push({ hid: row.hid, opId: opIdOf(secret, index), aid: row.aid, tid: row.tid, bid: row.bid, delta: row.delta });
  }
  const sum = (table: CounterTable) => [...balances[table].values()].reduce((a, b) => a + b, 0);
  const facts: StoreFacts = {
    balances,
    history: rows,
    sums: {
      pgbench_accounts: sum('pgbench_accounts'),
      pgbench_tellers: sum('pgbench_tellers'),
      pgbench_branches: sum('pgbench_branches'),
      pgbench_history: rows.reduce((a, b) => a + b.delta, 0),
    },
    counts: { pgbench_accounts: 100_000, pgbench_tellers: 10, pgbench_branches: 1, pgbench_history: rows.length },
    digests: null,
  };
  const record: LoadRecord = {
    secret,
    startedMs: 0,
    endedMs: 1_000,
    writes: writeStore.snapshot(),
    reads: new ColumnStore<ReadRow>(readFields, 2).snapshot(),
    observations: seen.snapshot(),
    errors: [],
    errorCount: 0,
    failedTries: [],
    reconnects: [],
    ...part,
  };
  return { record, facts };
}

const verdict = ({ record, facts }: Run, copy: StoreFacts | null = null) => judge(record, { primary: facts, copy, scale: 1 });
const kindsOf = (run: Run, copy: StoreFacts | null = null): ViolationKind[] => [...new Set(verdict(run, copy).map((violation) => violation.kind))].toSorted();

const plan: Plan = { writes: [{}, { kind: 1 }, { kind: 2 }, { delta: 7 }, { kind: 1, outcome: 2, hid: 0 }] };
const withBalance = (run: Run, table: CounterTable, key: number, change: number): Run => {
  const balances = { ...run.facts.balances, [table]: new Map(run.facts.balances[table]).set(key, (run.facts.balances[table].get(key) ?? 0) + change) };
  return { ...run, facts: { ...run.facts, balances } };
};

describe('the judge', () => {
  test('finds nothing in an honest run', () => {
    expect(verdict(honest(plan))).toEqual([]);
    expect(verdict(honest(plan), honest(plan).facts)).toEqual([]);
  });

  test('lets a failed write be done or not', () => {
    const run = honest(plan);
    const row = { hid: 9, opId: opIdOf(secret, 4), aid: 1, tid: 2, bid: 1, delta: 100 };
    const counts = { ...run.facts.counts, pgbench_history: run.facts.counts.pgbench_history + 1 };
    expect(verdict({ ...run, facts: { ...run.facts, history: [...run.facts.history, row], counts } })).toEqual([]);
  });

  test('lets an increment of unknown outcome be done or not, and nothing between', () => {
    const run = honest({ writes: [{}, { outcome: 2, delta: 30 }, { outcome: 2, delta: 8 }] });
    const judged = (change: number) => kindsOf(withBalance(run, 'pgbench_accounts', 1, change)).filter((kind) => kind !== 'different');
    const sumless = (change: number) => verdict(withBalance(run, 'pgbench_accounts', 1, change)).filter(({ what }) => !what.startsWith('the sum'));
    for (const change of [0, 8, 30, 38]) expect(sumless(change)).toEqual([]);
    expect(sumless(7)).toMatchObject([{ kind: 'different' }]);
    expect(judged(-1)).toEqual(['missing']);
    expect(judged(39)).toEqual(['doubled']);
  });

  test('lets a transaction of unknown outcome be done or not as a whole', () => {
    const run = honest({ writes: [{}, { kind: 2, outcome: 2, hid: 0 }] });
    expect(verdict(run)).toEqual([]);
    const row = { hid: 9, opId: opIdOf(secret, 1), aid: 1, tid: 2, bid: 1, delta: 100 };
    const parts: readonly (readonly [CounterTable, number])[] = [
      ['pgbench_accounts', 1],
      ['pgbench_tellers', 2],
      ['pgbench_branches', 1],
    ];
    const counts = { ...run.facts.counts, pgbench_history: 1 };
    const inHistory: Run = { ...run, facts: { ...run.facts, history: [row], counts } };
    const done = parts.reduce((so, [table, key]) => withBalance(so, table, key, 100), inHistory);
    const bySum = (one: Run) => verdict(one).filter(({ what }) => !what.startsWith('the sum'));
    expect(bySum(done)).toEqual([]);
    for (const [table, key] of parts) {
      expect(bySum(withBalance(done, table, key, -100))).toMatchObject([{ kind: 'missing' }]);
      expect(bySum(withBalance(run, table, key, 100)).map(({ kind }) => kind)).toEqual([table === 'pgbench_accounts' ? 'doubled' : 'different']);
    }
  });

  test('catches a history row that is missing', () => {
    const run = honest(plan);
    expect(kindsOf({ ...run, facts: { ...run.facts, history: run.facts.history.slice(1) } })).toEqual(['missing']);
  });

  test.each(counterTables)('catches an increment of %s that is missing or doubled', (table) => {
    const key = table === 'pgbench_tellers' ? 2 : 1;
    expect(kindsOf(withBalance(honest(plan), table, key, -100))).toEqual(['missing']);
    expect(kindsOf(withBalance(honest(plan), table, key, 100))).toEqual(['doubled']);
  });

  test('catches a write that was answered as not done and is there', () => {
    const refused: Plan = { writes: [{}, { kind: 1, outcome: 3, hid: 0 }, { outcome: 3 }] };
    const run = honest(refused);
    expect(verdict(run)).toEqual([]);
    const row = { hid: 9, opId: opIdOf(secret, 1), aid: 1, tid: 2, bid: 1, delta: 100 };
    expect(kindsOf({ ...run, facts: { ...run.facts, history: [row] } })).toContain('doubled');
    expect(kindsOf(withBalance(run, 'pgbench_accounts', 1, 100))).toEqual(['doubled']);
  });

  test('catches an op that is there twice', () => {
    const run = honest(plan);
    const [first] = run.facts.history;
    if (first === undefined) throw new Error('the plan has inserts');
    expect(kindsOf({ ...run, facts: { ...run.facts, history: [...run.facts.history, { ...first, hid: 77 }] } })).toEqual(['doubled']);
  });

  test('catches rows, sums and counts that differ', () => {
    const run = honest(plan);
    const [first, ...rest] = run.facts.history;
    if (first === undefined) throw new Error('the plan has inserts');
    const withHistory = (history: readonly HistoryRow[]): Run => ({ ...run, facts: { ...run.facts, history } });
    expect(kindsOf(withHistory([{ ...first, delta: 101 }, ...rest]))).toEqual(['different']);
    expect(kindsOf(withHistory([{ ...first, hid: 55 }, ...rest]))).toEqual(['different']);
    expect(kindsOf(withHistory([first, ...rest, { ...first, hid: 56, opId: null }]))).toEqual(['different']);
    expect(kindsOf(withHistory([first, ...rest, { ...first, hid: 57, opId: opIdOf('f'.repeat(22), 1) }]))).toEqual(['different']);
    expect(kindsOf(withBalance(run, 'pgbench_accounts', 999, 5))).toEqual(['different']);
    expect(kindsOf({ ...run, facts: { ...run.facts, sums: { ...run.facts.sums, pgbench_branches: 1 } } })).toEqual(['different']);
    expect(kindsOf({ ...run, facts: { ...run.facts, counts: { ...run.facts.counts, pgbench_accounts: 99_999 } } })).toEqual(['missing']);
  });

  test('catches a copy that is not equal to the primary', () => {
    const run = honest(plan);
    expect(kindsOf(run, { ...run.facts, sums: { ...run.facts.sums, pgbench_history: 1 } })).toEqual(['different']);
    const digests = { pgbench_accounts: 'a', pgbench_tellers: 'b', pgbench_branches: 'c', pgbench_history: 'd' };
    const read = { ...run, facts: { ...run.facts, digests } };
    expect(kindsOf(read, read.facts)).toEqual([]);
    expect(kindsOf(read, { ...read.facts, digests: { ...digests, pgbench_tellers: 'x' } })).toEqual(['different']);
  });

  test('catches an answer without its balance', () => {
    expect(kindsOf(honest({ ...plan, observations: [{ table: accounts, key: 1, value: Number.NaN, issuedMs: 6, endedMs: 8 }] }))).toEqual(['different']);
  });

  test('catches stale reads and answers out of nowhere, by the clients’ own order of events', () => {
    // The first write of account 1 adds 100 and is acknowledged at 5; the fourth adds 7, is sent at 31 and acknowledged at 35.
    const read = (value: number, issuedMs: number, endedMs: number, table = accounts, key = 1) =>
      kindsOf(honest({ ...plan, observations: [{ table, key, value, issuedMs, endedMs }] }));
    expect(read(0, 2, 4)).toEqual([]);
    expect(read(100, 2, 4)).toEqual([]);
    expect(read(0, 6, 8)).toEqual(['stale']);
    expect(read(100, 6, 8)).toEqual([]);
    expect(read(107, 2, 8)).toEqual(['different']);
    expect(read(0, 1, 2, accounts, 50)).toEqual([]);
    expect(read(1, 1, 2, accounts, 50)).toEqual(['different']);
    // The second write inserts the row with hid 2 and is acknowledged at 15.
    expect(read(1, 16, 17, history, 2)).toEqual([]);
    expect(read(-1, 16, 17, history, 2)).toEqual(['stale']);
    expect(read(-1, 14, 17, history, 2)).toEqual([]);
    expect(read(2, 16, 17, history, 2)).toEqual(['different']);
  });

  test('counts errors and lost connections', () => {
    const error = { call: 'write', index: 4, gateway: 0, endedMs: 45, reason: 'FENCED', message: '' } as const;
    const run = honest({ ...plan, part: { errors: [error], errorCount: 3, reconnects: [{ gateway: 1, atMs: 5 }] } });
    expect(verdict(run).map((violation) => violation.kind)).toEqual(['error', 'error', 'error', 'reconnect']);
  });
});
