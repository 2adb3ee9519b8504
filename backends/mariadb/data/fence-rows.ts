import type { FenceRow, FenceState } from '../../../core/fence.ts';
import type { ConnectionPool } from '../../connection-pool.ts';
import { FENCE_TABLE } from '../names.ts';
import { checkState, fenceColumns, fenceRow } from '../read-fence.ts';
import type { Session, Statement } from '../session.ts';
import { isNoFence, runQuery } from './read.ts';
import { padded } from './values.ts';

/** The fence rows of these tables, in one statement; none where the store was never prepared. */
export async function fenceRows(pool: ConnectionPool<Session>, tables: readonly string[], signal: AbortSignal): Promise<readonly FenceRow[]> {
  if (tables.length === 0) return [];
  try {
    return (await runQuery(pool, fenceStatement(tables), signal)).map(fenceRow);
  } catch (error) {
    if (isNoFence(error)) return [];
    throw error;
  }
}

export function fenceStatement(tables: readonly string[]): Statement {
  const names = padded(tables);
  return { text: `SELECT ${fenceColumns} FROM ${FENCE_TABLE} WHERE table_name IN (${names.map(() => '?').join(', ')})`, values: names, form: 'kept' };
}

/**
 * The fence as it is now, for transactions whose snapshot is older: a connection of its own for all of them. (A lock on the fence row, which would show its last state too, would keep the fence waiting for a reader.)
 */
export class PresentFence implements AsyncDisposable {
  readonly #pool: ConnectionPool<Session>;

  constructor(pool: ConnectionPool<Session>) {
    this.#pool = pool;
  }

  /** FENCED where gateways may not do what `may` says to the table. */
  async check(table: string, may: (state: FenceState) => boolean, signal: AbortSignal): Promise<void> {
    const [row] = await fenceRows(this.#pool, [table], signal);
    checkState(table, row?.state ?? null, may);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}
