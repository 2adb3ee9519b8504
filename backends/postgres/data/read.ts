import type { TableSchema } from '../../../core/table-schema.ts';
import { storeError } from '../errors.ts';
import { abortError } from '../../abort-error.ts';
import type { ConnectionPool } from '../../connection-pool.ts';
import type { TextRow } from '../batch.ts';
import type { Session, Statement } from '../session.ts';
import { onLive } from '../../live-session.ts';
import type { ReadRows } from '../../row-readers.ts';

/** Runs one reading statement on a connection of the pool. An abort rejects at once; the connection comes back when the store has ended the statement. */
export async function runRead(pool: ConnectionPool<Session>, statement: Statement, signal: AbortSignal, table?: TableSchema): Promise<readonly TextRow[]> {
  return (await runReadCut(pool, statement, signal, table)).rows;
}

/** The same of a statement whose rows may be cut. */
export function runReadCut(pool: ConnectionPool<Session>, statement: Statement, signal: AbortSignal, table?: TableSchema): Promise<ReadRows<string | null>> {
  return onLive(signal, () => readOnce(pool, statement, signal, table));
}

async function readOnce(pool: ConnectionPool<Session>, statement: Statement, signal: AbortSignal, table?: TableSchema): Promise<ReadRows<string | null>> {
  const session = await pool.acquire(signal);
  const { promise, resolve, reject } = Promise.withResolvers<ReadRows<string | null>>();
  const onAbort = (): void => reject(abortError(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  readCutOn(session, statement, signal, table)
    .then(resolve, reject)
    .finally(() => {
      signal.removeEventListener('abort', onAbort);
      pool.release(session);
    });
  return promise;
}

/** Runs one reading statement on a connection that the caller holds. */
export async function readOn(session: Session, statement: Statement, signal: AbortSignal, table?: TableSchema): Promise<readonly TextRow[]> {
  return (await readCutOn(session, statement, signal, table)).rows;
}

async function readCutOn(session: Session, statement: Statement, signal: AbortSignal, table?: TableSchema): Promise<ReadRows<string | null>> {
  const { outcomes } = await session.run([statement], signal);
  const outcome = outcomes?.[0];
  if (outcome === undefined) throw abortError(signal);
  if (outcome.ok) return outcome;
  if (signal.aborted) throw abortError(signal);
  if (outcome.stale) return readCutOn(session, { ...statement, prepared: false }, signal, table);
  throw storeError(outcome.error, table === undefined ? {} : { table });
}
