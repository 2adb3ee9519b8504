import type { MessageInitShape } from '@bufbuild/protobuf';
import type { DataTransaction } from '../backends/backend.ts';
import type { IsolationLevel, RowLock, WriteResult } from '../core/operation.ts';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import {
  type BeginTransaction,
  type DeleteRequest,
  Isolation,
  RowLock as WireLock,
  type TransactRequest,
  type TransactResponseSchema,
  type UpdateRequest,
} from '../gen/switchyard/data/v1/data_service_pb.ts';
import { statusMessage } from '../runtime/grpc-error.ts';
import { rowEncoder } from './codec/encode.ts';
import { checkCaller, checkRequestId } from './codec/once.ts';
import { encodePage } from './codec/page.ts';
import { insertsOf, type NamedWrite, preparerOf } from './codec/prepare-writes.ts';
import type { TableHandle } from './codec/table-handle.ts';
import { decodeAggregate, encodeGroups } from './codec/validate-aggregate.ts';
import { checkKeys, checkRead, decodeBatchGet, decodeGet, decodeQuery, rowNotFound } from './codec/validate-reads.ts';
import { checkWrite } from './codec/validate-writes.ts';
import { noTag, wholeRow } from './conditional-write.ts';
import type { Call } from './flow/call.ts';
import type { OpenTransaction, Transactions } from './flow/open-transaction.ts';
import { rowTag } from './row-tag.ts';

type Response = MessageInitShape<typeof TransactResponseSchema>;
type Answer = NonNullable<Response['kind']>;
type Step = Exclude<TransactRequest['kind'], { readonly case: undefined }>;

const argument = (message: string): SwitchyardError => new SwitchyardError('ARGUMENT_INVALID', message);

/** Failures with which the transaction goes on: the request was refused before it did anything, or the store has refused its statement and waits for what comes next. */
const endsNothing = (error: unknown): error is SwitchyardError =>
  error instanceof SwitchyardError &&
  !hasReason(
    error,
    'FENCED',
    'SERIALIZATION_FAILURE',
    'STORE_UNAVAILABLE',
    'STORE_OVERLOADED',
    'STORE_LOGIN_REFUSED',
    'STORE_READ_ONLY',
    'OUTCOME_UNKNOWN',
    'REQUEST_ID_REUSED',
    'REQUEST_IDS_NOT_KEPT',
    'TRANSACTION_COMMITTED',
    'TRANSACTION_EXPIRED',
    'TRANSACTION_MOVED',
    'NOT_SUPPORTED',
    'BUFFER_FULL',
    'HELD_TOO_LONG',
    'DEADLINE_TOO_SHORT',
    'DEADLINE_EXCEEDED',
    'CANCELLED',
    'GATEWAY_NOT_READY',
    'INTERNAL',
  );

/** Carries out a stream of requests as one transaction. Ends with the answer to commit or roll_back, without a word when the caller ends the stream, and with a failure that ends the transaction. */
export async function* transact(transactions: Transactions, call: Call, requests: AsyncIterable<TransactRequest>): AsyncGenerator<Response> {
  const incoming = requests[Symbol.asyncIterator]();
  const begin = await firstOf(incoming);
  await using transaction = transactions.open(call, optionsOf(begin, call.caller));
  yield goesOn;
  for (;;) {
    const request = await transaction.next(incoming);
    if (request === null) return;
    const { kind } = request;
    if (kind.case === undefined) throw argument('a request without a kind');
    let response: Response;
    try {
      response = { kind: await carryOut(transaction, kind, lockOf(request)) };
      checkAnswer(call, response, kind);
    } catch (error) {
      if (transaction.isOver || !endsNothing(error)) throw error;
      response = { kind: { case: 'error', value: statusMessage(error) } };
    }
    yield response;
    if (response.kind?.case === 'ended') return;
  }
}

