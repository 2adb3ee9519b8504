import { movedTables, workflowName } from '../bench/cutover/bench-move.ts';
import type { Cluster } from '../support/cluster/cluster.ts';
import { clusterName } from '../support/cluster/process-config.ts';
import { type KeyspaceName, readSettledState } from '../support/moves/move-state.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

const settleLimitMs = 30_000;
/** Consul may take 20 s to give a dead process's workflow to another one. */
const takeOverLimitMs = 60_000;
const stillMs = 4_000;
const tables = movedTables.map((table) => `'${table}'`).join(', ');

/** What a store has of Switchyard's beside the rows; nothing here counts upwards, so that equal states have equal texts. */
const storeQuery = `
  SELECT 'fence ' || table_name || ' ' || state || ' ' || coalesce(peer, '-') || ' ' || coalesce(workflow, '-') FROM switchyard.fence
  UNION ALL SELECT 'slot ' || slot_name || CASE WHEN active THEN ' active' ELSE '' END FROM pg_replication_slots
  UNION ALL SELECT 'publication ' || pubname FROM pg_publication
  UNION ALL SELECT 'stream ' || id FROM switchyard.stream
  UNION ALL SELECT 'trigger ' || tgname || ' on ' || tgrelid::regclass FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text IN (${tables})
  UNION ALL SELECT 'right ' || p || ' on ' || t FROM unnest(ARRAY[${tables}]) t, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p WHERE has_table_privilege('shop_gateway', t, p)
  UNION ALL SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts
  UNION ALL SELECT 'lock on ' || relation::regclass || ' by ' || application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE mode IN ('ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') AND locktype = 'relation' AND relation::regclass::text IN (${tables})
  ORDER BY 1;`;

interface KeyValue {
  readonly Key: string;
  readonly Value: string | null;
  readonly Session?: string;
}

async function heldLocks({ consul }: Cluster): Promise<readonly string[]> {
  const prefix = `switchyard/${clusterName}/locks/`;
  const response = await fetch(`${consul.address}/v1/kv/${prefix}?recurse&consistent`, { signal: AbortSignal.timeout(5_000) });
  if (response.status === 404) return [];
  if (!response.ok) throw new Error(`Consul answered ${response.status} for its locks`);
  const entries = (await response.json()) as readonly KeyValue[];
  return entries.filter(({ Session }) => Session !== undefined).map(({ Key }) => `held lock ${Key.slice(prefix.length)}`);
}

/** Locks in Consul, and in both stores slots, publications, streams, triggers, rights, fence rows, transactions: one line each. */
async function footprint(cluster: Cluster): Promise<readonly string[]> {
  const stores = await Promise.all(
    (['old', 'new'] as const).map(async (name) =>
      (await cluster[name].psql(cluster.database, storeQuery))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => `${name}: ${line}`),
    ),
  );
  return [...(await heldLocks(cluster)), ...stores.flat()].toSorted();
}

/** The footprint of a world that nobody strikes, once it has been the same for some seconds: what a cutover leaves behind goes by and by. */
export async function stillFootprint(cluster: Cluster): Promise<readonly string[]> {
  let last: readonly string[] = [];
  let sinceMs = performance.now();
  await waitUntil('a footprint that does not change', { limitMs: settleLimitMs, everyMs: 500, explain: () => last.join('\n') }, async () => {
    const found = await footprint(cluster);
    if (found.join() !== last.join()) sinceMs = performance.now();
    last = found;
    return performance.now() - sinceMs > stillMs ? true : undefined;
  });
  return last;
}

/** Resolves to what is there that should not be, and what is missing, once nothing of that changes any more for the better: [] within 30 s, or the difference. */
export async function differenceFrom(cluster: Cluster, expected: readonly string[]): Promise<readonly string[]> {
  return settled(settleLimitMs, async () => difference(await footprint(cluster), expected));
}

/**
 * The same of the logs alone, by the side that serves, whatever came before. After strikes there is often an attempt that came to nothing; the next cutover, in either direction, renews and drops every log and so hides what it has left.
 */
export async function logsDifferFrom(cluster: Cluster, expected: Readonly<Record<KeyspaceName, readonly string[]>>): Promise<readonly string[]> {
  const logs = (lines: readonly string[]): readonly string[] => lines.filter((line) => line.includes(': slot ') || line.includes(': publication '));
  return settled(takeOverLimitMs, async () => {
    const state = await readSettledState(cluster, movedTables);
    return state.kind === 'settled' ? difference(logs(await footprint(cluster)), logs(expected[state.primary])) : [`the logs cannot be judged: ${state.why}`];
  });
}

const difference = (found: readonly string[], expected: readonly string[]): readonly string[] => [
  ...found.filter((line) => !expected.includes(line)).map((line) => `left over: ${line}`),
  ...expected.filter((line) => !found.includes(line)).map((line) => `missing: ${line}`),
];

/** What is left of a workflow that has ended: no lock, slot or publication may be (a stream's row stays, so that its tokens never begin anew). */
export async function leftOf(cluster: Cluster): Promise<readonly string[]> {
  const gone = [`held lock workflow/${workflowName}`, 'held lock keyspace/', ': slot ', ': publication ', ': prepared transaction ', ': lock on '];
  return settled(settleLimitMs, async () => (await footprint(cluster)).filter((line) => gone.some((part) => line.includes(part))).map((line) => `left over: ${line}`));
}

async function settled(limitMs: number, look: () => Promise<readonly string[]>): Promise<readonly string[]> {
  let last: readonly string[] = [];
  try {
    await waitUntil('an end without leftovers', { limitMs, everyMs: 500 }, async () => {
      last = await look();
      return last.length === 0 ? true : undefined;
    });
    return [];
  } catch {
    return last;
  }
}
