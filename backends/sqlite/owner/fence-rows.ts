import type { FenceRow, FenceState } from '../../../core/fence.ts';
import { attempt } from '../../../core/ids.ts';
import type { Connection, SqlRow } from '../connection.ts';

const columns = 'SELECT table_name, state, attempt, peer, workflow FROM switchyard_fence';

/** A list of names as one parameter: `IN (SELECT value FROM json_each(?))`. */
export const nameList = (names: readonly string[]): string => JSON.stringify(names);

/** The fence rows of these tables, or all, in order of name. Fails where the store was never prepared. */
export function readFenceRows(connection: Connection, tables: readonly string[] | null): readonly FenceRow[] {
  if (tables === null) return connection.all(`${columns} ORDER BY table_name`).map(fenceRow);
  return connection.all(`${columns} WHERE table_name IN (SELECT value FROM json_each(?)) ORDER BY table_name`, [nameList(tables)]).map(fenceRow);
}

/** Whether Switchyard's own tables are in the file. */
export function isPrepared(connection: Connection): boolean {
  return connection.all(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'switchyard_fence'`).length > 0;
}

/** Whether an ordinary table of that name is there. */
export function tableExists(connection: Connection, table: string): boolean {
  return connection.all(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?`, [table]).length > 0;
}

function fenceRow([table, state, number, peer, workflow]: SqlRow): FenceRow {
  return { table: String(table), state: state as FenceState, attempt: attempt(Number(number)), peer: String(peer), workflow: workflow === null ? null : String(workflow) };
}
