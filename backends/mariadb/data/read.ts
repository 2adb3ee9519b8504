import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { abortError } from '../../abort-error.ts';
import type { ConnectionPool } from '../../connection-pool.ts';
import { onLive } from '../../live-session.ts';
import type { ReadRows } from '../../row-readers.ts';
import { isStale, isUnprepared, storeError } from '../errors.ts';
import { besideFence, checkState, fenceColumn, fencedRows } from '../read-fence.ts';
import type { DoneStatement, Parameter, Session, Statement, Value } from '../session.ts';

/** A reading statement of one table, in parts: so that it can be read under the fence. */
export interface Read {
  readonly table: TableSchema;
  /** In front of SELECT, such as a common table; left out: nothing. */
  readonly with?: string;
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

/** So often rows may come and go between two looks. */
const LOOKS_LIMIT = 10;

/** Runs a read on a connection of the pool, under the fence. An abort rejects at once; the connection comes back when the store has ended the statement. */
export const runRead = (pool: ConnectionPool<Session>, read: Read, signal: AbortSignal): Promise<ReadValues> =>
  onReader(pool, signal, (session) => readFenced(session, read, signal));

/** Runs one statement that is of no table, likewise. */
export async function runQuery(pool: ConnectionPool<Session>, statement: Statement, signal: AbortSignal): Promise<DoneStatement['rows']> {
  return (await onReader(pool, signal, (session) => readOn(session, statement, signal))).rows;
}

/** Runs reading work on a connection of the pool, and once more on another where the first was dead. */
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

/**
 * Runs a read on a connection that the caller holds; the table's fence row is of the same snapshot. FENCED: gateways may not read the table. A store that has no fence is one that was not prepared when the call had begun: nobody has
 * moved the table by then, so that its rows may be read.
 */
export async function readFenced(session: Session, read: Read, signal: AbortSignal): Promise<ReadValues> {
  try {
    for (let looks = 0; looks < LOOKS_LIMIT; looks += 1) {
      const found = read.isPoint === true ? await pointFenced(session, read, signal) : await rowsFenced(session, read, signal);
      if (found !== null) return found;
    }
  } catch (error) {
    if (!isNoFence(error)) throw error;
    return await readUnfenced(session, read, signal);
  }
  throw new SwitchyardError('SERIALIZATION_FAILURE', `rows of "${read.table.name}" come and go faster than they can be read: try again`, { metadata: { table: read.table.name } });
}

/** What a look at one row tells: the table's state (null: no fence), and of the row, if there is one, whether the only column of the read is 1. */
export async function lookFenced(session: Session, read: Read, signal: AbortSignal): Promise<{ readonly state: Value; readonly exists: boolean; readonly met: boolean }> {
  try {
    const [[state = null, found = null, met = null] = []] = (await readOn(session, statementOf(read, aroundRow(read)), signal, read.table)).rows;
    return { state, exists: found !== null, met: met === 1 };
  } catch (error) {
    if (!isNoFence(error)) throw error;
    return { state: null, ...(await lookUnfenced(session, read, signal)) };
  }
}

/** The same without the fence. */
export async function lookUnfenced(session: Session, read: Read, signal: AbortSignal): Promise<{ readonly exists: boolean; readonly met: boolean }> {
  const [row] = (await readUnfenced(session, read, signal)).rows;
  return { exists: row !== undefined, met: row?.[0] === 1 };
}

/** The table of the fence is not there (or the read's own, which then fails by itself). */
export const isNoFence = (error: unknown): boolean => hasReason(error, 'TABLE_UNKNOWN') && isUnprepared(error.cause);

/** What a key's row is, in a form whose one row tells of the fence also where there is none. */
async function pointFenced(session: Session, read: Read, signal: AbortSignal): Promise<ReadValues> {
  const { rows } = await readOn(session, statementOf(read, fencedText(read)), signal, read.table);
  const [row] = rows;
  checkState(read.table.name, row?.[0] ?? null);
  return row?.[1] === null ? { rows: [], cut: false } : { rows, cut: false, first: 2 };
}

/** Null: there were no rows, and now there are. A statement without rows has told nothing of the fence; the one that does costs too much where there are many. */
async function rowsFenced(session: Session, read: Read, signal: AbortSignal): Promise<ReadValues | null> {
  const { rows, cut } = await readOn(session, statementOf(read, fencedText(read)), signal, read.table);
  const [row] = rows;
  if (row !== undefined) {
    checkState(read.table.name, row[0] ?? null);
    return { rows, cut, first: 1 };
  }
  const [told] = (await readOn(session, statementOf(read, `${aroundFence(read)} LIMIT 1`), signal, read.table)).rows;
  checkState(read.table.name, told?.[0] ?? null);
  return told?.[1] === null ? { rows, cut } : null;
}

/** The text with which a read begins, for who parses it before it is used. */
export const fencedText = (read: Read): string => (read.isPoint === true ? aroundFence(read) : selected(read, [fenceColumn(read.table.name), ...read.columns]));

const aroundRow = (read: Read): string => besideFence(read.table.name, inner(read), read.columns.length);
const selected = (read: Read, columns: readonly string[]): string => `${read.with ?? ''}SELECT ${columns.join(', ')} ${read.source}`;
const inner = (read: Read): string => selected(read, ['1 AS found', ...read.columns.map((column, i) => `${column} AS c${i}`)]);
const aroundFence = (read: Read): string => fencedRows(read.table.name, inner(read), read.columns.length);
const statementOf = ({ values, maxBytes }: Read, text: string): Statement => ({ text, values, form: 'kept', ...(maxBytes === undefined ? {} : { maxBytes }) });
