import type { TableSchema } from '../../../core/table-schema.ts';
import { abortError } from '../../abort-error.ts';
import type { ConnectionPool } from '../../connection-pool.ts';
import { onLive } from '../../live-session.ts';
import type { ReadRows } from '../../row-readers.ts';
import { isStale, storeError } from '../errors.ts';
import type { DoneStatement, Parameter, Session, Statement, Value } from '../session.ts';

/** A reading statement of one table, in parts: so that it can be read under the fence. */
export interface Read {
  readonly table: TableSchema;
  /** What is selected, as SQL. */
  readonly columns: readonly string[];
  /** From FROM on. */
  readonly source: string;
  readonly values: readonly Parameter[];
  /** It finds one row at most, by its key. */
  readonly isPoint?: boolean;
  /** See `Statement`. */
  readonly maxBytes?: number;
}

export type ReadValues = ReadRows<Value>;

/** Runs one statement that is of no table on a connection of the pool. */
export async function runQuery(pool: ConnectionPool<Session>, statement: Statement, signal: AbortSignal): Promise<DoneStatement['rows']> {
  return (await onReader(pool, signal, (session) => readOn(session, statement, signal))).rows;
}

/** Runs reading work on a connection of the pool, and once more on another where the first was dead. An abort rejects at once; the connection comes back when the store has ended the statement. */
export function onReader<T>(pool: ConnectionPool<Session>, signal: AbortSignal, work: (session: Session) => Promise<T>): Promise<T> {
  return onLive(signal, async () => {
    const session = await pool.acquire(signal);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const onAbort = (): void => reject(abortError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    work(session)
      .then(resolve, reject)
      .finally(() => {
        signal.removeEventListener('abort', onAbort);
        pool.release(session);
      });
    return promise;
  });
}

/** Runs one reading statement on a connection that the caller holds. */
export async function readOn(session: Session, statement: Statement, signal: AbortSignal, table?: TableSchema): Promise<DoneStatement> {
  if (signal.aborted) throw abortError(signal);
  const outcome = await session.run(statement, signal);
  if (outcome === null) throw abortError(signal);
  if (outcome.ok) return outcome;
  if (signal.aborted) throw abortError(signal);
  if (isStale(outcome.error)) return readOn(session, { ...statement, form: 'once' }, signal, table);
  throw storeError(outcome.error, table === undefined ? {} : { table });
}

/** Runs a read on a connection that the caller holds, and leaves the fence to the caller. */
export const readUnfenced = (session: Session, read: Read, signal: AbortSignal): Promise<ReadValues> =>
  readOn(session, statementOf(read, selected(read, read.columns)), signal, read.table);

export const selected = (read: Read, columns: readonly string[]): string => `SELECT ${columns.join(', ')} ${read.source}`;
export const statementOf = ({ values, maxBytes }: Read, text: string): Statement => ({ text, values, form: 'kept', ...(maxBytes === undefined ? {} : { maxBytes }) });
