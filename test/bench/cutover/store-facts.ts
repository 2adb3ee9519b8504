import { createHash } from 'node:crypto';
import type { ClusterStore } from '../../support/cluster/store.ts';
import { type CounterTable, counterTables } from './counter-timelines.ts';

export interface HistoryRow {
  readonly hid: number;
  /** Null where nobody set it. */
  readonly opId: string | null;
  readonly aid: number;
  readonly tid: number;
  readonly bid: number;
  readonly delta: number;
}

/** What SQL says of one store. */
export interface StoreFacts {
  /** Balances that are not 0, by primary key. */
  readonly balances: Readonly<Record<CounterTable, ReadonlyMap<number, number>>>;
  readonly history: readonly HistoryRow[];
  /** Of the balance, or of history's delta. */
  readonly sums: Readonly<Record<CounterTable | 'pgbench_history', number>>;
  readonly counts: Readonly<Record<CounterTable | 'pgbench_history', number>>;
  /** Over every column of every row, in order of key: the same for the same rows in a store of any kind. Null: not read. */
  readonly digests: Readonly<Record<CounterTable | 'pgbench_history', string>> | null;
}

const rowsOf: Readonly<Record<CounterTable | 'pgbench_history', { readonly key: string; readonly columns: string }>> = {
  pgbench_accounts: { key: 'aid', columns: 'aid, bid, abalance, filler' },
  pgbench_tellers: { key: 'tid', columns: 'tid, bid, tbalance, filler' },
  pgbench_branches: { key: 'bid', columns: 'bid, bbalance, filler' },
  pgbench_history: { key: 'hid', columns: 'hid, tid, bid, aid, delta, mtime, filler, op_id' },
};
const digestRows = 100_000;

async function digestOf(store: ClusterStore, table: keyof typeof rowsOf): Promise<string> {
  const { key, columns } = rowsOf[table];
  const hash = createHash('sha256');
  let after = '0';
  for (;;) {
    const rows = await store.rows(`SELECT ${columns} FROM ${table} WHERE ${key} > ${after} ORDER BY ${key} LIMIT ${digestRows}`);
    for (const row of rows) hash.update(JSON.stringify(row));
    const last = rows.at(-1)?.[0];
    if (rows.length < digestRows || last === null || last === undefined) return hash.digest('hex');
    after = last;
  }
}

const columnsOf: Readonly<Record<CounterTable, { readonly key: string; readonly balance: string }>> = {
  pgbench_accounts: { key: 'aid', balance: 'abalance' },
  pgbench_tellers: { key: 'tid', balance: 'tbalance' },
  pgbench_branches: { key: 'bid', balance: 'bbalance' },
};

/** Reads every row. For a store that nobody writes just now. */
export async function readDigests(store: ClusterStore): Promise<NonNullable<StoreFacts['digests']>> {
  const pgbench_accounts = await digestOf(store, 'pgbench_accounts');
  const pgbench_tellers = await digestOf(store, 'pgbench_tellers');
  const pgbench_branches = await digestOf(store, 'pgbench_branches');
  return { pgbench_accounts, pgbench_tellers, pgbench_branches, pgbench_history: await digestOf(store, 'pgbench_history') };
}

/** The four tables' sums and row counts, in one snapshot. */
export async function readTotals(store: ClusterStore): Promise<Pick<StoreFacts, 'sums' | 'counts'>> {
  const parts = counterTables.map((table) => `SELECT '${table}', count(*), coalesce(sum(${columnsOf[table].balance}), 0) FROM ${table}`);
  const rows = await store.rows([...parts, "SELECT 'pgbench_history', count(*), coalesce(sum(delta), 0) FROM pgbench_history"].join(' UNION ALL '));
  const sums = { pgbench_accounts: Number.NaN, pgbench_tellers: Number.NaN, pgbench_branches: Number.NaN, pgbench_history: Number.NaN };
  const counts = { ...sums };
  for (const [table, count, sum] of rows) {
    if (table === null || table === undefined || !(table in sums)) continue;
    counts[table as keyof typeof counts] = Number(count);
    sums[table as keyof typeof sums] = Number(sum);
  }
  return { sums, counts };
}

async function readBalances(store: ClusterStore, table: CounterTable): Promise<ReadonlyMap<number, number>> {
  const { key, balance } = columnsOf[table];
  const rows = await store.rows(`SELECT ${key}, ${balance} FROM ${table} WHERE ${balance} <> 0`);
  return new Map(rows.map(([id, value]) => [Number(id), Number(value)]));
}

async function readHistory(store: ClusterStore): Promise<readonly HistoryRow[]> {
  const rows = await store.rows('SELECT hid, op_id, aid, tid, bid, delta FROM pgbench_history');
  return rows.map(([hid, opId, aid, tid, bid, delta]) => ({ hid: Number(hid), opId: opId ?? null, aid: Number(aid), tid: Number(tid), bid: Number(bid), delta: Number(delta) }));
}

/** What the judge wants to know of a store but the digests, by the store's own SQL past Switchyard. For a store that nobody writes just now. */
export async function readStoreFacts(store: ClusterStore): Promise<StoreFacts> {
  const totals = await readTotals(store);
  const pgbench_accounts = await readBalances(store, 'pgbench_accounts');
  const pgbench_tellers = await readBalances(store, 'pgbench_tellers');
  const pgbench_branches = await readBalances(store, 'pgbench_branches');
  return { ...totals, balances: { pgbench_accounts, pgbench_tellers, pgbench_branches }, history: await readHistory(store), digests: null };
}
