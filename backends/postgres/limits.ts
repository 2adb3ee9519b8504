import type { ColumnLimits } from '../../core/column-limits.ts';

/** What a column whose values are stored as this type does not hold of its kind: a `character(n)` fills every text up to its length. */
export function limitsOf(storedType: string): ColumnLimits | null {
  const [, type, length] = /^(character|character varying)\((\d+)\)$/.exec(storedType) ?? [];
  return length === undefined ? null : { characters: { most: Number(length), exactly: type === 'character' } };
}
