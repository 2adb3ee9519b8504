import type { Cell } from '../../../core/cell.ts';
import { keyToJson } from '../../../core/cell-json.ts';
import type { ChangedCell, RowChange } from '../../../core/change.ts';
import type { StreamToken } from '../../../core/ids.ts';
import { REQUESTS } from '../../../core/request-record.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import { keyIndexes, type TableSchema } from '../../../core/table-schema.ts';
import { type ApplyBatch, cellsOf, type CopyProgress, type StreamSpec } from '../../backend.ts';
import { type Connection, quoteTable, type Statement } from '../connection.ts';
import { putRequests } from '../request-records.ts';
import type { StoreClient } from '../store-client.ts';
import { deleteStatement, patchStatement, upsertStatement } from './apply-sql.ts';
import { finalRows, isWhole } from './final-rows.ts';

type Schemas = ReadonlyMap<string, TableSchema>;

/** How long an apply waits for the file's write lock. */
const LOCK_LIMIT_MS = 10_000;

/**
 * Applies one batch in one transaction: the stream's row, the fences, the rows, the records, the progress. The changes are applied one after the other, as they happened; where a unique key is in the way (a source that looks at
 * it only at the end of its statement or transaction), what they come to in the end is applied instead, in a second transaction.
 */
export async function applyBatch(client: StoreClient, stream: StreamSpec, schemas: Schemas, token: StreamToken, batch: ApplyBatch, signal: AbortSignal): Promise<void> {
  const apply = (rows: (connection: Connection) => void): Promise<void> =>
    client.write(
      signal,
      ({ connection }) => {
        advance(connection, stream, token, batch);
        const { changes, copied, requests } = batch;
        if (changes.length > 0 || (copied?.rows.length ?? 0) > 0 || requests.records.length > 0) {
          asPlayer(connection, () => {
            rows(connection);
            putRequests(connection, requests.records);
          });
        }
        if (copied !== null) saveProgress(connection, stream, copied.table, copied.progress);
        if (requests.progress !== null) saveProgress(connection, stream, REQUESTS, requests.progress);
      },
      { limitMs: LOCK_LIMIT_MS, urgent: true },
    );
  try {
    await apply((connection) => applyInOrder(connection, schemas, batch));
  } catch (error) {
    const final = hasReason(error, 'UNIQUE_VIOLATION') ? finalRows(batch.changes, schemas) : null;
    if (final === null) throw error;
    await apply((connection) => {
      for (const { table, key } of final.gone) run(connection, deleteStatement(table, key));
      for (const { table, row } of final.made) run(connection, upsertStatement(table, row));
      applyCopied(connection, schemas, batch);
    });
  }
}

/** Moves the stream on, or refuses: STREAM_TAKEN. */
function advance(connection: Connection, stream: StreamSpec, token: StreamToken, { position, marker }: ApplyBatch): void {
  const text = 'UPDATE switchyard_stream SET position = coalesce(?, position), marker = max(marker, ?) WHERE id = ? AND workflow = ? AND token = ?';
  if (connection.run(text, [position, BigInt(marker ?? 0), stream.id, stream.workflow, token]) === 0) {
    throw new SwitchyardError('STREAM_TAKEN', `stream "${stream.id}" has another token than ${token}`, { metadata: { stream: stream.id } });
  }
  const [row] = connection.all(`SELECT count(*) FROM switchyard_fence WHERE table_name IN (SELECT value FROM json_each(?)) AND state = 'CLOSED' AND workflow = ?`, [
    JSON.stringify(stream.tables),
    stream.workflow,
  ]);
  if (Number(row?.[0]) !== stream.tables.length) {
    throw new SwitchyardError('STREAM_TAKEN', `not every table of stream "${stream.id}" is CLOSED and owned by workflow "${stream.workflow}"`, { metadata: { stream: stream.id } });
  }
}

/** The fence lets pass, and the log leaves out, what is written meanwhile. Nobody else ever sees the sign: it is gone before the transaction ends. */
function asPlayer(connection: Connection, write: () => void): void {
  connection.run('UPDATE switchyard_session SET player = 1');
  write();
  connection.run('UPDATE switchyard_session SET player = 0');
}

function applyInOrder(connection: Connection, schemas: Schemas, batch: ApplyBatch): void {
  for (const change of batch.changes) applyChange(connection, schemas, change);
  applyCopied(connection, schemas, batch);
}

function applyChange(connection: Connection, schemas: Schemas, change: RowChange): void {
  if (change.kind === 'truncate') {
    for (const table of change.tables) connection.run(`DELETE FROM ${quoteTable(table)}`);
    return;
  }
  const table = schemaOf(schemas, change.table);
  if (change.kind === 'delete') run(connection, deleteStatement(table, change.key));
  else if (change.kind === 'insert') run(connection, upsertStatement(table, change.row));
  else if (!isWhole(change.row)) run(connection, patchStatement(table, change.oldKey ?? keyOf(table, change.row), change.row));
  else {
    if (change.oldKey !== null) run(connection, deleteStatement(table, change.oldKey));
    run(connection, upsertStatement(table, change.row));
  }
}

function applyCopied(connection: Connection, schemas: Schemas, { copied }: ApplyBatch): void {
  if (copied === null || copied.rows.length === 0) return;
  const table = schemaOf(schemas, copied.table);
  for (const row of cellsOf(copied.rows)) run(connection, upsertStatement(table, row));
}

function saveProgress(connection: Connection, stream: StreamSpec, table: string, { lastKey, rows, done }: CopyProgress): void {
  const text = `
    INSERT INTO switchyard_copy (stream, table_name, last_key, rows, done) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (stream, table_name) DO UPDATE SET last_key = excluded.last_key, rows = excluded.rows, done = excluded.done`;
  connection.run(text, [stream.id, table, lastKey === null ? null : keyToJson(lastKey), BigInt(rows), done ? 1n : 0n]);
}

const run = (connection: Connection, { text, values }: Statement): number => connection.run(text, values);

function schemaOf(schemas: Schemas, name: string): TableSchema {
  const schema = schemas.get(name);
  if (schema === undefined) throw new SwitchyardError('INTERNAL', `a change names table "${name}", whose schema was not given`);
  return schema;
}

/** A key is always sent. */
const keyOf = (table: TableSchema, row: readonly ChangedCell[]): readonly Cell[] => keyIndexes(table).map((i) => row[i] as Cell);
