import type { PostgresServer } from '../../support/servers/postgres.ts';
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
}

const columnsOf: Readonly<Record<CounterTable, { readonly key: string; readonly balance: string }>> = {
  pgbench_accounts: { key: 'aid', balance: 'abalance' },
  pgbench_tellers: { key: 'tid', balance: 'tbalance' },
  pgbench_branches: { key: 'bid', balance: 'bbalance' },
};

const limitMs = 120_000;
const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '');

/** The four tables' sums and row counts through psql, as the superuser, in one snapshot. */
export async function readTotals(server: PostgresServer, database: string): Promise<Pick<StoreFacts, 'sums' | 'counts'>> {
  const parts = counterTables.map((table) => `SELECT '${table}', count(*), coalesce(sum(${columnsOf[table].balance}), 0) FROM ${table}`);
  const answer = await server.psql(database, `${[...parts, "SELECT 'pgbench_history', count(*), coalesce(sum(delta), 0) FROM pgbench_history"].join(' UNION ALL ')};`, {
    timeoutMs: limitMs,
  });
  const sums = { pgbench_accounts: Number.NaN, pgbench_tellers: Number.NaN, pgbench_branches: Number.NaN, pgbench_history: Number.NaN };
  const counts = { ...sums };
  for (const line of linesOf(answer)) {
    const [table = '', count, sum] = line.split('|');
    if (!(table in sums)) continue;
    counts[table as keyof typeof counts] = Number(count);
    sums[table as keyof typeof sums] = Number(sum);
  }
  return { sums, counts };
}

async function readBalances(server: PostgresServer, database: string, table: CounterTable): Promise<ReadonlyMap<number, number>> {
  const { key, balance } = columnsOf[table];
  const answer = await server.psql(database, `COPY (SELECT ${key}, ${balance} FROM ${table} WHERE ${balance} <> 0) TO STDOUT;`, { timeoutMs: limitMs });
  const balances = new Map<number, number>();
  for (const line of linesOf(answer)) {
    const tab = line.indexOf('\t');
    balances.set(Number(line.slice(0, tab)), Number(line.slice(tab + 1)));
  }
  return balances;
}

async function readHistory(server: PostgresServer, database: string): Promise<readonly HistoryRow[]> {
  const answer = await server.psql(database, 'COPY (SELECT hid, op_id, aid, tid, bid, delta FROM pgbench_history) TO STDOUT;', { timeoutMs: limitMs });
  return linesOf(answer).map((line) => {
    const [hid, opId = '', aid, tid, bid, delta] = line.split('\t');
    return { hid: Number(hid), opId: opId === '\\N' ? null : opId, aid: Number(aid), tid: Number(tid), bid: Number(bid), delta: Number(delta) };
  });
}

/** Everything that the judge wants to know of a store, through the real psql. For a store that nobody writes just now. */
export async function readStoreFacts(server: PostgresServer, database: string): Promise<StoreFacts> {
  const totals = await readTotals(server, database);
  const pgbench_accounts = await readBalances(server, database, 'pgbench_accounts');
  const pgbench_tellers = await readBalances(server, database, 'pgbench_tellers');
  const pgbench_branches = await readBalances(server, database, 'pgbench_branches');
  return { ...totals, balances: { pgbench_accounts, pgbench_tellers, pgbench_branches }, history: await readHistory(server, database) };
}
