import type { WriteOperation } from '../../../core/operation.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { CANCELED_STATE, sqlState, storeError } from '../errors.ts';
import { abortError } from '../../abort-error.ts';
import type { ConnectionPool } from '../../connection-pool.ts';
import { readOn } from './read.ts';
import type { BatchResult, Session, Statement } from '../session.ts';
import { onSession } from '../../live-session.ts';
import { type DoneWrite, type MakeAnswer, missedWrite, unknownAfterAbort } from '../../write-answers.ts';
import { beginTransaction, commitTransaction, type DoneStep, inTransaction, type Step } from './transaction.ts';

export interface PlannedWrite {
  readonly operation: WriteOperation;
  readonly table: TableSchema;
  readonly statement: Statement;
  /** Of a write that may have no effect: whether its row exists at all. */
  readonly exists: Statement | null;
}

/**
 * Runs the writes on a connection of the pool, all or nothing. One write is one statement that commits by itself. Several are sent at once behind BEGIN; only when every answer is good is COMMIT
 * sent, so that until then every failure, the loss of the connection included, is definitely not applied.
 */
export async function runWrites<T>(pool: ConnectionPool<Session>, writes: readonly PlannedWrite[], make: MakeAnswer<string | null, T>, signal: AbortSignal): Promise<T> {
  const [first] = writes;
  if (first === undefined) return make([], false);
  return onSession(pool, signal, async (session) =>
    writes.length === 1 ? make([await runSingle(session, first, signal)], true) : await runTransaction(session, writes, (done) => make(done, false), signal),
  );
}

async function runSingle(session: Session, write: PlannedWrite, signal: AbortSignal): Promise<DoneWrite<string | null>> {
  const batch = await session.run([write.statement], signal);
  const outcome = batch.outcomes?.[0];
  if (outcome === undefined) throw unknownAfterAbort(signal);
  if (!outcome.ok) {
    if (outcome.stale && !signal.aborted) return runSingle(session, unprepared(write), signal);
    throw singleError(batch, outcome.error, write.table, signal);
  }
  if (signal.aborted && batch.warned) throw unknownAfterAbort(signal);
  if (outcome.rowCount === 0 && write.exists !== null) return missedWrite(write.operation, write.table, (await readOn(session, write.exists, signal, write.table)).length > 0);
  return done(outcome);
}

/** An error of a statement that commits by itself. Its commit follows the report that it was executed: without that report a FATAL error came before the commit; silence tells nothing. */
function singleError(batch: BatchResult, error: unknown, table: TableSchema, signal: AbortSignal): SwitchyardError {
  if (signal.aborted && sqlState(error) === CANCELED_STATE) return abortError(signal);
  return storeError(error, { table, mayHaveCommitted: sqlState(error) === null || batch.executed > 0 });
}

async function runTransaction<T>(session: Session, writes: readonly PlannedWrite[], make: (done: readonly DoneWrite<string | null>[]) => T, signal: AbortSignal): Promise<T> {
  const steps = await beginTransaction(session, writes.map(stepOf), signal);
  const answer = await inTransaction(session, async () => make(await settleAll(session, writes, steps, signal)), signal);
  await commitTransaction(session, [], signal);
  return answer;
}

/** The write as a step of a transaction. */
export const stepOf = ({ statement, table }: PlannedWrite): Step => ({ statement, explain: (error) => storeError(error, { table }) });

/** What the writes of an open transaction have done; the first that missed its row is the failure of all. */
export async function settleAll(session: Session, writes: readonly PlannedWrite[], steps: readonly DoneStep[], signal: AbortSignal): Promise<readonly DoneWrite<string | null>[]> {
  const results: DoneWrite<string | null>[] = [];
  for (const [i, write] of writes.entries()) {
    const step = steps[i];
    if (step === undefined) throw new SwitchyardError('INTERNAL', 'a write has no answer');
    const isMiss = step.rowCount === 0 && write.exists !== null;
    results.push(isMiss ? missedWrite(write.operation, write.table, (await readOn(session, write.exists, signal, write.table)).length > 0) : done(step));
  }
  return results;
}

const done = (step: DoneStep): DoneWrite<string | null> => ({ row: step.rows[0] ?? [], found: true });

const unprepared = (write: PlannedWrite): PlannedWrite => ({ ...write, statement: { ...write.statement, prepared: false } });
