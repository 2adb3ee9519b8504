import type { Cell, ColumnKind } from '../core/cell.ts';
import { keyIndexes, type TableSchema } from '../core/table-schema.ts';
import type { CopiedChunk } from './backend.ts';

/** Every kind of store has the same order of these. */
const orderedAlike: readonly ColumnKind[] = ['int16', 'int32', 'int64', 'uint64'];

export interface KeyRange {
  readonly first: readonly Cell[];
  readonly last: readonly Cell[];
}

/**
 * The keys, both included, between which the target may have no other rows than the chunk's: what it has there already goes with one look into its index. Null: rows with the chunk's keys have to be looked for one by one, because others lie between
 * them, or may in the target's own order.
 */
export function keyRange(table: TableSchema, { rows, contiguous }: CopiedChunk): KeyRange | null {
  const indexes = keyIndexes(table);
  const [firstRow, lastRow] = [rows.at(0), rows.at(-1)];
  if (!contiguous || firstRow === undefined || lastRow === undefined) return null;
  if (!indexes.every((i) => orderedAlike.includes(table.columns[i]?.kind ?? 'text'))) return null;
  const keyOf = (row: readonly Cell[]): readonly Cell[] => indexes.map((i) => row[i] ?? null);
  return { first: keyOf(firstRow), last: keyOf(lastRow) };
}
