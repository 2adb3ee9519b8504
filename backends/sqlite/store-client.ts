import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { Connection } from './connection.ts';
import { abortError } from '../abort-error.ts';
import { isBusy, isUnavailable, mayBeDurable, messageOf, storeError } from './errors.ts';
import { OpenFile } from './open-file.ts';
import type { ReadFence } from './read-fence.ts';
import { type Outcome, type QueueLimits, type RunWorks, type Work, WriteQueue } from './write-queue.ts';

/** Between two tries of a read. */
const BUSY_PAUSE_MS = 2;

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
  readonly #writes: WriteQueue<Transaction>;
  readonly #file: OpenFile;
  #closed: SwitchyardError | null = null;

  constructor(options: StoreClientOptions) {
    this.#options = options;
    this.#file = new OpenFile(options);
    this.#writes = new WriteQueue(options.clock, (works) => this.#runWorks(works));
  }

  /** Callers that wait for a lock now. */
  get waiting(): number {
    return this.#writes.length;
  }

  /** Whether the file is open. */
  get isOpen(): boolean {
    return this.#file.isOpen;
  }

  /** Runs `work` in one read transaction: one snapshot. Readers wait for no writer. STORE_OVERLOADED: another process had the whole file for itself for longer than the limit. */
  async read<T>(signal: AbortSignal, work: (transaction: Transaction) => T): Promise<T> {
    const { acquireTimeoutMs, clock } = this.#options;
    const limit = clock.monotonic() + acquireTimeoutMs;
    for (;;) {
      if (signal.aborted) throw abortError(signal);
      if (this.#closed !== null) throw this.#closed;
      try {
        const file = this.#file.get();
        return file.connection.transaction('DEFERRED', () => work(file));
      } catch (error) {
        // Busy while another process recovers the file or turns it to WAL.
        if (!isBusy(error) || clock.monotonic() > limit) throw this.#failure(error);
      }
      await clock.sleep(BUSY_PAUSE_MS, signal).catch(() => {
        throw abortError(signal);
      });
    }
  }

  /**
   * Runs `work` as the only writer; whatever it throws rolls everything of it back. STORE_OVERLOADED: the lock was not free within the limit. OUTCOME_UNKNOWN: the commit failed in a way that leaves it open. With `joint`, works that wait
   * together share one commit, each still all or nothing for itself; such a work may run more than once.
   */
  write<T>(signal: AbortSignal, work: (transaction: Transaction) => T, limits: Partial<QueueLimits> = {}): Promise<T> {
    return this.#writes.run(work, { limitMs: this.#options.acquireTimeoutMs, ...limits }, signal) as Promise<T>;
  }

  [Symbol.dispose](): void {
    this.#closed = new SwitchyardError('STORE_UNAVAILABLE', 'the store is being closed');
    this.#writes.close(this.#closed);
    this.#file.close();
  }

  #runWorks(works: readonly Work<Transaction>[]): ReturnType<RunWorks<Transaction>> {
    let begun = false;
    try {
      const file = this.#file.get();
      const run = (): readonly Outcome[] => {
        begun = true;
        const [first] = works;
        return works.length === 1 && first !== undefined ? [{ ok: true, value: first(file) }] : works.map((work) => runPart(file, work));
      };
      return file.connection.transaction('IMMEDIATE', run, commitError).map((outcome) => (outcome.ok ? outcome : { ok: false, error: this.#failure(outcome.error) }));
    } catch (error) {
      // Under the write lock nobody else's lock can be in the way.
      if (isBusy(error) && !begun) return 'busy';
      const ours = this.#failure(error);
      // Without the report of its commit nobody can say what became of any of them. Otherwise the whole transaction is undone.
      return works.length === 1 || ours.reason === 'OUTCOME_UNKNOWN' ? works.map(() => ({ ok: false, error: ours })) : 'apart';
    }
  }

  #failure(error: unknown): SwitchyardError {
    const ours = storeError(error);
    if (isUnavailable(ours)) this.#file.close();
    return ours;
  }
}

/** Runs one work within the transaction so that it fails alone. Throws when the whole transaction is gone with it, as after a full disk or a trigger's RAISE(ROLLBACK). */
function runPart(transaction: Transaction, work: Work<Transaction>): Outcome {
  const { connection } = transaction;
  connection.run('SAVEPOINT part');
  try {
    const value = work(transaction);
    connection.run('RELEASE part');
    return { ok: true, value };
  } catch (error) {
    if (!connection.inTransaction) throw error;
    connection.run('ROLLBACK TO part');
    connection.run('RELEASE part');
    return { ok: false, error };
  }
}

function commitError(error: unknown): unknown {
  if (!mayBeDurable(error)) return error;
  return new SwitchyardError('OUTCOME_UNKNOWN', `the store failed while it committed: ${messageOf(error)}`, { cause: error });
}
