import type { WriteOperation } from '../../../core/operation.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { abortError, isConnectionLoss, sqlState, storeError } from '../errors.ts';
import type { ConnectionPool } from '../pool.ts';
import { readOn } from './read.ts';
import type { Outcome, TextRow } from '../batch.ts';
import type { BatchResult, Session, Statement } from '../session.ts';

const begin: Statement = { text: 'BEGIN', values: [], prepared: true };
const commit: Statement = { text: 'COMMIT', values: [], prepared: false };

const CANCELED_STATE = '57014';
/** Ended by the server because we were silent in the middle of the transaction: rolled back. */
const IDLE_TRANSACTION_STATE = '25P03';

export interface PlannedWrite {
  readonly operation: WriteOperation;
  readonly table: TableSchema;
  readonly statement: Statement;
  /** Of an update or a delete: whether its row exists at all. */
  readonly exists: Statement | null;
}

export interface DoneWrite {
  readonly row: TextRow | null;
  readonly found: boolean;
}

/**
 * Runs the writes on a connection of the pool, all or nothing. One write is one statement that commits by itself. Several are sent at once behind BEGIN; only when every answer is good is COMMIT
 * sent, so that until then every failure, the loss of the connection included, is definitely not applied.
 */
export async function runWrites(pool: ConnectionPool, writes: readonly PlannedWrite[], signal: AbortSignal): Promise<readonly DoneWrite[]> {
  const [first] = writes;
  if (first === undefined) return [];
  const session = await pool.acquire(signal);
  try {
    return writes.length === 1 ? [await runSingle(session, first, signal)] : await runTransaction(session, writes, signal);
  } finally {
    pool.release(session);
  }
}

async function runSingle(session: Session, write: PlannedWrite, signal: AbortSignal): Promise<DoneWrite> {
  const batch = await session.run([write.statement], signal);
  const outcome = batch.outcomes?.[0];
  if (outcome === undefined) throw unknownAfterAbort(signal);
  if (!outcome.ok) {
    if (outcome.stale && !signal.aborted) return runSingle(session, unprepared(write), signal);
    throw singleError(batch, outcome.error, write.table, signal);
  }
  if (signal.aborted && batch.warned) throw unknownAfterAbort(signal);
  if (outcome.rowCount === 0 && write.exists !== null) return missed(write, (await readOn(session, write.exists, signal, write.table)).length > 0);
  return done(outcome);
}

/** An error of a statement that commits by itself. Its commit follows the report that it was executed: without that report a FATAL error came before the commit; silence tells nothing. */
function singleError(batch: BatchResult, error: unknown, table: TableSchema, signal: AbortSignal): SwitchyardError {
  if (signal.aborted && sqlState(error) === CANCELED_STATE) return abortError(signal);
  return storeError(error, { table, mayHaveCommitted: sqlState(error) === null || batch.executed > 0 });
}

async function runTransaction(session: Session, writes: readonly PlannedWrite[], signal: AbortSignal): Promise<readonly DoneWrite[]> {
  const { outcomes } = await session.run([begin, ...writes.map((write) => write.statement)], signal);
  // No complete answer: the connection was dropped, and without COMMIT nothing is applied.
  if (outcomes === null) throw abortError(signal);
  const failed = outcomes.findIndex((outcome) => !outcome.ok);
  const failure = outcomes[failed];
  if (failure !== undefined && !failure.ok) {
    await endFailed(session, failure.error);
    if (failure.stale && !signal.aborted) return runTransaction(session, writes.map(unprepared), signal);
    if (signal.aborted && sqlState(failure.error) === CANCELED_STATE) throw abortError(signal);
    const table = writes[failed - 1]?.table;
    throw storeError(failure.error, table === undefined ? {} : { table });
  }
  const results = await settleAll(session, writes, outcomes.slice(1), signal).catch(async (error: unknown) => {
    await endFailed(session, error);
    throw error;
  });
  await runCommit(session, signal);
  return results;
}

async function settleAll(session: Session, writes: readonly PlannedWrite[], outcomes: readonly Outcome[], signal: AbortSignal): Promise<readonly DoneWrite[]> {
  const results: DoneWrite[] = [];
  for (const [i, write] of writes.entries()) {
    const outcome = outcomes[i];
    if (outcome === undefined || !outcome.ok) throw new SwitchyardError('INTERNAL', 'a write has no answer');
    const isMiss = outcome.rowCount === 0 && write.exists !== null;
    results.push(isMiss ? missed(write, (await readOn(session, write.exists, signal, write.table)).length > 0) : done(outcome));
  }
  if (signal.aborted) throw abortError(signal);
  if (!session.usable) throw new SwitchyardError('STORE_UNAVAILABLE', 'the connection to the store was lost before the commit was sent');
  return results;
}

/** From here on an abort no longer cancels: it would only make the outcome uncertain. */
async function runCommit(session: Session, signal: AbortSignal): Promise<void> {
  const { outcomes } = await session.run([commit], signal, false);
  const outcome = outcomes?.[0];
  if (outcome === undefined) throw unknownAfterAbort(signal);
  if (!outcome.ok) throw storeError(outcome.error, { mayHaveCommitted: sqlState(outcome.error) !== IDLE_TRANSACTION_STATE });
}

/** Leaves the failed transaction, or the connection. */
async function endFailed(session: Session, error: unknown): Promise<void> {
  if (!(error instanceof SwitchyardError) && isConnectionLoss(error)) session.drop();
  else await session.rollBack();
}

/** An update or delete that met no row. */
function missed(write: PlannedWrite, rowExists: boolean): DoneWrite {
  const { operation, table } = write;
  const metadata = { table: table.name };
  if (rowExists && 'precondition' in operation && operation.precondition !== null) {
    throw new SwitchyardError('PRECONDITION_FAILED', `the row of "${table.name}" does not satisfy the precondition; nothing was written`, { metadata });
  }
  if (operation.kind === 'delete' && operation.allowMissing) return { row: null, found: false };
  throw new SwitchyardError('ROW_NOT_FOUND', `"${table.name}" has no row with that primary key; nothing was written`, { metadata });
}

const done = (outcome: Extract<Outcome, { ok: true }>): DoneWrite => ({ row: outcome.rows[0] ?? [], found: true });

const unprepared = (write: PlannedWrite): PlannedWrite => ({ ...write, statement: { ...write.statement, prepared: false } });

function unknownAfterAbort(signal: AbortSignal): SwitchyardError {
  return new SwitchyardError('OUTCOME_UNKNOWN', `the call ended (${abortError(signal).reason}) after the write was sent, and the store did not tell in time whether it was done`, {
    cause: signal.reason,
  });
}
