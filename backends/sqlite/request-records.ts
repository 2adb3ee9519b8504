import type { Cell } from '../../core/cell.ts';
import { type OnceRequest, REQUESTS_CHUNK_BYTES, type RequestRecord } from '../../core/request-record.ts';
import { notARecord, requestIdsNotKept } from '../request-answer.ts';
import type { Connection, SqlRow, Statement } from './connection.ts';
import { isStatementFault } from './errors.ts';
import { nameList, tableExists } from './owner/names.ts';
import { nowMicros } from './owner/store-sql.ts';

/* The records of writes that are done once. All of it runs within the caller's transaction. */

const columns = 'caller, request_id, table_name, digest, result, recorded_at';
const key = 'caller, request_id, table_name';

/** Whether the file was prepared to keep records. */
export const keepsRequests = (connection: Connection): boolean => tableExists(connection, 'switchyard_request');

/** The columns of a record, as the statements here select them. STORE_FAILED: they are none of a record; a file takes any value in any column. */
export function recordFromRow([caller, id, table, digest, result, recordedAt]: SqlRow): RequestRecord {
  if (!(result instanceof Uint8Array) || typeof recordedAt !== 'bigint') throw notARecord();
  if (typeof caller !== 'string' || typeof id !== 'string' || typeof table !== 'string' || typeof digest !== 'string') throw notARecord();
  return { caller, id, table, digest, result, recordedAtMicros: recordedAt };
}

/** The records of a caller's id, whatever table they name. REQUEST_IDS_NOT_KEPT: the file has no table for them. */
export function findRequests(connection: Connection, { caller, id }: Pick<OnceRequest, 'caller' | 'id'>): readonly RequestRecord[] {
  const text = `SELECT ${columns} FROM main.switchyard_request WHERE caller = ? AND request_id = ?`;
  return asKept(connection, () => connection.all(text, [caller, id])).map(recordFromRow);
}

/** Records a write that has been done just now, in a file that keeps records. */
export function addRequest(connection: Connection, { caller, id, table, digest }: OnceRequest, result: Uint8Array): void {
  const text = `INSERT INTO main.switchyard_request (${columns}) VALUES (?, ?, ?, ?, ?, ${nowMicros})`;
  connection.run(text, [caller, id, table, digest, result]);
}

/** Takes records over from another store. Of two with the same key the later written stays. REQUEST_IDS_NOT_KEPT: the file has no table for them. */
export function putRequests(connection: Connection, records: readonly RequestRecord[]): void {
  const text = `INSERT INTO main.switchyard_request (${columns}) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (${key}) DO UPDATE SET digest = excluded.digest, result = excluded.result, recorded_at = excluded.recorded_at WHERE excluded.recorded_at > recorded_at`;
  asKept(connection, () => {
    for (const { caller, id, table, digest, result, recordedAtMicros } of records) connection.run(text, [caller, id, table, digest, result, recordedAtMicros]);
  });
}

/** See `ReplicationStore.readRequests`. */
export function requestsStatement(tables: readonly string[], after: readonly Cell[] | null, limit: number): Statement {
  const behind = after === null ? '' : ` AND (${key}) > (?, ?, ?)`;
  return {
    // How large a result is the store knows without reading it; so it is read by the record's number, only where it belongs to the chunk.
    text: `
      SELECT ${columns} FROM (
        SELECT number, sum(bytes) OVER (ORDER BY ${key}) - bytes AS bytes_before FROM (
          SELECT id AS number, ${key}, length(result) AS bytes FROM main.switchyard_request WHERE table_name IN (SELECT value FROM json_each(?))${behind} ORDER BY ${key} LIMIT ?))
      JOIN main.switchyard_request ON id = number WHERE bytes_before < ${REQUESTS_CHUNK_BYTES} ORDER BY ${key}`,
    values: [nameList(tables), ...(after ?? []).map(String), BigInt(limit)],
  };
}

/** The records that the log names between these ids, each with the id there. */
export function loggedRequests(connection: Connection, from: bigint, to: bigint): readonly { readonly id: bigint; readonly record: RequestRecord }[] {
  const text = `SELECT c.id, ${columns} FROM main.switchyard_change c JOIN main.switchyard_request r ON r.id = c.number WHERE c.id > ? AND c.id <= ? AND c.kind = 'request'`;
  return connection.all(text, [from, to]).map(([id, ...row]) => ({ id: id as bigint, record: recordFromRow(row) }));
}

/** See `OwnerStore.expireRequests`. The oldest first. */
export function expireRequests(connection: Connection, ageMs: number, limit: number): number {
  if (!keepsRequests(connection)) return 0;
  const old = `SELECT id FROM main.switchyard_request WHERE recorded_at <= ${nowMicros} - ? ORDER BY recorded_at LIMIT ?`;
  return connection.run(`DELETE FROM main.switchyard_request WHERE id IN (${old})`, [BigInt(Math.round(ageMs * 1_000)), BigInt(limit)]);
}

function asKept<T>(connection: Connection, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!isStatementFault(error) || keepsRequests(connection)) throw error;
    throw requestIdsNotKept(error);
  }
}
