import type { Cell } from '../../core/cell.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import { withoutTrailingZeros } from '../trailing-zeros.ts';

const MICROS_DIGITS = 6;
/** Bytes that the types without a length hold. */
const byteLimits: Readonly<Record<string, number>> = { tinytext: 255, text: 65_535, mediumtext: 16_777_215 };

/** Whether the column's type keeps a value of its kind as it is. */
type Fits = (cell: Cell) => boolean;

const checks = new WeakMap<ColumnSchema, Fits>();

/**
 * Refuses what MariaDB would silently change on the way into a column, strict mode or not: digits beyond a decimal's scale or a time's precision are rounded, blanks at the end of a char are dropped, and those beyond a text's length cut off; a short
 * binary is filled up; an enum takes a label in another letter case, and a number for the label at that place. What it refuses by itself is left to it. VALUE_INVALID. (A float32 is rounded to the nearest, as everywhere.)
 */
export function requireFit(column: ColumnSchema, cell: Cell): void {
  let fits = checks.get(column);
  if (fits === undefined) {
    fits = fitsOf(column);
    checks.set(column, fits);
  }
  if (cell === null || fits(cell)) return;
  throw new SwitchyardError(
    'VALUE_INVALID',
    `the value does not fit column "${column.name}" (${column.nativeType}): it would be rounded, cut off, filled up or taken for another`,
    {
      metadata: { column: column.name },
    },
  );
}

function fitsOf({ kind, nativeType }: ColumnSchema): Fits {
  const [, type = '', inner] = /^(\w+)(?:\(([^)]*)\))?/.exec(nativeType) ?? [];
  const [first, second] = (inner ?? '').split(',').map(Number);
  switch (kind) {
    case 'decimal':
      return (cell) => typeof cell !== 'string' || fractionDigits(cell) <= (second ?? 0);
    case 'text':
      return textFits(type, inner === undefined ? null : (first ?? 0));
    case 'bytes':
      return (cell) => type !== 'binary' || !(cell instanceof Uint8Array) || cell.length === (first ?? 1);
    case 'time':
    case 'timestamp':
    case 'timestamptz': {
      // A number of digits that no type has is none.
      const digits = Number.isInteger(first) ? Math.min(first ?? 0, MICROS_DIGITS) : 0;
      const unit = 10n ** BigInt(MICROS_DIGITS - digits);
      return (cell) => typeof cell !== 'bigint' || cell % unit === 0n;
    }
    case 'enum': {
      const labels = labelsOf(nativeType);
      // The server describes its types in UTF-8 of three bytes: a character of four is a "?" there. A "?" that is none is refused by the store.
      return (cell) => typeof cell !== 'string' || labels.has(cell) || labels.has(cell.replaceAll(/[\u{10000}-\u{10ffff}]/gu, '?'));
    }
    default:
      return () => true;
  }
}

function textFits(type: string, length: number | null): Fits {
  const limit = byteLimits[type];
  return (cell) => {
    // Without a blank at its end, a text that is too long is an error of the store's.
    if (typeof cell !== 'string' || !cell.endsWith(' ')) return true;
    if (type === 'char') return false;
    if (length !== null) return cell.length <= length || [...cell].length <= length;
    return limit === undefined || Buffer.byteLength(cell) <= limit;
  };
}

/** The labels of "enum('a','it''s') collate …", as the server writes them there: quotes are doubled, some characters behind a backslash. */
export function labelsOf(nativeType: string): ReadonlySet<string> {
  const labels = new Set<string>();
  for (const [, label = ''] of nativeType.matchAll(/[(,]'((?:[^']|'')*)'(?=[,)])/g)) {
    labels.add(label.replaceAll(/''|\\(.)/gs, (part, escaped: string | undefined) => (escaped === undefined ? part.slice(1) : (escapes[escaped] ?? escaped))));
  }
  return labels;
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', 0: '\0' };

/** Digits of the fraction that are not trailing zeros; those of a number with an exponent, as it is written out. */
function fractionDigits(decimal: string): number {
  const [, whole = '', fraction = '', exponent = '0'] = /^[+-]?(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(decimal) ?? [];
  const kept = withoutTrailingZeros(fraction).length;
  const digits = kept === 0 ? withoutTrailingZeros(whole).length - whole.length : kept;
  return Math.max(digits - Number(exponent), 0);
}
