import type { Cell } from '../../core/cell.ts';
import { type ChangedCell, unchanged } from '../../core/change.ts';
import type { Row } from '../../core/operation.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema, TableSchema } from '../../core/table-schema.ts';
import type { Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import type { Cells, NamedCells } from '../../gen/switchyard/store/v1/common_pb.ts';
import { decodeCell } from './decode-cell.ts';
import { encodeCell } from './encode-cell.ts';

/* Rows between two ends that both know the table's shape: cells by position, each a `Value` of its column's kind. */

const byName = new WeakMap<TableSchema, ReadonlyMap<string, ColumnSchema>>();

/** Columns of these names, in this order. COLUMN_UNKNOWN. */
export function columnsOf(table: TableSchema, names: readonly string[]): readonly ColumnSchema[] {
  let columns = byName.get(table);
  if (columns === undefined) {
    columns = new Map(table.columns.map((column) => [column.name, column]));
    byName.set(table, columns);
  }
  return names.map((name) => {
    const column = columns.get(name);
    if (column === undefined) throw new SwitchyardError('COLUMN_UNKNOWN', `table "${table.name}" has no column "${name}"`, { metadata: { table: table.name, column: name } });
    return column;
  });
}

export const keyColumnsOf = (table: TableSchema): readonly ColumnSchema[] => columnsOf(table, table.primaryKey);

/** Cells of these columns. */
export const cellsMessage = (columns: readonly ColumnSchema[], cells: readonly Cell[]): Cells => ({ $typeName: 'switchyard.store.v1.Cells', values: valuesOf(columns, cells) });

/** The reverse. VALUE_INVALID names `field`; ARGUMENT_INVALID: another number of cells than of columns. */
export function cellsFromMessage(columns: readonly ColumnSchema[], message: Cells | undefined, field: string): readonly Cell[] {
  return cellsOf(columns, message?.values ?? [], field);
}

const noValue: Value = { $typeName: 'switchyard.data.v1.Value', kind: { case: undefined } };

/** Cells of a change, of which some may not have been sent. */
export const changedMessage = (columns: readonly ColumnSchema[], cells: readonly ChangedCell[]): Cells => ({
  $typeName: 'switchyard.store.v1.Cells',
  values: columns.map((column, index) => {
    const cell = cells[index] ?? null;
    return cell === unchanged ? noValue : sentCell(column, cell);
  }),
});

export function changedFromMessage(columns: readonly ColumnSchema[], message: Cells | undefined, field: string): readonly ChangedCell[] {
  const values = message?.values ?? [];
  requireCount(columns, values, field);
  return columns.map((column, index) => (values[index]?.kind.case === undefined ? unchanged : decodeCell(values[index], column, field)));
}

/** A row with the names of its columns. */
export const namedMessage = (table: TableSchema, { columns, cells }: Row): NamedCells => ({
  $typeName: 'switchyard.store.v1.NamedCells',
  columns: [...columns],
  values: valuesOf(columnsOf(table, columns), cells),
});

export function namedFromMessage(table: TableSchema, message: NamedCells | undefined, field: string): Row {
  if (message === undefined) return { columns: [], cells: [] };
  return { columns: message.columns, cells: cellsOf(columnsOf(table, message.columns), message.values, field) };
}

/** A row's cells in the order of these columns. */
export function orderedCells(names: readonly string[], row: Row): readonly Cell[] {
  if (row.columns === names) return row.cells;
  return names.map((name, index) => row.cells[row.columns[index] === name ? index : row.columns.indexOf(name)] ?? null);
}

/** A cell as it is sent. VALUE_INVALID: half a character, which the wire would quietly make another one of. */
export function sentCell(column: ColumnSchema, cell: Cell): Value {
  const isWhole = typeof cell === 'string' ? cell.isWellFormed() : !Array.isArray(cell) || cell.every((element) => typeof element !== 'string' || element.isWellFormed());
  if (!isWhole) throw new SwitchyardError('VALUE_INVALID', `column "${column.name}": the text holds half a character`, { metadata: { column: column.name } });
  return encodeCell(column.kind, cell, column.elementKind);
}

const valuesOf = (columns: readonly ColumnSchema[], cells: readonly Cell[]): Value[] => columns.map((column, index) => sentCell(column, cells[index] ?? null));

function cellsOf(columns: readonly ColumnSchema[], values: readonly Value[], field: string): readonly Cell[] {
  requireCount(columns, values, field);
  return columns.map((column, index) => decodeCell(values[index], column, field));
}

function requireCount(columns: readonly ColumnSchema[], values: readonly Value[], field: string): void {
  if (values.length !== columns.length) throw new SwitchyardError('ARGUMENT_INVALID', `${field}: got ${values.length} cells; must be ${columns.length}`);
}
