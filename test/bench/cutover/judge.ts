import { counterTables, CounterTimelines, type Fate } from './counter-timelines.ts';
import { type LoadRecord, indexOfOpId, observedTables } from './load-record.ts';
import type { HistoryRow, StoreFacts } from './store-facts.ts';

/*
 * The verdict over a run: the clients' record against what SQL says, never the product's word. Every increment is positive, so that a counter is bounded at any instant: at least what had been acknowledged before, at most
 * what had been sent by then. A call that failed without a refusal may have been done or not; where it wrote a row of history, that row tells which, and all of the call must be so.
 */

/** The worst first. */
export const violationKinds = ['missing', 'doubled', 'stale', 'different', 'error', 'reconnect'] as const;
export type ViolationKind = (typeof violationKinds)[number];

/**
 * missing: acknowledged and not there · doubled: there more often than sent, or there though the answer was that it was not done · different: a row, a sum, a count or an answer that no order of the writes explains · stale: an answer without a write acknowledged before the
 * call began · error: a call failed · reconnect: a connection broke.
 */
export interface Violation {
  readonly kind: ViolationKind;
  readonly what: string;
  /** When the write or the read concerned ended, on the clients' clock. */
  readonly atMs: number;
}

export interface JudgedFacts {
  /** Of the store that is primary at the end. */
  readonly primary: StoreFacts;
  /** Of the other one, once its stream has caught up; null where there is no stream. */
  readonly copy: StoreFacts | null;
  readonly scale: number;
}

const acknowledged = 1;
const refused = 3;

/** What became of each write, by its answer, or where that leaves it open by the row of history that it wrote or did not write. */
function fates({ writes, secret }: LoadRecord, rows: readonly HistoryRow[]): (index: number) => Fate {
  const stored = new Set(rows.map(({ opId }) => (opId === null ? -2 : indexOfOpId(secret, opId))));
  return (index) => {
    if (writes.outcome[index] === acknowledged) return 'acknowledged';
    if (writes.outcome[index] === refused) return 'undone';
    if (writes.kind[index] === 0) return 'open';
    return stored.has(index) ? 'done' : 'undone';
  };
}

function judgeHistory(record: LoadRecord, rows: readonly HistoryRow[]): Violation[] {
  const { writes, secret } = record;
  const found: Violation[] = [];
  const seen = new Map<number, HistoryRow>();
  for (const row of rows) {
    const index = row.opId === null ? -2 : indexOfOpId(secret, row.opId);
    if (index < 0 || index >= writes.length || writes.kind[index] === 0) {
      found.push({ kind: 'different', what: `history row ${row.hid} bears the op_id ${row.opId}, which no client sent`, atMs: record.endedMs });
      continue;
    }
    const atMs = writes.endedMs[index] ?? 0;
    const earlier = seen.get(index);
    if (earlier !== undefined) found.push({ kind: 'doubled', what: `op ${row.opId} is in history as ${earlier.hid} and as ${row.hid}`, atMs });
    seen.set(index, row);
    if (writes.outcome[index] === refused) found.push({ kind: 'doubled', what: `op ${row.opId} is in history though its call was answered with "not done"`, atMs });
    const sent = [writes.aid[index], writes.tid[index], writes.bid[index], writes.delta[index]];
    const stored = [row.aid, row.tid, row.bid, row.delta];
    if (sent.some((value, i) => value !== stored[i])) found.push({ kind: 'different', what: `history row ${row.hid} holds (${stored}) where (${sent}) was sent`, atMs });
    const hid = writes.hid[index] ?? 0;
    if (writes.outcome[index] === acknowledged && earlier === undefined && hid !== row.hid)
      found.push({ kind: 'different', what: `op ${row.opId} was acknowledged with hid ${hid} and is stored as ${row.hid}`, atMs });
  }
  for (let index = 0; index < writes.length; index += 1)
    if (writes.kind[index] !== 0 && writes.outcome[index] === acknowledged && !seen.has(index))
      found.push({
        kind: 'missing',
        what: `history row ${writes.hid[index]} (write ${index}) was acknowledged by gateway ${writes.gateway[index]} and is not there`,
        atMs: writes.endedMs[index] ?? 0,
      });
  return found;
}

function judgeCounters(timelines: CounterTimelines, facts: StoreFacts): Violation[] {
  const found: Violation[] = [];
  for (const table of counterTables) {
    const balances = facts.balances[table];
    for (const [key, timeline] of timelines.of(table)) {
      const stored = balances.get(key) ?? 0;
      const atMs = timeline.lastEndedMs;
      if (stored < timeline.done) found.push({ kind: 'missing', what: `${table} ${key} is ${stored}, ${timeline.done - stored} less than was done`, atMs });
      else if (stored > timeline.sent) found.push({ kind: 'doubled', what: `${table} ${key} is ${stored}, ${stored - timeline.sent} more than ever sent`, atMs });
      else if (!timeline.explains(stored))
        found.push({
          kind: 'different',
          what: `${table} ${key} is ${stored}: ${stored - timeline.done} more than was done, and no choice of the writes of unknown outcome makes that up`,
          atMs,
        });
    }
    for (const [key, stored] of balances)
      if (stored !== 0 && !timelines.of(table).has(key)) found.push({ kind: 'different', what: `${table} ${key} is ${stored} and no client ever changed it`, atMs: 0 });
  }
  return found;
}

