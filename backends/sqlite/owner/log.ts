import { type Attempt, type Position, position } from '../../../core/ids.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { StreamSpec } from '../../backend.ts';
import { logBegunLater } from '../../stream-beginning.ts';
import type { Connection } from '../connection.ts';
import { describeTable } from '../schema.ts';
import { nameList } from './names.ts';
import { nowMs } from './store-sql.ts';
import { dropLogTriggers, loggedTables, putLogTriggers } from './triggers.ts';

/** The stream's right to the log. Begins to log its tables; returns from where on it is kept for the stream. Inside a transaction with the write lock, as everything here. */
export function createLog(connection: Connection, stream: StreamSpec, by: Attempt): Position {
  if (isBegunLater(connection, stream, by)) throw logBegunLater(stream);
  for (const table of stream.tables) {
    const schema = describeTable(connection, table);
    if (schema === null) throw new SwitchyardError('TABLE_UNKNOWN', `the store has no table "${table}"`, { metadata: { table } });
    putLogTriggers(connection, schema);
  }
  keepLastRow(connection, stream);
  const confirmed = lastId(connection);
  connection.run('INSERT OR REPLACE INTO switchyard_log (stream, workflow, tables, confirmed) VALUES (?, ?, ?, ?)', [
    stream.id,
    stream.workflow,
    nameList(stream.tables),
    confirmed,
  ]);
  connection.run('INSERT OR REPLACE INTO switchyard_log_attempt (stream, attempt) VALUES (?, ?)', [stream.id, by]);
  return position(String(confirmed));
}

/** Whether it belongs to a later attempt than `by`; null: it may be changed in any case. */
function isBegunLater(connection: Connection, stream: StreamSpec, by: Attempt | null): boolean {
  return by !== null && connection.all('SELECT 1 FROM switchyard_log_attempt WHERE stream = ? AND attempt > ?', [stream.id, by]).length > 0;
}

/** Nothing there is success, and so is a log of a later attempt, which stays. Tables that no other stream wants are logged no longer. What the log still holds is removed piece by piece, by `trimLog`. */
export function dropLog(connection: Connection, stream: StreamSpec, by: Attempt | null): void {
  if (isBegunLater(connection, stream, by)) return;
  const [row] = connection.all('SELECT tables FROM switchyard_log WHERE stream = ?', [stream.id]);
  connection.run('DELETE FROM switchyard_log WHERE stream = ?', [stream.id]);
  if (by === null) connection.run('DELETE FROM switchyard_log_attempt WHERE stream = ?', [stream.id]);
  const tables = row === undefined ? stream.tables : (JSON.parse(String(row[0])) as readonly string[]);
  for (const table of tables) if (!isWanted(connection, table)) dropLogTriggers(connection, table);
}

function isWanted(connection: Connection, table: string): boolean {
  return connection.all('SELECT 1 FROM switchyard_log, json_each(switchyard_log.tables) WHERE json_each.value = ? LIMIT 1', [table]).length > 0;
}

/** Tables that no stream wants are logged no longer, as after a log was dropped by hand. */
export function dropLeftTriggers(connection: Connection): void {
  for (const table of loggedTables(connection)) if (!isWanted(connection, table)) dropLogTriggers(connection, table);
}

/** Highest id that the log has ever given. The log's own last row tells it; SQLite's number of it counts only for a log without rows, which no stream wants. */
export function lastId(connection: Connection): bigint {
  const value = connection.all(`SELECT coalesce((SELECT max(id) FROM switchyard_change), (SELECT max(seq) FROM sqlite_sequence WHERE name = 'switchyard_change'))`)[0]?.[0];
  return typeof value === 'bigint' ? value : 0n;
}

/**
 * A program may empty sqlite_sequence, as many do to begin their own numbers again, and with it the log's: then the next id is one above the highest row. So a log that is wanted always keeps its last row.
 */
function keepLastRow(connection: Connection, stream: StreamSpec): void {
  connection.run(
    `INSERT INTO switchyard_change (id, at, kind, name) SELECT max(?, (SELECT coalesce(max(confirmed), 0) FROM switchyard_log)) + 1, ${nowMs}, 'begin', ? WHERE NOT EXISTS (SELECT 1 FROM switchyard_change)`,
    [lastId(connection), stream.id],
  );
}

/** Removes up to `limit` rows that no stream wants any more, but for the last row while there are streams; returns how many. Whoever writes waits for it: the pieces are small. */
export function trimLog(connection: Connection, limit: number): number {
  connection.run('DELETE FROM switchyard_candidate');
  return connection.run(
    `DELETE FROM switchyard_change WHERE id IN (
      SELECT id FROM switchyard_change WHERE id <= coalesce((SELECT min(min(confirmed), ?1 - 1) FROM switchyard_log), ?1) ORDER BY id LIMIT ?2)`,
    [lastId(connection), limit],
  );
}
