import type { Cell } from '../../../core/cell.ts';
import { type ColumnSchema, keyIndexes, type TableSchema } from '../../../core/table-schema.ts';
import { cellFromText, cellToText } from '../cells.ts';
import { quoteIdentifier, quoteTable } from '../connection.ts';
import type { Parameter, TextRow } from '../batch.ts';
import { unreadable } from '../../unreadable-value.ts';
import { columnParameters, keyJoin, rowOfKey, unnested } from './apply-sql.ts';

export interface ChunkStatement {
  readonly text: string;
  readonly values: readonly Parameter[];
}

/** Up to `limit` whole rows behind the key `after`, in the primary key's own order, along its index. */
export function chunkStatement(table: TableSchema, after: readonly Cell[] | null, limit: number): ChunkStatement {
  const values: Parameter[] = [String(limit)];
  return { text: chunkText(table, after, '$1::bigint', (text) => `$${values.push(text)}`), values };
}

/** The same as COPY sends it, which takes no parameters. */
export const copyChunkText = (table: TableSchema, after: readonly Cell[] | null, limit: number): string =>
  `COPY (${chunkText(table, after, String(limit), (text) => (text === null ? 'NULL' : quoteText(text)))}) TO STDOUT`;

function chunkText(table: TableSchema, after: readonly Cell[] | null, limit: string, placed: (text: string | null) => string): string {
  const key = keyColumns(table);
  const names = key.map(({ name }) => `t.${quoteIdentifier(name)}`).join(', ');
  const place = (column: ColumnSchema, at: number): string => `${placed(cellToText(column, after?.[at] ?? null))}::${column.nativeType}`;
  const behind = after === null ? '' : ` WHERE (${names}) > (${key.map(place).join(', ')})`;
  return `SELECT ${allColumns(table)} FROM ${quoteTable(table.name)} AS t${behind} ORDER BY ${names} LIMIT ${limit}`;
}

/** Backslashes mean nothing in it: see connection.ts. */
const quoteText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** The whole rows with these keys, in no order. */
export function rowsStatement(table: TableSchema, keys: readonly (readonly Cell[])[]): ChunkStatement {
  const indexes = keyIndexes(table);
  return {
    text: `SELECT ${allColumns(table)} FROM ${unnested(indexes)} JOIN ${quoteTable(table.name)} AS t ON ${keyJoin(table)}`,
    values: columnParameters(
      table,
      indexes,
      keys.map((each) => rowOfKey(table, each)),
    ),
  };
}

/** Rows of either statement as positional cells. VALUE_UNSUPPORTED names the row. */
export function rowsFromText(table: TableSchema, rows: readonly TextRow[]): readonly (readonly Cell[])[] {
  return rows.map((row) => {
    try {
      return table.columns.map((column, i) => cellFromText(column, row[i] ?? null));
    } catch (error) {
      const key = keyIndexes(table).map((i) => row[i] ?? 'NULL');
      throw unreadable(error, table.name, key.join(','));
    }
  });
}

const keyColumns = (table: TableSchema): readonly ColumnSchema[] => keyIndexes(table).flatMap((i) => table.columns[i] ?? []);
const allColumns = (table: TableSchema): string => table.columns.map(({ name }) => `t.${quoteIdentifier(name)}`).join(', ');
