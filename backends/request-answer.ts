import type { BatchGetOperation } from '../core/operation.ts';
import type { OnceAnswer, OnceRequest, RequestRecord } from '../core/request-record.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';

/* What every kind makes of the records that it finds of a request, in the same words. */

/** What a record says of the write that it was made by. */
export type FoundRecord = Pick<RequestRecord, 'table' | 'digest' | 'result'>;

/** The answer to the request when `found` are all records of its caller and id, whatever their table; null: it has not been done. REQUEST_ID_REUSED: they are of other content. */
export function recordedAnswer(request: OnceRequest, found: readonly FoundRecord[]): OnceAnswer | null {
  if (found.length === 0) return null;
  const own = found.find(({ table, digest }) => table === request.table && digest === request.digest);
  if (own !== undefined) return { result: own.result, repeated: true };
  const tables = found.map(({ table }) => `"${table}"`).join(', ');
  throw new SwitchyardError('REQUEST_ID_REUSED', `request id "${request.id}" belongs to an earlier write of other content (${tables}): use a new id for a new write`, {
    metadata: { request_id: request.id },
  });
}

/** What a transaction's record has in the place of a digest: its content is not known when it is asked for. No digest of a write is like it. */
export const TRANSACTION_DIGEST = 'transaction';

/** Whether the records say that a transaction with this id was committed. REQUEST_ID_REUSED: they are of a write. */
export function wasCommitted(id: string, found: readonly FoundRecord[]): boolean {
  if (found.length === 0) return false;
  if (found.some(({ digest }) => digest === TRANSACTION_DIGEST)) return true;
  throw new SwitchyardError('REQUEST_ID_REUSED', `request id "${id}" belongs to an earlier write that was no transaction: use a new id for a new transaction`, {
    metadata: { request_id: id },
  });
}

/** What a BatchGet is refused with whose first `fitting` rows are all that its bound allows. */
export const batchTooLarge = ({ keys, maxBytes }: BatchGetOperation, fitting: number): SwitchyardError =>
  new SwitchyardError('RESULT_TOO_LARGE', `the rows of the ${keys.length} keys come to more than ${maxBytes} bytes, and ${fitting} of them fit; ask for fewer keys or columns`);

export const transactionFailed = (): SwitchyardError =>
  new SwitchyardError('TRANSACTION_FAILED', 'an earlier request of the transaction failed in the store: roll back to a savepoint that was made before it, or roll back');

/** Somebody else than Switchyard wrote the record. */
export const notARecord = (): SwitchyardError =>
  new SwitchyardError('STORE_FAILED', 'the store holds a record of a request that is none: correct or remove it in the store; nothing was written');

/** The store has no table for records, or gives no right on it. */
export function requestIdsNotKept(cause: unknown): SwitchyardError {
  const fix =
    'a running control prepares every keyspace whose owner it can log in as; where it cannot, run the script of "switchyard keyspace grants" as an administrator; or leave the request id out';
  return new SwitchyardError('REQUEST_IDS_NOT_KEPT', `the store is not prepared to keep request ids, so nothing was written: ${fix}`, { cause });
}

export const noSavepoint = (name: string): SwitchyardError => new SwitchyardError('ARGUMENT_INVALID', `the transaction has no savepoint "${name}"`);
