import { type Cell, cellsEqual } from '../../../core/cell.ts';
import { patternTest } from '../../../core/like-pattern.ts';
import type { CompareOperator, Filter } from '../../../core/operation.ts';
import type { TableSchema } from '../../../core/table-schema.ts';

/** Order of two cells of one column; NULL comes last, texts are in order of code points. */
export function compareCells(a: Cell, b: Cell): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  if (cellsEqual(a, b)) return 0;
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return (a as bigint) < (b as bigint) ? -1 : 1;
}

/** Whether a positional row satisfies a filter; comparisons with NULL do not. */
export function satisfies(table: TableSchema, row: readonly Cell[], filter: Filter): boolean {
  const cell = (column: string): Cell => row[table.columns.findIndex((each) => each.name === column)] ?? null;
  switch (filter.kind) {
    case 'compare':
      return compare(filter.operator, cell(filter.column), filter.value);
    case 'in':
      return filter.values.some((value) => compare('=', cell(filter.column), value));
    case 'isNull':
      return cell(filter.column) === null;
    case 'prefix':
      return String(cell(filter.column) ?? '').startsWith(filter.text) && cell(filter.column) !== null;
    case 'like': {
      const value = cell(filter.column);
      return value !== null && patternTest(filter.pattern)(String(value));
    }
    case 'tuple': {
      const at = filter.columns.findIndex((column, i) => compareCells(cell(column), filter.values[i] ?? null) !== 0);
      const place = Math.max(at, 0);
      return filter.columns.every((column) => cell(column) !== null) && compare(filter.operator, cell(filter.columns[place] ?? ''), filter.values[place] ?? null);
    }
    case 'and':
      return filter.filters.every((each) => satisfies(table, row, each));
    case 'or':
      return filter.filters.some((each) => satisfies(table, row, each));
    case 'not':
      return !satisfies(table, row, filter.filter);
  }
}

function compare(operator: CompareOperator, a: Cell, b: Cell): boolean {
  if (a === null || b === null) return false;
  const order = compareCells(a, b);
  switch (operator) {
    case '=':
      return order === 0;
    case '<>':
      return order !== 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
  }
}
