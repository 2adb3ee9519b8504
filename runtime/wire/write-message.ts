import type { Cell } from '../../core/cell.ts';
import type { Row, WriteOperation, WriteResult } from '../../core/operation.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema, TableSchema } from '../../core/table-schema.ts';
import type { Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import type { NamedCells, WriteOperation as WireOperation, WriteResult as WireResult } from '../../gen/switchyard/store/v1/common_pb.ts';
import { cellsFromMessage, cellsMessage, columnsOf, keyColumnsOf, namedMessage, orderedCells } from './cells.ts';
import { encodeCell } from './encode-cell.ts';
import { filterMessage } from './filter-message.ts';

type Schemas = ReadonlyMap<string, TableSchema>;

/** The schema that a write names. INTERNAL: none was given. */
export function schemaOf(schemas: Schemas, table: string): TableSchema {
  const schema = schemas.get(table);
  if (schema === undefined) throw new SwitchyardError('INTERNAL', `no schema was given for table "${table}"`);
  return schema;
}

/** A write as a message. */
export function operationMessage(schemas: Schemas, operation: WriteOperation): WireOperation {
  const table = schemaOf(schemas, operation.table);
  return { $typeName: 'switchyard.store.v1.WriteOperation', table: operation.table, kind: kindOf(table, operation) };
}

function kindOf(table: TableSchema, operation: WriteOperation): WireOperation['kind'] {
  const under = 'precondition' in operation && operation.precondition !== null ? { precondition: filterMessage(table, operation.precondition) } : {};
  switch (operation.kind) {
    case 'insert':
      return { case: 'insert', value: { $typeName: 'switchyard.store.v1.WriteOperation.Insert', row: namedMessage(table, operation.row), returning: [...operation.returning] } };
    case 'upsert':
      return {
        case: 'upsert',
        value: { $typeName: 'switchyard.store.v1.WriteOperation.Upsert', row: namedMessage(table, operation.row), returning: [...operation.returning], ...under },
      };
    case 'update':
      return {
        case: 'update',
        value: {
          $typeName: 'switchyard.store.v1.WriteOperation.Update',
          key: cellsMessage(keyColumnsOf(table), operation.key),
          set: namedMessage(table, operation.set),
          add: amountsMessage(table, operation.add),
          returning: [...operation.returning],
          ...under,
        },
      };
    case 'delete':
      return {
        case: 'delete',
        value: {
          $typeName: 'switchyard.store.v1.WriteOperation.Delete',
          key: cellsMessage(keyColumnsOf(table), operation.key),
          allowMissing: operation.allowMissing,
          ...under,
        },
      };
  }
}

const amountsMessage = (table: TableSchema, { columns, cells }: Row): NamedCells => ({
  $typeName: 'switchyard.store.v1.NamedCells',
  columns: [...columns],
  values: columnsOf(table, columns).map((column, index) => amountMessage(column, cells[index] ?? null)),
});

/** An unsigned column is subtracted from by a negative int64. */
const amountMessage = (column: ColumnSchema, cell: Cell): Value =>
  column.kind === 'uint64' && typeof cell === 'bigint' && cell < 0n ? encodeCell('int64', cell) : encodeCell(column.kind, cell, column.elementKind);

/** What a write returns, of whose operation nothing but these names counts. */
export const returningOf = (operation: WriteOperation): readonly string[] => (operation.kind === 'delete' ? [] : operation.returning);

/** What a write has done, as a message; the row in the order that was asked for. */
export function resultMessage(schemas: Schemas, operation: WriteOperation, { found, row }: WriteResult): WireResult {
  if (row === null) return { $typeName: 'switchyard.store.v1.WriteResult', found };
  const names = returningOf(operation);
  return { $typeName: 'switchyard.store.v1.WriteResult', found, row: cellsMessage(columnsOf(schemaOf(schemas, operation.table), names), orderedCells(names, row)) };
}

export function resultFromMessage(schemas: Schemas, operation: WriteOperation, { found, row }: WireResult): WriteResult {
  if (row === undefined) return { found, row: null };
  const columns = returningOf(operation);
  return { found, row: { columns, cells: cellsFromMessage(columnsOf(schemaOf(schemas, operation.table), columns), row, 'row') } };
}
