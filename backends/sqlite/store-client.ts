import { statSync } from 'node:fs';
import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { Connection } from './connection.ts';
import { abortError, isBusy, isUnavailable, mayBeDurable, storeError } from './errors.ts';
import { ReadFence } from './read-fence.ts';
import { type QueueLimits, WriteQueue } from './write-queue.ts';

/** How often a read looks whether the path still leads to the file that is open. A write always looks. */
const LOOK_EVERY_MS = 100;

export interface StoreClientOptions {
  /** Absolute path of the file. */
  readonly path: string;
  /** Make the file when it is not there. */
  readonly create?: boolean;
  /** How long a call waits for another connection's lock unless it says otherwise. */
  readonly acquireTimeoutMs: number;
  readonly clock: Clock;
}

/** What a transaction works with. Everything is synchronous: nobody else can come in between. */
export interface Transaction {
  readonly connection: Connection;
  readonly fence: ReadFence;
}

interface OpenFile extends Transaction {
  /** Device and number of the file that is open. */
  readonly identity: string;
  lookedAtMs: number;
}

/**
 * One connection to a file for whatever is short, on this thread: reads in a snapshot each, writes one after the other. Opens when it is first used, and anew when the file was replaced or cannot be used. Another connection's lock is
 * waited for without blocking the thread. Failures are SwitchyardErrors; everything but OUTCOME_UNKNOWN is definitely not applied.
 */
export class StoreClient implements Disposable {
  readonly #options: StoreClientOptions;
  readonly #writes: WriteQueue;
  #file: OpenFile | null = null;
  #closed: SwitchyardError | null = null;

  constructor(options: StoreClientOptions) {
    this.#options = options;
    this.#writes = new WriteQueue(options.clock);
  }

  /** Callers that wait for a lock now. */
  get waiting(): number {
    return this.#writes.length;
  }

  /** Whether the file is open. */
  get isOpen(): boolean {
    return this.#file !== null;
  }

  /** Runs `work` in one read transaction: one snapshot. Readers wait for no writer. */
  read<T>(signal: AbortSignal, work: (transaction: Transaction) => T): Promise<T> {
    return this.#run('DEFERRED', work, {}, signal);
  }

  /** Runs `work` as the only writer; whatever it throws rolls everything back. STORE_OVERLOADED: the lock was not free within the limit. OUTCOME_UNKNOWN: the commit failed in a way that leaves it open. */
  write<T>(signal: AbortSignal, work: (transaction: Transaction) => T, limits: Partial<QueueLimits> = {}): Promise<T> {
    return this.#run('IMMEDIATE', work, limits, signal);
  }

  [Symbol.dispose](): void {
    this.#closed = new SwitchyardError('STORE_UNAVAILABLE', 'the store is being closed');
    this.#writes.close(this.#closed);
    this.#drop();
  }

  #run<T>(mode: 'DEFERRED' | 'IMMEDIATE', work: (transaction: Transaction) => T, limits: Partial<QueueLimits>, signal: AbortSignal): Promise<T> {
    if (signal.aborted) return Promise.reject(abortError(signal));
    const attempt = (): 'busy' | { readonly value: T } => this.#attempt(mode, work);
    if (mode === 'DEFERRED') {
      // Busy only while another process recovers or turns the file: then it waits in the queue like a writer.
      try {
        const result = attempt();
        if (result !== 'busy') return Promise.resolve(result.value);
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.#writes.run(attempt, { limitMs: this.#options.acquireTimeoutMs, ...limits }, signal);
  }

  #attempt<T>(mode: 'DEFERRED' | 'IMMEDIATE', work: (transaction: Transaction) => T): 'busy' | { readonly value: T } {
    let begun = false;
    try {
      const file = this.#open(mode === 'IMMEDIATE');
      const value = file.connection.transaction(
        mode,
        () => {
          begun = true;
          return work(file);
        },
        commitError,
      );
      return { value };
    } catch (error) {
      // Under the write lock nobody else's lock can be in the way; a read's is taken by its first statement.
      if (isBusy(error) && !(begun && mode === 'IMMEDIATE')) return 'busy';
      const ours = storeError(error);
      if (isUnavailable(ours)) this.#drop();
      throw ours;
    }
  }

  /** The open file, opened anew where the path no longer leads to it: what is written into a file that was replaced is lost. */
  #open(always: boolean): OpenFile {
    if (this.#closed !== null) throw this.#closed;
    const { path, create = false, clock } = this.#options;
    const nowMs = clock.monotonic();
    if (this.#file !== null && (always || nowMs - this.#file.lookedAtMs > LOOK_EVERY_MS)) {
      if (identityOf(path) === this.#file.identity) this.#file.lookedAtMs = nowMs;
      else this.#drop();
    }
    if (this.#file === null) {
      const connection = Connection.open({ path, create });
      this.#file = { connection, fence: new ReadFence(connection), identity: identityOf(path) ?? '', lookedAtMs: nowMs };
    }
    return this.#file;
  }

  #drop(): void {
    this.#file?.connection[Symbol.dispose]();
    this.#file = null;
  }
}

function commitError(error: unknown): unknown {
  if (!mayBeDurable(error)) return error;
  return new SwitchyardError('OUTCOME_UNKNOWN', `the store failed while it committed: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}

function identityOf(path: string): string | null {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? null : `${stat.dev}:${stat.ino}`;
}
