import { assertNever } from '../../../core/assert-never.ts';
import type { Cell } from '../../../core/cell.ts';
import type { CompareOperator, Filter } from '../../../core/operation.ts';
import { type ColumnSchema, columnNamed } from '../../../core/table-schema.ts';
import { isExactText, ordered } from '../comparison.ts';
import { quoteIdentifier } from '../connection.ts';
import { padded, type Values } from './values.ts';

/** The filter as a condition on the rows of the values' table. */
export function compileFilter(filter: Filter, values: Values): string {
  const { table } = values;
  switch (filter.kind) {
    case 'compare':
      return compared(columnNamed(table, filter.column), filter.operator, filter.value, values);
    case 'in':
      return listed(columnNamed(table, filter.column), filter.values, values);
    case 'isNull':
      return `${quoteIdentifier(columnNamed(table, filter.column).name)} IS NULL`;
    case 'prefix':
      return `${ordered(columnNamed(table, filter.column))} LIKE ${values.raw(`${filter.text.replace(/[\\%_]/g, '\\$&')}%`)}`;
    case 'like':
      return `${ordered(columnNamed(table, filter.column))} LIKE ${values.raw(filter.pattern)}`;
    case 'tuple': {
      const columns = filter.columns.map((name) => columnNamed(table, name));
      const cells = columns.map((column, i) => values.compared(column, filter.values[i] ?? null));
      return `(${columns.map((column) => ordered(column)).join(', ')}) ${filter.operator} (${cells.join(', ')})`;
    }
    case 'and':
      return filter.filters.length === 0 ? 'TRUE' : `(${filter.filters.map((inner) => compileFilter(inner, values)).join(' AND ')})`;
    case 'or':
      return filter.filters.length === 0 ? 'FALSE' : `(${filter.filters.map((inner) => compileFilter(inner, values)).join(' OR ')})`;
    case 'not':
      return `NOT (${compileFilter(filter.filter, values)})`;
    default:
      return assertNever(filter);
  }
}

function compared(column: ColumnSchema, operator: CompareOperator, value: Cell, values: Values): string {
  const name = quoteIdentifier(column.name);
  // A UUID is equal as it is; only its order is another one.
  if (column.kind === 'uuid' && (operator === '=' || operator === '<>')) return `${name} ${operator} ${values.compared(column, value)}`;
  const exact = (): string => `${ordered(column)} ${operator} ${values.compared(column, value)}`;
  return operator === '=' && findsByOwnCollation(column) ? `(${name} = ${values.own(column, value)} AND ${exact()})` : exact();
}

function listed(column: ColumnSchema, cells: readonly Cell[], values: Values): string {
  if (cells.length === 0) return 'FALSE';
  const all = padded(cells);
  const name = quoteIdentifier(column.name);
  const within = (side: string): string => `${side} IN (${all.map((cell) => values.compared(column, cell)).join(', ')})`;
  if (column.kind === 'uuid') return within(name);
  if (!findsByOwnCollation(column)) return within(ordered(column));
  return `(${name} IN (${all.map((cell) => values.own(column, cell)).join(', ')}) AND ${within(ordered(column))})`;
}

/** What is equal bit by bit is equal under the column's collation too, whose index finds it among few. */
const findsByOwnCollation = (column: ColumnSchema): boolean => column.kind === 'text' && !isExactText(column);
