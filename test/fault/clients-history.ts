import type { LoadRecord, WriteRow } from '../bench/cutover/load-record.ts';
import { indexOfOpId, observedTables } from '../bench/cutover/load-record.ts';
import { type CounterTable, counterTables } from '../bench/cutover/counter-timelines.ts';
import type { StoreFacts } from '../bench/cutover/store-facts.ts';
import { type Call, History, type Outcome, type State } from '../checker/history.ts';

/** By the code of the outcome in the record: pending and failed calls may take effect whenever they like. */
const outcomes: readonly Outcome[] = ['unknown', 'ok', 'unknown', 'failed'];
const keyOf = (table: string, key: number): string => `${table} ${key}`;

/** The rows that a write of each kind adds to, by the field with their key. */
const counted: readonly (readonly (readonly [CounterTable, keyof WriteRow])[])[] = [
  [['pgbench_accounts', 'aid']],
  [],
  [
    ['pgbench_accounts', 'aid'],
    ['pgbench_tellers', 'tid'],
    ['pgbench_branches', 'bid'],
  ],
];

/** The clients' record as a history to be checked: each counter is a row of increments and reads, each row of history one that is written once. `primary`: what the store that serves holds once all is quiet. */
export function historyOf(record: LoadRecord, primary: StoreFacts): History {
  const history = new History((key) => (key.startsWith('pgbench_history') ? null : 0));
  const { writes, observations } = record;
  // What an acknowledged write saw is among the observations, with the very same times.
  const seen = new Map<string, number>();
  const mark = (table: string, key: number, issuedMs: number, endedMs: number): string => `${keyOf(table, key)} ${issuedMs} ${endedMs}`;
  for (let i = 0; i < observations.length; i += 1) seen.set(mark(tableOf(record, i), at(observations.key, i), at(observations.issuedMs, i), at(observations.endedMs, i)), i);

  const taken = new Set<number>();
  for (let i = 0; i < writes.length; i += 1) {
    const call = callOf(`gateway-${at(writes.gateway, i) + 1}`, at(writes.issuedMs, i), at(writes.endedMs, i), outcomes[at(writes.outcome, i)] ?? 'unknown', record.endedMs);
    for (const [table, field] of counted[at(writes.kind, i)] ?? []) {
      const key = at(writes[field], i);
      const observation = call.outcome === 'ok' ? seen.get(mark(table, key, call.invoked, call.responded)) : undefined;
      if (observation !== undefined) taken.add(observation);
      const saw = observation === undefined ? {} : { saw: at(observations.value, observation) };
      history.add({ ...call, key: keyOf(table, key), kind: 'increment', by: at(writes.delta, i), ...saw });
    }
    const hid = at(writes.hid, i);
    if (hid !== 0) history.add({ ...call, key: keyOf('pgbench_history', hid), kind: 'write', value: i });
  }
  for (let i = 0; i < observations.length; i += 1) {
    if (taken.has(i)) continue;
    const table = tableOf(record, i);
    const value = at(observations.value, i);
    const saw: State = table === 'pgbench_history' && value === -1 ? null : value;
    history.add({
      ...callOf('reader', at(observations.issuedMs, i), at(observations.endedMs, i), 'ok', record.endedMs),
      key: keyOf(table, at(observations.key, i)),
      kind: 'read',
      saw,
    });
  }
  history.addFinalRows(finalRows(history, record, primary));
  return history;
}

const at = (column: Float64Array, index: number): number => column[index] ?? Number.NaN;
const tableOf = ({ observations }: LoadRecord, index: number): string => observedTables[at(observations.table, index)] ?? 'pgbench_history';

function callOf(process: string, invoked: number, responded: number, outcome: Outcome, endMs: number): Call {
  return { process, invoked, responded: responded === 0 ? Math.max(invoked, endMs) : responded, outcome };
}

function finalRows(history: History, { secret, writes }: LoadRecord, primary: StoreFacts): ReadonlyMap<string, State> {
  const rows = new Map<string, State>();
  for (const key of history.rows.keys()) if (!key.startsWith('pgbench_history')) rows.set(key, 0);
  for (const table of counterTables) for (const [key, balance] of primary.balances[table]) rows.set(keyOf(table, key), balance);
  for (const { hid, opId } of primary.history) {
    const index = opId === null ? -2 : indexOfOpId(secret, opId);
    // A row that was done and not acknowledged has no name that a client knows.
    if (index < 0 || writes.hid[index] !== 0) rows.set(keyOf('pgbench_history', hid), index);
  }
  return rows;
}
