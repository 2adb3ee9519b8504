import type { Cluster } from '../cluster/cluster.ts';
import { waitUntil } from '../servers/wait-until.ts';
import type { KeyspaceName } from './move-state.ts';

/** One line a table: name, number of rows, digest over every column of every row. Equal texts are equal row sets. */
async function rowSetsOf(cluster: Cluster, keyspace: KeyspaceName, tables: readonly string[]): Promise<string> {
  const parts = tables.map((table) => `SELECT '${table}', count(*), md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM ${table} t`);
  return await cluster[keyspace].psql(cluster.database, `${parts.join(' UNION ALL ')} ORDER BY 1;`);
}

/** Resolves when both stores hold the very same rows of the tables, for a cluster that nobody writes to; rejects, naming both sides, when the copy does not get there in time. */
export async function untilRowSetsAreEqual(cluster: Cluster, tables: readonly string[], limitMs = 15_000): Promise<void> {
  let last = '';
  await waitUntil('both stores holding the same rows', { limitMs, everyMs: 100, explain: () => last }, async () => {
    const [old, fresh] = await Promise.all([rowSetsOf(cluster, 'old', tables), rowSetsOf(cluster, 'new', tables)]);
    last = `old\n${old}new\n${fresh}`;
    return old === fresh ? true : undefined;
  });
}

/** Puts pgbench's tables back to what a record of clients begins with, all balances 0 and no history, as an application of the store that is primary would. */
export async function resetCounters(cluster: Cluster, primary: KeyspaceName): Promise<void> {
  await cluster[primary].psql(
    cluster.database,
    `UPDATE pgbench_accounts SET abalance = 0 WHERE abalance <> 0;
UPDATE pgbench_tellers SET tbalance = 0 WHERE tbalance <> 0;
UPDATE pgbench_branches SET bbalance = 0 WHERE bbalance <> 0;
DELETE FROM pgbench_history;`,
  );
}
