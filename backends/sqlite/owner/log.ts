import { type Position, position } from '../../../core/ids.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { StreamSpec } from '../../backend.ts';
import type { Connection } from '../connection.ts';
import { describeTable } from '../schema.ts';
import { nameList } from './names.ts';
import { dropLogTriggers, putLogTriggers } from './triggers.ts';

/** The stream's right to the log. Begins to log its tables; returns from where on it is kept for the stream. Inside a transaction with the write lock, as everything here. */
export function createLog(connection: Connection, stream: StreamSpec, renew: boolean): Position {
  for (const table of stream.tables) {
    const schema = describeTable(connection, table);
    if (schema === null) throw new SwitchyardError('TABLE_UNKNOWN', `the store has no table "${table}"`, { metadata: { table } });
    putLogTriggers(connection, schema);
  }
  if (renew) connection.run('DELETE FROM switchyard_log WHERE stream = ?', [stream.id]);
  connection.run('INSERT INTO switchyard_log (stream, workflow, tables, confirmed) VALUES (?, ?, ?, ?) ON CONFLICT (stream) DO NOTHING', [
    stream.id,
    stream.workflow,
    nameList(stream.tables),
    lastId(connection),
  ]);
  const [row] = connection.all('SELECT confirmed FROM switchyard_log WHERE stream = ?', [stream.id]);
  return position(String(row?.[0] ?? 0n));
}

/** Nothing there is success. Tables that no other stream wants are logged no longer. What the log still holds is removed piece by piece, by `trimLog`. */
export function dropLog(connection: Connection, stream: StreamSpec): void {
  const [row] = connection.all('SELECT tables FROM switchyard_log WHERE stream = ?', [stream.id]);
  connection.run('DELETE FROM switchyard_log WHERE stream = ?', [stream.id]);
  const tables = row === undefined ? stream.tables : (JSON.parse(String(row[0])) as readonly string[]);
  for (const table of tables) {
    const others = connection.all('SELECT 1 FROM switchyard_log, json_each(switchyard_log.tables) WHERE json_each.value = ? LIMIT 1', [table]);
    if (others.length === 0) dropLogTriggers(connection, table);
  }
}

/** Highest id that the log has ever given. */
export function lastId(connection: Connection): bigint {
  const value = connection.all(`SELECT seq FROM sqlite_sequence WHERE name = 'switchyard_change'`)[0]?.[0];
  return typeof value === 'bigint' ? value : 0n;
}

/** Removes up to `limit` rows that no stream wants any more; returns how many. Whoever writes waits for it: the pieces are small. */
export function trimLog(connection: Connection, limit: number): number {
  connection.run('DELETE FROM switchyard_candidate');
  return connection.run(
    `DELETE FROM switchyard_change WHERE id IN (SELECT id FROM switchyard_change WHERE id <= coalesce((SELECT min(confirmed) FROM switchyard_log), ?) ORDER BY id LIMIT ?)`,
    [lastId(connection), limit],
  );
}
