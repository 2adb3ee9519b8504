import { Worker } from 'node:worker_threads';
import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { PoolStatus } from '../backend.ts';
import type { SqlRow, Statement } from './connection.ts';
import { type PackedRows, unpackRows } from './scan-rows.ts';
import { abortError } from '../abort-error.ts';
import { errorOfFault, type Fault, isBusy, storeError } from './errors.ts';

/** Callers that may wait at once; more are refused without waiting. */
const WAITING_LIMIT = 10_000;
/** How long a statement that nobody wants any more may take to notice it; then its thread is ended. */
const STOP_LIMIT_MS = 1_000;
/** Between two tries while another process recovers the file. */
const BUSY_PAUSE_MS = 5;

/** What a thread is started with. */
export interface ScanThreadData {
  readonly path: string;
  /** Id of the question whose answer nobody wants any more. */
  readonly stopped: Int32Array;
}

/** Reads of one snapshot. */
export interface Scan {
  /** Tables whose fence must let gateways read; none: unchecked. */
  readonly tables: readonly string[];
  readonly statements: readonly Statement[];
  /** Of all rows together; left out: all of them are wanted. Of several statements each has one row, or none. */
  readonly maxBytes?: number;
}

/** What a scan has read. */
export interface ScanRows {
  /** Rows of each statement. */
  readonly rows: readonly (readonly SqlRow[])[];
  /** Whether rows were left out for `maxBytes`. */
  readonly cut: boolean;
}

export interface ScanQuestion extends Scan {
  readonly id: number;
}

/** The rows of each statement, or what went wrong. */
export type ScanAnswer = { readonly id: number; readonly packed: PackedRows; readonly cut: boolean } | { readonly id: number; readonly fault: Fault };

export interface ScanWorkersOptions {
  /** Absolute path of the file. */
  readonly path: string;
  /** Threads, at most; each has one connection. */
  readonly size: number;
  readonly acquireTimeoutMs: number;
  readonly clock: Clock;
  readonly onBackgroundError: (error: Error) => void;
}

interface Waiter {
  readonly resolve: (thread: ScanThread) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Threads that run scans, so that they do not block this one. They start when they are needed, up to `size`; callers wait in order of arrival. An abort rejects at once; the statement in the thread ends at the next row that it looks at
 * when it asks `switchyard_go_on()`, else its thread is ended.
 */
export class ScanWorkers implements AsyncDisposable {
  readonly #options: ScanWorkersOptions;
  readonly #idle: ScanThread[] = [];
  readonly #busy = new Set<ScanThread>();
  readonly #waiters = new Set<Waiter>();
  #closed: SwitchyardError | null = null;

  constructor(options: ScanWorkersOptions) {
    this.#options = options;
  }

