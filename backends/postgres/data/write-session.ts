import type { ConnectionPool } from '../pool.ts';
import type { Session } from '../session.ts';
import { LostInBetween } from './transaction.ts';

/**
 * Runs writes on a connection of the pool, and once more on another one where the first was lost between two steps of the transaction: nothing had been done, and nobody had asked for anything. The server itself ends the transaction of a gateway that was
 * asleep. A connection that is lost while a statement runs is no such case: whoever ended that statement would have to end it twice.
 */
export async function onSession<T>(pool: ConnectionPool, signal: AbortSignal, write: (session: Session) => Promise<T>): Promise<T> {
  try {
    return await once(pool, signal, write);
  } catch (error) {
    if (!(error instanceof LostInBetween) || signal.aborted) throw error;
    return await once(pool, signal, write);
  }
}

async function once<T>(pool: ConnectionPool, signal: AbortSignal, write: (session: Session) => Promise<T>): Promise<T> {
  const session = await pool.acquire(signal);
  try {
    return await write(session);
  } finally {
    pool.release(session);
  }
}
