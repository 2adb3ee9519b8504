import { randomUUID } from 'node:crypto';
import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import type {
  AggregateRequestSchema,
  AggregateResponse,
  BatchGetRequestSchema,
  BatchGetResponse,
  BeginTransactionSchema,
  DataService,
  DeleteRequestSchema,
  DeleteResponse,
  GetRequestSchema,
  GetResponse,
  InsertManyRequestSchema,
  InsertManyResponse,
  InsertRequestSchema,
  InsertResponse,
  QueryRequestSchema,
  QueryResponse,
  RowLock,
  TransactRequestSchema,
  TransactResponse,
  TransactResponseSchema,
  UpdateRequestSchema,
  UpdateResponse,
  UpsertRequestSchema,
  UpsertResponse,
} from '../gen/switchyard/data/v1/data_service_pb.ts';
import { outcomeUnknown } from './outcome-unknown.ts';
import { pause } from './pause.ts';
import type { RpcClient, RpcConversation } from './rpc-client.ts';
import { fromStatus } from './rpc-error.ts';

/** What a transaction's function may do. Every method rejects with a SwitchyardError; after one that failed in the store only `rollBackTo` helps (TRANSACTION_FAILED). */
export interface Transaction {
  get(request: MessageInitShape<typeof GetRequestSchema>, lock?: RowLock): Promise<GetResponse>;
  batchGet(request: MessageInitShape<typeof BatchGetRequestSchema>, lock?: RowLock): Promise<BatchGetResponse>;
  query(request: MessageInitShape<typeof QueryRequestSchema>, lock?: RowLock): Promise<QueryResponse>;
  aggregate(request: MessageInitShape<typeof AggregateRequestSchema>): Promise<AggregateResponse>;
  insert(request: MessageInitShape<typeof InsertRequestSchema>): Promise<InsertResponse>;
  insertMany(request: MessageInitShape<typeof InsertManyRequestSchema>): Promise<InsertManyResponse>;
  upsert(request: MessageInitShape<typeof UpsertRequestSchema>): Promise<UpsertResponse>;
  update(request: MessageInitShape<typeof UpdateRequestSchema>): Promise<UpdateResponse>;
  delete(request: MessageInitShape<typeof DeleteRequestSchema>): Promise<DeleteResponse>;
  savepoint(name: string): Promise<void>;
  rollBackTo(name: string): Promise<void>;
}

export interface TransactOptions extends Omit<MessageInitShape<typeof BeginTransactionSchema>, '$typeName' | 'requestId'> {
  /** How long it may be tried again in all. Default 30,000. */
  readonly retryMs?: number;
  readonly signal?: AbortSignal;
  /** Told of every try that was rolled back and is repeated. */
  readonly onRetry?: (error: SwitchyardError) => void;
}

const defaultRetryMs = 30_000;
const longestPauseMs = 1_000;

/**
 * Runs a function as one transaction and commits it; whatever it throws rolls everything back. The function runs again, from its beginning, where the transaction was rolled back for a reason that a repetition mends: a conflict with
 * another one, a cutover that moved its tables, a lost connection. A request id of its own tells whether a commit whose answer was lost was done. So the function must do nothing outside the transaction that may not be done twice.
 */
export async function transact<T>(
  client: Pick<RpcClient<typeof DataService>, 'transact'>,
  work: (transaction: Transaction) => Promise<T>,
  options: TransactOptions = {},
): Promise<T> {
  const { retryMs = defaultRetryMs, signal, onRetry, ...begin } = options;
  const requestId = options.readOnly === true ? '' : randomUUID();
  const endsMs = performance.now() + retryMs;
  /** What the try returned whose commit nobody knows the end of, and why not. */
  let doubtful: { readonly result: T; readonly error: SwitchyardError } | null = null;
  /** What the caller is told of the transaction when a try has failed like this. */
  const outcomeOf = (error: unknown): unknown => (doubtful === null ? error : outcomeUnknown('the transaction', doubtful.error, error));
  for (let pauseMs = 10; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    let finished: { readonly result: T } | null = null;
    try {
      await using conversation = client.transact(signal === undefined ? {} : { signal });
      const transaction = new Conversation(conversation);
      await transaction.ask({ case: 'begin', value: { ...begin, requestId } });
      const result = await work(transaction);
      finished = { result };
      await transaction.ask({ case: 'commit', value: {} });
      return result;
    } catch (error) {
      if (signal?.aborted) throw outcomeOf(signal.reason);
      if (doubtful !== null && hasReason(error, 'TRANSACTION_COMMITTED')) return doubtful.result;
      // The commit was sent and may have been done: only the same request id tells.
      if (finished !== null && hasReason(error, 'OUTCOME_UNKNOWN', 'PEER_UNREACHABLE', 'DEADLINE_EXCEEDED', 'CANCELLED')) doubtful = { ...finished, error };
      // In doubt whatever fails may have failed because of what was done.
      const mayRepeat = error instanceof SwitchyardError && (error.retryable || doubtful !== null || hasReason(error, 'PEER_UNREACHABLE'));
      if (!mayRepeat || performance.now() + pauseMs > endsMs) throw outcomeOf(error);
      onRetry?.(error);
      const rest = pause(Math.max(error.retryAfterMs ?? 0, pauseMs * (0.5 + Math.random())), signal);
      await rest.catch((stopped: unknown) => Promise.reject(outcomeOf(stopped)));
    }
  }
}

