import type { Cell } from '../../../core/cell.ts';
import { REQUESTS_CHUNK_BYTES, type RequestRecord } from '../../../core/request-record.ts';
import { notARecord } from '../../request-answer.ts';
import { bufferOf } from '../cells.ts';
import { REQUEST_TABLE } from '../names.ts';
import type { Statement, ValueRow } from '../session.ts';
import { inGroups } from './apply-sql.ts';

const columns = 'caller, request_id, table_name, digest, result, recorded_at';
const key = 'caller, request_id, table_name';

/** A record of its columns. STORE_FAILED: they are none of a record. */
export function recordFromRow([caller, id, table, digest, result, recordedAt]: ValueRow): RequestRecord {
  if (typeof caller !== 'string' || typeof id !== 'string' || typeof table !== 'string' || typeof digest !== 'string') throw notARecord();
  if (!(result instanceof Buffer) || recordedAt === null || recordedAt === undefined || !/^-?\d+$/.test(String(recordedAt))) throw notARecord();
  return { caller, id, table, digest, result: new Uint8Array(result), recordedAtMicros: BigInt(String(recordedAt)) };
}

/** See `ReplicationStore.readRequests`. How large a result is the store knows without reading it. The key's columns are ordered by code point. */
export function requestsStatement(tables: readonly string[], after: readonly Cell[] | null, limit: number): Statement {
  const [caller = '', id = '', table = ''] = (after ?? []).map(String);
  // Spelled out: of a comparison of row values the server uses no index.
  const behind = after === null ? '' : 'AND (caller > ? OR (caller = ? AND (request_id > ? OR (request_id = ? AND table_name > ?))))';
  return {
    text: `
      SELECT ${columns} FROM (
        SELECT ${columns}, SUM(LENGTH(result)) OVER (ORDER BY ${key}) - LENGTH(result) AS bytes_before FROM (
          SELECT ${columns} FROM ${REQUEST_TABLE} WHERE table_name IN (${tables.map(() => '?').join(', ')}) ${behind} ORDER BY ${key} LIMIT ${limit}) AS chunk) AS sized
      WHERE bytes_before < ${REQUESTS_CHUNK_BYTES} ORDER BY ${key}`,
    values: [...tables, ...(after === null ? [] : [caller, caller, id, id, table])],
    form: 'kept',
  };
}

/** Inserts the records, in order of their key; where there is one already, the later written stays. */
export function recordStatements(records: readonly RequestRecord[]): readonly Statement[] {
  const newest = new Map<string, RequestRecord>();
  for (const record of records) {
    const text = JSON.stringify([record.caller, record.id, record.table]);
    const known = newest.get(text);
    if (known === undefined || record.recordedAtMicros > known.recordedAtMicros) newest.set(text, record);
  }
  const inOrder = [...newest].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, record]) => record);
  // The assignments are done from left to right: what the last one changes decides over those before it.
  const later = 'VALUES(recorded_at) > recorded_at';
  const set = ['digest', 'result', 'recorded_at'].map((column) => `${column} = IF(${later}, VALUES(${column}), ${column})`).join(', ');
  return inGroups(inOrder, 6, ({ result }) => 200 + result.length).map(({ rows }) => ({
    text: `INSERT INTO ${REQUEST_TABLE} (${columns}) VALUES ${rows.map(() => '(?, ?, ?, ?, ?, ?)').join(', ')} ON DUPLICATE KEY UPDATE ${set}`,
    values: rows.flatMap(({ caller, id, table, digest, result, recordedAtMicros }) => [caller, id, table, digest, bufferOf(result), String(recordedAtMicros)]),
    form: 'kept',
  }));
}
