import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { timestampDate } from '@bufbuild/protobuf/wkt';

/** Milliseconds with as many digits as help: "0.84 ms", "12.3 ms", "4.1 s". */
export function duration(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 100) return `${ms.toFixed(0)} ms`;
  return `${ms.toFixed(ms >= 10 ? 1 : 2)} ms`;
}

export const thousands = (value: bigint | number): string => value.toString().replace(/\B(?=(\d{3})+$)/g, ',');

export const percent = (part: bigint, whole: bigint): string => (whole <= 0n ? '' : `${Math.min(100, Math.floor((Number(part) / Number(whole)) * 100))} %`);

/** Date and time to the second, in UTC; a dash when there is none. */
export const moment = (value: Timestamp | undefined): string => (value === undefined ? '–' : timestampDate(value).toISOString().replace('T', ' ').slice(0, 19).concat('Z'));
