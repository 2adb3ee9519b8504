import pg from 'pg';
import type { FenceRow, FenceState } from '../../../core/fence.ts';
import { attempt } from '../../../core/ids.ts';
import type { ServerShard } from '../../../core/keyspace.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { FenceScope } from '../../backend.ts';
import { rowsInTheWay } from '../../strange-rows.ts';
import { textFromElements } from '../array-text.ts';
import { quoteIdentifier, quoteTable } from '../connection.ts';
import type { TextRow } from '../batch.ts';
import type { Statements } from '../store-client.ts';
import { ROW_TRIGGER, TRUNCATE_TRIGGER, WRITE_TRIGGER } from './fence-sql.ts';
import { membersOf, relationName } from '../members.ts';

const PLAYER_RIGHTS = 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE';

/** Takes the tables for the scope's workflow; see `OwnerStore.claim`. Runs in a locking transaction. */
export async function claimTables(statements: Statements, shard: ServerShard, scope: FenceScope, side: 'source' | 'target', signal: AbortSignal): Promise<void> {
  const present = await lockTables(statements, scope.tables, signal);
  const missing = scope.tables.find((table) => !present.includes(table));
  if (side === 'source' && missing !== undefined) throw new SwitchyardError('TABLE_UNKNOWN', `the store has no table "${missing}"`, { metadata: { table: missing } });
  const wanted: FenceState = side === 'source' ? 'OPEN' : 'CLOSED';
  const inserted = await statements.query(
    `INSERT INTO switchyard.fence (table_name, state, attempt, peer, workflow) SELECT t, $2, 0, $3, $4 FROM unnest($1::text[]) AS t ORDER BY t ON CONFLICT DO NOTHING RETURNING table_name`,
    [textFromElements(scope.tables), wanted, scope.peer, scope.workflow],
    signal,
  );
  const isNew = new Set(inserted.map(([table]) => table));
  for (const row of await lockRows(statements, scope.tables, signal)) {
    if (row.workflow !== null && (row.workflow !== scope.workflow || row.peer !== scope.peer)) throw tableOwned(row);
    if (row.workflow !== null && !isNew.has(row.table)) continue;
    if (row.state !== wanted) throw wrongState(row, side);
    if (present.includes(row.table)) await takeTable(statements, shard, row.table, side, signal);
  }
  const take = 'UPDATE switchyard.fence SET workflow = $2, peer = $3 WHERE table_name = ANY ($1::text[]) AND workflow IS NULL';
  await statements.query(take, [textFromElements(scope.tables), scope.workflow, scope.peer], signal);
}

/** Puts the fence's triggers on a table where they are missing. Off until the first fence, or on from the beginning. Those of a partitioned table that meet a TRUNCATE are always on. */
export async function putTriggers(statements: Statements, table: string, on: boolean, signal: AbortSignal): Promise<void> {
  const members = await membersText(statements, table, signal);
  const isPartitioned = members[0]?.isPartitioned === true;
  const name = quoteTable(table);
  const found = await statements.query(
    'SELECT tgname FROM pg_trigger WHERE tgrelid = $1::regclass AND tgname IN ($2, $3, $4)',
    [name, WRITE_TRIGGER, ROW_TRIGGER, TRUNCATE_TRIGGER],
    signal,
  );
  const ofStatements = 'FOR EACH STATEMENT EXECUTE FUNCTION switchyard.check_write()';
  const triggers = [
    { trigger: WRITE_TRIGGER, does: `BEFORE INSERT OR UPDATE OR DELETE ON ${name} ${ofStatements}` },
    isPartitioned
      ? { trigger: ROW_TRIGGER, does: `BEFORE INSERT OR UPDATE OR DELETE ON ${name} FOR EACH ROW EXECUTE FUNCTION switchyard.check_row(${pg.escapeLiteral(table)})` }
      : { trigger: TRUNCATE_TRIGGER, does: `BEFORE TRUNCATE ON ${name} ${ofStatements}` },
  ];
  for (const { trigger, does } of triggers) {
    const isThere = found.some(([each]) => each === trigger);
    if (!isThere) await statements.query(`CREATE TRIGGER ${trigger} ${does}`, [], signal);
    // Partitions follow their table in what is done for each row.
    const only = trigger === WRITE_TRIGGER ? 'ONLY ' : '';
    if (on) await statements.query(`ALTER TABLE ${only}${name} ENABLE ALWAYS TRIGGER ${trigger}`, [], signal);
    else if (!isThere) await statements.query(`ALTER TABLE ${only}${name} DISABLE TRIGGER ${trigger}`, [], signal);
  }
  if (isPartitioned) for (const member of members) await statements.query('SELECT switchyard.put_truncate_trigger($1, $2)', [table, member.name], signal);
}

