import type { Clock } from '../core/clock.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { abortError } from './abort-error.ts';
import type { PoolStatus } from './backend.ts';
import { type Login, storeOf } from './login.ts';
import { DeadConnection } from './silence-watch.ts';

/** Callers that may wait at once; more are refused without waiting. */
const WAITING_LIMIT = 10_000;
/** Connecting costs a server far more than a call. When all connections were lost at once, a busy server that is asked for all of them again at once lets nobody in before their limit is over, and is asked again. */
const OPENING_LIMIT = 2;

/** What a pool asks of a connection. */
export interface PooledSession {
  /** Whether the next caller may have it. */
  readonly usable: boolean;
  /** Closes it at once, whatever it is doing. */
  drop(): void;
  /** Says goodbye. Never rejects. */
  close(): Promise<void>;
}

export interface PoolOptions<Session extends PooledSession> {
  /** Whose connections they are, for messages. */
  readonly login: Login;
  readonly size: number;
  readonly acquireTimeoutMs: number;
  readonly clock: Clock;
  /** Connects. `onLost` must be called when the session ends by itself. */
  readonly open: (signal: AbortSignal, onLost: (session: Session, error: Error) => void) => Promise<Session>;
  /** What keeps us from connecting, or has broken a connection that nobody used, as an error of ours. */
  readonly connectError: (error: unknown) => SwitchyardError;
  readonly onBackgroundError: (error: Error) => void;
}

interface Waiter<Session> {
  readonly resolve: (session: Session) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A bounded number of connections to one store. A caller takes an idle one, the most recently used first, or waits in order of arrival for whichever comes first: one given back, or a new one
 * as long as there are fewer than `size`. Connecting is nobody's own: a caller that gives up leaves its connection to the next.
 */
export class ConnectionPool<Session extends PooledSession> implements AsyncDisposable {
  readonly #options: PoolOptions<Session>;
  readonly #idle: Session[] = [];
  readonly #busy = new Set<Session>();
  readonly #waiters = new Set<Waiter<Session>>();
  readonly #closing = new AbortController();
  #opening = 0;

  constructor(options: PoolOptions<Session>) {
    this.#options = options;
  }

