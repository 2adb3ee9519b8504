import type { ColumnKind } from '../../core/cell.ts';
import { maxMessageBytes } from '../../core/message-limit.ts';
import type { BatchGetOperation, GetOperation, OrderTerm, QueryOperation } from '../../core/operation.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { Consistency, type BatchGetRequest, type GetRequest, type QueryRequest } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { columnOf, columnsToReturn, decodeKey } from './columns.ts';
import { decodePageToken, queryDigest } from './page-token.ts';
import type { TableHandle } from './table-handle.ts';
import { decodeFilter } from './validate-filter.ts';

export const mostKeys = 1_000;
const mostRows = 1_000;
const defaultRows = 100;
/** Rows of one piece of a stream: many, for each piece is a statement of its own. */
const pieceRows = 2_000;
/** Cells of a page, and of a stream's piece, as the store sends them: callers take messages of 4 MiB, as gRPC's clients do unless they are told otherwise. A row that is larger comes alone. */
const pageBytes = 1_536 * 1_024;
const pieceBytes = 512 * 1_024;
/** So many times longer may a message be than the text of an array, in which a number may be a digit. */
const arrayFactor = 4;
/** PostgreSQL sends bytes as so many digits each. What is too large for a message is refused when the message is made. */
const bytesFactor = 2;
/** What a cell takes in a message beside its column's name and its text. */
const cellOverhead = 12;

const argument = (message: string): SwitchyardError => new SwitchyardError('ARGUMENT_INVALID', message);

/** What can be said of a read before its table is known. */
export function checkRead({ table, consistency }: { readonly table: string; readonly consistency: Consistency }): void {
  if (table === '') throw argument('table: missing; give "orders" or "keyspace.orders"');
  if (consistency === Consistency.REPLICA) throw new SwitchyardError('FIELD_NOT_SERVED', 'consistency: CONSISTENCY_REPLICA is not served yet; leave it out for STRONG');
  if (consistency !== Consistency.UNSPECIFIED && consistency !== Consistency.STRONG) throw argument(`consistency: got ${consistency}; must be CONSISTENCY_STRONG or left out`);
}

export function checkKeys({ keys }: { readonly keys: readonly unknown[] }): void {
  if (keys.length === 0 || keys.length > mostKeys) throw argument(`keys: got ${keys.length}; must be 1 to ${mostKeys}`);
}

export const rowNotFound = (table: string): SwitchyardError => new SwitchyardError('ROW_NOT_FOUND', `table "${table}" has no row with that primary key`, { metadata: { table } });

/** Page size within its limits: 0 means 100, at most 1,000. */
export function pageSizeOf(pageSize: number): number {
  if (pageSize < 0 || pageSize > mostRows) throw argument(`page_size: got ${pageSize}; must be 0 to ${mostRows}`);
  return pageSize === 0 ? defaultRows : pageSize;
}

export function decodeGet(handle: TableHandle, request: GetRequest): GetOperation {
  if (request.withEtag && request.columns.length > 0) throw argument('with_etag: an etag is one of the whole row; leave columns out');
  return { key: decodeKey(handle, request.key, 'key'), columns: columnsToReturn(handle, request.columns, 'columns', handle.columnNames) };
}

const anyOfKind = (handle: TableHandle, columns: readonly string[], kind: ColumnKind): boolean => columns.some((name) => handle.columns.get(name)?.kind === kind);

export function decodeBatchGet(handle: TableHandle, request: BatchGetRequest): BatchGetOperation {
  const keys = request.keys.map((key, index) => decodeKey(handle, key, `keys[${index}]`));
  const columns = columnsToReturn(handle, request.columns, 'columns', handle.columnNames);
  return { keys, columns, maxBytes: anyOfKind(handle, columns, 'bytes') ? bytesFactor * maxMessageBytes : maxMessageBytes };
}

/** What every request for rows in an order has. */
export type RowsRequest = Pick<QueryRequest, 'table' | 'filter' | 'orderBy' | 'columns' | 'pageToken'>;

/** A query with what the next page's token needs. */
export interface DecodedQuery {
  readonly operation: QueryOperation;
  /** Columns to answer with; the operation may fetch more, for the token. */
  readonly columns: readonly string[];
  readonly digest: Uint8Array;
}

/** `key` names the table in the same way whatever name it was asked for by. */
export const decodeQuery = (handle: TableHandle, key: string, request: QueryRequest): DecodedQuery => decodeRows(handle, key, request, pageSizeOf(request.pageSize), pageBytes);

/** A stream's next piece, at most so many rows. */
export const decodePiece = (handle: TableHandle, key: string, request: RowsRequest, most: number): DecodedQuery =>
  decodeRows(handle, key, request, Math.min(most, pieceRows), pieceBytes);

function decodeRows(handle: TableHandle, key: string, request: RowsRequest, most: number, maxBytes: number): DecodedQuery {
  const filter = decodeFilter(handle, request.filter, 'filter');
  const orderBy = decodeOrder(handle, request);
  const columns = columnsToReturn(handle, request.columns, 'columns', handle.columnNames);
  const digest = queryDigest(key, request.filter, orderBy);
  const after = request.pageToken === '' ? null : decodePageToken(handle, orderBy, digest, request.pageToken);
  const fetched = [...new Set([...columns, ...orderBy.map((term) => term.column)])];
  const rowOverhead = columns.reduce((sum, name) => sum + name.length + cellOverhead, 0);
  const limit = Math.max(1, Math.min(most, Math.floor(pageBytes / rowOverhead)));
  return { operation: { filter, orderBy, columns: fetched, limit, maxBytes: anyOfKind(handle, columns, 'array') ? maxBytes / arrayFactor : maxBytes, after }, columns, digest };
}

function decodeOrder(handle: TableHandle, request: RowsRequest): readonly OrderTerm[] {
  const terms: OrderTerm[] = [];
  const seen = new Set<string>();
  request.orderBy.forEach(({ column: name, descending }, index) => {
    const field = `order_by[${index}].column`;
    const column = columnOf(handle, name, field);
    if (column.kind === 'json' || column.kind === 'array') throw argument(`${field}: "${name}" is of kind ${column.kind}, which has no order`);
    if (seen.has(name)) throw argument(`${field}: "${name}" is named twice`);
    seen.add(name);
    terms.push({ column: name, descending });
  });
  for (const name of handle.schema.primaryKey) if (!seen.has(name)) terms.push({ column: name, descending: false });
  return terms;
}
