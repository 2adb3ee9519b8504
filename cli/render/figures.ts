import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { timestampDate } from '@bufbuild/protobuf/wkt';

/** Milliseconds with as many digits as help: "0.84 ms", "12.3 ms", "4.1 s". */
export function duration(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 100) return `${ms.toFixed(0)} ms`;
  return `${ms.toFixed(ms >= 10 ? 1 : 2)} ms`;
}

export const thousands = (value: bigint | number): string => value.toString().replace(/\B(?=(\d{3})+$)/g, ',');

/** "1 row", "2,000 rows". */
export const counted = (value: bigint | number, one: string, many = `${one}s`): string => `${thousands(value)} ${BigInt(value) === 1n ? one : many}`;

/** "850 kB", "1.2 GB": of 1,000 each. */
export function bytes(value: bigint | number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let shown = Number(value);
  let unit = 0;
  while (shown >= 1_000 && unit < units.length - 1) {
    shown /= 1_000;
    unit += 1;
  }
  return `${unit === 0 || shown >= 100 ? shown.toFixed(0) : shown.toPrecision(2)} ${units[unit]}`;
}

/** Roughly, as people say it: "40 s", "12 min", "3 h 20 min". */
export function roughly(seconds: bigint | number): string {
  const s = Number(seconds);
  if (s < 90) return `${s} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const percent = (part: bigint, whole: bigint): string => (whole <= 0n ? '' : `${Math.min(100, Math.floor((Number(part) / Number(whole)) * 100))} %`);

/** Date and time to the second, in UTC; a dash when there is none. */
export const moment = (value: Timestamp | undefined): string => (value === undefined ? '–' : timestampDate(value).toISOString().replace('T', ' ').slice(0, 19).concat('Z'));
