import type { Cell } from '../../../core/cell.ts';
import type { ColumnSchema, TableSchema } from '../../../core/table-schema.ts';
import { rowReaders } from '../../row-readers.ts';
import { cellFromValue, cellToParameter } from '../cells.ts';
import { labelsOf } from '../column-fit.ts';
import { comparand } from '../comparison.ts';
import { quoteIdentifier } from '../connection.ts';
import type { Parameter, Statement, ValueRow } from '../session.ts';
import { hasKey, inGroups, keyColumns } from './apply-sql.ts';

/** Up to `limit` whole rows behind the key `after`, in the primary key's own order, along its index. */
export function chunkStatement(table: TableSchema, after: readonly Cell[] | null, limit: number): Statement {
  const key = keyColumns(table);
  const values: Parameter[] = [];
  const where = after === null ? '' : ` WHERE ${behind(key, after, values)}`;
  return { text: `SELECT ${allColumns(table)} FROM ${quoteIdentifier(table.name)}${where} ORDER BY ${key.map(nameOf).join(', ')} LIMIT ${limit}`, values, form: 'kept' };
}

/** The whole rows with these keys, in no order. */
export function rowsStatements(table: TableSchema, keys: readonly (readonly Cell[])[]): readonly Statement[] {
  return inGroups(keys, table.primaryKey.length, () => 0).map(({ rows }) => {
    const { text, values } = hasKey(table, rows);
    return { text: `SELECT ${allColumns(table)} FROM ${quoteIdentifier(table.name)} WHERE ${text}`, values, form: 'kept' };
  });
}

/** Rows of either statement as positional cells. VALUE_UNSUPPORTED names the row. */
export function rowsFromValues(table: TableSchema, rows: readonly ValueRow[]): readonly (readonly Cell[])[] {
  const read = rowReader(
    table,
    table.columns.map(({ name }) => name),
  );
  return rows.map((row) => read(row, 0).cells);
}

const { rowReader } = rowReaders<ValueRow[number]>(cellFromValue);

/** Spelled out: of a comparison of row values the server uses no index. */
function behind([column, ...rest]: readonly ColumnSchema[], [cell = null, ...cells]: readonly Cell[], values: Parameter[]): string {
  if (column === undefined) return '1 = 0';
  const strictly = strictlyBehind(column, cell, values);
  if (rest.length === 0) return strictly;
  const same = `${nameOf(column)} = ${placed(column, cell, values)}`;
  return `(${strictly} OR (${same} AND ${behind(rest, cells, values)}))`;
}

/** The order of an enum is that of its labels' numbers, but it is compared as a text. */
function strictlyBehind(column: ColumnSchema, cell: Cell, values: Parameter[]): string {
  if (column.kind !== 'enum') return `${nameOf(column)} > ${placed(column, cell, values)}`;
  const labels = [...labelsOf(column.nativeType)];
  const later = labels.slice(labels.indexOf(String(cell)) + 1);
  return later.length === 0 ? '1 = 0' : `${nameOf(column)} IN (${later.map((label) => placed(column, label, values)).join(', ')})`;
}

function placed(column: ColumnSchema, cell: Cell, values: Parameter[]): string {
  values.push(cellToParameter(column, cell));
  return comparand(column, cell);
}

const nameOf = ({ name }: ColumnSchema): string => quoteIdentifier(name);
const allColumns = (table: TableSchema): string => table.columns.map(nameOf).join(', ');
