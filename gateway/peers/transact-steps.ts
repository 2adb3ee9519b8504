import type { MessageInitShape } from '@bufbuild/protobuf';
import type { DataTransaction, TransactionOptions } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import type { IsolationLevel, RowLock } from '../../core/operation.ts';
import { shorten } from '../../core/shorten.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { Isolation, RowLock as WireLock } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { BeginTransaction, TransactRequest, TransactResponseSchema } from '../../gen/switchyard/store/v1/data_store_pb.ts';
import { statusMessage } from '../../runtime/grpc-error.ts';
import type { SchemaMemory } from '../../runtime/peers/schema-memory.ts';
import type { Stores } from '../stores.ts';
import { groupsAnswer, pageAnswer, rowAnswer, writtenAnswer } from './answers.ts';
import { decodeAggregate, decodeBatchGet, decodeGet, decodeQuery, decodeWrites } from './decode-requests.ts';

export interface TransactParts {
  readonly stores: Stores;
  readonly schemas: SchemaMemory;
  readonly clock: Clock;
}

type Answer = MessageInitShape<typeof TransactResponseSchema>;

/** A caller that is silent for so long has gone, and its transaction with it; it ends its own callers' silence earlier. */
const idleLimitMs = 10_000;

/** One transaction of a peer, step by step. Its callers' limits are the peer's; that the stream ends without a commit undoes everything. */
export async function* transactSteps(parts: TransactParts, requests: AsyncIterable<TransactRequest>, signal: AbortSignal): AsyncGenerator<Answer> {
  const steps = requests[Symbol.asyncIterator]();
  const first = await nextStep(steps, parts.clock, signal);
  if (first === null) return;
  if (first.kind.case !== 'begin') throw new SwitchyardError('ARGUMENT_INVALID', 'a transaction starts with begin');
  const { keyspace } = first.kind.value;
  parts.stores.ownKind(keyspace);
  using lease = parts.stores.lease(keyspace, 'transactions');
  await using transaction = await lease.store.begin(optionsOf(first.kind.value), signal);
  yield { kind: { case: 'begun', value: { wasCommitted: transaction.wasCommitted } }, ...stateOf(transaction) };
  for (;;) {
    const step = await nextStep(steps, parts.clock, signal);
    if (step === null) return;
    let kind: Answer['kind'];
    try {
      kind = await answerTo(step, transaction, keyspace, parts.schemas, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SwitchyardError)) throw error;
      kind = { case: 'error', value: statusMessage(error) };
    }
    yield { ...(kind === undefined ? {} : { kind }), ...stateOf(transaction) };
  }
}

const stateOf = ({ hasFailed, isOver }: DataTransaction) => ({ hasFailed, isOver });

const isolations: Readonly<Record<number, IsolationLevel>> = {
  [Isolation.UNSPECIFIED]: 'read committed',
  [Isolation.READ_COMMITTED]: 'read committed',
  [Isolation.REPEATABLE_READ]: 'repeatable read',
  [Isolation.SERIALIZABLE]: 'serializable',
};

function optionsOf({ isolation, readOnly, once }: BeginTransaction): TransactionOptions {
  const known = isolations[isolation];
  // Never less than what was asked for.
  if (known === undefined) throw new SwitchyardError('ARGUMENT_INVALID', `isolation: got ${isolation}, which this release does not know`);
  return { isolation: known, readOnly, once: once === undefined ? null : { caller: once.caller, id: once.id } };
}

function lockOf(lock: WireLock): RowLock | null {
  switch (lock) {
    case WireLock.UNSPECIFIED:
      return null;
    case WireLock.SHARE:
      return 'share';
    case WireLock.UPDATE:
      return 'update';
    default:
      throw new SwitchyardError('ARGUMENT_INVALID', `lock: got ${String(lock)}, which this release does not know`);
  }
}

async function answerTo(step: TransactRequest, transaction: DataTransaction, keyspace: string, schemas: SchemaMemory, signal: AbortSignal): Promise<Answer['kind']> {
  const { kind } = step;
  const lock = lockOf(step.lock);
  if (kind.value !== undefined && 'keyspace' in kind.value && kind.value.keyspace !== '' && kind.value.keyspace !== keyspace)
    throw new SwitchyardError('ARGUMENT_INVALID', `keyspace: got "${shorten(kind.value.keyspace)}"; the transaction is in "${keyspace}"`);
  switch (kind.case) {
    case 'get': {
      const schema = await schemas.find(keyspace, kind.value.table, signal);
      return { case: 'get', value: rowAnswer(schema, kind.value.columns, await transaction.get(schema, decodeGet(schema, kind.value), lock, signal)) };
    }
    case 'batchGet': {
      const schema = await schemas.find(keyspace, kind.value.table, signal);
      const rows = await transaction.batchGet(schema, decodeBatchGet(schema, kind.value), lock, signal);
      return { case: 'batchGet', value: { entries: rows.map((row) => rowAnswer(schema, kind.value.columns, row)) } };
    }
    case 'query': {
      const schema = await schemas.find(keyspace, kind.value.table, signal);
      return { case: 'query', value: pageAnswer(schema, kind.value.columns, await transaction.query(schema, decodeQuery(schema, kind.value), lock, signal)) };
    }
    case 'aggregate': {
      const schema = await schemas.find(keyspace, kind.value.table, signal);
      const operation = decodeAggregate(schema, kind.value);
      return { case: 'aggregate', value: groupsAnswer(schema, operation, await transaction.aggregate(schema, operation, signal)) };
    }
    case 'write': {
      const shapes = await schemas.findAll(keyspace, kind.value.tables, signal);
      const operations = decodeWrites(shapes, kind.value.operations);
      return { case: 'write', value: writtenAnswer(shapes, operations, await transaction.write(shapes, operations, signal)) };
    }
    case 'savepoint':
      await transaction.savepoint(kind.value.name, signal);
      return { case: 'done', value: {} };
    case 'rollBackTo':
      await transaction.rollBackTo(kind.value.name, signal);
      return { case: 'done', value: {} };
    case 'commit':
      await transaction.commit(kind.value.table, signal);
      return { case: 'done', value: {} };
    case 'begin':
    case undefined:
      throw new SwitchyardError('ARGUMENT_INVALID', 'a step of a transaction that this release does not know');
  }
}

/** The next step; null: the caller has ended the stream. Rejects when the signal aborts, and with TRANSACTION_EXPIRED when none comes. */
async function nextStep<T>(steps: AsyncIterator<T>, clock: Clock, signal: AbortSignal): Promise<T | null> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = clock.after(idleLimitMs, () => reject(new SwitchyardError('TRANSACTION_EXPIRED', `no step came for ${idleLimitMs} ms; the transaction was rolled back`)));
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const { value, done } = await Promise.race([steps.next(), promise]);
    return done === true ? null : value;
  } finally {
    stop();
    signal.removeEventListener('abort', onAbort);
  }
}
