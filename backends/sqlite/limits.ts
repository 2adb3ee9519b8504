import type { ColumnLimits } from '../../core/column-limits.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';

/** What a column does not hold of its kind: a REAL has no NaN and no −0, a decimal of a size only numbers, and the texts of days and times four digits for the year. */
export function limitsOf({ kind }: Pick<ColumnSchema, 'kind'>, isSized: boolean): ColumnLimits | null {
  switch (kind) {
    case 'float32':
    case 'float64':
      return { without: ['NaN', '-0'] };
    case 'decimal':
      return isSized ? { without: ['NaN', 'infinity'] } : null;
    case 'date':
      return { least: '0000-01-01', most: '9999-12-31' };
    case 'timestamp':
    case 'timestamptz':
      return { least: '0000-01-01 00:00:00.000000', most: '9999-12-31 23:59:59.999999' };
    default:
      return null;
  }
}
