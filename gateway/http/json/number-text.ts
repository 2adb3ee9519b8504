const numberPattern = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,6}))?$/;
/** Digits that an exponent may add: more than any store's decimal holds. */
const mostZeros = 150_000;

/** A number's text in plain decimal notation, without an exponent and with every digit that was given: "1.50e1" is "15.0". Null: no such number, or one that is absurdly long. */
export function plainDecimal(text: string): string | null {
  const [, sign = '', whole = '', fraction = '', exponentText = '0'] = numberPattern.exec(text) ?? [];
  if (whole === '') return null;
  const exponent = Number(exponentText);
  if (Math.abs(exponent) > mostZeros) return null;
  if (exponent === 0) return fraction === '' ? `${sign}${whole}` : `${sign}${whole}.${fraction}`;
  const digits = whole + fraction;
  const point = whole.length + exponent;
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  const before = digits
    .slice(0, point)
    .padEnd(point, '0')
    .replace(/^0+(?=\d)/, '');
  const behind = digits.slice(point);
  return behind === '' ? `${sign}${before}` : `${sign}${before}.${behind}`;
}

/** The integer that a number's text means exactly; "1e3" and "5.0" are integers. Null: it is none. */
export function exactInteger(text: string): bigint | null {
  const plain = plainDecimal(text);
  const [, integer = ''] = /^(-?\d{1,40})(?:\.0*)?$/.exec(plain ?? '') ?? [];
  return integer === '' ? null : BigInt(integer);
}

/** The double that a number's text means. A fraction takes the nearest one. Null: a number beyond every double, or an integer that no double holds and that is no double's own text either: nothing is rounded unseen. */
export function doubleOf(text: string): number | null {
  if (!numberPattern.test(text)) return null;
  const value = Number(text);
  if (!Number.isFinite(value)) return null;
  if (/^-?\d+$/.test(text) && BigInt(value) !== BigInt(text) && String(value) !== text) return null;
  return value;
}

/** A finite double's JSON text, exact and short; −0 keeps its sign. */
export const doubleText = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));
