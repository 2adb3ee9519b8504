import { inflated } from './inflated.ts';
import { protocolFault } from './log-fault.ts';
import { decimalBytes, fractionBytes } from './row-images.ts';
import type { MapColumn } from './table-map.ts';

/* What the bytes of one value mean, by the column's type on the wire. Null where a value of the type has no meaning as a date or time: zero dates, days that no month has, times outside of a day. */

const MICROS_PER_DAY = 86_400_000_000n;
const MS_PER_DAY = 86_400_000;

export const integer = (bytes: Buffer, unsigned: boolean): number => (unsigned ? bytes.readUIntLE(0, bytes.length) : bytes.readIntLE(0, bytes.length));
export const longInteger = (bytes: Buffer, unsigned: boolean): bigint => (unsigned ? bytes.readBigUInt64LE() : bytes.readBigInt64LE());

/** Text of a decimal, with all its digits behind the point. The highest bit is the sign, turned round; of a negative one all bits are. Groups of nine digits with their high byte first, the odd digits outside. */
export function decimalText({ precision, scale }: MapColumn, bytes: Buffer): string {
  const isNegative = ((bytes[0] ?? 0) & 0x80) === 0;
  const plain = Buffer.from(bytes);
  if (isNegative) for (let i = 0; i < plain.length; i += 1) plain[i] = ~(plain[i] ?? 0);
  plain[0] = (plain[0] ?? 0) ^ 0x80;
  const whole = precision - scale;
  const wholeBytes = decimalBytes(whole);
  const odd = whole % 9;
  const oddBytes = decimalBytes(odd);
  const digits = digitsOf(plain.subarray(0, oddBytes), odd) + groupsOf(plain.subarray(oddBytes, wholeBytes));
  const groupEnd = wholeBytes + Math.floor(scale / 9) * 4;
  const fraction = groupsOf(plain.subarray(wholeBytes, groupEnd)) + digitsOf(plain.subarray(groupEnd), scale % 9);
  const significant = digits.replace(/^0+(?=\d)/, '');
  return `${isNegative ? '-' : ''}${significant === '' ? '0' : significant}${scale === 0 ? '' : `.${fraction}`}`;
}

const digitsOf = (bytes: Buffer, digits: number): string => (digits === 0 ? '' : String(bytes.readUIntBE(0, bytes.length)).padStart(digits, '0'));

function groupsOf(bytes: Buffer): string {
  let digits = '';
  for (let at = 0; at < bytes.length; at += 4) digits += String(bytes.readUInt32BE(at)).padStart(9, '0');
  return digits;
}

/** "YYYY-MM-DD". */
export function dateText(bytes: Buffer): string | null {
  const packed = bytes.readUIntLE(0, 3);
  return isoDate(packed >> 9, (packed >> 5) & 15, packed & 31);
}

const isoDate = (year: number, month: number, day: number): string | null => (isDay(year, month, day) ? `${padded(year, 4)}-${padded(month, 2)}-${padded(day, 2)}` : null);

/** With ALLOW_INVALID_DATES a column also takes the 30th of February. */
const isDay = (year: number, month: number, day: number): boolean => month > 0 && day > 0 && new Date(midnight(year, month, day)).getUTCDate() === day;

/** The constructor takes years up to 99 for those of the last century. */
const midnight = (year: number, month: number, day: number): number => new Date(0).setUTCFullYear(year, month - 1, day);

const padded = (value: number, width: number): string => String(value).padStart(width, '0');

/** Microseconds since 1970, of a date and time without a zone: year and month in one number of 17 bits, day 5, hours 5, minutes 6, seconds 6, behind a bit that is always set. */
export function datetimeMicros(column: MapColumn, bytes: Buffer): bigint | null {
  const packed = BigInt(bytes.readUIntBE(0, 5)) - 0x80_0000_0000n;
  if (packed < 0n) throw protocolFault('a negative date');
  const days = Number(packed >> 17n);
  const months = days >> 5;
  const [year, month, day] = [Math.floor(months / 13), months % 13, days & 31];
  if (!isDay(year, month, day)) return null;
  const clock = Number(packed & 0x1_ffffn);
  const seconds = (clock >> 12) * 3600 + ((clock >> 6) & 63) * 60 + (clock & 63);
  return BigInt(midnight(year, month, day) / MS_PER_DAY) * MICROS_PER_DAY + BigInt(seconds) * 1_000_000n + BigInt(fractionMicros(column, bytes.subarray(5)));
}

/** Microseconds since 1970 UTC. All zero is no time. */
export function timestampMicros(column: MapColumn, bytes: Buffer): bigint | null {
  const seconds = bytes.readUInt32BE();
  const fraction = fractionMicros(column, bytes.subarray(4));
  return seconds === 0 && fraction === 0 ? null : BigInt(seconds) * 1_000_000n + BigInt(fraction);
}

/** Microseconds since midnight, within a day, "24:00:00" included. */
export function timeMicros(column: MapColumn, bytes: Buffer): bigint | null {
  const packed = bytes.readUIntBE(0, 3) - 0x80_0000;
  // Of a negative time the fraction counts from below.
  if (packed < 0) return null;
  const seconds = (packed >> 12) * 3600 + ((packed >> 6) & 63) * 60 + (packed & 63);
  const micros = BigInt(seconds) * 1_000_000n + BigInt(fractionMicros(column, bytes.subarray(3)));
  return micros > MICROS_PER_DAY ? null : micros;
}

/** Two digits a byte, the last one followed by a zero where they are odd. */
function fractionMicros(column: MapColumn, bytes: Buffer): number {
  const length = fractionBytes(column);
  return length === 0 ? 0 : bytes.readUIntBE(0, length) * 100 ** (3 - length);
}

/** "8-4-4-4-12" digits. What it ends with of zero bytes is left out in the log. */
export function uuidText(bytes: Buffer): string {
  const hex = bytes.toString('hex').padEnd(32, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** A value of a COMPRESSED column as it was given: a byte that says how, with the length of the length that follows it. An empty one has not even that. */
export function uncompressed(bytes: Buffer): Buffer {
  const head = bytes[0];
  if (head === undefined) return bytes;
  const method = head >> 4;
  if (method === 0) return bytes.subarray(1);
  if (method !== 8) throw protocolFault(`a value that is compressed in the unknown way ${method}`);
  const packed = bytes.subarray(1 + (head & 0x07));
  return inflated(packed, { raw: (head & 0x08) !== 0 });
}
