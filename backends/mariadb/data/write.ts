import type { WriteOperation } from '../../../core/operation.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { abortError } from '../../abort-error.ts';
import type { ConnectionPool } from '../../connection-pool.ts';
import { onSession } from '../../live-session.ts';
import { type DoneWrite, type MakeAnswer, missedWrite, unknownAfterAbort } from '../../write-answers.ts';
import { isCollision, isDeadlock, isDuplicate, isInterrupted, isStale, storeError } from '../errors.ts';
import type { DoneStatement, Session, Statement, Value } from '../session.ts';
import type { FencedReads, Look } from './fenced-reads.ts';
import type { Read } from './read.ts';
import { commitTransaction, inTransaction, step } from './transaction.ts';

export interface PlannedWrite {
  readonly operation: WriteOperation;
  readonly table: TableSchema;
  readonly statement: Statement;
  /** Of an upsert: what it is where there is no row with its key. */
  readonly insert: Statement | null;
  /** Of an update that is to return columns: reads them. */
  readonly reread: Statement | null;
  /** Of a write that may have no effect: whether its row exists, and satisfies its condition. */
  readonly look: Read | null;
}

/** Runs statements of writes: each commits by itself, or all belong to one transaction. */
export interface WriteRunner {
  run(statement: Statement, table: TableSchema): Promise<DoneStatement>;
  /** See `FencedReads.lookToWrite`. */
  look(read: Read): Promise<Look>;
}

/** So often a row may come and go while its write looks for the reason that it had no effect. */
const TRIES = 5;
/** So often a write may lose against others that wait for each other. */
const DEADLOCK_TRIES = 10;

/**
 * Runs the writes on a connection of the pool, all or nothing. One write is one statement that commits by itself, unless its answer has to be read in a second one. Several are one transaction: until COMMIT is sent every failure, the loss of
 * the connection included, is definitely not applied.
 */
export async function runWrites<T>(
  pool: ConnectionPool<Session>,
  fenced: FencedReads,
  writes: readonly PlannedWrite[],
  make: MakeAnswer<Value, T>,
  signal: AbortSignal,
): Promise<T> {
  const [first] = writes;
  if (first === undefined) return make([], false);
  const isSingle = writes.length === 1 && first.reread === null;
  return withoutDeadlock(signal, () =>
    onSession(pool, signal, async (session) => {
      if (isSingle) return make([await runWrite(committing(session, fenced, signal), first)], true);
      const answer = await inTransaction(session, async () => make(await runAll(within(session, fenced, signal), writes), false), signal);
      await commitTransaction(session, signal);
      return answer;
    }),
  );
}

/** Runs work that has done nothing when it fails, again where it was chosen to give way to another's transaction. */
export async function withoutDeadlock<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (tries === DEADLOCK_TRIES || signal.aborted || !(hasReason(error, 'SERIALIZATION_FAILURE') && isDeadlock(error.cause))) throw error;
    }
  }
}

/** The writes of one transaction in order; the first that fails is the failure of all. */
export async function runAll(runner: WriteRunner, writes: readonly PlannedWrite[]): Promise<readonly DoneWrite<Value>[]> {
  const done: DoneWrite<Value>[] = [];
  for (const write of writes) done.push(await runWrite(runner, write));
  return done;
}

/** Statements that belong to the session's open transaction, which sees what is committed at each of them. */
export const within = (session: Session, fenced: FencedReads, signal: AbortSignal): WriteRunner => ({
  run: (statement, table) => step(session, statement, (error) => storeError(error, { table }), signal),
  look: (read) => fenced.lookToWrite(session, read, signal),
});

/** Statements that commit by themselves. */
const committing = (session: Session, fenced: FencedReads, signal: AbortSignal): WriteRunner => ({
  run: (statement, table) => runCommitting(session, statement, table, signal),
  look: (read) => fenced.lookToWrite(session, read, signal),
});

async function runCommitting(session: Session, statement: Statement, table: TableSchema, signal: AbortSignal): Promise<DoneStatement> {
  if (signal.aborted) throw abortError(signal);
  const outcome = await session.run(statement, signal);
  if (outcome === null) throw unknownAfterAbort(signal);
  if (outcome.ok) return outcome;
  const { error, sent } = outcome;
  // An error is an answer, and one that comes in the place of the commit. Without an answer nobody knows.
  if (signal.aborted && isInterrupted(error)) throw abortError(signal);
  if (isStale(error)) return runCommitting(session, { ...statement, form: 'once' }, table, signal);
  throw storeError(error, { table, mayHaveCommitted: sent });
}

async function runWrite(runner: WriteRunner, write: PlannedWrite): Promise<DoneWrite<Value>> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const done = write.operation.kind === 'upsert' ? await tryUpsert(runner, write) : await tryWrite(runner, write);
    if (done !== null) return done;
  }
  const { table } = write;
  throw new SwitchyardError('SERIALIZATION_FAILURE', `the row of "${table.name}" changes faster than it can be written; nothing was written: try again`, {
    metadata: { table: table.name },
  });
}

/** Null: it had no effect, and a look tells of no reason any more. */
async function tryWrite(runner: WriteRunner, { operation, table, statement, reread, look }: PlannedWrite): Promise<DoneWrite<Value> | null> {
  const { rows, affectedRows } = await runner.run(statement, table);
  if (look !== null && affectedRows === 0) {
    const { exists, met } = await runner.look(look);
    return exists && met ? null : missedWrite(operation, table, exists);
  }
  const answer = reread === null ? rows : (await runner.run(reread, table)).rows;
  return { row: answer[0] ?? [], found: true };
}

/** The same of an upsert, which ends with an error of its own where it meets a row that it may not change. */
async function tryUpsert(runner: WriteRunner, { operation, table, statement, insert, look }: PlannedWrite): Promise<DoneWrite<Value> | null> {
  try {
    return { row: (await runner.run(statement, table)).rows[0] ?? [], found: true };
  } catch (error) {
    if (!(error instanceof SwitchyardError) || !isCollision(error.cause) || look === null || insert === null) throw error;
  }
  const { exists, met } = await runner.look(look);
  if (exists) return met ? null : missedWrite(operation, table, true);
  try {
    // It is another key that is in the way, and the store says which.
    return { row: (await runner.run(insert, table)).rows[0] ?? [], found: true };
  } catch (error) {
    if (error instanceof SwitchyardError && isDuplicate(error.cause) && error.metadata.constraint === 'PRIMARY') return null;
    throw error;
  }
}
