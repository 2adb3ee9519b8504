import { withoutTrailingZeros } from '../trailing-zeros.ts';

const inputPattern = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,5}))?$/;
const specials: readonly string[] = ['NaN', 'Infinity', '-Infinity'];
/** Digits on each side of the point; PostgreSQL's own limit of an unconstrained numeric is of this size. */
const DIGITS_LIMIT = 131_072;
const EXPONENT_BIAS = 500_000;
const EXPONENT_WIDTH = 7;

/** Precision and scale of a DECIMAL_TEXT. Without a scale every scale is kept; a precision alone means scale 0. */
export interface DecimalSize {
  readonly precision: number;
  readonly scale: number;
}

export const decimalSize = ([precision, scale = 0]: readonly number[]): DecimalSize | null => (precision === undefined ? null : { precision, scale });

interface Parts {
  readonly negative: boolean;
  /** Without leading zeros. */
  readonly whole: string;
  readonly fraction: string;
}

/**
 * The one text of a decimal in a column of this size: no plus, no exponent, no superfluous leading zero, no minus before zero, exactly `scale` digits of fraction; without a size the digits of fraction that were given, and
 * "NaN", "Infinity", "-Infinity". Null: no decimal, or one that would have to be rounded or has too many digits.
 */
export function decimalText(text: string, size: DecimalSize | null): string | null {
  if (specials.includes(text)) return size === null ? text : null;
  const parts = partsOf(text);
  if (parts === null) return null;
  const fraction = size === null ? parts.fraction : fitted(parts.fraction, size.scale);
  if (fraction === null || (size !== null && parts.whole.length > size.precision - size.scale)) return null;
  return textOf({ ...parts, fraction });
}

/** Sum of two texts as `decimalText` makes them, with the longer fraction. Null: one is NaN or infinite. */
export function decimalSum(a: string, b: string): string | null {
  const [left, right] = [partsOf(a), partsOf(b)];
  if (left === null || right === null) return null;
  const scale = Math.max(left.fraction.length, right.fraction.length);
  const units = unitsOf(left, scale) + unitsOf(right, scale);
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, '0');
  return textOf({ negative: units < 0n, whole: digits.slice(0, digits.length - scale).replace(/^0+/, ''), fraction: digits.slice(digits.length - scale) });
}

/**
 * A text that orders as the decimal's value does, and is equal for equal values whatever their fractions' trailing zeros: -Infinity, negative ones, zero, positive ones, Infinity, NaN (as PostgreSQL orders them). Null: no decimal.
 */
export function decimalOrder(text: string): string | null {
  if (text === '-Infinity') return '0';
  if (text === 'Infinity') return '4';
  if (text === 'NaN') return '5';
  const parts = partsOf(text);
  if (parts === null) return null;
  const digits = `${parts.whole}${parts.fraction}`;
  const significant = withoutTrailingZeros(digits.replace(/^0+/, ''));
  if (significant === '') return '2';
  const exponent = parts.whole.length - (parts.whole === '' ? digits.length - digits.replace(/^0+/, '').length : 0);
  const magnitude = `${String(exponent + EXPONENT_BIAS).padStart(EXPONENT_WIDTH, '0')}${significant}`;
  // Of negatives the larger magnitude comes first: complemented digits, and an end that is behind every digit.
  return parts.negative ? `1${magnitude.replaceAll(/\d/g, (digit) => String(9 - Number(digit)))}~` : `3${magnitude}`;
}

function partsOf(text: string): Parts | null {
  const [, sign = '', wholeGiven = '', fractionGiven = '', exponentText = '0'] = inputPattern.exec(text) ?? [];
  if (wholeGiven === '' && fractionGiven === '') return null;
  const shift = Number(exponentText);
  if (wholeGiven.length + fractionGiven.length + Math.abs(shift) > DIGITS_LIMIT) return null;
  let [whole, fraction] = [wholeGiven, fractionGiven];
  if (shift > 0) {
    const moved = fraction.slice(0, shift).padEnd(shift, '0');
    [whole, fraction] = [`${whole}${moved}`, fraction.slice(shift)];
  } else if (shift < 0) {
    const padded = whole.padStart(-shift, '0');
    [whole, fraction] = [padded.slice(0, padded.length + shift), `${padded.slice(padded.length + shift)}${fraction}`];
  }
  return { negative: sign === '-', whole: whole.replace(/^0+/, ''), fraction };
}

/** The fraction with exactly `scale` digits; null when that would drop one that is not zero. */
function fitted(fraction: string, scale: number): string | null {
  return /^0*$/.test(fraction.slice(scale)) ? fraction.slice(0, scale).padEnd(scale, '0') : null;
}

function textOf({ negative, whole, fraction }: Parts): string {
  const magnitude = `${whole === '' ? '0' : whole}${fraction === '' ? '' : `.${fraction}`}`;
  return negative && /[1-9]/.test(magnitude) ? `-${magnitude}` : magnitude;
}

function unitsOf({ negative, whole, fraction }: Parts, scale: number): bigint {
  const units = BigInt(`${whole}${fraction.padEnd(scale, '0')}` || '0');
  return negative ? -units : units;
}
