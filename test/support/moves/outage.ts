import type { LoadRecord } from '../../bench/cutover/load-record.ts';
import { percentile } from '../../bench/cutover/summary.ts';

/** A part of a run, on the clients' clock. */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The longest time within the window in which one of the gateways acknowledged no write. */
export function longestTimeWithoutWriteMs({ writes }: LoadRecord, { fromMs, toMs }: Window): number {
  const endsOf = new Map<number, number[]>();
  for (let i = 0; i < writes.length; i += 1) {
    const [gateway, endedMs] = [writes.gateway[i] ?? 0, writes.endedMs[i] ?? 0];
    const ends = endsOf.get(gateway) ?? [];
    endsOf.set(gateway, ends);
    if (writes.outcome[i] === 1 && endedMs > fromMs && endedMs < toMs) ends.push(endedMs);
  }
  let longest = endsOf.size === 0 ? toMs - fromMs : 0;
  for (const ends of endsOf.values()) {
    let before = fromMs;
    for (const at of [...ends.toSorted((a, b) => a - b), toMs]) {
      longest = Math.max(longest, at - before);
      before = at;
    }
  }
  return longest;
}

/** How long reads took, from their sending to their answer, of those that were under way within the window: the slowest, and the bound that 95 % of them keep. */
export function readTimesMs({ reads }: LoadRecord, { fromMs, toMs }: Window): { readonly slowest: number; readonly usual: number } {
  const times: number[] = [];
  for (let i = 0; i < reads.length; i += 1) {
    const [issuedMs, endedMs] = [reads.issuedMs[i] ?? 0, reads.endedMs[i] ?? 0];
    if (issuedMs < toMs && endedMs > fromMs) times.push(endedMs - issuedMs);
  }
  return { slowest: percentile(times, 1), usual: percentile(times, 0.95) };
}

/** How late the clients sent at worst: for so long the machine itself, not what is tested on it, stood still. */
export function longestStallMs({ writes, reads }: LoadRecord, { fromMs, toMs }: Window): number {
  let longest = 0;
  for (const calls of [writes, reads])
    for (let i = 0; i < calls.length; i += 1) {
      const [scheduledMs, issuedMs] = [calls.scheduledMs[i] ?? 0, calls.issuedMs[i] ?? 0];
      if (scheduledMs < toMs && issuedMs > fromMs) longest = Math.max(longest, issuedMs - scheduledMs);
    }
  return longest;
}
