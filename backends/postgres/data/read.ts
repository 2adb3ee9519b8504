import type { TableSchema } from '../../../core/table-schema.ts';
import { abortError, storeError } from '../errors.ts';
import type { ConnectionPool } from '../pool.ts';
import type { TextRow } from '../batch.ts';
import type { Session, Statement } from '../session.ts';

/** Runs one reading statement on a connection of the pool. An abort rejects at once; the connection comes back when the store has ended the statement. */
export async function runRead(pool: ConnectionPool, statement: Statement, signal: AbortSignal, table?: TableSchema): Promise<readonly TextRow[]> {
  const session = await pool.acquire(signal);
  const { promise, resolve, reject } = Promise.withResolvers<readonly TextRow[]>();
  const onAbort = (): void => reject(abortError(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  readOn(session, statement, signal, table)
    .then(resolve, reject)
    .finally(() => {
      signal.removeEventListener('abort', onAbort);
      pool.release(session);
    });
  return promise;
}

/** The same on a connection that the caller holds. */
export async function readOn(session: Session, statement: Statement, signal: AbortSignal, table?: TableSchema): Promise<readonly TextRow[]> {
  const { outcomes } = await session.run([statement], signal);
  const outcome = outcomes?.[0];
  if (outcome === undefined) throw abortError(signal);
  if (outcome.ok) return outcome.rows;
  if (signal.aborted) throw abortError(signal);
  if (outcome.stale) return readOn(session, { ...statement, prepared: false }, signal, table);
  throw storeError(outcome.error, table === undefined ? {} : { table });
}
