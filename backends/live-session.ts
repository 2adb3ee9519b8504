import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import type { ConnectionPool, PooledSession } from './connection-pool.ts';
import { DeadConnection } from './silence-watch.ts';

/** The connection was lost while the server had nothing to do for the open transaction: definitely not applied. */
export class LostInBetween extends SwitchyardError {
  constructor(cause?: unknown) {
    super('STORE_UNAVAILABLE', 'the connection to the store was lost before the commit was sent', { cause });
  }
}

/** Each lasts until the server itself was asked about a connection that was silent, some seconds. */
const triesLimit = 3;

/**
 * Runs work on a connection of the pool, and again on another one where nothing was done on the first and nobody meant it to end: it was lost between two steps of a transaction (the server itself ends the transaction of a gateway that was asleep), or it was
 * dead already, perhaps for hours, and nothing was sent that commits. The caller of such a call would learn of an accident that is over. A connection that is ended while a statement runs is no such case: whoever ended that statement would have to end
 * it twice.
 */
export async function onSession<Session extends PooledSession, T>(pool: ConnectionPool<Session>, signal: AbortSignal, work: (session: Session) => Promise<T>): Promise<T> {
  return await onLive(signal, async () => {
    const session = await pool.acquire(signal);
    try {
      return await work(session);
    } finally {
      pool.release(session);
    }
  });
}

/** The same of work that takes its connection by itself. */
export async function onLive<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (tries === triesLimit || signal.aborted || !wasLostUnused(error)) throw error;
    }
  }
}

const wasLostUnused = (error: unknown): boolean => error instanceof LostInBetween || (hasReason(error, 'STORE_UNAVAILABLE') && error.cause instanceof DeadConnection);
