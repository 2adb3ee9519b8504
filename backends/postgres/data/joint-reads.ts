import type { Clock } from '../../../core/clock.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { Outcome, TextRow } from '../batch.ts';
import { storeError } from '../errors.ts';
import { abortError } from '../../abort-error.ts';
import type { ConnectionPool } from '../../connection-pool.ts';
import type { Session, Statement } from '../session.ts';
import { runRead } from './read.ts';

/** Reads that share one connection at most. More would save little and make the last wait for all. */
const JOINT_LIMIT = 8;

interface JointRead {
  readonly statement: Statement;
  readonly signal: AbortSignal;
  readonly resolve: (rows: readonly TextRow[] | Promise<readonly TextRow[]>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Short reads of one table that come in the same turn of the event loop go to the store together, on one connection and with one Sync: that spares both processes most of what a small read costs, which is waking up. An abort rejects its own
 * read at once; the store is asked to cancel when nobody waits for any of them. Reads that fail, or stand behind one that does, run again, each alone, unless the right to read is gone.
 *
 * They share a transaction, in which a later statement may not notice that the right to read was taken away meanwhile. All of them began before that transaction did, so none can miss a write that was acknowledged before its call.
 */
export class JointReads {
  readonly #pool: ConnectionPool<Session>;
  readonly #clock: Clock;
  readonly #waiting = new Map<TableSchema, JointRead[]>();

  constructor(pool: ConnectionPool<Session>, clock: Clock) {
    this.#pool = pool;
    this.#clock = clock;
  }

  /** As `runRead`, for statements that are over soon: others may have to wait for this one. */
  run(table: TableSchema, statement: Statement, signal: AbortSignal): Promise<readonly TextRow[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly TextRow[]>();
    const read = { statement, signal, resolve, reject };
    const isFirst = this.#waiting.size === 0;
    const others = this.#waiting.get(table);
    if (others === undefined) this.#waiting.set(table, [read]);
    else others.push(read);
    if (isFirst) this.#clock.endOfTurn(() => this.#send());
    return promise;
  }

  #send(): void {
    for (const [table, reads] of this.#waiting) {
      for (let from = 0; from < reads.length; from += JOINT_LIMIT) void this.#sendTogether(table, reads.slice(from, from + JOINT_LIMIT));
    }
    this.#waiting.clear();
  }

  /** Never rejects. */
  async #sendTogether(table: TableSchema, reads: readonly JointRead[]): Promise<void> {
    const alone = ({ statement, signal, resolve }: JointRead): void => resolve(runRead(this.#pool, statement, signal, table));
    const [first] = reads;
    if (first !== undefined && reads.length === 1) return alone(first);
    const wanted = new Wanted(reads);
    try {
      const session = await this.#pool.acquire(wanted.signal);
      const { outcomes } = await session
        .run(
          reads.map(({ statement }) => statement),
          wanted.signal,
        )
        .finally(() => this.#pool.release(session));
      const failed = outcomes?.findIndex((outcome) => !outcome.ok) ?? -1;
      const fenced = fencedBy(outcomes?.[failed], table);
      for (const [i, read] of reads.entries()) {
        const outcome = outcomes?.[i];
        if (outcome?.ok === true) read.resolve(outcome.rows);
        else if (fenced !== null && read.statement.text === reads[failed]?.statement.text) read.reject(fenced);
        else if (!read.signal.aborted) alone(read);
      }
    } catch (error) {
      for (const { reject } of reads) reject(error);
    } finally {
      wanted.end();
    }
  }
}

/** The failure, when it is one that every read of the same columns would meet: the right to read them is gone, as at the end of a cutover. */
function fencedBy(failed: Outcome | undefined, table: TableSchema): SwitchyardError | null {
  if (failed === undefined || failed.ok) return null;
  const error = storeError(failed.error, { table });
  return error.reason === 'FENCED' ? error : null;
}

/** Rejects each read when its own signal aborts; `signal` aborts when all have. */
class Wanted {
  readonly #all = new AbortController();
  readonly #leave: (() => void)[] = [];
  #left: number;

  constructor(reads: readonly JointRead[]) {
    this.#left = reads.length;
    for (const { signal, reject } of reads) {
      const onAbort = (): void => {
        reject(abortError(signal));
        this.#left -= 1;
        if (this.#left === 0) this.#all.abort(signal.reason);
      };
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
      this.#leave.push(() => signal.removeEventListener('abort', onAbort));
    }
  }

  get signal(): AbortSignal {
    return this.#all.signal;
  }

  end(): void {
    for (const leave of this.#leave) leave();
  }
}