/** The same once more through SQL's own sums and counts. */
function judgeSums(record: LoadRecord, timelines: CounterTimelines, facts: StoreFacts, scale: number): Violation[] {
  const found: Violation[] = [];
  const atMs = record.endedMs;
  const rowsPerScale = { pgbench_accounts: 100_000, pgbench_tellers: 10, pgbench_branches: 1 };
  for (const table of counterTables) {
    const { done: low, sent: high } = timelines.sums(table);
    const sum = facts.sums[table];
    if (sum < low || sum > high) found.push({ kind: 'different', what: `the sum over ${table} is ${sum} where the clients know ${low} to ${high}`, atMs });
    const rows = scale * rowsPerScale[table];
    if (facts.counts[table] !== rows)
      found.push({ kind: facts.counts[table] < rows ? 'missing' : 'doubled', what: `${table} has ${facts.counts[table]} rows instead of ${rows}`, atMs });
  }
  const { writes } = record;
  let [acknowledgedRows, sentRows] = [0, 0];
  for (let index = 0; index < writes.length; index += 1) {
    if (writes.kind[index] === 0) continue;
    if (writes.outcome[index] !== refused) sentRows += 1;
    if (writes.outcome[index] === acknowledged) acknowledgedRows += 1;
  }
  const rows = facts.counts.pgbench_history;
  if (rows < acknowledgedRows || rows > sentRows)
    found.push({ kind: 'different', what: `history has ${rows} rows where the clients know ${acknowledgedRows} to ${sentRows}`, atMs });
  return found;
}

function judgeObservations(record: LoadRecord, timelines: CounterTimelines): Violation[] {
  const { observations: seen, writes } = record;
  const found: Violation[] = [];
  const writeOfHid = new Map<number, number>();
  for (let index = 0; index < writes.length; index += 1) if (writes.outcome[index] === acknowledged && writes.hid[index] !== 0) writeOfHid.set(writes.hid[index] ?? 0, index);
  for (let i = 0; i < seen.length; i += 1) {
    const table = observedTables[seen.table[i] ?? 0] ?? 'pgbench_history';
    const [key, value, issuedMs, endedMs] = [seen.key[i] ?? 0, seen.value[i] ?? 0, seen.issuedMs[i] ?? 0, seen.endedMs[i] ?? 0];
    if (table === 'pgbench_history') {
      const index = writeOfHid.get(key) ?? -1;
      if (value === -1 && (writes.endedMs[index] ?? Number.POSITIVE_INFINITY) < issuedMs)
        found.push({
          kind: 'stale',
          what: `history row ${key} was acknowledged ${(issuedMs - (writes.endedMs[index] ?? 0)).toFixed(1)} ms before a read that did not find it`,
          atMs: endedMs,
        });
      if (value !== -1 && value !== index) found.push({ kind: 'different', what: `history row ${key} of write ${index} was read with the op_id of write ${value}`, atMs: endedMs });
      continue;
    }
    if (!Number.isFinite(value)) {
      found.push({ kind: 'different', what: `${table} ${key} was answered without its balance`, atMs: endedMs });
      continue;
    }
    const { low, high } = timelines.bounds(table, key, issuedMs, endedMs);
    if (value < low) found.push({ kind: 'stale', what: `${table} ${key} was read as ${value}, ${low - value} less than acknowledged before the read began`, atMs: endedMs });
    if (value > high) found.push({ kind: 'different', what: `${table} ${key} was read as ${value}, ${value - high} more than sent before the read ended`, atMs: endedMs });
  }
  return found;
}

function judgeCopy(primary: StoreFacts, copy: StoreFacts, atMs: number): Violation[] {
  const found: Violation[] = [];
  for (const table of [...counterTables, 'pgbench_history'] as const) {
    const [one, other] = [`${primary.counts[table]} rows, sum ${primary.sums[table]}`, `${copy.counts[table]} rows, sum ${copy.sums[table]}`];
    if (one !== other) found.push({ kind: 'different', what: `${table} has ${one} in the primary store and ${other} in the copy`, atMs });
    else if (primary.digests?.[table] !== copy.digests?.[table])
      found.push({ kind: 'different', what: `${table} has rows in the primary store that differ from the copy's in some column`, atMs });
  }
  return found;
}

/** Every violation of a run, in no particular order. */
export function judge(record: LoadRecord, facts: JudgedFacts): readonly Violation[] {
  const timelines = new CounterTimelines(record.writes, fates(record, facts.primary.history));
  const counted = record.errors.map(
    (error): Violation => ({ kind: 'error', what: `a ${error.call} through gateway ${error.gateway} failed: ${error.reason} ${error.message}`, atMs: error.endedMs }),
  );
  const uncounted = Array.from(
    { length: record.errorCount - counted.length },
    (): Violation => ({ kind: 'error', what: 'a call failed (beyond the errors that are kept)', atMs: record.endedMs }),
  );
  return [
    ...counted,
    ...uncounted,
    ...record.reconnects.map((lost): Violation => ({ kind: 'reconnect', what: `the connection to gateway ${lost.gateway} broke`, atMs: lost.atMs })),
    ...judgeHistory(record, facts.primary.history),
    ...judgeCounters(timelines, facts.primary),
    ...judgeSums(record, timelines, facts.primary, facts.scale),
    ...judgeObservations(record, timelines),
    ...(facts.copy === null ? [] : judgeCopy(facts.primary, facts.copy, record.endedMs)),
  ];
}
