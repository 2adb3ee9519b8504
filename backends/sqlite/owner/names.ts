import type { Connection } from '../connection.ts';

/** A list of names as one parameter: `IN (SELECT value FROM json_each(?))`. */
export const nameList = (names: readonly string[]): string => JSON.stringify(names);

/** Whether an ordinary table of exactly that name is there. */
export function tableExists(connection: Connection, table: string): boolean {
  return connection.all(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?`, [table]).length > 0;
}

/** What else has the table's name to SQLite, for which letter case of ASCII is no difference, but is not the table: one of another spelling, or a view. Null: nothing. */
export function namesake(connection: Connection, table: string): { readonly type: string; readonly name: string } | null {
  const [row] = connection.all(`SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view') AND lower(name) = lower(?) AND NOT (type = 'table' AND name = ?)`, [
    table,
    table,
  ]);
  return row === undefined ? null : { type: String(row[0]), name: String(row[1]) };
}

/** How the name of an index begins that a move has made: names of indexes are those of the whole file. */
export const indexPrefix = (table: string): string => `${table}.`;

/** The name as SQLite compares it. */
export const foldedName = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
