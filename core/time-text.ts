const microsPerDay = 86_400_000_000n;
const largest = 2n ** 63n - 1n;
const smallest = -(2n ** 63n);
const timePattern = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})0*)?$/;
const timestampPattern = /^([+-]?\d{4,6})-(\d\d)-(\d\d)[Tt ](\d\d:\d\d:\d\d(?:\.\d+)?)(Z|z|[+-]\d\d:\d\d)?$/;

/** Microseconds since midnight as "HH:MM:SS.ffffff"; the end of the day is "24:00:00.000000". */
export function timeText(micros: bigint): string {
  const seconds = Number(micros / 1_000_000n);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${String(micros % 1_000_000n).padStart(6, '0')}`;
}

/** The reverse; null: no time of a day, or finer than a microsecond. */
export function microsOfTime(text: string): bigint | null {
  const [, hours = '', minutes = '', seconds = '', fraction = ''] = timePattern.exec(text) ?? [];
  if (hours === '' || Number(minutes) > 59 || Number(seconds) > 59) return null;
  const micros = BigInt((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000_000n + BigInt(fraction.padEnd(6, '0'));
  return micros > microsPerDay ? null : micros;
}

/** Microseconds since 1970 as RFC 3339 text with six digits of a second, "Z" behind it where the column has a zone. Years beyond 0000 to 9999 carry a sign, as in ISO 8601. Infinities are "infinity" and "-infinity". */
export function timestampText(micros: bigint, zoned: boolean): string {
  if (micros === largest) return 'infinity';
  if (micros === smallest) return '-infinity';
  const rest = ((micros % microsPerDay) + microsPerDay) % microsPerDay;
  const { year, month, day } = civilOf(Number((micros - rest) / microsPerDay));
  const digits = String(Math.abs(year)).padStart(year < 0 || year > 9999 ? 6 : 4, '0');
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${year < 0 ? '-' : year > 9999 ? '+' : ''}${digits}-${two(month)}-${two(day)}T${timeText(rest)}${zoned ? 'Z' : ''}`;
}

/** The reverse. A zoned text must say its offset, another must not; null where it does not, names no day of the calendar, is finer than a microsecond or out of range. */
export function microsOfTimestamp(text: string, zoned: boolean): bigint | null {
  if (text === 'infinity') return largest;
  if (text === '-infinity') return smallest;
  const [, year = '', month = '', day = '', time = '', zone] = timestampPattern.exec(text) ?? [];
  if (year === '' || (zone !== undefined) !== zoned) return null;
  const days = daysOf(Number(year), Number(month), Number(day));
  const ofDay = microsOfTime(time);
  const offsetMinutes = offsetOf(zone);
  if (days === null || ofDay === null || offsetMinutes === null) return null;
  const micros = BigInt(days) * microsPerDay + ofDay - BigInt(offsetMinutes) * 60_000_000n;
  return micros >= largest || micros <= smallest ? null : micros;
}

function offsetOf(zone: string | undefined): number | null {
  if (zone === undefined || zone === 'Z' || zone === 'z') return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(4, 6));
  if (hours > 23 || minutes > 59) return null;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}

// The calendar repeats every 400 years, and Date knows years 1970 to 2369 well: the rest is whole cycles.
const cycleYears = 400;
const cycleDays = 146_097;
const baseYear = 2000;
const msPerDay = 86_400_000;
const baseDays = Date.UTC(baseYear, 0, 1) / msPerDay;

function civilOf(days: number): { readonly year: number; readonly month: number; readonly day: number } {
  const cycles = Math.floor((days - baseDays) / cycleDays);
  const date = new Date((days - cycles * cycleDays) * msPerDay);
  return { year: date.getUTCFullYear() + cycles * cycleYears, month: date.getUTCMonth() + 1, day: date.getUTCDate() };
}

function daysOf(year: number, month: number, day: number): number | null {
  const cycles = Math.floor((year - baseYear) / cycleYears);
  const date = new Date(Date.UTC(year - cycles * cycleYears, month - 1, day));
  if (date.getUTCMonth() + 1 !== month || date.getUTCDate() !== day) return null;
  return date.getTime() / msPerDay + cycles * cycleDays;
}
