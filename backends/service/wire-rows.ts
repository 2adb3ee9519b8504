import type { Row } from '../../core/operation.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { Row as WireRow } from '../../gen/switchyard/data/v1/value_pb.ts';
import { columnsOf, sentCell } from '../../runtime/wire/cells.ts';
import { decodeCell } from '../../runtime/wire/decode-cell.ts';

/** A row of the data API with these cells. */
export function rowMessage(table: TableSchema, names: readonly string[], cells: Row['cells']): WireRow {
  const entries = columnsOf(table, names).map((column, index) => [column.name, sentCell(column, cells[index] ?? null)] as const);
  return { $typeName: 'switchyard.data.v1.Row', cells: Object.fromEntries(entries) };
}

/** The row's cells of these columns. Throws where one is missing. */
export function rowOf(table: TableSchema, names: readonly string[], row: WireRow | undefined): Row {
  const cells = columnsOf(table, names).map((column) => decodeCell(row !== undefined && Object.hasOwn(row.cells, column.name) ? row.cells[column.name] : undefined, column, 'row'));
  return { columns: names, cells };
}
