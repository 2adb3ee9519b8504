import type { Cell } from '../core/cell.ts';
import type { OrderTerm } from '../core/operation.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../core/table-schema.ts';

/** The column as it is compared and sorted, in the store's own SQL. */
type Ordered = (column: ColumnSchema) => string;

/** The term of an order by a column that may be NULL, where the store has NULLS FIRST and LAST. */
const withNulls = (ordered: string, descending: boolean): string => `${ordered}${descending ? ' DESC NULLS FIRST' : ' NULLS LAST'}`;

/** The terms of ORDER BY. NULL is larger than every value, whatever the store's own way: `nullable` is how it says so. */
export function orderText(table: TableSchema, orderBy: readonly OrderTerm[], ordered: Ordered, nullable = withNulls): string {
  const terms = orderBy.map(({ column: name, descending }) => {
    const column = columnNamed(table, name);
    return column.nullable ? nullable(ordered(column), descending) : `${ordered(column)}${descending ? ' DESC' : ''}`;
  });
  return terms.join(', ');
}

interface KeysetTerm {
  readonly column: string;
  readonly nullable: boolean;
  readonly descending: boolean;
  /** Of the last row already seen. */
  readonly cell: Cell;
  readonly parameter: () => string;
}

export interface KeysetSql {
  readonly ordered: Ordered;
  /** The cell as the other side of a comparison with the ordered column; called each time that the text names it, in the text's order. */
  readonly parameter: (column: ColumnSchema, cell: Cell) => string;
  /** No index serves a comparison of rows in this store. */
  readonly spellOut?: boolean;
}

/** "Behind these cells in this order", at least one. Equal directions without a NULL make one row comparison, which an index can serve; others are spelled out. */
export function behind(table: TableSchema, orderBy: readonly OrderTerm[], after: readonly Cell[], { ordered, parameter, spellOut = false }: KeysetSql): string {
  const terms = orderBy.map(({ column: name, descending }, index): KeysetTerm => {
    const [column, cell] = [columnNamed(table, name), after[index] ?? null];
    return { column: ordered(column), nullable: column.nullable, descending, cell, parameter: () => parameter(column, cell) };
  });
  const [first] = terms;
  if (first === undefined) throw new Error('a query without an order cannot be continued');
  const operator = first.descending ? '<' : '>';
  if (!spellOut && terms.every((term) => term.descending === first.descending && !term.nullable))
    return `(${terms.map(({ column }) => column).join(', ')}) ${operator} (${terms.map((term) => term.parameter()).join(', ')})`;
  // Where NULLs come first or not at all, nothing before the first column's value can be behind it: so an index can begin there.
  const beginsHere = first.cell !== null && (first.descending || !first.nullable);
  const start = beginsHere ? `${first.column} ${operator}= ${first.parameter()} AND ` : '';
  return `${start}${spelled(terms)}`;
}

function spelled([term, ...rest]: readonly KeysetTerm[]): string {
  if (term === undefined) return '1 = 0';
  const further = strictlyBehind(term);
  if (rest.length === 0) return further ?? '1 = 0';
  const same = `${term.cell === null ? `${term.column} IS NULL` : `${term.column} = ${term.parameter()}`} AND ${spelled(rest)}`;
  return further === null ? `(${same})` : `(${further} OR (${same}))`;
}

/** Null: nothing is behind NULL in an ascending order. */
function strictlyBehind({ column, nullable, descending, cell, parameter }: KeysetTerm): string | null {
  if (cell === null) return descending ? `${column} IS NOT NULL` : null;
  if (descending) return `${column} < ${parameter()}`;
  return nullable ? `(${column} > ${parameter()} OR ${column} IS NULL)` : `${column} > ${parameter()}`;
}
