import type { Cell } from '../../core/cell.ts';
import type { Filter, OrderTerm } from '../../core/operation.ts';
import { columnNamed, type TableSchema } from '../../core/table-schema.ts';

/** "Behind these cells in this order" as a condition of the API, for a service whose page tokens are its own. NULL is larger than every value. */
export function behindFilter(table: TableSchema, orderBy: readonly OrderTerm[], after: readonly Cell[]): Filter {
  const [term, ...rest] = orderBy;
  if (term === undefined) return never(table);
  const [cell = null, ...cells] = after;
  const strictly = strictlyBehind(table, term, cell);
  if (rest.length === 0) return strictly ?? never(table);
  const same: Filter = cell === null ? { kind: 'isNull', column: term.column } : { kind: 'compare', column: term.column, operator: '=', value: cell };
  const within: Filter = { kind: 'and', filters: [same, behindFilter(table, rest, cells)] };
  return strictly === null ? within : { kind: 'or', filters: [strictly, within] };
}

/** Null: nothing is behind NULL in an ascending order. */
function strictlyBehind(table: TableSchema, { column, descending }: OrderTerm, cell: Cell): Filter | null {
  const isNull: Filter = { kind: 'isNull', column };
  if (cell === null) return descending ? { kind: 'not', filter: isNull } : null;
  const compared: Filter = { kind: 'compare', column, operator: descending ? '<' : '>', value: cell };
  return descending || !columnNamed(table, column).nullable ? compared : { kind: 'or', filters: [compared, isNull] };
}

/** A part of a key is never NULL. */
const never = ({ primaryKey }: TableSchema): Filter => ({ kind: 'isNull', column: primaryKey[0] ?? '' });
