import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { abortError } from './errors.ts';

/** Callers that may wait at once; more are refused without waiting. */
const WAITING_LIMIT = 10_000;
/** Between two tries for a lock that another connection has: short, or a busy store would always be a moment ahead; uneven, or two that wait would meet again and again. */
const RETRY_LEAST_MS = 1;
const RETRY_SPREAD_MS = 3;
/** For a caller that cannot wait long: tries without a pause in between, which block this thread, before each pause. */
const URGENT_TRIES = 200;

/** Makes one try. `'busy'`: another connection has the lock. Whatever it throws is the caller's result. */
export type Try<T> = () => 'busy' | { readonly value: T };

export interface QueueLimits {
  readonly limitMs: number;
  /** Tries many times without a pause before every pause: for a fence among busy writers. */
  readonly urgent?: boolean;
}

interface Entry {
  readonly urgent: boolean;
  /** One try; true when the caller has its result. */
  readonly attempt: () => boolean;
  readonly refuse: (error: Error) => void;
}

/**
 * Callers in order of arrival, each trying until another connection's lock is gone; one after the other, since all share one connection. The event loop is never blocked by the wait.
 */
export class WriteQueue {
  readonly #clock: Clock;
  readonly #entries = new Set<Entry>();
  #closed: SwitchyardError | null = null;
  #running = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Callers that wait, the one that is trying included. */
  get length(): number {
    return this.#entries.size;
  }

  /** STORE_OVERLOADED: the lock was not free within the limit, or too many wait. An abort ends the wait; what has begun is never interrupted. */
  run<T>(attempt: Try<T>, limits: QueueLimits, signal: AbortSignal): Promise<T> {
    if (signal.aborted) return Promise.reject(abortError(signal));
    if (this.#closed !== null) return Promise.reject(this.#closed);
    if (this.#entries.size >= WAITING_LIMIT) return Promise.reject(new SwitchyardError('STORE_OVERLOADED', `${WAITING_LIMIT} callers wait for the store's write lock already`));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const settle = (): void => {
      this.#entries.delete(entry);
      signal.removeEventListener('abort', onAbort);
      stopTimer();
    };
    const entry: Entry = {
      urgent: limits.urgent ?? false,
      attempt: () => {
        try {
          const result = attempt();
          if (result === 'busy') return false;
          resolve(result.value);
        } catch (error) {
          reject(error);
        }
        settle();
        return true;
      },
      refuse: (error) => {
        settle();
        reject(error);
      },
    };
    const onAbort = (): void => entry.refuse(abortError(signal));
    let stopTimer = (): void => {};
    // Nobody before it and no lock in the way: done without a timer.
    if (this.#entries.size === 0 && !this.#running && entry.attempt()) return promise;
    stopTimer = this.#clock.after(limits.limitMs, () =>
      entry.refuse(new SwitchyardError('STORE_OVERLOADED', `the store's write lock was not free within ${limits.limitMs} ms; nothing was written`)),
    );
    signal.addEventListener('abort', onAbort, { once: true });
    this.#entries.add(entry);
    if (!this.#running) void this.#work();
    return promise;
  }

  /** Refuses those who wait and come. */
  close(error: SwitchyardError): void {
    this.#closed = error;
    for (const entry of [...this.#entries]) entry.refuse(error);
  }

  async #work(): Promise<void> {
    this.#running = true;
    try {
      for (let head = this.#first(); head !== undefined; head = this.#first()) {
        let tries = head.urgent ? URGENT_TRIES : 1;
        let done = head.attempt();
        while (!done && tries > 1) {
          tries -= 1;
          done = head.attempt();
        }
        // What has arrived meanwhile is handled before the next one, and another process gets a chance at the lock.
        if (done) await new Promise<void>((resolve) => this.#clock.endOfTurn(resolve));
        else await this.#clock.sleep(RETRY_LEAST_MS + Math.random() * RETRY_SPREAD_MS);
      }
    } finally {
      this.#running = false;
    }
  }

  #first(): Entry | undefined {
    const [first] = this.#entries;
    return first;
  }
}
