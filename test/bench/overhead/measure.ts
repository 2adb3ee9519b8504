import { percentile } from '../cutover/summary.ts';

export interface Measured {
  readonly perSecond: number;
  readonly medianUs: number;
  readonly p99Us: number;
  readonly errors: number;
}

/** Runs `operation` for `forMs`, always `concurrency` of them at once, each begun when one before it has ended. */
export async function measure(operation: () => Promise<unknown>, concurrency: number, forMs: number): Promise<Measured> {
  const latenciesMs: number[] = [];
  let errors = 0;
  const startedMs = performance.now();
  const endMs = startedMs + forMs;
  const caller = async (): Promise<void> => {
    for (let at = performance.now(); at < endMs; at = performance.now()) {
      try {
        await operation();
        latenciesMs.push(performance.now() - at);
      } catch {
        errors += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, caller));
  const passedMs = performance.now() - startedMs;
  const us = (share: number): number => Math.round(percentile(latenciesMs, share) * 1_000);
  return { perSecond: Math.round((latenciesMs.length * 1_000) / passedMs), medianUs: us(0.5), p99Us: us(0.99), errors };
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}
