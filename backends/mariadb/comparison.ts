import type { Cell } from '../../core/cell.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import { quoteIdentifier, SORTED_BYTES } from './connection.ts';
import { withoutTrailingZeros } from '../trailing-zeros.ts';

/*
 * Both sides of a comparison, as SQL. What texts mean is the API's own: they are equal only bit by bit, no blank is ignored, and their order is that of their code points, whatever collation the column has.
 */

const EXACT = 'COLLATE utf8mb4_nopad_bin';
/** A character counts as so many bytes in an order. */
const SORTED_CHARACTER = 3;
/** A decimal of MariaDB has at most so many digits, and so many of them behind the point. */
const MOST_DIGITS = 65;
const MOST_SCALE = 38;

/** Whether the column's own collation tells all texts apart: then it is compared as it is, and an index can serve. */
export const isExactText = ({ kind, nativeType }: ColumnSchema): boolean => kind === 'text' && !nativeType.includes(' collate ');

/** The column as one side of a comparison. `prefix`: such as "t.". */
export function ordered(column: ColumnSchema, prefix = ''): string {
  const name = `${prefix}${quoteIdentifier(column.name)}`;
  switch (column.kind) {
    case 'text':
      return isExactText(column) ? name : `CONVERT(${name} USING utf8mb4) ${EXACT}`;
    case 'enum':
    case 'json':
    // MariaDB's own order of UUIDs is another one.
    case 'uuid':
      return `CONVERT(${name} USING utf8mb4) ${EXACT}`;
    default:
      return name;
  }
}

/**
 * The column as a term of an order, and, with `side`, the other side of its comparison with it. Of a text so long that the server would not sort by all of it, only the beginning counts, for both: so no row is passed over between two pages.
 */
export function inOrder(column: ColumnSchema, side = ordered(column)): string {
  if (column.kind !== 'text' && column.kind !== 'bytes' && column.kind !== 'json') return side;
  const most = column.kind === 'bytes' ? SORTED_BYTES : Math.floor(SORTED_BYTES / SORTED_CHARACTER);
  const [, length = column.nativeType.startsWith('tiny') ? '255' : ''] = /^(?:var)?(?:char|binary)\((\d+)\)/.exec(column.nativeType) ?? [];
  return length === '' || Number(length) > most ? `LEFT(${side}, ${most})` : side;
}

/**
 * The place of a cell's parameter (`cellToParameter`) as the other side of a comparison with `ordered`, or as an addend: typed, for two values of unlike types MariaDB compares as doubles. Compared with the column itself, as a key is, it is of
 * the column's type too. VALUE_INVALID: a decimal of more digits than MariaDB has.
 */
export function comparand(column: ColumnSchema, cell: Cell): string {
  switch (column.kind) {
    case 'bool':
    case 'int16':
    case 'int32':
    case 'int64':
      return 'CAST(? AS SIGNED)';
    case 'uint64':
      return 'CAST(? AS UNSIGNED)';
    case 'float32':
    case 'float64':
      return 'CAST(? AS DOUBLE)';
    case 'decimal':
      return `CAST(? AS DECIMAL(${MOST_DIGITS},${scaleFor(column, cell)}))`;
    case 'date':
      return 'CAST(? AS DATE)';
    case 'time':
      return 'CAST(? AS TIME(6))';
    case 'timestamp':
    case 'timestamptz':
      return 'CAST(? AS DATETIME(6))';
    default:
      return '?';
  }
}

/** The column's collation where that is not the one that tells all texts apart: the type names it then. */
const collationOf = ({ nativeType }: ColumnSchema): string | null => / collate (\w+)$/.exec(nativeType)?.[1] ?? null;

/**
 * What a column's texts are written in, where that is less than all of Unicode: a text is compared by the column's own collation only after it has been converted, and may be another one then. Null: every text is what it is.
 */
export function narrowCharset(column: ColumnSchema): { readonly charset: string; readonly collation: string } | null {
  const collation = column.kind === 'text' || column.kind === 'enum' ? collationOf(column) : null;
  const [charset = ''] = collation?.split('_') ?? [];
  return collation === null || charset === 'utf8mb4' ? null : { charset, collation };
}

/** The place of a text's parameter as the other side of a comparison with a column of a narrow charset, by the column's own collation. */
export const converted = ({ charset, collation }: { readonly charset: string; readonly collation: string }): string => `CONVERT(? USING ${charset}) COLLATE ${collation}`;

/** Places of the same text twice: whether it is still the same when it has been converted. */
export const survives = ({ charset }: { readonly charset: string }): string => `CONVERT(CONVERT(? USING ${charset}) USING utf8mb4) ${EXACT} = ?`;

/** The value that a cell is compared as: there is no -0 in the store. */
export const comparedCell = (cell: Cell): Cell => (cell === 0 ? 0 : cell);

/** The column's own scale where the decimal fits it, so that texts of statements are few. */
function scaleFor(column: ColumnSchema, cell: Cell): number {
  const { whole, scale } = digitsOf(typeof cell === 'string' ? cell : '0');
  const own = Number(/,\s*(\d+)\)/.exec(column.nativeType)?.[1] ?? 0);
  if (scale <= own && whole + own <= MOST_DIGITS) return own;
  if (scale <= MOST_SCALE && whole + scale <= MOST_DIGITS) return scale;
  throw new SwitchyardError('VALUE_INVALID', `the value for column "${column.name}" (${column.nativeType}) has more digits than a decimal of MariaDB`, {
    metadata: { column: column.name },
  });
}

/** Digits before the point, and those behind it up to the last that is no zero. */
function digitsOf(decimal: string): { readonly whole: number; readonly scale: number } {
  const [, wholeText = '', fractionText = '', exponent = '0'] = /^[+-]?(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(decimal) ?? [];
  const [whole, fraction] = [wholeText.replace(/^0+/, ''), withoutTrailingZeros(fractionText)];
  const shift = Number(exponent);
  return { whole: Math.max(whole.length + shift, 0), scale: Math.max(fraction.length - shift, 0) };
}
