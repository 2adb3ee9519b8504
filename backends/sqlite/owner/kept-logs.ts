import type { KeptLog } from '../../backend.ts';
import type { Connection } from '../connection.ts';
import { dropLeftTriggers, lastId } from './log.ts';
import { tableExists } from './names.ts';
import { nowMs } from './store-sql.ts';

/** Changes whose sizes are looked at, spread over all that a log keeps: to add up the sizes of all would read the whole log. */
const SAMPLED = 64;
/** What a row takes beside its cells, roughly. */
const ROW_BYTES = 24;

/** See `OwnerStore.keptLogs`. What several logs keep counts for each of them. Within a transaction, as everything here. */
export function keptLogs(connection: Connection): readonly KeptLog[] {
  if (!tableExists(connection, 'switchyard_log')) return [];
  return connection.all('SELECT stream, confirmed, quote(stream) FROM switchyard_log ORDER BY stream').map(([stream, confirmed, quoted]) => ({
    name: String(stream),
    stream: String(stream),
    bytes: keptBytes(connection, BigInt(String(confirmed))),
    followed: null,
    dropText: `DELETE FROM switchyard_log WHERE stream = ${String(quoted)}`,
  }));
}

/** See `OwnerStore.dropKeptLog`; with the write lock. What the log held is removed piece by piece, by `trimLog`. */
export function dropKeptLog(connection: Connection, stream: string, atLeastBytes: number): boolean {
  const log = keptLogs(connection).find(({ name }) => name === stream);
  if (log === undefined || log.bytes < atLeastBytes) return false;
  // From here on changes are missing. With this a log of the same stream that is begun later begins at a later id than any that was read, so that nobody can take it for this one.
  connection.run(`INSERT INTO switchyard_change (at, kind, name) VALUES (${nowMs}, 'end', ?)`, [stream]);
  connection.run('DELETE FROM switchyard_log WHERE stream = ?', [stream]);
  dropLeftTriggers(connection);
  return true;
}

/** Ids follow each other without gaps, so that they count the changes. */
function keptBytes(connection: Connection, confirmed: bigint): number {
  const rows = Number(lastId(connection) - confirmed);
  if (rows <= 0) return 0;
  const sampled = Math.min(rows, SAMPLED);
  const ids = Array.from({ length: sampled }, (_, at) => String(confirmed + 1n + BigInt(Math.floor((at * rows) / sampled))));
  const sizes = connection.all('SELECT name FROM pragma_table_info(?)', ['switchyard_change']).map(([column]) => `octet_length("${String(column)}")`);
  const found = connection.all(`SELECT ${sizes.join(', ')} FROM switchyard_change WHERE id IN (SELECT value FROM json_each(?))`, [`[${ids.join()}]`]);
  const bytes = found.reduce((sum, cells) => sum + cells.reduce<number>((size, cell) => size + Number(cell ?? 0), ROW_BYTES), 0);
  return Math.round((bytes * rows) / sampled);
}
