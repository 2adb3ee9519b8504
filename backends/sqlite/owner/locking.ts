import type { Clock } from '../../../core/clock.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { Connection } from '../connection.ts';
import { abortError, isBusy, storeError } from '../errors.ts';

/** How long owner and player wait for the file's one write lock where the caller has named no limit. */
const LOCK_LIMIT_MS = 15_000;
/** A write holds the lock for a fraction of a millisecond: so many tries come one right after the other, then one a millisecond. */
const QUICK_TRIES = 20;
const PAUSE_MS = 1;

export interface LockWait {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Default 15 s. */
  readonly limitMs?: number;
  /** What the end of the limit means; default STORE_OVERLOADED. */
  readonly late?: (limitMs: number) => SwitchyardError;
}

/**
 * `work` in one transaction that holds the write lock from its beginning. While another connection has the lock it is asked for again and again; nothing was done when that ends by the limit or by the signal. `work` is
 * synchronous and may run more than once, each time after a rollback. Rejects with errors of ours only.
 */
export function writing<T>(connection: Connection, wait: LockWait, work: () => T): Promise<T> {
  return untilFree(wait, () => connection.transaction('IMMEDIATE', work));
}

/** Runs `act` until it meets no lock of another connection. */
export async function untilFree<T>({ clock, signal, limitMs = LOCK_LIMIT_MS, late = overloaded }: LockWait, act: () => T): Promise<T> {
  const deadline = clock.monotonic() + limitMs;
  for (let tries = 0; ; tries += 1) {
    if (signal.aborted) throw abortError(signal);
    try {
      return act();
    } catch (error) {
      if (!isBusy(error)) throw storeError(error);
      if (clock.monotonic() >= deadline) throw late(limitMs);
    }
    if (tries < QUICK_TRIES) await new Promise<void>((resolve) => clock.endOfTurn(resolve));
    else await clock.sleep(PAUSE_MS, signal).catch(() => undefined);
  }
}

const overloaded = (limitMs: number): SwitchyardError =>
  new SwitchyardError('STORE_OVERLOADED', `another connection kept the file's write lock for more than ${limitMs / 1_000} s; nothing was written`);
