import type { Cell } from '../../../core/cell.ts';
import { keyIndexes, type TableSchema } from '../../../core/table-schema.ts';
import { unreadable } from '../../unreadable-value.ts';
import { cellFromValue, rawKeyText, selected } from '../cells.ts';
import { quoteIdentifier, quoteTable, type SqlRow, type Statement } from '../connection.ts';
import { keyValues, whereKey } from './apply-sql.ts';

/** Up to `limit` whole rows behind the key `after`, in the primary key's own order, along its index. */
export function chunkStatement(table: TableSchema, after: readonly Cell[] | null, limit: number): Statement {
  const names = table.primaryKey.map(quoteIdentifier).join(', ');
  const behind = after === null ? '' : ` WHERE (${names}) > (${table.primaryKey.map(() => '?').join(', ')})`;
  const values = after === null ? [] : keyValues(table, after);
  return { text: `SELECT ${allColumns(table)} FROM ${quoteTable(table.name)}${behind} ORDER BY ${names} LIMIT ?`, values: [...values, BigInt(limit)] };
}

/** The whole row of each key, a statement a key: they are found along the key's index. */
export function rowStatements(table: TableSchema, keys: readonly (readonly Cell[])[]): readonly Statement[] {
  const text = `SELECT ${allColumns(table)} FROM ${quoteTable(table.name)} WHERE ${whereKey(table)}`;
  return keys.map((key) => ({ text, values: keyValues(table, key) }));
}

/** Rows of either statement as positional cells. VALUE_UNSUPPORTED names a value that the store holds against its column's type, and its row. */
export function rowsFromValues(table: TableSchema, rows: readonly SqlRow[]): readonly (readonly Cell[])[] {
  return rows.map((row) => {
    try {
      return table.columns.map((column, i) => cellFromValue(column, row[i] ?? null));
    } catch (error) {
      throw unreadable(error, table.name, rawKeyText(row, keyIndexes(table)));
    }
  });
}

/** The store's own estimate of a table's rows: of the last ANALYZE, else from the row numbers, else a count that ends at a hundred thousand. */
export const estimateStatements = (table: string): { readonly analyzed: Statement; readonly numbered: Statement; readonly counted: Statement } => ({
  analyzed: { text: `SELECT stat FROM sqlite_stat1 WHERE tbl = ? AND stat IS NOT NULL LIMIT 1`, values: [table] },
  numbered: { text: `SELECT max(rowid) - min(rowid) + 1 FROM ${quoteTable(table)}`, values: [] },
  counted: { text: `SELECT count(*) FROM (SELECT 1 FROM ${quoteTable(table)} LIMIT 100000)`, values: [] },
});

const allColumns = (table: TableSchema): string => table.columns.map((column) => selected(column)).join(', ');