/** The table and its partitions, the table first. */
async function membersText(statements: Statements, table: string, signal: AbortSignal): Promise<readonly { readonly name: string; readonly isPartitioned: boolean }[]> {
  const text = `SELECT ${relationName('c')}, c.relkind = 'p' FROM ${membersOf('$1::regclass::oid')} m JOIN pg_class c ON c.oid = m.member ORDER BY m.level, c.oid`;
  return (await statements.query(text, [quoteTable(table)], signal)).map(([name, partitioned]) => ({ name: name ?? '', isPartitioned: partitioned === 't' }));
}

/** What the fence's state CLOSED means for a table that has just come into being: nobody but the player has a right on it, whatever the default privileges are. */
export async function shutTable(statements: Statements, shard: ServerShard, table: string, signal: AbortSignal): Promise<void> {
  for (const { name } of await membersText(statements, table, signal))
    await statements.query(`REVOKE ALL ON TABLE ${name} FROM PUBLIC, ${quoteIdentifier(shard.gateway.user)}`, [], signal);
  await statements.query('SELECT switchyard.revoke_rights($1, $2)', [table, shard.gateway.user], signal);
  await grantToPlayer(statements, shard, table, signal);
}

/** Rows of the fence, locked, in order of table. */
export async function lockRows(statements: Statements, tables: readonly string[], signal: AbortSignal): Promise<readonly FenceRow[]> {
  return fenceRowsFromText(await statements.query(`${fenceColumns} WHERE table_name = ANY ($1::text[]) ORDER BY table_name FOR UPDATE`, [textFromElements(tables)], signal));
}

export const fenceColumns = 'SELECT table_name, state, attempt, peer, workflow FROM switchyard.fence';

export const fenceRowsFromText = (rows: readonly TextRow[]): readonly FenceRow[] =>
  rows.map(([table, state, attemptText, peer, workflow]) => ({
    table: table ?? '',
    state: state as FenceState,
    attempt: attempt(Number(attemptText)),
    peer: peer ?? '',
    workflow: workflow ?? null,
  }));

/** Clears the owner; see `OwnerStore.disown`. */
export async function disownTables(statements: Statements, scope: FenceScope, state: 'OPEN' | 'CLOSED', signal: AbortSignal): Promise<void> {
  const owned = (await lockRows(statements, scope.tables, signal)).filter((row) => row.workflow === scope.workflow);
  const busy = owned.find((row) => row.state !== state);
  if (busy !== undefined)
    throw new SwitchyardError('FENCE_CONFLICT', `table "${busy.table}" is ${busy.state}, not ${state}: its cutover has to end first`, { metadata: { table: busy.table } });
  const clear = 'UPDATE switchyard.fence SET workflow = NULL WHERE table_name = ANY ($1::text[]) AND workflow = $2';
  await statements.query(clear, [textFromElements(owned.map((row) => row.table)), scope.workflow], signal);
}

/** Names of those tables that exist, after taking a lock on each, and on all of its partitions, that keeps writers out and lets readers go on. */
export async function lockTables(statements: Statements, tables: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
  const rows = await statements.query(
    `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname = ANY ($1::text[]) ORDER BY relname`,
    [textFromElements(tables)],
    signal,
  );
  const present = rows.map(([name]) => name ?? '');
  for (const table of present) await statements.query(`LOCK TABLE ${quoteTable(table)} IN SHARE ROW EXCLUSIVE MODE`, [], signal);
  return present;
}

export async function holdsRows(statements: Statements, table: string, signal: AbortSignal): Promise<boolean> {
  const [row] = await statements.query(`SELECT EXISTS (SELECT FROM ${quoteTable(table)})`, [], signal);
  return row?.[0] === 't';
}

async function takeTable(statements: Statements, shard: ServerShard, table: string, side: 'source' | 'target', signal: AbortSignal): Promise<void> {
  await putTriggers(statements, table, side === 'target', signal);
  if (side === 'source') return grantToPlayer(statements, shard, table, signal);
  if (await holdsRows(statements, table, signal)) throw rowsInTheWay(table, quoteTable(table));
  await shutTable(statements, shard, table, signal);
}

/** On the source too: it is the reverse stream's target. */
async function grantToPlayer(statements: Statements, shard: ServerShard, table: string, signal: AbortSignal): Promise<void> {
  await statements.query(`GRANT ${PLAYER_RIGHTS} ON TABLE ${quoteTable(table)} TO ${quoteIdentifier(shard.player.user)}`, [], signal);
}

function tableOwned(row: FenceRow): SwitchyardError {
  const message = `workflow "${row.workflow}" (with "${row.peer}") owns table "${row.table}": complete or cancel it first`;
  return new SwitchyardError('TABLE_OWNED', message, { metadata: { table: row.table, workflow: row.workflow ?? '' } });
}

function wrongState(row: FenceRow, side: 'source' | 'target'): SwitchyardError {
  const why = side === 'source' ? `is ${row.state} here: its rows are served by "${row.peer}"` : `is ${row.state} here: this store serves it`;
  return new SwitchyardError('PRECHECK_FAILED', `table "${row.table}" ${why}, so it cannot be the ${side} of a move`, { metadata: { table: row.table, state: row.state } });
}
