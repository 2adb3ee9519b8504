import type { Clock } from '../../../core/clock.ts';
import type { FenceRow } from '../../../core/fence.ts';
import type { ServerShard } from '../../../core/keyspace.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { FenceScope } from '../../backend.ts';
import { rowsInTheWay } from '../../strange-rows.ts';
import { quoteIdentifier } from '../connection.ts';
import { sqlState } from '../errors.ts';
import { FENCE_TABLE } from '../names.ts';
import { fenceColumns, fenceRow } from '../read-fence.ts';
import type { Statements, StoreClient } from '../store-client.ts';
import { accountsOf } from './accounts.ts';
import { CLAIM_ANSWERS, NOT_AS_SEEN_STATE } from './fence-sql.ts';
import type { FencedTable } from './trigger-sql.ts';
import { dropTriggers, putTriggers } from './triggers.ts';

/** What preparing a store is done with. */
export interface Preparing {
  readonly client: StoreClient;
  readonly clock: Clock;
  readonly shard: ServerShard;
}

/** Names as the functions of the store take them: a JSON array, in an order that is the same for everybody, for their rows are locked in it. */
export const tableList = (tables: readonly string[]): string => JSON.stringify([...tables].sort());

/** The first parameters of most functions of the store. */
export const scopeValues = ({ workflow, peer, tables }: FenceScope): readonly string[] => [workflow, peer, tableList(tables)];

/** A place for each of the tables, for `IN (…)`; there must be one at least. */
export const places = (tables: readonly string[]): string => tables.map(() => '?').join(', ');

export const fencedTable = (shard: ServerShard, scope: FenceScope, table: string): FencedTable => ({ table, gate: scope.workflow, player: shard.player.user });

/**
 * Takes the tables for the scope's workflow; see `OwnerStore.claim`. The rows are taken first, in one transaction, and the triggers put then, each of which commits by itself: one that was cut short is done again. On a target a table
 * that was there is looked at once more behind its triggers, and marked as guarded only when it was empty then.
 */
export async function claimTables(preparing: Preparing, scope: FenceScope, side: 'source' | 'target', signal: AbortSignal): Promise<void> {
  const { client, clock, shard } = preparing;
  const present = await presentTables(client, scope.tables, signal);
  const missing = scope.tables.find((table) => !present.includes(table));
  if (side === 'source' && missing !== undefined) throw new SwitchyardError('TABLE_UNKNOWN', `the store has no table "${missing}"`, { metadata: { table: missing } });
  // Before anything is done: it is seldom that a table gets its first row just now.
  if (side === 'target') await refuseRows(client, await freeTables(client, scope, present, signal), signal);
  await claimRows(client, scope, side, signal);
  if (side === 'target') return guardTables(preparing, scope, present, signal);
  for (const table of scope.tables) await putTriggers(client, clock, fencedTable(shard, scope, table), signal);
  // On the source too: it is the reverse stream's target.
  await grantToPlayer(preparing, scope.tables, signal);
  await markGuarded(client, scope, scope.tables, signal);
}

/** Puts the fence on those of the target's tables that are there and were not guarded yet, and marks them as guarded when they are empty behind it. PRECHECK_FAILED: one is not, and everything is as it was. */
async function guardTables(preparing: Preparing, scope: FenceScope, present: readonly string[], signal: AbortSignal): Promise<void> {
  const { client, clock, shard } = preparing;
  const unguarded = (await unguardedTables(client, scope, signal)).filter((table) => present.includes(table));
  for (const table of present) await putTriggers(client, clock, fencedTable(shard, scope, table), signal);
  try {
    await refuseRows(client, unguarded, signal);
  } catch (error) {
    await client.query('SELECT switchyard_unclaim(?, ?, ?)', scopeValues(scope), signal);
    const kept = (await fenceRowsOf(client, scope.tables, signal)).map(({ table }) => table);
    for (const table of unguarded) if (!kept.includes(table)) await dropTriggers(client, clock, table, signal);
    throw error;
  }
  await grantToPlayer(preparing, unguarded, signal);
  await markGuarded(client, scope, unguarded, signal);
}

/** Those of the tables that the workflow may take, or has taken and not guarded yet. */
async function freeTables(client: StoreClient, scope: FenceScope, tables: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
  const rows = await fenceRowsOf(client, tables, signal);
  const unguarded = await unguardedTables(client, scope, signal);
  return tables.filter((table) => {
    const row = rows.find((each) => each.table === table);
    if (row?.workflow === scope.workflow && row.peer === scope.peer) return unguarded.includes(table);
    return row === undefined || (row.workflow === null && row.state === 'CLOSED');
  });
}

/** The tables' fence was on before they could have a row that is not the workflow's to move. */
export async function markGuarded(statements: Statements, { workflow, peer }: FenceScope, tables: readonly string[], signal: AbortSignal): Promise<void> {
  if (tables.length === 0) return;
  await statements.query(`UPDATE ${FENCE_TABLE} SET guarded = 1 WHERE table_name IN (${places(tables)}) AND workflow = ? AND peer = ?`, [...tables, workflow, peer], signal);
}

/** Those of the scope's tables that are not known to be guarded for its workflow. */
export async function unguardedTables(statements: Statements, { workflow, peer, tables }: FenceScope, signal: AbortSignal): Promise<readonly string[]> {
  if (tables.length === 0) return [];
  const { rows } = await statements.query(
    `SELECT table_name FROM ${FENCE_TABLE} WHERE table_name IN (${places(tables)}) AND workflow = ? AND peer = ? AND guarded = 1`,
    [...tables, workflow, peer],
    signal,
  );
  const guarded = rows.map(([table]) => String(table));
  return tables.filter((table) => !guarded.includes(table));
}

