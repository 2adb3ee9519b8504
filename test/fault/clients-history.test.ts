import { expect, test } from '@jest/globals';
import { type Verdict, check } from '../checker/check.ts';
import { ColumnStore, type LoadRecord, type Observation, observationFields, opIdOf, type ReadRow, readFields, type WriteRow, writeFields } from '../bench/cutover/load-record.ts';
import type { StoreFacts } from '../bench/cutover/store-facts.ts';
import { historyOf } from './clients-history.ts';

const secret = '0123456789abcdef012345';
const [accounts, histories] = [0, 3];

/** Two transactions on account 1, the first of 10 and the second of 5, each seen by its caller, a read in between and one of the first's row of history; all as an honest store answers, but for what is given. */
function verdictOf(given: {
  readonly second?: Partial<WriteRow>;
  readonly secondSaw?: number;
  readonly readSaw?: number;
  readonly rowSaw?: number;
  readonly balance?: number;
}): Verdict {
  const writes = new ColumnStore<WriteRow>(writeFields, 2);
  const observations = new ColumnStore<Observation>(observationFields, 2);
  const write = { kind: 2, gateway: 0, scheduledMs: 0, issuedMs: 10, endedMs: 20, outcome: 1, aid: 1, tid: 2, bid: 3, delta: 10, hid: 7, tries: 1, unknown: 0 };
  writes.push(write);
  for (const [table, key] of [
    [0, 1],
    [1, 2],
    [2, 3],
  ] as const)
    observations.push({ table, key, value: 10, issuedMs: 10, endedMs: 20 });
  observations.push({ table: accounts, key: 1, value: given.readSaw ?? 10, issuedMs: 30, endedMs: 40 });
  observations.push({ table: histories, key: 7, value: given.rowSaw ?? 0, issuedMs: 30, endedMs: 40 });
  const second = { ...write, kind: 0, issuedMs: 50, endedMs: 60, delta: 5, hid: 0, ...given.second };
  writes.push(second);
  if (second.outcome === 1) observations.push({ table: accounts, key: 1, value: given.secondSaw ?? 15, issuedMs: 50, endedMs: 60 });
  const balance = (key: number, value: number) => new Map([[key, value]]);
  const facts: StoreFacts = {
    balances: { pgbench_accounts: balance(1, given.balance ?? 15), pgbench_tellers: balance(2, 10), pgbench_branches: balance(3, 10) },
    history: [{ hid: 7, opId: opIdOf(secret, 0), aid: 1, tid: 2, bid: 3, delta: 10 }],
    sums: { pgbench_accounts: 15, pgbench_tellers: 10, pgbench_branches: 10, pgbench_history: 10 },
    counts: { pgbench_accounts: 1, pgbench_tellers: 1, pgbench_branches: 1, pgbench_history: 1 },
    digests: null,
  };
  const record: LoadRecord = {
    secret,
    startedMs: 0,
    endedMs: 100,
    writes: writes.snapshot(),
    reads: new ColumnStore<ReadRow>(readFields, 2).snapshot(),
    observations: observations.snapshot(),
    errors: [],
    errorCount: 0,
    failedTries: [],
    reconnects: [],
  };
  return check(historyOf(record, facts));
}

test.each([
  ['as it was', {}],
  ['with a write that nobody knows to be done, and was not', { second: { outcome: 2 }, balance: 10 }],
  ['with a write that nobody knows to be done, and was', { second: { outcome: 2 } }],
  ['with a write that was refused', { second: { outcome: 3 }, balance: 10 }],
])('a record %s is a clean history', (_, given) => expect(verdictOf(given)).toMatchObject({ outcome: 'clean', violations: [], operations: expect.any(Number) }));

test.each([
  ['a read that does not see what was acknowledged before', { readSaw: 0 }],
  ['a row of history that is gone', { rowSaw: -1 }],
  ['a row of history that is another one', { rowSaw: 1 }],
  ['an answer that knows nothing of the write before', { secondSaw: 5 }],
  ['a store that has lost a write', { balance: 10 }],
  ['a store that has done one twice', { balance: 20 }],
  ['a write that was refused and is there', { second: { outcome: 3 } }],
])('a record with %s is not', (_, given) => expect(verdictOf(given).outcome).toBe('violated'));
