const numberPattern = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
/** Digits that an exponent may add when a number is written out. Without a bound six characters would become 150,000. */
export const mostAddedDigits = 400;
/** No integer column holds more. */
const mostIntegerDigits = 40;
/** No finite double has more before its point. */
const mostDoubleDigits = 309;

/** A number's text in plain decimal notation, without an exponent and with every digit that was given: "1.50e1" is "15.0". Null: no such number, or one whose exponent may add more than `mostAddedDigits`. */
export function plainDecimal(text: string): string | null {
  const [, sign = '', whole = '', fraction = '', exponentText = '0'] = numberPattern.exec(text) ?? [];
  if (whole === '') return null;
  const exponent = Number(exponentText);
  if (exponent === 0) return fraction === '' ? `${sign}${whole}` : `${sign}${whole}.${fraction}`;
  if (exponent >= fraction.length && isZero(whole) && isZero(fraction)) return `${sign}0`;
  if (Math.abs(exponent) > mostAddedDigits) return null;
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

/** The integer that a number's text means exactly; "1e3" and "5.0" are integers. Null: it is none, or one of more than `mostDigits`. Its cost is that of reading the text, whatever the exponent. */
export function exactInteger(text: string, mostDigits = mostIntegerDigits): bigint | null {
  const [, sign = '', whole = '', fraction = '', exponentText = '0'] = numberPattern.exec(text) ?? [];
  if (whole === '') return null;
  const digits = whole + fraction;
  const start = firstNotZero(digits);
  if (start === digits.length) return 0n;
  const end = lastNotZero(digits) + 1;
  const zeros = Number(exponentText) - fraction.length + (digits.length - end);
  if (zeros < 0 || end - start + zeros > mostDigits) return null;
  return BigInt(`${sign}${digits.slice(start, end)}${'0'.repeat(zeros)}`);
}

/** The double that a number's text means. A fraction takes the nearest one. Null: a number beyond every double, or an integer that no double holds and that is no double's own shortest text either: nothing is rounded unseen. */
export function doubleOf(text: string): number | null {
  if (!numberPattern.test(text)) return null;
  const value = Number(text);
  if (!Number.isFinite(value)) return null;
  const integer = exactInteger(text, mostDoubleDigits);
  if (integer !== null && BigInt(value) !== integer && exactInteger(String(value), mostDoubleDigits) !== integer) return null;
  return value;
}

/** A finite double's JSON text, exact and short; −0 keeps its sign. */
export const doubleText = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

const isZero = (digits: string): boolean => firstNotZero(digits) === digits.length;

function firstNotZero(digits: string): number {
  let at = 0;
  while (digits[at] === '0') at += 1;
  return at;
}

/** By hand: a pattern that is anchored at the end would try every start. */
function lastNotZero(digits: string): number {
  let at = digits.length - 1;
  while (digits[at] === '0') at -= 1;
  return at;
}
