/** Largest and smallest int64: infinity and -infinity of a timestamp. */
export const TIMESTAMP_INFINITY = 9_223_372_036_854_775_807n;
export const TIMESTAMP_MINUS_INFINITY = -9_223_372_036_854_775_808n;

const MICROS_PER_DAY = 86_400_000_000;
const MICROS_PER_DAY_BIG = BigInt(MICROS_PER_DAY);
const DAYS_PER_ERA = 146_097;
const DAYS_FROM_ERA_TO_EPOCH = 719_468;
// Beyond this many days from the epoch, microseconds no longer fit a double.
const SAFE_DAYS = 100_000;

const datePattern = /^(\d{4,7})-(\d\d)-(\d\d)( BC)?$/;
const isoDatePattern = /^([+-]?)(\d{4,7})-(\d\d)-(\d\d)$/;
const timePattern = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/;
const timestampPattern = /^(\d{4,6})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:([+-])(\d\d)(?::(\d\d)(?::(\d\d))?)?)?( BC)?$/;

/** PostgreSQL's text of a date → ISO 8601 with astronomical years ("-0043-03-15" is 44 BC, years after 9999 carry a "+"). Null: not such a text. */
export function isoDateFromText(text: string): string | null {
  if (text === 'infinity' || text === '-infinity') return text;
  const [, year = '', month = '', day = '', bc] = datePattern.exec(text) ?? [];
  if (year === '') return null;
  if (bc === undefined) return year.length === 4 ? text : `+${text}`;
  const astronomical = Number(year) - 1;
  return `${astronomical === 0 ? '' : '-'}${pad(astronomical, 4)}-${month}-${day}`;
}

/** The reverse of `isoDateFromText`. Null: not a date of that form. Whether the day exists is left to the store. */
export function textFromIsoDate(iso: string): string | null {
  if (iso === 'infinity' || iso === '-infinity') return iso;
  const [, sign = '', year = '', month = '', day = ''] = isoDatePattern.exec(iso) ?? [];
  if (year === '') return null;
  const value = Number(year);
  if (sign === '-' || value === 0) return `${pad(value + 1, 4)}-${month}-${day} BC`;
  return `${year}-${month}-${day}`;
}

/** "HH:MM:SS[.ffffff]" → microseconds since midnight; "24:00:00" is a whole day. Null: not such a text. */
export function microsFromTime(text: string): bigint | null {
  const [, hours = '', minutes = '', seconds = '', fraction = ''] = timePattern.exec(text) ?? [];
  return hours === '' ? null : BigInt(dayMicros(hours, minutes, seconds, fraction));
}

/** Microseconds since midnight → "HH:MM:SS.ffffff". Null: not within a day. */
export function timeFromMicros(micros: bigint): string | null {
  return micros < 0n || micros > MICROS_PER_DAY_BIG ? null : timeText(Number(micros));
}

/**
 * Text of a timestamp (with the zone's offset where there is one) → microseconds since 1970-01-01T00:00:00 (UTC where there is an offset).
 * Null: not such a text. A result at or beyond `TIMESTAMP_INFINITY` has no exact mapping; the caller refuses it.
 */
export function microsFromTimestamp(text: string): bigint | null {
  if (text === 'infinity') return TIMESTAMP_INFINITY;
  if (text === '-infinity') return TIMESTAMP_MINUS_INFINITY;
  const match = timestampPattern.exec(text);
  if (match === null) return null;
  const [, year = '', month = '', day = '', hours = '', minutes = '', seconds = '', fraction = '', sign, zoneHours = '0', zoneMinutes = '0', zoneSeconds = '0', bc] = match;
  const days = daysFromCivil(bc === undefined ? Number(year) : 1 - Number(year), Number(month), Number(day));
  const offsetSeconds = Number(zoneHours) * 3600 + Number(zoneMinutes) * 60 + Number(zoneSeconds);
  const rest = dayMicros(hours, minutes, seconds, fraction) - (sign === '-' ? -offsetSeconds : offsetSeconds) * 1_000_000;
  return Math.abs(days) < SAFE_DAYS ? BigInt(days * MICROS_PER_DAY + rest) : BigInt(days) * MICROS_PER_DAY_BIG + BigInt(rest);
}

/** The reverse of `microsFromTimestamp`; with `zone`, for a timestamptz, the text carries "+00". */
export function timestampFromMicros(micros: bigint, zone: boolean): string {
  if (micros >= TIMESTAMP_INFINITY) return 'infinity';
  if (micros <= TIMESTAMP_MINUS_INFINITY) return '-infinity';
  let days = micros / MICROS_PER_DAY_BIG;
  let rest = micros % MICROS_PER_DAY_BIG;
  if (rest < 0n) {
    days -= 1n;
    rest += MICROS_PER_DAY_BIG;
  }
  const { year, month, day } = civilFromDays(Number(days));
  const shownYear = year > 0 ? year : 1 - year;
  return `${pad(shownYear, 4)}-${pad(month, 2)}-${pad(day, 2)} ${timeText(Number(rest))}${zone ? '+00' : ''}${year > 0 ? '' : ' BC'}`;
}

const pad = (value: number, width: number): string => String(value).padStart(width, '0');

function dayMicros(hours: string, minutes: string, seconds: string, fraction: string): number {
  return (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1_000_000 + (fraction === '' ? 0 : Number(fraction.padEnd(6, '0')));
}

function timeText(micros: number): string {
  const seconds = Math.floor(micros / 1_000_000);
  return `${pad(Math.floor(seconds / 3600), 2)}:${pad(Math.floor(seconds / 60) % 60, 2)}:${pad(seconds % 60, 2)}.${pad(micros % 1_000_000, 6)}`;
}

// Proleptic Gregorian calendar in eras of 400 years that begin on 1 March, as PostgreSQL counts; `Date` ends at the year 275760.
function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * DAYS_PER_ERA + dayOfEra - DAYS_FROM_ERA_TO_EPOCH;
}

function civilFromDays(days: number): { readonly year: number; readonly month: number; readonly day: number } {
  const shifted = days + DAYS_FROM_ERA_TO_EPOCH;
  const era = Math.floor(shifted / DAYS_PER_ERA);
  const dayOfEra = shifted - era * DAYS_PER_ERA;
  const yearOfEra = Math.floor((dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365);
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1 };
}
