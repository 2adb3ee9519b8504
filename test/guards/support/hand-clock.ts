import type { Clock } from '../../../core/clock.ts';

interface Timer {
  readonly at: number;
  readonly act: () => void;
}

/** A clock that moves only when it is told to. */
export class HandClock implements Clock {
  #nowMs = 1_000;
  readonly #timers = new Set<Timer>();

  now = (): number => this.#nowMs;
  monotonic = (): number => this.#nowMs;

  sleep = (ms: number, signal?: AbortSignal): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (signal?.aborted) reject(signal.reason);
    const cancel = this.after(ms, resolve);
    signal?.addEventListener('abort', () => {
      cancel();
      reject(signal.reason);
    });
    return promise;
  };

  after = (ms: number, act: () => void): (() => void) => {
    const timer: Timer = { at: this.#nowMs + ms, act };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  endOfTurn = (act: () => void): void => act();

  get timers(): number {
    return this.#timers.size;
  }

  /** How long nothing happens from now on; null when no timer is set. */
  get quietMs(): number | null {
    return this.#timers.size === 0 ? null : Math.max(0, Math.min(...[...this.#timers].map(({ at }) => at)) - this.#nowMs);
  }

  /** Lets time pass, step by step: whatever a timer sets off is done before the next one is looked at. */
  async pass(ms: number): Promise<void> {
    const until = this.#nowMs + ms;
    await settled();
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#nowMs = Math.max(this.#nowMs, due.at);
      due.act();
      await settled();
    }
    this.#nowMs = until;
    await settled();
  }
}

/** Lets everything that can go on without time do so. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Resolves as `promise` does while time passes, from one timer to the next. Fails when it does not within `mostMs`. */
export async function whileTimePasses<T>(clock: HandClock, promise: Promise<T>, mostMs = 2_000): Promise<T> {
  let over = false;
  const watched = promise.finally(() => {
    over = true;
  });
  watched.catch(() => {});
  await settled();
  const endMs = clock.monotonic() + mostMs;
  while (clock.monotonic() < endMs && !over) await clock.pass(Math.min(Math.max(1, clock.quietMs ?? 1), endMs - clock.monotonic()));
  if (!over) throw new Error(`nothing came of it within ${mostMs} ms`);
  return await watched;
}
