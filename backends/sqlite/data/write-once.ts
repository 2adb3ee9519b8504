import type { OnceAnswer, OnceRequest } from '../../../core/request-record.ts';
import { recordedAnswer } from '../../request-answer.ts';
import { addRequest, findRequests } from '../request-records.ts';
import type { Transaction } from '../store-client.ts';
import { type PlannedWrite, runWrites } from './write.ts';

/**
 * Runs the writes and records the request, within the caller's write transaction; where there is a record already, that is the answer. One look is enough: nobody else writes between it and the commit. It comes before the fence's.
 */
export function runOnce(transaction: Transaction, writes: readonly PlannedWrite[], request: OnceRequest): OnceAnswer {
  const { connection } = transaction;
  const answer = recordedAnswer(request, findRequests(connection, request));
  if (answer !== null) return answer;
  const result = request.encode(runWrites(transaction, writes));
  addRequest(connection, request, result);
  return { result, repeated: false };
}
