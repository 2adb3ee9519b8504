import type { Cell } from '../../../core/cell.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { type ColumnSchema, storedTypeOf } from '../../../core/table-schema.ts';
import { TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY } from '../date-text.ts';
import { withoutTrailingZeros } from '../../trailing-zeros.ts';

const MICROS_DIGITS = 6;

/** Whether the column's type keeps a value of its kind as it is. */
type Fits = (cell: Cell) => boolean;

const checks = new WeakMap<ColumnSchema, Fits>();

/**
 * Refuses what PostgreSQL would silently change on the way into a column: digits beyond a numeric's scale or a time's precision are rounded, blanks beyond a varchar's length are cut off.
 * What it refuses by itself is left to it. VALUE_INVALID. (A float32 is rounded to the nearest, as everywhere.)
 */
export function requireFit(column: ColumnSchema, cell: Cell): void {
  let fits = checks.get(column);
  if (fits === undefined) {
    fits = fitsOf(column);
    checks.set(column, fits);
  }
  if (cell === null || fits(cell)) return;
  throw new SwitchyardError('VALUE_INVALID', `the value does not fit column "${column.name}" (${column.nativeType}): it would be rounded or cut off`, {
    metadata: { column: column.name },
  });
}

function fitsOf(column: ColumnSchema): Fits {
  const fits = scalarFits(column.kind === 'array' ? (column.elementKind ?? 'text') : column.kind, storedTypeOf(column));
  if (column.kind !== 'array') return fits;
  return (cell) => typeof cell !== 'object' || cell === null || cell instanceof Uint8Array || cell.every((element) => element === null || fits(element));
}

function scalarFits(kind: ColumnSchema['kind'], nativeType: string): Fits {
  const [first, second] = modifiersOf(nativeType);
  if (first === undefined) return () => true;
  switch (kind) {
    case 'decimal':
      return (cell) => typeof cell !== 'string' || fractionDigits(cell) <= (second ?? 0);
    case 'text':
      return (cell) => typeof cell !== 'string' || cell.length <= first || [...cell].length <= first;
    case 'time':
    case 'timestamp':
    case 'timestamptz': {
      const unit = 10n ** BigInt(MICROS_DIGITS - Math.min(first, MICROS_DIGITS));
      return (cell) => typeof cell !== 'bigint' || cell % unit === 0n || cell === TIMESTAMP_INFINITY || cell === TIMESTAMP_MINUS_INFINITY;
    }
    default:
      return () => true;
  }
}

/** The numbers in brackets of "numeric(10,2)" or "timestamp(3) without time zone". */
function modifiersOf(nativeType: string): readonly number[] {
  const [, inner] = /^[a-z ]+\(([-\d, ]+)\)/.exec(nativeType) ?? [];
  return inner === undefined ? [] : inner.split(',').map(Number);
}

/** Digits of the fraction that are not trailing zeros; an exponent is left to the store. */
function fractionDigits(decimal: string): number {
  const [, fraction = ''] = /\.(\d*)$/.exec(decimal) ?? [];
  return withoutTrailingZeros(fraction).length;
}
