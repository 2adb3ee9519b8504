import type { Clock } from '../../../core/clock.ts';
import type { Change } from './topology-state.ts';

interface Waiter {
  readonly wakesAt: (change: Change) => boolean;
  readonly wake: () => void;
}

/** Queries that wait for a change. */
export class Waiters {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiter>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get count(): number {
    return this.#waiting.size;
  }

  /** Resolves at the first change that `wakesAt` accepts, after `waitMs`, or when the signal aborts; the caller looks again. */
  async wait(wakesAt: (change: Change) => boolean, waitMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter = { wakesAt, wake: resolve };
    const stop = this.#clock.after(waitMs, resolve);
    const onAbort = (): void => resolve();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#waiting.add(waiter);
    await promise;
    stop();
    signal.removeEventListener('abort', onAbort);
    this.#waiting.delete(waiter);
  }

  notify(change: Change): void {
    for (const waiter of this.#waiting) if (waiter.wakesAt(change)) waiter.wake();
  }
}
