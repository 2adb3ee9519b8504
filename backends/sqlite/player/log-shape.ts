import type { Position } from '../../../core/ids.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { StreamSpec } from '../../backend.ts';
import { logLostText, WHO_DROPS_LOGS } from '../../lost-log.ts';
import type { Connection } from '../connection.ts';
import { lastId } from '../owner/log.ts';
import { tableExists } from '../owner/names.ts';
import { logsFully } from '../owner/triggers.ts';
import { describeTable } from '../schema.ts';

/** The id that a position of ours is. STREAM_FAILED: it is none; somebody has changed the stream's row. */
export function parsePosition(position: Position): bigint {
  if (!/^\d{1,19}$/.test(position)) throw new SwitchyardError('STREAM_FAILED', `"${position}" is no position in a log of SQLite`, { metadata: { problem: 'POSITION' } });
  return BigInt(position);
}

/** Whether the log still holds everything behind `from` for the stream. STREAM_FAILED (metadata `problem` LOG_LOST) when not. */
export function checkLog(connection: Connection, stream: StreamSpec, from: bigint): void {
  const lost = (why: string): SwitchyardError => logLost(stream, from, why);
  const [row] = tableExists(connection, 'switchyard_log') ? connection.all('SELECT confirmed FROM switchyard_log WHERE stream = ?', [stream.id]) : [];
  if (row === undefined) throw lost(`it keeps none for stream "${stream.id}" (${WHO_DROPS_LOGS})`);
  if (from < BigInt(String(row[0]))) throw lost(`it begins at ${row[0]}`);
  const last = lastId(connection);
  if (from > last) throw lost(`it ends at ${last}: the file is an older copy`);
}

/** The error of a log that no longer holds everything behind `from`. */
export function logLost(stream: StreamSpec, from: bigint, why: string): SwitchyardError {
  return new SwitchyardError('STREAM_FAILED', logLostText(`from ${from} on`, why), {
    metadata: { stream: stream.id, problem: 'LOG_LOST' },
  });
}

/** STREAM_FAILED (metadata `problem` SCHEMA_CHANGED): a table has not the shape of `schemas`, or is not logged any more because it was made anew. */
export function checkShapes(connection: Connection, stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>): void {
  for (const table of stream.tables) {
    const present = describeOrNull(connection, table);
    const isAsItWas = present !== null && present.fingerprint === schemas.get(table)?.fingerprint;
    if (isAsItWas && logsFully(connection, present)) continue;
    const what =
      present === null
        ? 'is gone or cannot be served any more'
        : isAsItWas
          ? 'is not logged any more, as after it was made anew'
          : 'has changed its shape since the stream was made';
    throw new SwitchyardError('STREAM_FAILED', `table "${table}" ${what}: undo the change, or create the workflow anew`, {
      metadata: { stream: stream.id, problem: 'SCHEMA_CHANGED', table },
    });
  }
}

function describeOrNull(connection: Connection, table: string): TableSchema | null {
  try {
    return describeTable(connection, table);
  } catch (error) {
    if (error instanceof SwitchyardError && error.reason === 'TABLE_UNSUPPORTED') return null;
    throw error;
  }
}
