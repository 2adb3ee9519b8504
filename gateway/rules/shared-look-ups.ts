import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';

interface Shared<T> {
  running: Promise<T>;
  next: Promise<T> | null;
}

/**
 * Joins look-ups of one thing: at most one is under way, and everybody who asks meanwhile shares the one that follows it. So a caller never gets an answer to a question that was put before its own, and many callers cost two look-ups.
 */
export class SharedLookUps<T> {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #shared = new Map<string, Shared<T>>();

  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock;
    this.#limitMs = limitMs;
  }

  /** Runs `look`, or shares a run that begins after this call. A run has a limit: STORE_UNAVAILABLE. */
  run(key: string, look: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const shared = this.#shared.get(key);
    if (shared === undefined) {
      const running = this.#limited(look);
      this.#track(key, { running, next: null });
      return running;
    }
    shared.next ??= this.#afterwards(key, shared.running, look);
    return shared.next;
  }

  async #afterwards(key: string, before: Promise<T>, look: (signal: AbortSignal) => Promise<T>): Promise<T> {
    await before.catch(() => null); // whoever asked for that one hears of its failure
    const running = this.#limited(look);
    this.#track(key, { running, next: null });
    return await running;
  }

  #track(key: string, shared: Shared<T>): void {
    this.#shared.set(key, shared);
    const forget = (): void => {
      if (shared.next === null && this.#shared.get(key) === shared) this.#shared.delete(key);
    };
    shared.running.then(forget, forget);
  }

  async #limited(look: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const cancel = this.#clock.after(this.#limitMs, () => controller.abort(new SwitchyardError('STORE_UNAVAILABLE', `the store did not answer within ${this.#limitMs} ms`)));
    try {
      return await look(controller.signal);
    } finally {
      cancel();
    }
  }
}