  status(): PoolStatus {
    return { busy: this.#busy.size, idle: this.#idle.length, waiting: this.#waiters.size };
  }

  /** Rows of each statement, all from one snapshot. FENCED; STORE_OVERLOADED: no thread was free in time. Other errors are of the store; `table` helps to tell them. */
  async run(scan: Scan, signal: AbortSignal): Promise<ScanRows> {
    const { clock, acquireTimeoutMs } = this.#options;
    const limit = clock.monotonic() + acquireTimeoutMs;
    for (;;) {
      const answer = await this.#ask(scan, signal);
      if ('packed' in answer) return { rows: unpackRows(answer.packed), cut: answer.cut };
      const error = errorOfFault(answer.fault);
      if (!isBusy(error) || clock.monotonic() > limit) throw error;
      await clock.sleep(BUSY_PAUSE_MS, signal).catch(() => {
        throw abortError(signal);
      });
    }
  }

  /** Starts threads until there are `threads`, at most the size, and lets each open the file. */
  async warmUp(threads: number, signal: AbortSignal): Promise<void> {
    const missing = Math.min(threads, this.#options.size) - this.#idle.length - this.#busy.size;
    for (let i = 0; i < missing; i += 1) {
      if (signal.aborted) throw abortError(signal);
      const thread = this.#start();
      const answer = await thread.ask({ tables: [], statements: [] });
      this.#release(thread);
      if ('fault' in answer) throw storeError(errorOfFault(answer.fault));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new SwitchyardError('STORE_UNAVAILABLE', 'the store is being closed');
    this.#closed = closed;
    for (const waiter of [...this.#waiters]) waiter.reject(closed);
    const threads = [...this.#idle.splice(0), ...this.#busy];
    this.#busy.clear();
    await Promise.all(threads.map((thread) => thread.end()));
  }

  async #ask(scan: Scan, signal: AbortSignal): Promise<ScanAnswer> {
    const thread = await this.#acquire(signal);
    const { promise, resolve, reject } = Promise.withResolvers<ScanAnswer>();
    let stopTimer = (): void => {};
    const onAbort = (): void => {
      thread.stop();
      stopTimer = this.#options.clock.after(STOP_LIMIT_MS, () => void thread.end());
      reject(abortError(signal));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    thread
      .ask(scan)
      .then(resolve, reject)
      .finally(() => {
        stopTimer();
        signal.removeEventListener('abort', onAbort);
        this.#release(thread);
      });
    return promise;
  }

  #acquire(signal: AbortSignal): Promise<ScanThread> {
    if (signal.aborted) return Promise.reject(abortError(signal));
    if (this.#closed !== null) return Promise.reject(this.#closed);
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      this.#busy.add(idle);
      return Promise.resolve(idle);
    }
    if (this.#busy.size < this.#options.size) return Promise.resolve(this.#start());
    if (this.#waiters.size >= WAITING_LIMIT) return Promise.reject(new SwitchyardError('STORE_OVERLOADED', `${WAITING_LIMIT} callers wait for a scan already`));
    const { promise, resolve, reject } = Promise.withResolvers<ScanThread>();
    const { acquireTimeoutMs, clock } = this.#options;
    const settle = (): void => {
      this.#waiters.delete(waiter);
      stopTimer();
      signal.removeEventListener('abort', onAbort);
    };
    const waiter: Waiter = {
      resolve: (thread) => {
        settle();
        resolve(thread);
      },
      reject: (error) => {
        settle();
        reject(error);
      },
    };
    const onAbort = (): void => waiter.reject(abortError(signal));
    const stopTimer = clock.after(acquireTimeoutMs, () => waiter.reject(new SwitchyardError('STORE_OVERLOADED', `no thread for scans was free within ${acquireTimeoutMs} ms`)));
    signal.addEventListener('abort', onAbort, { once: true });
    this.#waiters.add(waiter);
    return promise;
  }

  /** A new thread, busy. */
  #start(): ScanThread {
    const thread = new ScanThread(this.#options.path, (error) => {
      const index = this.#idle.indexOf(thread);
      if (index === -1) return;
      this.#idle.splice(index, 1);
      this.#options.onBackgroundError(error);
    });
    this.#busy.add(thread);
    return thread;
  }

  #release(thread: ScanThread): void {
    if (!this.#busy.delete(thread)) return;
    const [waiter] = this.#waiters;
    const next = thread.ended ? null : thread;
    if (waiter === undefined) {
      if (next !== null) this.#idle.push(next);
      return;
    }
    if (next !== null) this.#busy.add(next);
    waiter.resolve(next ?? this.#start());
  }
}

/** One thread; answers one question at a time. */
class ScanThread {
  readonly #worker: Worker;
  readonly #stopped = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  #lastId = 0;
  #asker: { readonly resolve: (answer: ScanAnswer) => void; readonly reject: (error: Error) => void } | null = null;
  #ended = false;

  /** `onLost` is told when the thread ends by itself. */
  constructor(path: string, onLost: (error: Error) => void) {
    const data: ScanThreadData = { path, stopped: this.#stopped };
    this.#worker = new Worker(new URL('./scan-thread.ts', import.meta.url), { workerData: data, execArgv: ['--disable-warning=ExperimentalWarning'] });
    // An idle thread keeps no process alive.
    this.#worker.unref();
    const lost = (error: Error): void => {
      if (this.#ended) return;
      this.#ended = true;
      this.#settle()?.reject(new SwitchyardError('STORE_UNAVAILABLE', `the thread that read the store ended: ${error.message}`, { cause: error }));
      onLost(error);
    };
    this.#worker.on('error', lost);
    this.#worker.on('exit', (code) => lost(new Error(`exit code ${code}`)));
    this.#worker.on('message', (answer: ScanAnswer) => this.#settle()?.resolve(answer));
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Asks; rejects with STORE_UNAVAILABLE when the thread ends before it has answered. */
  ask(scan: Scan): Promise<ScanAnswer> {
    if (this.#ended) return Promise.reject(new SwitchyardError('STORE_UNAVAILABLE', 'the thread that reads the store has ended'));
    const { promise, resolve, reject } = Promise.withResolvers<ScanAnswer>();
    this.#asker = { resolve, reject };
    this.#lastId = (this.#lastId % 0x3fff_ffff) + 1;
    this.#worker.ref();
    this.#worker.postMessage({ ...scan, id: this.#lastId } satisfies ScanQuestion);
    return promise;
  }

  /** Nobody wants the present answer any more. */
  stop(): void {
    Atomics.store(this.#stopped, 0, this.#lastId);
  }

  /** Ends the thread whatever it does; a statement within SQLite goes on until it next looks up. */
  async end(): Promise<void> {
    this.stop();
    this.#ended = true;
    this.#settle()?.reject(new SwitchyardError('STORE_UNAVAILABLE', 'the store is being closed'));
    await this.#worker.terminate();
  }

  #settle(): { readonly resolve: (answer: ScanAnswer) => void; readonly reject: (error: Error) => void } | null {
    const asker = this.#asker;
    this.#asker = null;
    this.#worker.unref();
    return asker;
  }
}
