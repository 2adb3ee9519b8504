import type { Cell } from '../../../core/cell.ts';
import { REQUESTS_CHUNK_BYTES, type RequestRecord } from '../../../core/request-record.ts';
import { textFromElements } from '../array-text.ts';
import type { TextRow } from '../batch.ts';
import { bytesFromText } from '../cells.ts';
import { notARecord } from '../../request-answer.ts';
import type { ChunkStatement } from './chunk.ts';

/** Columns of `switchyard.request`, in the order that `recordFromTexts` takes them. */
export const requestColumns = ['caller', 'request_id', 'table_name', 'digest', 'result', 'recorded_at'];

const columns = requestColumns.join(', ');

/** A record of its columns' texts. STORE_FAILED: they are none of a record. */
export function recordFromTexts([caller, id, table, digest, resultText, recordedAt]: TextRow): RequestRecord {
  const result = bytesFromText(resultText ?? '');
  if (typeof caller !== 'string' || typeof id !== 'string' || typeof table !== 'string' || typeof digest !== 'string' || result === null || !/^-?\d+$/.test(recordedAt ?? ''))
    throw notARecord();
  return { caller, id, table, digest, result, recordedAtMicros: BigInt(recordedAt ?? '') };
}

/** See `ReplicationStore.readRequests`. The key's columns are ordered by code point. How large a result is the store knows without reading it. */
export function requestsStatement(tables: readonly string[], after: readonly Cell[] | null, limit: number): ChunkStatement {
  const behind = after === null ? '' : 'AND (caller, request_id, table_name) > ($3, $4, $5)';
  return {
    text: `
      SELECT ${columns} FROM (
        SELECT ${columns}, sum(octet_length(result)) OVER (ORDER BY caller, request_id, table_name) - octet_length(result) AS bytes_before FROM (
          SELECT ${columns} FROM switchyard.request WHERE table_name = ANY ($1::text[]) ${behind} ORDER BY caller, request_id, table_name LIMIT $2::bigint) AS chunk) AS sized
      WHERE bytes_before < ${REQUESTS_CHUNK_BYTES} ORDER BY caller, request_id, table_name`,
    values: [textFromElements(tables), String(limit), ...(after ?? []).map(String)],
  };
}

/** Inserts the records, in order of their key; where there is one already, the later written stays. One statement may not touch a row twice. */
export function recordsStatement(records: readonly RequestRecord[]): ChunkStatement {
  const parameter = (of: (record: RequestRecord) => string): string => textFromElements(records.map(of));
  return {
    text: `INSERT INTO switchyard.request AS r (${columns})
      SELECT DISTINCT ON (u.caller, u.request_id, u.table_name) u.*
      FROM (SELECT caller COLLATE "C", request_id COLLATE "C", table_name COLLATE "C", digest, result, recorded_at
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bigint[]) AS t (${columns})) AS u
      ORDER BY u.caller, u.request_id, u.table_name, u.recorded_at DESC
      ON CONFLICT (caller, request_id, table_name) DO UPDATE SET digest = excluded.digest, result = excluded.result, recorded_at = excluded.recorded_at
      WHERE excluded.recorded_at > r.recorded_at`,
    values: [
      parameter(({ caller }) => caller),
      parameter(({ id }) => id),
      parameter(({ table }) => table),
      parameter(({ digest }) => digest),
      parameter(({ result }) => `\\x${Buffer.from(result).toString('hex')}`),
      parameter(({ recordedAtMicros }) => String(recordedAtMicros)),
    ],
  };
}
