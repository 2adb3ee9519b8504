import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { Outcome } from '../batch.ts';
import { CANCELED_STATE, isConnectionLoss, sqlState, storeError } from '../errors.ts';
import { abortError } from '../../abort-error.ts';
import { unknownAfterAbort } from '../../write-answers.ts';
import { LostInBetween } from '../../live-session.ts';
import type { Session, Statement } from '../session.ts';

const begin: Statement = { text: 'BEGIN', values: [], prepared: true };
const commit: Statement = { text: 'COMMIT', values: [], prepared: false };

/** Ended by the server because we were silent in the middle of the transaction: rolled back. */
const IDLE_TRANSACTION_STATE = '25P03';

/** A statement of a transaction, and what its failure means to the caller. */
export interface Step {
  readonly statement: Statement;
  readonly explain: (error: unknown) => SwitchyardError;
}

export type DoneStep = Extract<Outcome, { ok: true }>;

/** Sends BEGIN and the steps at once. The transaction is open when it resolves; whatever it rejects with is definitely not applied, the loss of the connection included, for no COMMIT was sent. */
export async function beginTransaction(session: Session, steps: readonly Step[], signal: AbortSignal): Promise<readonly DoneStep[]> {
  const { outcomes } = await session.run([begin, ...steps.map(({ statement }) => statement)], signal);
  // No complete answer: the connection was dropped.
  if (outcomes === null) throw abortError(signal);
  const failed = outcomes.findIndex((outcome) => !outcome.ok);
  const failure = outcomes[failed];
  if (failure !== undefined && !failure.ok) {
    await endFailed(session, failure.error);
    if (failure.stale && !signal.aborted) return beginTransaction(session, steps.map(unprepared), signal);
    if (signal.aborted && sqlState(failure.error) === CANCELED_STATE) throw abortError(signal);
    throw (steps[failed - 1]?.explain ?? storeError)(failure.error);
  }
  return outcomes.slice(1).filter((outcome) => outcome.ok);
}

/** What `work` makes of the open transaction, for which COMMIT may be sent now. Whatever it throws ends the transaction. */
export async function inTransaction<T>(session: Session, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    const result = await work();
    if (signal.aborted) throw abortError(signal);
    if (!session.usable) throw new LostInBetween();
    return result;
  } catch (error) {
    await endFailed(session, error);
    throw error;
  }
}

/** Sends the steps and COMMIT at once. A step that fails ends the transaction; from COMMIT on the outcome may be unknown. */
export async function commitTransaction(session: Session, steps: readonly Step[], signal: AbortSignal): Promise<void> {
  // COMMIT alone is not cancelled by an abort: that would only make the outcome uncertain. A step may wait long.
  const { outcomes, executed, warned } = await session.run([...steps.map(({ statement }) => statement), commit], signal, steps.length > 0);
  if (outcomes === null || (signal.aborted && warned)) throw unknownAfterAbort(signal);
  const failed = outcomes.findIndex((outcome) => !outcome.ok);
  const failure = outcomes[failed];
  if (failure === undefined || failure.ok) return;
  const { error } = failure;
  const step = steps[failed];
  // A COMMIT that was cancelled before it began leaves the transaction open, too.
  await endFailed(session, error);
  if (signal.aborted && sqlState(error) === CANCELED_STATE) throw abortError(signal);
  if (step !== undefined && !isConnectionLoss(error)) throw step.explain(error);
  // Before the report that every step was executed a FATAL error came before the commit; silence tells nothing.
  const state = sqlState(error);
  if (state === IDLE_TRANSACTION_STATE) throw new LostInBetween(error);
  throw storeError(error, { mayHaveCommitted: state === null || executed >= steps.length });
}

/** Leaves the failed transaction, or the connection. */
async function endFailed(session: Session, error: unknown): Promise<void> {
  if (!(error instanceof SwitchyardError) && isConnectionLoss(error)) session.drop();
  else await session.rollBack();
}

const unprepared = (step: Step): Step => ({ ...step, statement: { ...step.statement, prepared: false } });
