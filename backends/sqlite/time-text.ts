/** Largest and smallest int64: infinity and -infinity of a timestamp. */
const INFINITY_MICROS = 9_223_372_036_854_775_807n;
const MINUS_INFINITY_MICROS = -9_223_372_036_854_775_808n;

const MICROS_PER_DAY = 86_400_000_000n;
const MICROS_PER_MS = 1_000n;

const datePattern = /^(\d{4})-(\d\d)-(\d\d)$/;
const timePattern = /^(\d\d):(\d\d):(\d\d)\.(\d{6})$/;
const timestampPattern = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{6})(Z?)$/;

/*
 * The one text of each date and time: always as many digits, so that equal values are equal texts and the order of the texts is the order of the values. Years are 0000 to 9999; "-infinity" sorts before every digit and "infinity" behind.
 * SQLite's own date functions read all of them but the infinities.
 */

/** Whether the text is the one text of a day of the calendar: "2024-02-29", "infinity", "-infinity". */
export function isDateText(text: string): boolean {
  return text === 'infinity' || text === '-infinity' || dayStartMs(text) !== null;
}

/** Microseconds since midnight → "HH:MM:SS.ffffff"; a whole day is "24:00:00.000000". Null: not within a day. */
export function timeText(micros: bigint): string | null {
  if (micros < 0n || micros > MICROS_PER_DAY) return null;
  const seconds = micros / 1_000_000n;
  return `${pad(seconds / 3_600n, 2)}:${pad((seconds / 60n) % 60n, 2)}:${pad(seconds % 60n, 2)}.${pad(micros % 1_000_000n, 6)}`;
}

/** The reverse of `timeText`. Null: not such a text. */
export function microsOfTime(text: string): bigint | null {
  const [, hours = '', minutes = '', seconds = '', fraction = ''] = timePattern.exec(text) ?? [];
  if (hours === '' || Number(minutes) > 59 || Number(seconds) > 59) return null;
  const micros = BigInt(Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds)) * 1_000_000n + BigInt(fraction);
  return micros > MICROS_PER_DAY ? null : micros;
}

/** Microseconds since 1970-01-01T00:00:00 → "YYYY-MM-DD HH:MM:SS.ffffff", with `zone` and a "Z" behind. Null: before the year 0000 or after 9999. */
export function timestampText(micros: bigint, zone: boolean): string | null {
  if (micros === INFINITY_MICROS) return 'infinity';
  if (micros === MINUS_INFINITY_MICROS) return '-infinity';
  const rest = ((micros % MICROS_PER_DAY) + MICROS_PER_DAY) % MICROS_PER_DAY;
  const date = new Date(Number((micros - rest) / MICROS_PER_MS));
  if (Number.isNaN(date.getTime()) || date.getUTCFullYear() < 0 || date.getUTCFullYear() > 9_999) return null;
  return `${date.toISOString().slice(0, 10)} ${timeText(rest)}${zone ? 'Z' : ''}`;
}

/** The reverse of `timestampText`. Null: not such a text. */
export function microsOfTimestamp(text: string, zone: boolean): bigint | null {
  if (text === 'infinity') return INFINITY_MICROS;
  if (text === '-infinity') return MINUS_INFINITY_MICROS;
  const [, day = '', time = '', mark] = timestampPattern.exec(text) ?? [];
  if (mark !== (zone ? 'Z' : '')) return null;
  const startMs = dayStartMs(day);
  const micros = microsOfTime(time);
  return startMs === null || micros === null || micros === MICROS_PER_DAY ? null : BigInt(startMs) * MICROS_PER_MS + micros;
}

/** Start of a day of the calendar in ms since the epoch; null when there is no such day. */
function dayStartMs(text: string): number | null {
  const [, year = '', month = '', day = ''] = datePattern.exec(text) ?? [];
  if (year === '') return null;
  // Not Date.UTC, which takes the years 0 to 99 for 1900 to 1999.
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  return date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day) ? date.getTime() : null;
}

const pad = (value: bigint, width: number): string => String(value).padStart(width, '0');