/** RESULT_TOO_LARGE; of a write, which the transaction has done all the same, STORE_FAILED. */
function checkAnswer(call: Call, response: Response, { case: step }: Step): void {
  try {
    call.checkAnswer(response);
  } catch (error) {
    if (!hasReason(error, 'RESULT_TOO_LARGE') || !writing.includes(step)) throw error;
    throw new SwitchyardError('STORE_FAILED', `the transaction has done the write, and commits it; its answer cannot be sent: ${error.message}`, { cause: error });
  }
}

const goesOn: Response = { kind: { case: 'goesOn', value: {} } };

async function firstOf(incoming: AsyncIterator<TransactRequest>): Promise<BeginTransaction> {
  const { value, done } = await incoming.next();
  if (done === true || value.kind.case !== 'begin') throw argument('begin: must be the first request of the stream');
  return value.kind.value;
}

const isolations: Readonly<Record<number, IsolationLevel>> = {
  [Isolation.UNSPECIFIED]: 'read committed',
  [Isolation.READ_COMMITTED]: 'read committed',
  [Isolation.REPEATABLE_READ]: 'repeatable read',
  [Isolation.SERIALIZABLE]: 'serializable',
};

function optionsOf({ isolation, readOnly, requestId }: BeginTransaction, caller: string) {
  const level = isolations[isolation];
  if (level === undefined) throw argument(`begin.isolation: got ${isolation}; must be one of ISOLATION_READ_COMMITTED, ISOLATION_REPEATABLE_READ, ISOLATION_SERIALIZABLE`);
  checkRequestId(requestId);
  if (requestId !== '' && readOnly) throw argument('begin.request_id: a transaction that only reads may be repeated without one; leave it out');
  if (requestId !== '') checkCaller(caller);
  return { isolation: level, readOnly, once: requestId === '' ? null : { caller, id: requestId } };
}

const locks: Readonly<Record<number, RowLock | null>> = { [WireLock.UNSPECIFIED]: null, [WireLock.SHARE]: 'share', [WireLock.UPDATE]: 'update' };
const writing: readonly string[] = ['insert', 'insertMany', 'upsert', 'update', 'delete'];
const lockable: readonly string[] = ['get', 'batchGet', 'query'];

function lockOf({ kind, lock: given }: TransactRequest): RowLock | null {
  const lock = locks[given];
  if (lock === undefined) throw argument(`lock: got ${given}; must be ROW_LOCK_SHARE, ROW_LOCK_UPDATE or left out`);
  if (lock !== null && !lockable.includes(kind.case ?? '')) throw argument('lock: goes with get, batch_get and query only');
  return lock;
}

