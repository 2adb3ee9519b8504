import { abortError } from '../../abort-error.ts';
import { LostInBetween } from '../../live-session.ts';
import { unknownAfterAbort } from '../../write-answers.ts';
import type { SwitchyardError } from '../../../core/switchyard-error.ts';
import { isConnectionLoss, isInterrupted, isStale, storeError } from '../errors.ts';
import type { DoneStatement, Session, Statement } from '../session.ts';

/** What a failed statement means to the caller. */
export type Explain = (error: unknown) => SwitchyardError;

export const command = (text: string): Statement => ({ text, values: [], form: 'command' });

/** Runs one statement of an open transaction. Whatever it rejects with is definitely not applied, the loss of the connection included, for no COMMIT was sent. */
export async function step(session: Session, statement: Statement, explain: Explain, signal: AbortSignal): Promise<DoneStatement> {
  if (signal.aborted) throw abortError(signal);
  if (!session.usable) throw new LostInBetween();
  const outcome = await session.run(statement, signal);
  if (outcome === null) throw abortError(signal);
  if (outcome.ok) return outcome;
  const { error } = outcome;
  if (signal.aborted && isInterrupted(error)) throw abortError(signal);
  if (isStale(error)) return step(session, { ...statement, form: 'once' }, explain, signal);
  throw explain(error);
}

/** Begins a transaction and gives what `work` makes in it, for which COMMIT may be sent then. Whatever is thrown ends the transaction, or the connection. */
export async function inTransaction<T>(session: Session, work: () => Promise<T>, signal: AbortSignal, begin: readonly Statement[] = [command('START TRANSACTION')]): Promise<T> {
  try {
    for (const statement of begin) await step(session, statement, storeError, signal);
    const result = await work();
    if (signal.aborted) throw abortError(signal);
    if (!session.usable) throw new LostInBetween();
    return result;
  } catch (error) {
    await session.rollBack();
    throw error;
  }
}

/** Sends COMMIT. From here on the outcome may be unknown. */
export async function commitTransaction(session: Session, signal: AbortSignal): Promise<void> {
  // An abort does not cancel it: that would only make the outcome uncertain.
  const outcome = await session.run(command('COMMIT'), signal, false);
  if (outcome === null) throw unknownAfterAbort(signal);
  if (outcome.ok) return;
  const { error } = outcome;
  if (isConnectionLoss(error)) session.drop();
  else await session.rollBack();
  throw storeError(error, { mayHaveCommitted: outcome.sent });
}
