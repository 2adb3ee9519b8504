import type { Connection } from '../connection.ts';

/** A list of names as one parameter: `IN (SELECT value FROM json_each(?))`. */
export const nameList = (names: readonly string[]): string => JSON.stringify(names);

/** Whether an ordinary table of exactly that name is there. */
export function tableExists(connection: Connection, table: string): boolean {
  return connection.all(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?`, [table]).length > 0;
}