async function carryOut(transaction: OpenTransaction, step: Step, lock: RowLock | null): Promise<Answer> {
  if (lock !== null && transaction.isReadOnly) throw argument('lock: the transaction was begun with read_only, and nobody waits for it');
  const { signal } = transaction;
  const reading = transaction.readsAs(lock);
  switch (step.case) {
    case 'begin':
      throw argument('begin: the transaction has begun; open another stream for another one');
    case 'get':
      checkRead(step.value);
      return await transaction.use(step.value.table, reading, async (store, handle) => {
        const found = await store.get(handle.schema, decodeGet(handle, step.value), lock, signal);
        if (found === null) throw rowNotFound(step.value.table);
        const row = rowEncoder(handle)(found);
        return { case: 'get', value: step.value.withEtag ? { row, etag: rowTag(row) } : { row } };
      });
    case 'batchGet':
      checkRead(step.value);
      checkKeys(step.value);
      return await transaction.use(step.value.table, reading, async (store, handle) => {
        const rows = await store.batchGet(handle.schema, decodeBatchGet(handle, step.value), lock, signal);
        const encode = rowEncoder(handle);
        return { case: 'batchGet', value: { entries: rows.map((found) => (found === null ? {} : { row: encode(found) })) } };
      });
    case 'query':
      checkRead(step.value);
      return await transaction.use(step.value.table, reading, async (store, handle, ref) => {
        const decoded = decodeQuery(handle, ref.table, step.value);
        return { case: 'query', value: encodePage(handle, decoded, await store.query(handle.schema, decoded.operation, lock, signal)) };
      });
    case 'aggregate':
      checkRead(step.value);
      return await transaction.use(step.value.table, reading, async (store, handle) => {
        const operation = decodeAggregate(handle, step.value);
        return { case: 'aggregate', value: encodeGroups(handle, operation, await store.aggregate(handle.schema, operation, signal)) };
      });
    case 'insertMany': {
      refuseOwn(step.value);
      const { handle, results } = await write(transaction, insertsOf(step.value));
      return { case: 'insertMany', value: { rows: results.map((result) => rowOf(result, handle) ?? {}) } };
    }
    case 'insert':
    case 'upsert':
    case 'update':
    case 'delete': {
      refuseOwn(step.value);
      checkWrite(step.value);
      if (step.case === 'update' || step.case === 'delete') await requireTag(transaction, step.value);
      const request = 'etag' in step.value ? { ...step.value, etag: '' } : step.value;
      const { handle, results } = await write(transaction, [{ name: request.table, kind: step.case, request, at: '' }]);
      const [result] = results;
      if (result === undefined) throw new Error('a write has no result');
      if (step.case === 'delete') return { case: 'delete', value: { deleted: result.found } };
      const row = rowOf(result, handle);
      return { case: step.case, value: row === undefined ? {} : { row } };
    }
    case 'savepoint':
      await transaction.savepoint(savepointOf(step.value.name, 'savepoint'));
      return { case: 'goesOn', value: {} };
    case 'rollBackTo':
      await transaction.rollBackTo(savepointOf(step.value.name, 'roll_back_to'));
      return { case: 'goesOn', value: {} };
    case 'commit':
      await transaction.commit();
      return { case: 'ended', value: { committed: true } };
    case 'rollBack':
      return { case: 'ended', value: { committed: false } };
  }
}

const refusedWrite = 'read_only: the transaction was begun with it, so that nothing can be written';

async function write(transaction: OpenTransaction, writes: readonly NamedWrite[]): Promise<{ readonly handle: TableHandle; readonly results: readonly WriteResult[] }> {
  const name = writes[0]?.name ?? '';
  if (transaction.isReadOnly) throw argument(refusedWrite);
  return await transaction.use(name, 'write', async (store: DataTransaction, handle, ref) => {
    const { schemas, operations } = preparerOf(writes)(new Map([[name, handle]]), new Map([[name, ref]]));
    return { handle, results: await store.write(schemas, operations, transaction.signal) };
  });
}

/** Reads the row under a lock, so that it is still the same when it is written. PRECONDITION_FAILED: it has another tag than the request names. */
async function requireTag(transaction: OpenTransaction, request: UpdateRequest | DeleteRequest): Promise<void> {
  const { table, etag } = request;
  if (etag === '') return;
  if (transaction.isReadOnly) throw argument(refusedWrite);
  const found = await transaction.use(table, 'write', async (store, handle) => {
    const row = await store.get(handle.schema, decodeGet(handle, wholeRow(request)), 'update', transaction.signal);
    return row === null ? null : rowTag(rowEncoder(handle)(row));
  });
  if (found !== etag) throw noTag(table, found === null ? 'there is no such row' : 'the row has changed: its etag is another one');
}

const rowOf = ({ row }: WriteResult, handle: TableHandle) => (row === null ? undefined : rowEncoder(handle)(row));

function refuseOwn({ validateOnly, requestId }: { readonly validateOnly: boolean; readonly requestId: string }): void {
  if (validateOnly) throw argument('validate_only: belongs to a call of its own; leave it out inside a transaction');
  if (requestId !== '') throw argument('request_id: belongs to begin; leave it out inside a transaction');
}

function savepointOf(name: string, field: string): string {
  if (name === '' || [...name].length > 63 || name.includes('\0')) throw argument(`${field}.name: got ${JSON.stringify(name.slice(0, 80))}; must be a text of 1 to 63 characters`);
  return name;
}