  /** A usable connection, to be given back by `release`. STORE_OVERLOADED: none was free in time; STORE_UNAVAILABLE: the store does not let us connect. */
  async acquire(signal: AbortSignal): Promise<Session> {
    if (signal.aborted) throw abortError(signal);
    if (this.#closing.signal.aborted) throw new SwitchyardError('STORE_UNAVAILABLE', 'the store is being closed');
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      this.#busy.add(idle);
      return idle;
    }
    if (this.#waiters.size >= WAITING_LIMIT) throw new SwitchyardError('STORE_OVERLOADED', `${WAITING_LIMIT} callers wait for a connection already`);
    return this.#wait(signal);
  }

  /** Takes a connection back; one that is not usable is closed and makes room for another. */
  release(session: Session): void {
    if (!this.#busy.delete(session)) return;
    if (this.#closing.signal.aborted) void session.close();
    else if (session.usable) this.#offer(session);
    else {
      session.drop();
      this.#openForWaiters();
    }
  }

  /**
   * Opens connections until `connections` (at most the pool's size) are open, then lets `prepare` work on every idle one. One after the other: connecting costs both sides more than many calls, and calls need connections meanwhile.
   * Rejects when one cannot be opened.
   */
  async warmUp(connections: number, prepare: (session: Session) => Promise<unknown>, signal: AbortSignal): Promise<void> {
    const wanted = Math.min(connections, this.#options.size);
    try {
      while (this.#total() < wanted) await this.#open(signal);
    } catch (error) {
      throw signal.aborted ? abortError(signal) : this.#options.connectError(error);
    }
    for (const session of [...this.#idle]) {
      const index = this.#idle.indexOf(session);
      if (index === -1) continue;
      this.#idle.splice(index, 1);
      this.#busy.add(session);
      await prepare(session).finally(() => this.release(session));
    }
  }

  /** Connects once, beside all connections that are open, and lets go again. */
  async checkLogin(signal: AbortSignal): Promise<void> {
    try {
      const session = await this.#options.open(AbortSignal.any([signal, this.#closing.signal]), () => {});
      await session.close();
    } catch (error) {
      throw signal.aborted ? abortError(signal) : this.#options.connectError(error);
    }
  }

  status(): PoolStatus {
    return { busy: this.#busy.size, idle: this.#idle.length, waiting: this.#waiters.size };
  }

  /** Refuses those who wait, closes what is idle and drops what is busy. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    const closed = new SwitchyardError('STORE_UNAVAILABLE', 'the store is being closed');
    for (const waiter of this.#waiters) waiter.reject(closed);
    this.#waiters.clear();
    for (const session of this.#busy) session.drop();
    this.#busy.clear();
    await Promise.all(this.#idle.splice(0).map((session) => session.close()));
  }

  #total(): number {
    return this.#idle.length + this.#busy.size + this.#opening;
  }

  #wait(signal: AbortSignal): Promise<Session> {
    const { promise, resolve, reject } = Promise.withResolvers<Session>();
    const onAbort = (): void => waiter.reject(abortError(signal));
    const stop = this.#options.clock.after(this.#options.acquireTimeoutMs, () => waiter.reject(this.#tooLate()));
    const leave = (): void => {
      stop();
      signal.removeEventListener('abort', onAbort);
      this.#waiters.delete(waiter);
    };
    const waiter: Waiter<Session> = {
      resolve: (session) => {
        leave();
        resolve(session);
      },
      reject: (error) => {
        leave();
        reject(error);
      },
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#waiters.add(waiter);
    this.#openForWaiters();
    return promise;
  }

  #tooLate(): SwitchyardError {
    const { acquireTimeoutMs, size, login } = this.#options;
    const store = `${storeOf(login)},`;
    if (this.#busy.size === 0) return new SwitchyardError('STORE_UNAVAILABLE', `${store} let nobody connect within ${acquireTimeoutMs} ms`);
    return new SwitchyardError('STORE_OVERLOADED', `none of ${size} connections to ${store} was free within ${acquireTimeoutMs} ms`);
  }

  #openForWaiters(): void {
    while (this.#opening < Math.min(OPENING_LIMIT, this.#waiters.size) && this.#total() < this.#options.size && !this.#closing.signal.aborted) {
      // A failure is for whoever has waited longest: it would have got the connection.
      this.#open(this.#closing.signal).catch((error: unknown) => {
        const [waiter] = this.#waiters;
        waiter?.reject(this.#options.connectError(error));
        this.#openForWaiters();
      });
    }
  }

  async #open(signal: AbortSignal): Promise<void> {
    let opened = false;
    this.#opening += 1;
    try {
      const session = await this.#options.open(AbortSignal.any([signal, this.#closing.signal]), (lost, error) => this.#forget(lost, error));
      if (this.#closing.signal.aborted) void session.close();
      else if (session.usable) {
        this.#offer(session);
        opened = true;
      } else throw new SwitchyardError('STORE_UNAVAILABLE', 'the store ended a new connection at once');
    } finally {
      this.#opening -= 1;
      // Whoever was not let open one while this one was on its way. A failure is told first.
      if (opened) this.#openForWaiters();
    }
  }

  #offer(session: Session): void {
    const [waiter] = this.#waiters;
    if (waiter === undefined) {
      this.#busy.delete(session);
      this.#idle.push(session);
      return;
    }
    this.#busy.add(session);
    waiter.resolve(session);
  }

  /** A busy one's caller learns of the loss by itself. Where one connection died without a word, those that nobody uses just now may have too: nobody is given one of them. */
  #forget(session: Session, error: Error): void {
    const wasIdle = this.#idle.includes(session);
    if (error instanceof DeadConnection) for (const each of this.#idle.splice(0)) each.drop();
    else if (wasIdle) this.#idle.splice(this.#idle.indexOf(session), 1);
    if (wasIdle) this.#options.onBackgroundError(this.#options.connectError(error));
  }
}
