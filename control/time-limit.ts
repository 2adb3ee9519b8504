import type { Clock } from '../core/clock.ts';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';

/** The error that a wait ends with when its limit is over. */
export type LateError = () => SwitchyardError;

/** An error of ours for an aborted signal: its reason where that is one, else CANCELLED. */
export function abortError(signal: AbortSignal): SwitchyardError {
  return signal.reason instanceof SwitchyardError ? signal.reason : new SwitchyardError('CANCELLED', 'the caller cancelled', { cause: signal.reason });
}

/**
 * Runs `act` with a signal that aborts with `late()` after `limitMs`, or with `parent` (null: none). Settles when the signal aborts even if `act` does not heed it, so
 * that a store that hangs cannot hang the caller; what `act` was doing may then still happen.
 */
export async function within<T>(clock: Clock, limitMs: number, late: LateError, parent: AbortSignal | null, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const timer = new AbortController();
  const signal = parent === null ? timer.signal : AbortSignal.any([parent, timer.signal]);
  if (signal.aborted) throw abortError(signal);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(abortError(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  const cancel = clock.after(Math.max(0, limitMs), () => timer.abort(late()));
  try {
    return await Promise.race([act(signal), aborted]);
  } finally {
    cancel();
    signal.removeEventListener('abort', onAbort);
  }
}

/** Pause before repetition number `round` (from 0): doubles from `firstMs` up to `mostMs`. */
export const backOffMs = (round: number, firstMs: number, mostMs: number): number => Math.min(mostMs, firstMs * 2 ** Math.min(round, 20));

/** A failure as ours; what is not ours is a fault of ours. */
export function asSwitchyardError(error: unknown): SwitchyardError {
  if (error instanceof SwitchyardError) return error;
  return new SwitchyardError('INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
}

/** Whether a store's refusal is a definite answer, after which its connection is as good as before. */
export const isDefinite = (error: unknown): boolean => hasReason(error, 'FENCE_CONFLICT', 'LOCK_TIMEOUT', 'LOCK_TAKEN', 'SEQUENCE_BEHIND');
