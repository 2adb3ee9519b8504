import type { Cell } from '../../../core/cell.ts';
import type { ColumnSchema, TableSchema } from '../../../core/table-schema.ts';
import { cellFromValue, cellToParameter } from '../cells.ts';
import { comparand } from '../comparison.ts';
import { quoteIdentifier } from '../connection.ts';
import type { Parameter, Statement, ValueRow } from '../session.ts';
import { hasKey, inGroups, keyColumns } from './apply-sql.ts';

/** Up to `limit` whole rows behind the key `after`, in the primary key's own order, along its index. */
export function chunkStatement(table: TableSchema, after: readonly Cell[] | null, limit: number): Statement {
  const key = keyColumns(table);
  const values: Parameter[] = [];
  const where = after === null ? '' : ` WHERE ${behind(key, after, values)}`;
  return { text: `SELECT ${allColumns(table)} FROM ${quoteIdentifier(table.name)}${where} ORDER BY ${key.map(ordered).join(', ')} LIMIT ${limit}`, values, form: 'kept' };
}

/** The whole rows with these keys, in no order. */
export function rowsStatements(table: TableSchema, keys: readonly (readonly Cell[])[]): readonly Statement[] {
  return inGroups(keys, table.primaryKey.length, () => 0).map(({ rows }) => {
    const { text, values } = hasKey(table, rows);
    return { text: `SELECT ${allColumns(table)} FROM ${quoteIdentifier(table.name)} WHERE ${text}`, values, form: 'kept' };
  });
}

/** Rows of either statement as positional cells. VALUE_INVALID: a value without an exact cell. */
export const rowsFromValues = (table: TableSchema, rows: readonly ValueRow[]): readonly (readonly Cell[])[] =>
  rows.map((row) => table.columns.map((column, i) => cellFromValue(column, row[i] ?? null)));

/** Spelled out: of a comparison of row values the server uses no index. */
function behind([column, ...rest]: readonly ColumnSchema[], [cell = null, ...cells]: readonly Cell[], values: Parameter[]): string {
  if (column === undefined) return '1 = 0';
  const place = (): string => {
    values.push(cellToParameter(column, cell));
    return comparand(column, cell);
  };
  const name = ordered(column);
  if (rest.length === 0) return `${name} > ${place()}`;
  return `(${name} > ${place()} OR (${name} = ${place()} AND ${behind(rest, cells, values)}))`;
}

const ordered = ({ name }: ColumnSchema): string => quoteIdentifier(name);
const allColumns = (table: TableSchema): string => table.columns.map(({ name }) => quoteIdentifier(name)).join(', ');
