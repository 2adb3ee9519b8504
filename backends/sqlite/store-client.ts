import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { Connection } from './connection.ts';
import { abortError, isBusy, isUnavailable, mayBeDurable, messageOf, storeError } from './errors.ts';
import { OpenFile } from './open-file.ts';
import type { ReadFence } from './read-fence.ts';
import { type QueueLimits, WriteQueue } from './write-queue.ts';

export interface StoreClientOptions {
  /** Absolute path of the file. */
  readonly path: string;
  /** Make the file when it is not there. */
  readonly create?: boolean;
  /** Check foreign keys and run their actions; default true. */
  readonly foreignKeys?: boolean;
  /** How long a call waits for another connection's lock unless it says otherwise. */
  readonly acquireTimeoutMs: number;
  readonly clock: Clock;
}

/** What a transaction works with. Everything is synchronous: nobody else can come in between. */
export interface Transaction {
  readonly connection: Connection;
  readonly fence: ReadFence;
}

/**
 * One connection to a file for whatever is short, on this thread: reads in a snapshot each, writes one after the other. Opens when it is first used, and anew when the file was replaced or cannot be used. Another connection's lock is
 * waited for without blocking the thread. Failures are SwitchyardErrors; everything but OUTCOME_UNKNOWN is definitely not applied.
 */
export class StoreClient implements Disposable {
  readonly #options: StoreClientOptions;
  readonly #writes: WriteQueue;
  readonly #file: OpenFile;
  #closed: SwitchyardError | null = null;

  constructor(options: StoreClientOptions) {
    this.#options = options;
    this.#file = new OpenFile(options);
    this.#writes = new WriteQueue(options.clock);
  }

  /** Callers that wait for a lock now. */
  get waiting(): number {
    return this.#writes.length;
  }

  /** Whether the file is open. */
  get isOpen(): boolean {
    return this.#file.isOpen;
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
    this.#file.close();
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
      if (this.#closed !== null) throw this.#closed;
      const file = this.#file.get();
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
      if (isUnavailable(ours)) this.#file.close();
      throw ours;
    }
  }
}

function commitError(error: unknown): unknown {
  if (!mayBeDurable(error)) return error;
  return new SwitchyardError('OUTCOME_UNKNOWN', `the store failed while it committed: ${messageOf(error)}`, { cause: error });
}
