import { fenceStates, type FenceRow } from '../../../core/fence.ts';
import { attempt } from '../../../core/ids.ts';
import { readRules } from '../../bench/cutover/consul-rules.ts';
import type { Cluster } from '../cluster/cluster.ts';

/** The keyspaces of a test cluster; every move leads from the first to the second. */
export type KeyspaceName = 'old' | 'new';
export const otherKeyspace = (name: KeyspaceName): KeyspaceName => (name === 'old' ? 'new' : 'old');

/** The fence rows of a store, in order of table, read by psql. */
export async function readFences(cluster: Cluster, keyspace: KeyspaceName): Promise<readonly FenceRow[]> {
  const sql = "SELECT table_name, state, attempt, peer, coalesce(workflow, '') FROM switchyard.fence ORDER BY table_name;";
  const answer = await cluster[keyspace].psql(cluster.database, sql);
  return answer
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [table = '', stateText, attemptText, peer = '', workflow = ''] = line.split('|');
      const state = fenceStates.find((known) => known === stateText);
      if (state === undefined) throw new Error(`the fence row "${line}" has no state of the protocol`);
      return { table, state, attempt: attempt(Number(attemptText)), peer, workflow: workflow === '' ? null : workflow };
    });
}

export type SettledState =
  | { readonly kind: 'settled'; readonly primary: KeyspaceName }
  /** What is not as it must be while no cutover is under way. */
  | { readonly kind: 'unsettled'; readonly why: string };

/**
 * Whether the workflow's tables stand as they must while no cutover is under way: the rules name one primary with open writes, every row of its store is OPEN, every row of the other CLOSED. Reads Consul and both stores, never the
 * product's word. The rules first, by one HTTP request: two runs of psql cost more than the machine can spare while a hold is looked at.
 */
export async function readSettledState(cluster: Cluster, tables: readonly string[]): Promise<SettledState> {
  const rules = await readRules(cluster.consul);
  for (const table of tables) if (rules.tables[table]?.writes !== 'open') return { kind: 'unsettled', why: `the rule of ${table} does not let writes through` };

  const [old, fresh] = await Promise.all([readFences(cluster, 'old'), readFences(cluster, 'new')]);
  const stateOf = (rows: readonly FenceRow[]): string => {
    const states = tables.map((table) => rows.find((row) => row.table === table)?.state ?? 'no row');
    return [...new Set(states)].join(' and ');
  };
  const states: Readonly<Record<KeyspaceName, string>> = { old: stateOf(old), new: stateOf(fresh) };
  const primary = (['old', 'new'] as const).find((name) => states[name] === 'OPEN' && states[otherKeyspace(name)] === 'CLOSED');
  if (primary === undefined) return { kind: 'unsettled', why: `old is ${states.old}, new is ${states.new}` };
  const wrong = tables.find((table) => rules.tables[table]?.primary !== primary);
  return wrong === undefined
    ? { kind: 'settled', primary }
    : { kind: 'unsettled', why: `"${primary}" is open and the rule of ${wrong} names ${rules.tables[wrong]?.primary ?? 'nothing'}` };
}
