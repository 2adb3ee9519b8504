import type { ColumnKind } from './cell.ts';
import type { Aggregation } from './operation.ts';
import type { ColumnSchema } from './table-schema.ts';

const integers: readonly ColumnKind[] = ['int16', 'int32', 'int64', 'uint64'];
const floats: readonly ColumnKind[] = ['float32', 'float64'];
const ordered: readonly ColumnKind[] = [...integers, ...floats, 'decimal', 'text', 'date', 'time', 'timestamp', 'timestamptz'];

/** What an aggregation makes of a column of this kind; null where it means nothing there. Sums of integers and decimals are exact decimals of any size; those of floats are rounded, in no certain order. */
export function aggregateKind(aggregation: Aggregation['kind'], column: ColumnKind): ColumnKind | null {
  switch (aggregation) {
    case 'count':
      return 'int64';
    case 'sum':
      if (floats.includes(column)) return 'float64';
      return integers.includes(column) || column === 'decimal' ? 'decimal' : null;
    case 'min':
    case 'max':
      return ordered.includes(column) ? column : null;
  }
}

/** The column that an aggregation's values are cells of. */
export function aggregateColumn(aggregation: Aggregation, columnNamed: (name: string) => ColumnSchema): ColumnSchema {
  const made = { nullable: true, hasDefault: false, generated: false };
  if (aggregation.kind === 'count') return { ...made, name: 'count', kind: 'int64', nativeType: '' };
  const column = columnNamed(aggregation.column);
  if (aggregation.kind !== 'sum') return { ...column, ...made };
  return { ...made, name: column.name, kind: aggregateKind('sum', column.kind) ?? 'decimal', nativeType: '' };
}
