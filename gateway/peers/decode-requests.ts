import { maxStoreMessageBytes } from '../../core/message-limit.ts';
import type { BatchGetOperation, GetOperation, QueryOperation, Row, WriteOperation } from '../../core/operation.ts';
import type { AnswerBound } from '../../core/request-record.ts';
import { shorten } from '../../core/shorten.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { type ColumnSchema, isGiven, type TableSchema } from '../../core/table-schema.ts';
import type { AnswerForm as WireForm, NamedCells, WriteOperation as WireOperation } from '../../gen/switchyard/store/v1/common_pb.ts';
import type { AggregateRequest, BatchGetRequest, GetRequest, QueryRequest } from '../../gen/switchyard/store/v1/data_store_pb.ts';
import type { Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import { formFromMessage } from '../../runtime/wire/answer-bytes.ts';
import { cellsFromMessage, columnsOf, keyColumnsOf, namedFromMessage } from '../../runtime/wire/cells.ts';
import { limitOf } from '../../runtime/wire/counts.ts';
import { decodeCell, invalid } from '../../runtime/wire/decode-cell.ts';
import { type TableHandle, tableHandle } from '../codec/table-handle.ts';
import { decodeGrouping } from '../codec/validate-aggregate.ts';
import { decodeFilter } from '../codec/validate-filter.ts';

/* Requests of a peer as operations on a store. They were validated by the gateway that sends them; what is checked here again keeps a faulty one from reaching the store. */

const handles = new WeakMap<TableSchema, TableHandle>();

function handleOf(schema: TableSchema): TableHandle {
  const known = handles.get(schema);
  if (known !== undefined) return known;
  const made = tableHandle('', schema);
  handles.set(schema, made);
  return made;
}

const argument = (message: string): SwitchyardError => new SwitchyardError('ARGUMENT_INVALID', message);

/** More groups than this no gateway asks for: they are held in memory together. */
const mostGroups = 10_000;

/** Bytes of an answer, never more than a message carries. Left out: as many as that. ARGUMENT_INVALID names `field`. */
export function bytesOf(maxBytes: bigint | undefined, field: string): number {
  if (maxBytes === undefined || maxBytes > BigInt(maxStoreMessageBytes)) return maxStoreMessageBytes;
  if (maxBytes < 0n) throw argument(`${field}: got ${maxBytes}; must be 0 or more`);
  return Number(maxBytes);
}

/** What rows are asked for by. COLUMN_UNKNOWN; ARGUMENT_INVALID: there is none, which is no SQL. */
function requireColumns(schema: TableSchema, columns: readonly string[]): void {
  columnsOf(schema, columns);
  if (columns.length === 0) throw argument('columns: missing; name at least one');
}

export function decodeGet(schema: TableSchema, { key, columns }: GetRequest): GetOperation {
  requireColumns(schema, columns);
  return { key: cellsFromMessage(keyColumnsOf(schema), key, 'key'), columns };
}

export function decodeBatchGet(schema: TableSchema, { keys, columns, maxBytes }: BatchGetRequest): BatchGetOperation {
  requireColumns(schema, columns);
  return { keys: keys.map((key, index) => cellsFromMessage(keyColumnsOf(schema), key, `keys[${index}]`)), columns, maxBytes: bytesOf(maxBytes, 'max_bytes') };
}

export function decodeQuery(schema: TableSchema, { filter, orderBy, columns, limit, maxBytes, after }: QueryRequest): QueryOperation {
  requireColumns(schema, columns);
  const order = orderBy.map(({ column, descending }) => ({ column, descending }));
  const ordered = columnsOf(
    schema,
    order.map(({ column }) => column),
  );
  if (order.length === 0) throw argument('order_by: missing; must end with the primary key');
  const unordered = ordered.find(({ kind }) => kind === 'json' || kind === 'array');
  if (unordered !== undefined) throw argument(`order_by: "${unordered.name}" is of kind ${unordered.kind}, which has no order`);
  return {
    filter: decodeFilter(handleOf(schema), filter, 'filter'),
    orderBy: order,
    columns,
    limit: limitOf(limit),
    maxBytes: bytesOf(maxBytes, 'max_bytes'),
    after: after === undefined ? null : cellsFromMessage(ordered, after, 'after'),
  };
}

export function decodeAggregate(schema: TableSchema, request: AggregateRequest) {
  const handle = handleOf(schema);
  return { filter: decodeFilter(handle, request.filter, 'filter'), ...decodeGrouping(handle, request), limit: limitOf(request.limit, mostGroups) };
}

export const decodeWrites = (schemas: ReadonlyMap<string, TableSchema>, operations: readonly WireOperation[]): readonly WriteOperation[] =>
  operations.map((operation, index) => {
    const schema = schemas.get(operation.table);
    if (schema === undefined) throw argument(`operations[${index}]: the request names no shape of table "${shorten(operation.table)}"`);
    return decodeWrite(schema, operation, `operations[${index}]`);
  });

function decodeWrite(schema: TableSchema, { table, kind }: WireOperation, at: string): WriteOperation {
  const under = (filter: Parameters<typeof decodeFilter>[1]) => decodeFilter(handleOf(schema), filter, `${at}.precondition`);
  switch (kind.case) {
    case 'insert':
      columnsOf(schema, kind.value.returning);
      return { kind: 'insert', table, row: rowOf(schema, kind.value.row, `${at}.row`), returning: kind.value.returning };
    case 'upsert': {
      const { row, precondition, returning } = kind.value;
      columnsOf(schema, returning);
      const whole = rowOf(schema, row, `${at}.row`);
      const missing = schema.primaryKey.find((name) => !whole.columns.includes(name));
      if (missing !== undefined) throw argument(`${at}.row.${missing}: missing; an upsert names its whole primary key`);
      return { kind: 'upsert', table, row: whole, precondition: under(precondition), returning };
    }
    case 'update': {
      const { key, set, add, precondition, returning } = kind.value;
      columnsOf(schema, returning);
      const [changed, amounts] = [rowOf(schema, set, `${at}.set`), amountsOf(schema, add, `${at}.add`)];
      requireOnce([...changed.columns, ...amounts.columns], at);
      return {
        kind: 'update',
        table,
        key: cellsFromMessage(keyColumnsOf(schema), key, `${at}.key`),
        set: changed,
        add: amounts,
        precondition: under(precondition),
        returning,
      };
    }
    case 'delete': {
      const { key, precondition, allowMissing } = kind.value;
      return { kind: 'delete', table, key: cellsFromMessage(keyColumnsOf(schema), key, `${at}.key`), precondition: under(precondition), allowMissing };
    }
    case undefined:
      throw argument(`${at}: a write of a kind that this release does not know`);
  }
}

/** A column that has two values would keep one of them, which one depends on the kind of store. */
function requireOnce(names: readonly string[], at: string): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw argument(`${at}: "${twice}" is named twice`);
}

