import { aggregateColumn } from '../core/aggregate-column.ts';
import { type Cell, keyText } from '../core/cell.ts';
import type { AggregateGroup, AggregateOperation, BatchGetOperation, GetOperation, QueryOperation, QueryPage, Row } from '../core/operation.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../core/table-schema.ts';
import { batchTooLarge } from './request-answer.ts';
import { unreadable } from './unreadable-value.ts';

/** Rows of one reading statement, as the driver gives them. */
export interface ReadRows<Value> {
  readonly rows: readonly (readonly Value[])[];
  /** Whether rows behind them were left out for the statement's `maxBytes`. */
  readonly cut: boolean;
  /** Place of the first column that was asked for; left out: 0. */
  readonly first?: number;
}

/** From rows of the store's own values to rows, pages and groups, where `cellFrom` says what a value of a column means. */
export function rowReaders<Value>(cellFrom: (column: ColumnSchema, value: Value | null) => Cell) {
  /** Reads these columns' cells out of a row, from the place `offset` on. VALUE_UNSUPPORTED names the row by its key, where that is given or among the columns. */
  const rowReader = (table: TableSchema, names: readonly string[], key: readonly Cell[] | null = null): ((row: readonly Value[], offset: number) => Row) => {
    const columns = names.map((name) => table.columns.find((column) => column.name === name)).filter((column): column is ColumnSchema => column !== undefined);
    const keyPlaces = table.primaryKey.map((name) => names.indexOf(name));
    const shownKey = (row: readonly Value[], offset: number): string | null => {
      if (key !== null) return keyText(key);
      return keyPlaces.includes(-1) ? null : keyPlaces.map((place) => String(row[place + offset] ?? 'NULL')).join(',');
    };
    return (row, offset) => {
      try {
        return { columns: names, cells: columns.map((column, i) => cellFrom(column, row[i + offset] ?? null)) };
      } catch (error) {
        throw unreadable(error, table.name, shownKey(row, offset));
      }
    };
  };
  return {
    rowReader,

    /** The only row; null: there is none. */
    onlyRow: (table: TableSchema, { columns, key }: GetOperation, { rows: [row], first = 0 }: ReadRows<Value>): Row | null =>
      row === undefined ? null : rowReader(table, columns, key)(row, first),

    /** The rows of a batch in the order of their keys: each comes with its key's place, counted from 1, before its cells. RESULT_TOO_LARGE where some rows were left out. */
    placedRows: (table: TableSchema, operation: BatchGetOperation, { rows: found, cut, first = 0 }: ReadRows<Value>): readonly (Row | null)[] => {
      if (cut) throw batchTooLarge(operation, found.length);
      const read = rowReader(table, operation.columns);
      const rows = new Array<Row | null>(operation.keys.length).fill(null);
      for (const row of found) rows[Number(row[first]) - 1] = read(row, first + 1);
      return rows;
    },

    /** The page that a query's rows are: one row more was asked for. */
    pageOf: (table: TableSchema, { columns, limit }: QueryOperation, { rows, cut, first = 0 }: ReadRows<Value>): QueryPage => {
      const read = rowReader(table, columns);
      return { rows: rows.slice(0, limit).map((row) => read(row, first)), more: cut || rows.length > limit };
    },

    /** The groups, each in a row: its value, where there are groups, and behind it one for each aggregation. */
    groupsOf: (table: TableSchema, { aggregations, groupBy }: AggregateOperation, { rows, first = 0 }: ReadRows<Value>): readonly AggregateGroup[] => {
      const group = groupBy === null ? null : columnNamed(table, groupBy);
      const columns = aggregations.map((aggregation) => aggregateColumn(aggregation, (name) => columnNamed(table, name)));
      const values = group === null ? first : first + 1;
      return rows.map((row) => ({
        group: group === null ? null : cellFrom(group, row[first] ?? null),
        values: columns.map((column, i) => cellFrom(column, row[values + i] ?? null)),
      }));
    },
  };
}
