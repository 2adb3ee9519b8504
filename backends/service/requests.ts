import type { MessageInitShape } from '@bufbuild/protobuf';
import { aggregateColumn } from '../../core/aggregate-column.ts';
import type {
  AggregateGroup,
  AggregateOperation,
  Aggregation,
  BatchGetOperation,
  GetOperation,
  QueryOperation,
  QueryPage,
  Row,
  WriteOperation,
  WriteResult,
} from '../../core/operation.ts';
import { columnNamed, type ColumnSchema, type TableSchema } from '../../core/table-schema.ts';
import type { AggregationSchema } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import type { AggregateResponse, BatchGetResponse, GetResponse, QueryResponse, WriteResponse } from '../../gen/switchyard/store/v1/data_store_pb.ts';
import { cellsFromMessage, cellsMessage, columnsOf, keyColumnsOf } from '../../runtime/wire/cells.ts';
import { decodeCell } from '../../runtime/wire/decode-cell.ts';
import { optionalFilter } from '../../runtime/wire/filter-message.ts';
import { shapeMessage } from '../../runtime/wire/table-schema.ts';
import { operationMessage, resultFromMessage } from '../../runtime/wire/write-message.ts';

/* The operations of the data side as messages, and their answers as what a store answers; the same for calls of their own and within a transaction. */

type Schemas = ReadonlyMap<string, TableSchema>;

export const getMessage = (table: TableSchema, { key, columns }: GetOperation) => ({
  table: shapeMessage(table),
  key: cellsMessage(keyColumnsOf(table), key),
  columns: [...columns],
});

export function rowFromMessage(table: TableSchema, columns: readonly string[], { row }: GetResponse): Row | null {
  return row === undefined ? null : { columns, cells: cellsFromMessage(columnsOf(table, columns), row, 'row') };
}

const maxBytesField = (maxBytes: number | undefined) => (maxBytes === undefined ? {} : { maxBytes: BigInt(Math.floor(maxBytes)) });

export const batchGetMessage = (table: TableSchema, { keys, columns, maxBytes }: BatchGetOperation) => ({
  table: shapeMessage(table),
  keys: keys.map((key) => cellsMessage(keyColumnsOf(table), key)),
  columns: [...columns],
  ...maxBytesField(maxBytes),
});

export function rowsFromMessage(table: TableSchema, { keys, columns }: BatchGetOperation, { entries }: BatchGetResponse): readonly (Row | null)[] {
  if (entries.length !== keys.length) throw new Error(`${entries.length} rows for ${keys.length} keys`);
  return entries.map((entry) => rowFromMessage(table, columns, entry));
}

export const queryMessage = (table: TableSchema, { filter, orderBy, columns, limit, maxBytes, after }: QueryOperation) => ({
  table: shapeMessage(table),
  ...optionalFilter(table, filter),
  orderBy: orderBy.map(({ column, descending }) => ({ column, descending })),
  columns: [...columns],
  limit,
  ...maxBytesField(maxBytes),
  ...(after === null
    ? {}
    : {
        after: cellsMessage(
          columnsOf(
            table,
            orderBy.map(({ column }) => column),
          ),
          after,
        ),
      }),
});

export function pageFromMessage(table: TableSchema, names: readonly string[], { rows, more }: QueryResponse): QueryPage {
  const columns = columnsOf(table, names);
  return { rows: rows.map((row) => ({ columns: names, cells: cellsFromMessage(columns, row, 'row') })), more };
}

export const aggregateMessage = (table: TableSchema, { filter, aggregations, groupBy, limit }: AggregateOperation) => ({
  table: shapeMessage(table),
  ...optionalFilter(table, filter),
  aggregations: aggregations.map(aggregationMessage),
  groupBy: groupBy ?? '',
  limit,
});

function aggregationMessage(aggregation: Aggregation): MessageInitShape<typeof AggregationSchema> {
  if (aggregation.kind === 'count') return { kind: { case: 'count', value: {} } };
  return { kind: { case: aggregation.kind, value: aggregation.column } };
}

export function groupsFromMessage(table: TableSchema, { aggregations, groupBy }: AggregateOperation, { groups }: AggregateResponse): readonly AggregateGroup[] {
  const columns = aggregations.map((aggregation) => aggregateColumn(aggregation, (name) => columnNamed(table, name)));
  const cell = (value: Value | undefined, column: ColumnSchema) => decodeCell(value, column, 'values');
  return groups.map(({ group, values }) => ({
    group: groupBy === null ? null : cell(group, columnNamed(table, groupBy)),
    values: columns.map((column, index) => cell(values[index], column)),
  }));
}

export const writesMessage = (schemas: Schemas, operations: readonly WriteOperation[]) => ({
  tables: [...new Set(operations.map(({ table }) => table))].flatMap((name) => {
    const schema = schemas.get(name);
    return schema === undefined ? [] : [shapeMessage(schema)];
  }),
  operations: operations.map((operation) => operationMessage(schemas, operation)),
});

export function writtenFromMessage(schemas: Schemas, operations: readonly WriteOperation[], { results }: WriteResponse): readonly WriteResult[] {
  if (results.length !== operations.length) throw new Error(`${results.length} results for ${operations.length} writes`);
  return operations.map((operation, index) => {
    const result = results[index];
    if (result === undefined) throw new Error('a result is missing');
    return resultFromMessage(schemas, operation, result);
  });
}