type Step = NonNullable<MessageInitShape<typeof TransactRequestSchema>['kind']>;
type AnswerOf<K extends TransactResponse['kind']['case']> = Extract<TransactResponse['kind'], { case: K }>['value'];

/** One request, one answer, one after the other. */
class Conversation implements Transaction {
  readonly #stream: RpcConversation<MessageInitShape<typeof TransactRequestSchema>, MessageShape<typeof TransactResponseSchema>>;
  /** Requests of one transaction that are sent at once are carried out in turn. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(stream: RpcConversation<MessageInitShape<typeof TransactRequestSchema>, MessageShape<typeof TransactResponseSchema>>) {
    this.#stream = stream;
  }

  get = (request: MessageInitShape<typeof GetRequestSchema>, lock?: RowLock) => this.#answer('get', { case: 'get', value: request }, lock);
  batchGet = (request: MessageInitShape<typeof BatchGetRequestSchema>, lock?: RowLock) => this.#answer('batchGet', { case: 'batchGet', value: request }, lock);
  query = (request: MessageInitShape<typeof QueryRequestSchema>, lock?: RowLock) => this.#answer('query', { case: 'query', value: request }, lock);
  aggregate = (request: MessageInitShape<typeof AggregateRequestSchema>) => this.#answer('aggregate', { case: 'aggregate', value: request });
  insert = (request: MessageInitShape<typeof InsertRequestSchema>) => this.#answer('insert', { case: 'insert', value: request });
  insertMany = (request: MessageInitShape<typeof InsertManyRequestSchema>) => this.#answer('insertMany', { case: 'insertMany', value: request });
  upsert = (request: MessageInitShape<typeof UpsertRequestSchema>) => this.#answer('upsert', { case: 'upsert', value: request });
  update = (request: MessageInitShape<typeof UpdateRequestSchema>) => this.#answer('update', { case: 'update', value: request });
  delete = (request: MessageInitShape<typeof DeleteRequestSchema>) => this.#answer('delete', { case: 'delete', value: request });

  async savepoint(name: string): Promise<void> {
    await this.ask({ case: 'savepoint', value: { name } });
  }

  async rollBackTo(name: string): Promise<void> {
    await this.ask({ case: 'rollBackTo', value: { name } });
  }

  ask(kind: Step, lock?: RowLock): Promise<TransactResponse['kind']> {
    const asked = this.#last.then(() => this.#ask(kind, lock));
    this.#last = asked.catch(() => {});
    return asked;
  }

  async #ask(kind: Step, lock?: RowLock): Promise<TransactResponse['kind']> {
    // What keeps a request from being sent, the next answer tells.
    await this.#stream.send({ kind, ...(lock === undefined ? {} : { lock }) }).catch(() => {});
    const answer = await this.#stream.next();
    if (answer === null) throw new SwitchyardError('INTERNAL', 'the gateway ended the transaction without an answer');
    if (answer.kind.case === 'error') throw fromStatus(answer.kind.value);
    return answer.kind;
  }

  async #answer<K extends Step['case'] & TransactResponse['kind']['case']>(name: K, kind: Step, lock?: RowLock): Promise<NonNullable<AnswerOf<K>>> {
    const answer = await this.ask(kind, lock);
    if (answer.case !== name) throw new SwitchyardError('INTERNAL', `the gateway answered ${name} with ${answer.case}`);
    return answer.value as NonNullable<AnswerOf<K>>;
  }
}
