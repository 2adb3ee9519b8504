import type {
  AggregateGroup,
  AggregateOperation,
  BatchGetOperation,
  GetOperation,
  IsolationLevel,
  QueryOperation,
  QueryPage,
  Row,
  RowLock,
  WriteOperation,
  WriteResult,
} from '../../core/operation.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { fromStatus } from '../../client/rpc-error.ts';
import { Isolation, RowLock as WireLock } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { DataStoreService, type TransactRequestSchema, type TransactResponse } from '../../gen/switchyard/store/v1/data_store_pb.ts';
import type { DataTransaction, TransactionOptions } from '../backend.ts';
import { abortError, read, unknownAfterAbort } from './failures.ts';
import {
  aggregateMessage,
  batchGetMessage,
  getMessage,
  groupsFromMessage,
  pageFromMessage,
  queryMessage,
  rowFromMessage,
  rowsFromMessage,
  writesMessage,
  writtenFromMessage,
} from './requests.ts';
import type { Conversation, Transport } from './transport.ts';
import type { MessageInitShape } from '@bufbuild/protobuf';

type Request = MessageInitShape<typeof TransactRequestSchema>;
type Kind = NonNullable<TransactResponse['kind']['case']>;
type AnswerOf<K extends Kind> = Extract<TransactResponse['kind'], { readonly case: K }>['value'];

const isolations: Readonly<Record<IsolationLevel, Isolation>> = {
  'read committed': Isolation.READ_COMMITTED,
  'repeatable read': Isolation.REPEATABLE_READ,
  serializable: Isolation.SERIALIZABLE,
};
const locks: Readonly<Record<RowLock, WireLock>> = { share: WireLock.SHARE, update: WireLock.UPDATE };

/** Begins a transaction in the store behind the service; see `DataStore.begin`. */
export async function beginTransaction(transport: Transport, keyspace: string, remoteKeyspace: string, options: TransactionOptions, signal: AbortSignal): Promise<DataTransaction> {
  const { isolation, readOnly, once } = options;
  const conversation = await transport.converse(DataStoreService.method.transact, signal);
  const transaction = new ServiceTransaction(keyspace, conversation);
  try {
    const begin = { keyspace: remoteKeyspace, isolation: isolations[isolation], readOnly, ...(once === null ? {} : { once: { caller: once.caller, id: once.id } }) };
    await transaction.begin({ kind: { case: 'begin', value: begin } }, signal);
    return transaction;
  } catch (error) {
    await transaction[Symbol.asyncDispose]();
    throw error;
  }
}

class ServiceTransaction implements DataTransaction {
  readonly #keyspace: string;
  readonly #conversation: Conversation<Request, TransactResponse>;
  #wasCommitted = false;
  #hasFailed = false;
  #isOver = false;

  constructor(keyspace: string, conversation: Conversation<Request, TransactResponse>) {
    this.#keyspace = keyspace;
    this.#conversation = conversation;
  }

  get wasCommitted(): boolean {
    return this.#wasCommitted;
  }

  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  get isOver(): boolean {
    return this.#isOver || this.#conversation.isOver;
  }

  async begin(request: Request, signal: AbortSignal): Promise<void> {
    this.#wasCommitted = (await this.#ask(request, 'begun', signal)).wasCommitted;
  }

  async get(table: TableSchema, operation: GetOperation, lock: RowLock | null, signal: AbortSignal): Promise<Row | null> {
    const answer = await this.#ask({ kind: { case: 'get', value: getMessage(table, operation) }, ...lockField(lock) }, 'get', signal);
    return this.#read(() => rowFromMessage(table, operation.columns, answer));
  }

  async batchGet(table: TableSchema, operation: BatchGetOperation, lock: RowLock | null, signal: AbortSignal): Promise<readonly (Row | null)[]> {
    const answer = await this.#ask({ kind: { case: 'batchGet', value: batchGetMessage(table, operation) }, ...lockField(lock) }, 'batchGet', signal);
    return this.#read(() => rowsFromMessage(table, operation, answer));
  }

  async query(table: TableSchema, operation: QueryOperation, lock: RowLock | null, signal: AbortSignal): Promise<QueryPage> {
    const answer = await this.#ask({ kind: { case: 'query', value: queryMessage(table, operation) }, ...lockField(lock) }, 'query', signal);
    return this.#read(() => pageFromMessage(table, operation.columns, answer));
  }

  async aggregate(table: TableSchema, operation: AggregateOperation, signal: AbortSignal): Promise<readonly AggregateGroup[]> {
    const answer = await this.#ask({ kind: { case: 'aggregate', value: aggregateMessage(table, operation) } }, 'aggregate', signal);
    return this.#read(() => groupsFromMessage(table, operation, answer));
  }

  async write(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[], signal: AbortSignal): Promise<readonly WriteResult[]> {
    const answer = await this.#ask({ kind: { case: 'write', value: writesMessage(schemas, operations) } }, 'write', signal);
    return this.#read(() => writtenFromMessage(schemas, operations, answer));
  }

  async savepoint(name: string, signal: AbortSignal): Promise<void> {
    await this.#ask({ kind: { case: 'savepoint', value: { name } } }, 'done', signal);
  }

  async rollBackTo(name: string, signal: AbortSignal): Promise<void> {
    await this.#ask({ kind: { case: 'rollBackTo', value: { name } } }, 'done', signal);
  }

  async commit(table: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#ask({ kind: { case: 'commit', value: { table } } }, 'done', signal);
    } catch (error) {
      // Whatever the other end itself has answered, it knows.
      if (!(error instanceof LostRequest)) throw error;
      if (signal.aborted) throw unknownAfterAbort(signal);
      throw new SwitchyardError('OUTCOME_UNKNOWN', `the connection was lost before the service told of the commit: ${error.message}`, { cause: error });
    } finally {
      this.#isOver = true;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#conversation[Symbol.asyncDispose]();
  }

  async #ask<K extends Kind>(request: Request, kind: K, signal: AbortSignal): Promise<AnswerOf<K>> {
    if (signal.aborted) throw abortError(signal);
    if (this.isOver) throw new SwitchyardError('STORE_UNAVAILABLE', 'the transaction is over');
    let answer: TransactResponse;
    try {
      answer = await this.#conversation.ask(request, signal);
    } catch (error) {
      this.#isOver = true;
      throw error instanceof SwitchyardError && (signal.aborted || hasReason(error, 'STORE_UNAVAILABLE')) ? new LostRequest(error) : error;
    }
    this.#hasFailed = answer.hasFailed;
    this.#isOver = answer.isOver;
    if (answer.kind.case === 'error') throw fromStatus(answer.kind.value);
    if (answer.kind.case !== kind)
      throw new SwitchyardError('STORE_FAILED', `the service of keyspace "${this.#keyspace}" answered a step of a transaction with another one's answer`);
    return answer.kind.value as AnswerOf<K>;
  }

  #read<T>(make: () => T): T {
    return read(this.#keyspace, false, make);
  }
}

/** A request that nobody has heard of any more. */
class LostRequest extends SwitchyardError {
  constructor(cause: SwitchyardError) {
    super(cause.reason, cause.message, { cause, metadata: cause.metadata });
  }
}

const lockField = (lock: RowLock | null) => (lock === null ? {} : { lock: locks[lock] });