/** Cells for columns that whoever writes a row gives a value. */
function rowOf(schema: TableSchema, message: NamedCells | undefined, at: string): Row {
  const row = namedFromMessage(schema, message, at);
  requireOnce(row.columns, at);
  requireFree(columnsOf(schema, row.columns), message, at);
  return row;
}

function amountsOf(schema: TableSchema, message: NamedCells | undefined, at: string): Row {
  if (message === undefined) return { columns: [], cells: [] };
  const columns = columnsOf(schema, message.columns);
  if (message.values.length !== columns.length) throw argument(`${at}: got ${message.values.length} cells; must be ${columns.length}`);
  requireOnce(message.columns, at);
  requireFree(columns, message, at);
  const cells = columns.map((column, index) => {
    const value = message.values[index];
    const cell = decodeCell(value, amountColumn(column, value), at);
    if (cell === null) throw invalid(value, column, at, 'an amount is never NULL');
    return cell;
  });
  return { columns: message.columns, cells };
}

function requireFree(columns: readonly ColumnSchema[], message: NamedCells | undefined, at: string): void {
  for (const [index, column] of columns.entries()) if (isGiven(column)) throw invalid(message?.values[index], column, at, 'the store alone gives this column its values');
}

/** An unsigned column is subtracted from by a negative int64. */
const amountColumn = (column: ColumnSchema, value: Value | undefined): ColumnSchema =>
  column.kind === 'uint64' && value?.kind.case === 'int64Value' ? { ...column, kind: 'int64' } : column;

/** Null: the request names no bound. */
export function decodeBound(form: WireForm, maxBytes: bigint): AnswerBound | null {
  const known = formFromMessage(form);
  return known === null ? null : { form: known, maxBytes: bytesOf(maxBytes, 'max_answer_bytes') };
}
