import type { OnceAnswer, OnceRequest } from '../../../core/request-record.ts';
import { hasReason, type SwitchyardError } from '../../../core/switchyard-error.ts';
import { abortError } from '../../abort-error.ts';
import type { ConnectionPool } from '../../connection-pool.ts';
import { onSession } from '../../live-session.ts';
import { type FoundRecord, notARecord, recordedAnswer, requestIdsNotKept } from '../../request-answer.ts';
import { type DoneWrite, lostBeforeLook, notRecordedNow } from '../../write-answers.ts';
import { bufferOf } from '../cells.ts';
import { isDuplicate, isStale, isUnprepared, storeError } from '../errors.ts';
import { nowMicros, REQUEST_TABLE } from '../names.ts';
import type { Session, Statement, Value, ValueRow } from '../session.ts';
import type { FencedReads } from './fenced-reads.ts';
import { commitTransaction, inTransaction, step } from './transaction.ts';
import { type PlannedWrite, runAll, within, withoutDeadlock } from './write.ts';

const findText = `SELECT table_name, digest, result FROM ${REQUEST_TABLE} WHERE caller = ? AND request_id = ?`;
const recordText = `INSERT INTO ${REQUEST_TABLE} (caller, request_id, table_name, digest, result, recorded_at) VALUES (?, ?, ?, ?, ?, ${nowMicros})`;

/** What every such write sends beside its own statements. */
export const onceTexts: readonly string[] = [findText, recordText];

/**
 * Runs the writes and records the request in one transaction: first it looks for a record, last it writes one. Of two at once the second waits, for a row or for the record's key, until the first has ended; what it fails with then may be the
 * first one's doing, so that it looks for the record once more. That also finds a first one whose connection is gone while its COMMIT was under way.
 */
export async function runWritesOnce(
  pool: ConnectionPool<Session>,
  fenced: FencedReads,
  writes: readonly PlannedWrite[],
  request: OnceRequest,
  encode: (done: readonly DoneWrite<Value>[]) => Uint8Array,
  signal: AbortSignal,
): Promise<OnceAnswer> {
  return withoutDeadlock(signal, () =>
    onSession(pool, signal, async (session) => {
      try {
        return await writeAndRecord(session, fenced, writes, request, encode, signal);
      } catch (error) {
        if (hasReason(error, 'OUTCOME_UNKNOWN', 'REQUEST_ID_REUSED', 'REQUEST_IDS_NOT_KEPT')) throw error;
        // Nobody has looked: "such a row is there already" may tell of the first one's row.
        if (signal.aborted) throw abortError(signal);
        if (!session.usable) throw lostBeforeLook(error);
        const answer = recordedAnswer(request, await findRecords(session, request, signal));
        if (answer === null) throw error;
        return answer;
      }
    }),
  );
}

async function writeAndRecord(
  session: Session,
  fenced: FencedReads,
  writes: readonly PlannedWrite[],
  request: OnceRequest,
  encode: (done: readonly DoneWrite<Value>[]) => Uint8Array,
  signal: AbortSignal,
): Promise<OnceAnswer> {
  const answer = await inTransaction(
    session,
    async (): Promise<OnceAnswer> => {
      const recorded = recordedAnswer(request, await findRecords(session, request, signal));
      if (recorded !== null) return recorded;
      const result = encode(await runAll(within(session, fenced, signal), writes));
      await step(session, recordStatement(request, result), recordError, signal);
      return { result, repeated: false };
    },
    signal,
  );
  if (answer.repeated) await session.rollBack();
  else await commitTransaction(session, signal);
  return answer;
}

/** The records of a request, whatever their tables. REQUEST_IDS_NOT_KEPT. */
export async function findRecords(session: Session, { caller, id }: Pick<OnceRequest, 'caller' | 'id'>, signal: AbortSignal): Promise<readonly FoundRecord[]> {
  return recordsFromRows((await step(session, { text: findText, values: [caller, id], form: 'kept' }, recordError, signal)).rows);
}

export const recordStatement = ({ caller, id, table, digest }: Omit<OnceRequest, 'encode' | 'answer'>, result: Uint8Array): Statement => ({
  text: recordText,
  values: [caller, id, table, digest, bufferOf(result)],
  form: 'kept',
});

const recordsFromRows = (rows: readonly ValueRow[]): readonly FoundRecord[] =>
  rows.map(([table, digest, result]) => {
    if (!(result instanceof Buffer)) throw notARecord();
    return { table: String(table), digest: String(digest), result: new Uint8Array(result) };
  });

/** A failure of the record's own statements, which are nothing of the caller's. */
export function recordError(error: unknown): SwitchyardError {
  if (isUnprepared(error)) return requestIdsNotKept(error);
  if (isDuplicate(error) || isStale(error)) return notRecordedNow(error);
  return storeError(error);
}
