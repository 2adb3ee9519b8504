import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { abortError } from '../abort-error.ts';

/** Callers that may wait at once; more are refused without waiting. */
const WAITING_LIMIT = 10_000;
/** Between two tries for a lock that another connection has: short, or a busy store would always be a moment ahead; uneven, or two that wait would meet again and again. */
const RETRY_LEAST_MS = 1;
const RETRY_SPREAD_MS = 3;
/** For a caller that cannot wait long: tries without a pause in between, which block this thread, before each pause. */
const URGENT_TRIES = 200;
/** After so long without a pause the lock is left alone for a moment: a busy process would else have it almost always when others look. */
const TURN_MS = 20;
const PAUSE_MS = 1;
/** Writes that share one commit, at most: some milliseconds of this thread. */
const JOINT_LIMIT = 32;

/** What became of one caller's work. */
export type Outcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: unknown };

/** What a caller wants done, with what the transaction works with. Synchronous. */
export type Work<C> = (context: C) => unknown;

/**
 * Runs these works in order in one transaction of which each is a part that fails alone, and commits. `'busy'`: another connection has the lock, nothing was run. `'apart'`: the transaction failed as a whole and nothing of it is applied;
 * each is to be run for itself, so that each gets its own answer. Never throws.
 */
export type RunWorks<C> = (works: readonly Work<C>[]) => 'busy' | 'apart' | readonly Outcome[];

export interface QueueLimits {
  readonly limitMs: number;
  /** Tries many times without a pause before every pause: for a fence among busy writers. */
  readonly urgent?: boolean;
  /** May share its commit with others that wait. */
  readonly joint?: boolean;
}

interface Entry<C> {
  readonly work: Work<C>;
  readonly urgent: boolean;
  joint: boolean;
  readonly settle: (outcome: Outcome) => void;
}

/** Writers in order of arrival, each waiting until another connection's lock is gone; all share one connection. The event loop is never blocked by the wait. */
export class WriteQueue<C> {
  readonly #clock: Clock;
  readonly #runWorks: RunWorks<C>;
  readonly #entries = new Set<Entry<C>>();
  #closed: SwitchyardError | null = null;
  #running = false;

  constructor(clock: Clock, runWorks: RunWorks<C>) {
    this.#clock = clock;
    this.#runWorks = runWorks;
  }

  /** Callers that wait, the one that is trying included. */
  get length(): number {
    return this.#entries.size;
  }

  /** STORE_OVERLOADED: the lock was not free within the limit, or too many wait. An abort ends the wait; what has begun is never interrupted. */
  run(work: Work<C>, { limitMs, urgent = false, joint = false }: QueueLimits, signal: AbortSignal): Promise<unknown> {
    if (signal.aborted) return Promise.reject(abortError(signal));
    if (this.#closed !== null) return Promise.reject(this.#closed);
    if (this.#entries.size >= WAITING_LIMIT) return Promise.reject(new SwitchyardError('STORE_OVERLOADED', `${WAITING_LIMIT} callers wait for the store's write lock already`));
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    let stopTimer = (): void => {};
    const entry: Entry<C> = {
      work,
      urgent,
      joint,
      settle: (outcome) => {
        this.#entries.delete(entry);
        signal.removeEventListener('abort', onAbort);
        stopTimer();
        if (outcome.ok) resolve(outcome.value);
        else reject(outcome.error);
      },
    };
    const onAbort = (): void => entry.settle({ ok: false, error: abortError(signal) });
    // Nobody before it and no lock in the way: done now.
    if (!joint && !this.#running && this.#entries.size === 0 && this.#serve([entry])) return promise;
    stopTimer = this.#clock.after(limitMs, () =>
      entry.settle({ ok: false, error: new SwitchyardError('STORE_OVERLOADED', `the store's write lock was not free within ${limitMs} ms; nothing was written`) }),
    );
    signal.addEventListener('abort', onAbort, { once: true });
    this.#entries.add(entry);
    if (!this.#running) void this.#work();
    return promise;
  }

  /** Refuses those who wait and come. */
  close(error: SwitchyardError): void {
    this.#closed = error;
    for (const entry of [...this.#entries]) entry.settle({ ok: false, error });
  }

  async #work(): Promise<void> {
    this.#running = true;
    try {
      // Joint writes of this turn share the first commit.
      await new Promise<void>((resolve) => this.#clock.endOfTurn(resolve));
      let begunAt = this.#clock.monotonic();
      for (let group = this.#next(); group.length > 0; group = this.#next()) {
        let tries = group[0]?.urgent === true ? URGENT_TRIES : 1;
        let done = this.#serve(group);
        while (!done && tries > 1) {
          tries -= 1;
          done = this.#serve(group);
        }
        // What has arrived meanwhile is handled before the next ones, and another process gets a chance at the lock.
        const isLong = this.#clock.monotonic() - begunAt > TURN_MS;
        if (done && !isLong) await new Promise<void>((resolve) => this.#clock.endOfTurn(resolve));
        else await this.#clock.sleep(done ? PAUSE_MS : RETRY_LEAST_MS + Math.random() * RETRY_SPREAD_MS);
        if (!done || isLong) begunAt = this.#clock.monotonic();
      }
    } finally {
      this.#running = false;
    }
  }

  /** The first, with those behind it that may share its commit. */
  #next(): readonly Entry<C>[] {
    const group: Entry<C>[] = [];
    for (const entry of this.#entries) {
      if (group.length > 0 && !(entry.joint && group[0]?.joint === true)) break;
      group.push(entry);
      if (group.length === JOINT_LIMIT) break;
    }
    return group;
  }

  /** One try for these; false when the lock is taken. */
  #serve(group: readonly Entry<C>[]): boolean {
    const outcomes = this.#runWorks(group.map((entry) => entry.work));
    if (outcomes === 'busy') return false;
    if (outcomes === 'apart') for (const entry of group) entry.joint = false;
    else for (const [i, entry] of group.entries()) entry.settle(outcomes[i] ?? { ok: false, error: new SwitchyardError('INTERNAL', 'a write has no outcome') });
    return true;
  }
}
