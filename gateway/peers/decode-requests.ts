import type { BatchGetOperation, GetOperation, QueryOperation, Row, WriteOperation } from '../../core/operation.ts';
import type { AnswerBound } from '../../core/request-record.ts';
import { shorten } from '../../core/shorten.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema, TableSchema } from '../../core/table-schema.ts';
import type { AnswerForm as WireForm, NamedCells, WriteOperation as WireOperation } from '../../gen/switchyard/store/v1/common_pb.ts';
import type { AggregateRequest, BatchGetRequest, GetRequest, QueryRequest } from '../../gen/switchyard/store/v1/data_store_pb.ts';
import type { Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import { formFromMessage } from '../../runtime/wire/answer-bytes.ts';
import { cellsFromMessage, columnsOf, keyColumnsOf, namedFromMessage } from '../../runtime/wire/cells.ts';
import { decodeCell } from '../../runtime/wire/decode-cell.ts';
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

const bytesField = (maxBytes: bigint | undefined) => (maxBytes === undefined ? {} : { maxBytes: Number(maxBytes) });

export function decodeGet(schema: TableSchema, { key, columns }: GetRequest): GetOperation {
  columnsOf(schema, columns);
  return { key: cellsFromMessage(keyColumnsOf(schema), key, 'key'), columns };
}

export function decodeBatchGet(schema: TableSchema, { keys, columns, maxBytes }: BatchGetRequest): BatchGetOperation {
  columnsOf(schema, columns);
  return { keys: keys.map((key, index) => cellsFromMessage(keyColumnsOf(schema), key, `keys[${index}]`)), columns, ...bytesField(maxBytes) };
}

export function decodeQuery(schema: TableSchema, { filter, orderBy, columns, limit, maxBytes, after }: QueryRequest): QueryOperation {
  columnsOf(schema, columns);
  const order = orderBy.map(({ column, descending }) => ({ column, descending }));
  const ordered = columnsOf(
    schema,
    order.map(({ column }) => column),
  );
  return {
    filter: decodeFilter(handleOf(schema), filter, 'filter'),
    orderBy: order,
    columns,
    limit,
    ...bytesField(maxBytes),
    after: after === undefined ? null : cellsFromMessage(ordered, after, 'after'),
  };
}

export function decodeAggregate(schema: TableSchema, request: AggregateRequest) {
  const handle = handleOf(schema);
  return { filter: decodeFilter(handle, request.filter, 'filter'), ...decodeGrouping(handle, request), limit: request.limit };
}

export const decodeWrites = (schemas: ReadonlyMap<string, TableSchema>, operations: readonly WireOperation[]): readonly WriteOperation[] =>
  operations.map((operation, index) => {
    const schema = schemas.get(operation.table);
    if (schema === undefined) throw new SwitchyardError('ARGUMENT_INVALID', `operations[${index}]: the request names no shape of table "${shorten(operation.table)}"`);
    return decodeWrite(schema, operation, `operations[${index}]`);
  });

function decodeWrite(schema: TableSchema, { table, kind }: WireOperation, at: string): WriteOperation {
  const under = (filter: Parameters<typeof decodeFilter>[1]) => decodeFilter(handleOf(schema), filter, `${at}.precondition`);
  switch (kind.case) {
    case 'insert':
      columnsOf(schema, kind.value.returning);
      return { kind: 'insert', table, row: namedFromMessage(schema, kind.value.row, `${at}.row`), returning: kind.value.returning };
    case 'upsert': {
      const { row, precondition, returning } = kind.value;
      columnsOf(schema, returning);
      return { kind: 'upsert', table, row: namedFromMessage(schema, row, `${at}.row`), precondition: under(precondition), returning };
    }
    case 'update': {
      const { key, set, add, precondition, returning } = kind.value;
      columnsOf(schema, returning);
      return {
        kind: 'update',
        table,
        key: cellsFromMessage(keyColumnsOf(schema), key, `${at}.key`),
        set: namedFromMessage(schema, set, `${at}.set`),
        add: amountsOf(schema, add, `${at}.add`),
        precondition: under(precondition),
        returning,
      };
    }
    case 'delete': {
      const { key, precondition, allowMissing } = kind.value;
      return { kind: 'delete', table, key: cellsFromMessage(keyColumnsOf(schema), key, `${at}.key`), precondition: under(precondition), allowMissing };
    }
    case undefined:
      throw new SwitchyardError('ARGUMENT_INVALID', `${at}: a write of a kind that this release does not know`);
  }
}

function amountsOf(schema: TableSchema, message: NamedCells | undefined, at: string): Row {
  if (message === undefined) return { columns: [], cells: [] };
  const columns = columnsOf(schema, message.columns);
  return { columns: message.columns, cells: columns.map((column, index) => decodeCell(message.values[index], amountColumn(column, message.values[index]), at)) };
}

/** An unsigned column is subtracted from by a negative int64. */
const amountColumn = (column: ColumnSchema, value: Value | undefined): ColumnSchema =>
  column.kind === 'uint64' && value?.kind.case === 'int64Value' ? { ...column, kind: 'int64' } : column;

/** Null: the request names no bound. */
export function decodeBound(form: WireForm, maxBytes: bigint): AnswerBound | null {
  const known = formFromMessage(form);
  return known === null ? null : { form: known, maxBytes: Number(maxBytes) };
}
