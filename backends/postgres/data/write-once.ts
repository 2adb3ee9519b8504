import type { OnceAnswer, OnceRequest } from '../../../core/request-record.ts';
import { hasReason, type SwitchyardError } from '../../../core/switchyard-error.ts';
import { notARecord, type FoundRecord, recordedAnswer, requestIdsNotKept } from '../../request-answer.ts';
import type { TextRow } from '../batch.ts';
import { bufferOf, bytesFromText } from '../cells.ts';
import { sqlState, storeError, unpreparedStates } from '../errors.ts';
import { abortError } from '../../abort-error.ts';
import type { ConnectionPool } from '../../connection-pool.ts';
import type { Session, Statement } from '../session.ts';
import { readOn } from './read.ts';
import { beginTransaction, commitTransaction, inTransaction } from './transaction.ts';
import { type DoneWrite, lostBeforeLook, notRecordedNow } from '../../write-answers.ts';
import { type PlannedWrite, settleAll, stepOf } from './write.ts';
import { onSession } from '../../live-session.ts';

const findText = 'SELECT table_name, digest, result FROM switchyard.request WHERE caller = $1 AND request_id = $2';
const recordText = 'INSERT INTO switchyard.request (caller, request_id, table_name, digest, result) VALUES ($1, $2, $3, $4, $5)';

/** What every such write sends beside its own statements. */
export const onceTexts = [findText, recordText];

/** One of the same has taken the record's key; or the connection no longer knows the statement. */
const repeatableStates: readonly (string | null)[] = ['23505', '26000'];

/**
 * Runs the writes and records the request in one transaction of two round trips: the look-up goes with the writes, the record with COMMIT. Of two at once the second waits, for a row or for the record's key, until the
 * first has ended; what it fails with then may be the first one's doing, so that it looks for the record once more. That also finds a first one whose connection is gone while its COMMIT was under way.
 */
export async function runWritesOnce(
  pool: ConnectionPool<Session>,
  writes: readonly PlannedWrite[],
  request: OnceRequest,
  encode: (done: readonly DoneWrite<string | null>[]) => Uint8Array,
  signal: AbortSignal,
): Promise<OnceAnswer> {
  return onSession(pool, signal, async (session) => {
    try {
      return await writeAndRecord(session, writes, request, encode, signal);
    } catch (error) {
      if (hasReason(error, 'OUTCOME_UNKNOWN', 'REQUEST_ID_REUSED', 'REQUEST_IDS_NOT_KEPT')) throw error;
      // Nobody has looked: "such a row is there already" may tell of the first one's row.
      if (signal.aborted) throw abortError(signal);
      if (!session.usable) throw lostBeforeLook(error);
      const answer = recordedAnswer(request, recordsFromRows(await readOn(session, findStatement(request), signal)));
      if (answer === null) throw error;
      return answer;
    }
  });
}

async function writeAndRecord(
  session: Session,
  writes: readonly PlannedWrite[],
  request: OnceRequest,
  encode: (done: readonly DoneWrite<string | null>[]) => Uint8Array,
  signal: AbortSignal,
): Promise<OnceAnswer> {
  const [found, ...steps] = await beginTransaction(session, [{ statement: findStatement(request), explain: recordError }, ...writes.map(stepOf)], signal);
  const work = async (): Promise<OnceAnswer> =>
    recordedAnswer(request, recordsFromRows(found?.rows ?? [])) ?? { result: encode(await settleAll(session, writes, steps, signal)), repeated: false };
  const answer = await inTransaction(session, work, signal);
  if (answer.repeated) await session.rollBack();
  else await commitTransaction(session, [{ statement: recordStatement(request, answer.result), explain: recordError }], signal);
  return answer;
}

/** Looks for a request's records, whatever their tables. */
export const findStatement = ({ caller, id }: Pick<OnceRequest, 'caller' | 'id'>): Statement => ({ text: findText, values: [caller, id], prepared: true });

export const recordStatement = ({ caller, id, table, digest }: Omit<OnceRequest, 'encode' | 'answer'>, result: Uint8Array): Statement => ({
  text: recordText,
  values: [caller, id, table, digest, bufferOf(result)],
  prepared: true,
});

export const recordsFromRows = (rows: readonly TextRow[]): readonly FoundRecord[] =>
  rows.map(([table, digest, text]) => {
    const result = bytesFromText(text ?? '');
    if (result === null) throw notARecord();
    return { table: table ?? '', digest: digest ?? '', result };
  });

/** A failure of the record's own statements, which are nothing of the caller's. */
export function recordError(error: unknown): SwitchyardError {
  const state = sqlState(error);
  if (unpreparedStates.includes(state)) return requestIdsNotKept(error);
  if (repeatableStates.includes(state)) return notRecordedNow(error);
  return storeError(error);
}
