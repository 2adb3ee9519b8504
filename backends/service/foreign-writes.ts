import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Cell } from '../../core/cell.ts';
import type { Row, WriteOperation, WriteResult } from '../../core/operation.ts';
import type { ColumnSchema, TableSchema } from '../../core/table-schema.ts';
import type { MutationResult, MutationSchema } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { Row as WireRow } from '../../gen/switchyard/data/v1/value_pb.ts';
import { columnsOf, sentCell } from '../../runtime/wire/cells.ts';
import { encodeCell } from '../../runtime/wire/encode-cell.ts';
import { filterMessage } from '../../runtime/wire/filter-message.ts';
import { returningOf } from '../../runtime/wire/write-message.ts';
import { rowMessage, rowOf } from './wire-rows.ts';

/* Writes as mutations of the data API, and what it answers to them. */

/** `name`: what the service calls the table. */
export function mutationOf(table: TableSchema, name: string, operation: WriteOperation): MessageInitShape<typeof MutationSchema> {
  const under = 'precondition' in operation && operation.precondition !== null ? { precondition: filterMessage(table, operation.precondition) } : {};
  const returning = [...returningOf(operation)];
  switch (operation.kind) {
    case 'insert':
      return { kind: { case: 'insert', value: { table: name, row: whole(table, operation.row), returning } } };
    case 'upsert':
      return { kind: { case: 'upsert', value: { table: name, row: whole(table, operation.row), returning, ...under } } };
    case 'update': {
      const { set, add } = operation;
      const row = set.columns.length === 0 ? {} : { row: whole(table, set) };
      const amounts = add.columns.length === 0 ? {} : { add: amountsOf(table, add) };
      return { kind: { case: 'update', value: { table: name, key: rowMessage(table, table.primaryKey, operation.key), ...row, ...amounts, returning, ...under } } };
    }
    case 'delete':
      return { kind: { case: 'delete', value: { table: name, key: rowMessage(table, table.primaryKey, operation.key), allowMissing: operation.allowMissing, ...under } } };
  }
}

/** Where nothing was asked for, the API answers with the key: it is left out. */
export function resultOf(table: TableSchema, operation: WriteOperation, { row, deleted }: MutationResult): WriteResult {
  if (operation.kind === 'delete') return { row: null, found: deleted };
  return { row: rowOf(table, returningOf(operation), row), found: true };
}

const whole = (table: TableSchema, { columns, cells }: Row): WireRow => rowMessage(table, columns, cells);

const amountsOf = (table: TableSchema, { columns, cells }: Row): WireRow => ({
  $typeName: 'switchyard.data.v1.Row',
  cells: Object.fromEntries(columnsOf(table, columns).map((column, index) => [column.name, amountOf(column, cells[index] ?? null)])),
});

/** An unsigned column is subtracted from by a negative int64. */
const amountOf = (column: ColumnSchema, cell: Cell) => (column.kind === 'uint64' && typeof cell === 'bigint' && cell < 0n ? encodeCell('int64', cell) : sentCell(column, cell));
