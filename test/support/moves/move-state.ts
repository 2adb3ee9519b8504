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
 * Whether the workflow's tables stand as they must while no cutover is under way: every row of one store OPEN, every row of the other CLOSED, and the rules name the open one as primary with open writes. Reads both stores and
 * Consul, never the product's word.
 */
export async function readSettledState(cluster: Cluster, tables: readonly string[]): Promise<SettledState> {
  const [old, fresh, rules] = await Promise.all([readFences(cluster, 'old'), readFences(cluster, 'new'), readRules(cluster.consul)]);
  const stateOf = (rows: readonly FenceRow[]): string => {
    const states = tables.map((table) => rows.find((row) => row.table === table)?.state ?? 'no row');
    return [...new Set(states)].join(' and ');
  };
  const states: Readonly<Record<KeyspaceName, string>> = { old: stateOf(old), new: stateOf(fresh) };
  const primary = (['old', 'new'] as const).find((name) => states[name] === 'OPEN' && states[otherKeyspace(name)] === 'CLOSED');
  if (primary === undefined) return { kind: 'unsettled', why: `old is ${states.old}, new is ${states.new}` };
  for (const table of tables) {
    const rule = rules.tables[table];
    if (rule?.primary !== primary) return { kind: 'unsettled', why: `"${primary}" is open and the rule of ${table} names ${rule?.primary ?? 'nothing'}` };
    if (rule.writes !== 'open') return { kind: 'unsettled', why: `the rule of ${table} still holds writes` };
  }
  return { kind: 'settled', primary };
}