export async function grantToPlayer({ client, shard }: Preparing, tables: readonly string[], signal: AbortSignal): Promise<void> {
  const accounts = await accountsOf(client, shard.player.user, signal);
  if (accounts.length === 0) return;
  for (const table of tables) await client.command(`GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE ${quoteIdentifier(table)} TO ${accounts.join(', ')}`, signal);
}

async function claimRows(client: StoreClient, scope: FenceScope, side: 'source' | 'target', signal: AbortSignal): Promise<void> {
  const answer = await answerOf(client, scope, side, signal);
  if (answer === CLAIM_ANSWERS.done) return;
  const rows = await fenceRowsOf(client, scope.tables, signal);
  const owned = rows.find((row) => row.workflow !== null && (row.workflow !== scope.workflow || row.peer !== scope.peer));
  if (owned !== undefined) throw tableOwned(owned);
  const other = rows.find((row) => row.workflow === null && row.state !== (side === 'source' ? 'OPEN' : 'CLOSED'));
  throw other === undefined ? claimedMeanwhile() : wrongState(other, side);
}

async function answerOf(client: StoreClient, scope: FenceScope, side: 'source' | 'target', signal: AbortSignal): Promise<number> {
  try {
    const [row] = (await client.query('SELECT switchyard_claim(?, ?, ?, ?)', [...scopeValues(scope), side === 'source' ? 'OPEN' : 'CLOSED'], signal)).rows;
    return Number(row?.[0]);
  } catch (error) {
    if (error instanceof SwitchyardError && sqlState(error.cause) === NOT_AS_SEEN_STATE) throw claimedMeanwhile(error);
    throw error;
  }
}

/** Clears the owner; see `OwnerStore.disown`. */
export async function disownTables(client: StoreClient, scope: FenceScope, state: 'OPEN' | 'CLOSED', signal: AbortSignal): Promise<void> {
  const [row] = (await client.query('SELECT switchyard_disown(?, ?, ?, ?)', [...scopeValues(scope), state], signal)).rows;
  if (row?.[0] === 1) return;
  const busy = (await fenceRowsOf(client, scope.tables, signal)).find((each) => each.workflow === scope.workflow && each.state !== state);
  const what = busy === undefined ? 'a table of the workflow was' : `table "${busy.table}" is ${busy.state},`;
  throw new SwitchyardError('FENCE_CONFLICT', `${what} not ${state}: its cutover has to end first`, busy === undefined ? {} : { metadata: { table: busy.table } });
}

/** FENCE_CONFLICT unless every table of the scope is its workflow's, and CLOSED where that is asked for. */
export async function requireOwned(statements: Statements, scope: FenceScope, state: 'CLOSED' | 'any', signal: AbortSignal): Promise<void> {
  const rows = await fenceRowsOf(statements, scope.tables, signal);
  for (const table of scope.tables) {
    const row = rows.find((each) => each.table === table);
    if (row?.workflow === scope.workflow && row.peer === scope.peer && (state === 'any' || row.state === state)) continue;
    const found = row === undefined ? 'has no fence row' : `is ${row.state} and belongs to ${row.workflow === null ? 'no workflow' : `workflow "${row.workflow}"`}`;
    const wished = state === 'any' ? `workflow "${scope.workflow}"` : `${state} and workflow "${scope.workflow}"`;
    throw new SwitchyardError('FENCE_CONFLICT', `table "${table}" ${found}; expected ${wished}`, { metadata: { table } });
  }
}

/** The fence rows of these tables, in order of name. */
export async function fenceRowsOf(statements: Statements, tables: readonly string[], signal: AbortSignal): Promise<readonly FenceRow[]> {
  if (tables.length === 0) return [];
  const { rows } = await statements.query(`SELECT ${fenceColumns} FROM ${FENCE_TABLE} WHERE table_name IN (${places(tables)}) ORDER BY table_name`, tables, signal);
  return rows.map(fenceRow);
}

/** Those of the tables that are there, whatever they are: an ordinary one, a view. */
export async function presentTables(statements: Statements, tables: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
  const { rows } = await statements.query('SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()', [], signal);
  const names = new Set(rows.map(([name]) => String(name)));
  return tables.filter((table) => names.has(table));
}

export async function holdsRows(statements: Statements, table: string, signal: AbortSignal): Promise<boolean> {
  return (await statements.query(`SELECT 1 FROM ${quoteIdentifier(table)} LIMIT 1`, [], signal)).rows.length > 0;
}

/** PRECHECK_FAILED when one of the tables holds rows. */
export async function refuseRows(statements: Statements, tables: readonly string[], signal: AbortSignal): Promise<void> {
  for (const table of tables) {
    if (await holdsRows(statements, table, signal)) throw rowsInTheWay(table, quoteIdentifier(table));
  }
}

const claimedMeanwhile = (cause?: unknown): SwitchyardError =>
  new SwitchyardError('TABLE_OWNED', 'another workflow has claimed one of the tables, or given it back, in the same moment: try again', { cause });

function tableOwned(row: FenceRow): SwitchyardError {
  const message = `workflow "${row.workflow}" (with "${row.peer}") owns table "${row.table}": complete or cancel it first`;
  return new SwitchyardError('TABLE_OWNED', message, { metadata: { table: row.table, workflow: row.workflow ?? '' } });
}

function wrongState(row: FenceRow, side: 'source' | 'target'): SwitchyardError {
  const why = side === 'source' ? `is ${row.state} here: its rows are served by "${row.peer}"` : `is ${row.state} here: this store serves it`;
  return new SwitchyardError('PRECHECK_FAILED', `table "${row.table}" ${why}, so it cannot be the ${side} of a move`, { metadata: { table: row.table, state: row.state } });
}
