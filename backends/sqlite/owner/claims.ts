import type { FenceRow, FenceState } from '../../../core/fence.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { FenceScope } from '../../backend.ts';
import { rowsInTheWay } from '../../strange-rows.ts';
import { type Connection, quoteTable } from '../connection.ts';
import type { Transaction } from '../store-client.ts';
import { foldedName, namesake, nameList, tableExists } from './names.ts';
import { putFenceTriggers } from './triggers.ts';

/** Takes the tables for the scope's workflow; see `OwnerStore.claim`. Inside a transaction with the write lock, as everything here. */
export function claimTables({ connection, fence }: Transaction, scope: FenceScope, side: 'source' | 'target'): void {
  const missing = scope.tables.find((table) => !tableExists(connection, table));
  if (side === 'source' && missing !== undefined) throw new SwitchyardError('TABLE_UNKNOWN', `the store has no table "${missing}"`, { metadata: { table: missing } });
  if (side === 'target') refuseNamesakes(connection, scope.tables);
  const wanted: FenceState = side === 'source' ? 'OPEN' : 'CLOSED';
  const rows = fence.rows(scope.tables);
  for (const table of scope.tables) {
    const row = rows.find((each) => each.table === table);
    if (row !== undefined && row.workflow !== null) {
      if (row.workflow !== scope.workflow || row.peer !== scope.peer) throw tableOwned(row);
      continue;
    }
    if (row !== undefined && row.state !== wanted) throw wrongState(row, side);
    if (!tableExists(connection, table)) continue;
    putFenceTriggers(connection, table);
    if (side === 'target' && holdsRows(connection, table)) throw rowsInTheWay(table, quoteTable(table));
  }
  connection.run(
    `INSERT INTO switchyard_fence (table_name, state, attempt, peer, workflow) SELECT value, ?, 0, ?, ? FROM json_each(?) WHERE true
     ON CONFLICT (table_name) DO UPDATE SET workflow = excluded.workflow, peer = excluded.peer WHERE workflow IS NULL`,
    [wanted, scope.peer, scope.workflow, nameList(scope.tables)],
  );
}

/** Clears the owner; see `OwnerStore.disown`. */
export function disownTables({ connection, fence }: Transaction, scope: FenceScope, state: 'OPEN' | 'CLOSED'): void {
  const owned = fence.rows(scope.tables).filter((row) => row.workflow === scope.workflow);
  const busy = owned.find((row) => row.state !== state);
  if (busy !== undefined)
    throw new SwitchyardError('FENCE_CONFLICT', `table "${busy.table}" is ${busy.state}, not ${state}: its cutover has to end first`, { metadata: { table: busy.table } });
  connection.run('UPDATE switchyard_fence SET workflow = NULL WHERE table_name IN (SELECT value FROM json_each(?)) AND workflow = ?', [nameList(scope.tables), scope.workflow]);
}

/** FENCE_CONFLICT unless every table of the scope is its workflow's, and CLOSED where that is asked for. */
export function requireOwned({ fence }: Transaction, scope: FenceScope, state: 'CLOSED' | 'any'): void {
  const rows = fence.rows(scope.tables);
  for (const table of scope.tables) {
    const row = rows.find((each) => each.table === table);
    if (row?.workflow === scope.workflow && row.peer === scope.peer && (state === 'any' || row.state === state)) continue;
    const found = row === undefined ? 'has no fence row' : `is ${row.state} and belongs to ${row.workflow === null ? 'no workflow' : `workflow "${row.workflow}"`}`;
    const wished = state === 'any' ? `workflow "${scope.workflow}"` : `${state} and workflow "${scope.workflow}"`;
    throw new SwitchyardError('FENCE_CONFLICT', `table "${table}" ${found}; expected ${wished}`, { metadata: { table } });
  }
}

export const holdsRows = (connection: Connection, table: string): boolean => connection.all(`SELECT 1 FROM ${quoteTable(table)} LIMIT 1`).length > 0;

/** What the other name leads to belongs to somebody else, and a DROP TABLE of ours would find it. */
function refuseNamesakes(connection: Connection, tables: readonly string[]): void {
  for (const [at, table] of tables.entries()) {
    const other = namesake(connection, table);
    const twin = tables.find((each, i) => i < at && foldedName(each) === foldedName(table));
    if (other === null && twin === undefined) continue;
    const what = other === null ? `table "${twin}" of the same move has` : `the target holds a ${other.type} "${other.name}", which has`;
    const fix = other === null ? 'leave one of the two out' : `rename or drop ${other.type} "${other.name}", if nobody needs it there`;
    throw new SwitchyardError('PRECHECK_FAILED', `table "${table}" cannot be in the target: ${what} the same name to SQLite; ${fix}`, { metadata: { table } });
  }
}

function tableOwned(row: FenceRow): SwitchyardError {
  const message = `workflow "${row.workflow}" (with "${row.peer}") owns table "${row.table}": complete or cancel it first`;
  return new SwitchyardError('TABLE_OWNED', message, { metadata: { table: row.table, workflow: row.workflow ?? '' } });
}

function wrongState(row: FenceRow, side: 'source' | 'target'): SwitchyardError {
  const why = side === 'source' ? `is ${row.state} here: its rows are served by "${row.peer}"` : `is ${row.state} here: this store serves it`;
  return new SwitchyardError('PRECHECK_FAILED', `table "${row.table}" ${why}, so it cannot be the ${side} of a move`, { metadata: { table: row.table, state: row.state } });
}
