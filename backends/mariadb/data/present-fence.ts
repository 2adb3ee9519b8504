import type { FenceState } from '../../../core/fence.ts';
import type { ConnectionPool } from '../../connection-pool.ts';
import { checkState } from '../read-fence.ts';
import type { Session } from '../session.ts';
import type { FencedReads } from './fenced-reads.ts';
import { onReader } from './read.ts';

/**
 * The fence as it is now, for transactions whose snapshot is older: a connection of its own for all of them. (A lock on the fence row, which would show its last state too, would keep a transition waiting for a reader.)
 */
export class PresentFence implements AsyncDisposable {
  readonly #pool: ConnectionPool<Session>;
  readonly #fenced: FencedReads;

  constructor(pool: ConnectionPool<Session>, fenced: FencedReads) {
    this.#pool = pool;
    this.#fenced = fenced;
  }

  /** FENCED where gateways may not do what `may` says to the table. */
  async check(table: string, may: (state: FenceState) => boolean, signal: AbortSignal): Promise<void> {
    const [row] = await onReader(this.#pool, signal, (session) => this.#fenced.rows(session, [table], signal));
    checkState(table, row?.state ?? null, may);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}
