import { type Cell, cellsEqual, cellText } from '../../core/cell.ts';
import type { TableSchema } from '../../core/table-schema.ts';

type WholeRow = readonly Cell[];

/** One column that differs, both values as readable text. */
export interface ColumnDifference {
  readonly column: string;
  readonly fromValue: string;
  readonly toValue: string;
}

/** Where a stream's two sides differ in one row. */
export interface RowDifference {
  readonly table: string;
  /** The row's primary key, in key order. */
  readonly key: readonly Cell[];
  readonly kind: 'missing in to' | 'missing in from' | 'cells';
  /** Every column that differs. Of a missing row one entry without a column's name: the row that there is, and empty text. */
  readonly columns: readonly ColumnDifference[];
}

const shownText = 200;

/** How two rows of one key differ, null when they are the same. */
export function rowDifference(table: TableSchema, key: readonly Cell[], from: WholeRow | undefined, to: WholeRow | undefined): RowDifference | null {
  const base = { table: table.name, key };
  if (from === undefined && to === undefined) return null;
  if (to === undefined) return { ...base, kind: 'missing in to', columns: [{ column: '', fromValue: rowText(from), toValue: '' }] };
  if (from === undefined) return { ...base, kind: 'missing in from', columns: [{ column: '', fromValue: '', toValue: rowText(to) }] };
  const columns = table.columns.flatMap(({ name }, index) => {
    const [a, b] = [from[index] ?? null, to[index] ?? null];
    return cellsEqual(a, b) ? [] : [{ column: name, ...shownDifference(cellText(a), cellText(b)) }];
  });
  return columns.length === 0 ? null : { ...base, kind: 'cells', columns };
}

/** Two different texts, cut so that what differs is still to be seen. */
function shownDifference(from: string, to: string): { readonly fromValue: string; readonly toValue: string } {
  if (from.length <= shownText && to.length <= shownText) return { fromValue: from, toValue: to };
  let same = 0;
  while (from[same] === to[same] && same < from.length) same += 1;
  const start = Math.max(0, Math.min(same - shownText / 4, Math.max(from.length, to.length) - shownText));
  const piece = (text: string): string => `${start > 0 ? '…' : ''}${text.slice(start, start + shownText)}${text.length > start + shownText ? '…' : ''}`;
  return { fromValue: piece(from), toValue: piece(to) };
}

const rowText = (row: WholeRow | undefined): string => {
  const text = (row ?? []).map(cellText).join(', ');
  return text.length > shownText ? `${text.slice(0, shownText)}…` : text;
};
