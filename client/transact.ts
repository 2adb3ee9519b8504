import { randomUUID } from 'node:crypto';
import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { IsolationLevel } from '../core/operation.ts';
import type { ErrorReason } from '../core/error-catalogue.ts';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import {
  type AggregateRequestSchema,
  type AggregateResponse,
  type BatchGetRequestSchema,
  type BatchGetResponse,
  type DataService,
  type DeleteRequestSchema,
  type DeleteResponse,
  type GetRequestSchema,
  type GetResponse,
  type InsertManyRequestSchema,
  type InsertManyResponse,
  type InsertRequestSchema,
  type InsertResponse,
  Isolation,
  type QueryRequestSchema,
  type QueryResponse,
  type RowLock,
  type TransactRequestSchema,
  type TransactResponse,
  type TransactResponseSchema,
  type UpdateRequestSchema,
  type UpdateResponse,
  type UpsertRequestSchema,
  type UpsertResponse,
} from '../gen/switchyard/data/v1/data_service_pb.ts';
import { cancelled } from './cancelled.ts';
import { outcomeUnknown } from './outcome-unknown.ts';
import { after, pause } from './pause.ts';
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

export interface TransactOptions {
  /** How much it sees of others. Default 'read committed'. */
  readonly isolation?: IsolationLevel;
  /** Refuses writes, and does not wait while a cutover holds them. */
  readonly readOnly?: boolean;
  /** From the call on: no try begins later. The last one has the gateway's limits. Default 30,000. */
  readonly retryMs?: number;
  /** Rolls back, and ends the tries. */
  readonly signal?: AbortSignal;
  /** Told of every try that was rolled back, or may have been committed, and is repeated. */
  readonly onRetry?: (error: SwitchyardError) => void;
}

const defaultRetryMs = 30_000;
const longestPauseMs = 1_000;
/** The gateway ends a transaction that is open for too long, but no commit that it has begun. */
const commitLimitMs = 30_000;

const isolations: Readonly<Record<IsolationLevel, Isolation>> = {
  'read committed': Isolation.READ_COMMITTED,
  'repeatable read': Isolation.REPEATABLE_READ,
  serializable: Isolation.SERIALIZABLE,
};

function isolationOf(level: IsolationLevel): Isolation {
  if (!Object.hasOwn(isolations, level))
    throw new SwitchyardError(
      'ARGUMENT_INVALID',
      `isolation: got ${JSON.stringify(level)}; must be one of ${Object.keys(isolations)
        .map((each) => `"${each}"`)
        .join(', ')}`,
    );
  return isolations[level];
}

/**
 * Runs a function as one transaction and commits it; whatever it throws rolls everything back. The function runs again, from its beginning, where the transaction was rolled back for a reason that a repetition mends, also if it has
 * caught the failure: a conflict with another one, a cutover that moved its tables, a lost connection. A request id of its own tells whether a commit whose answer was lost was done. So the function must do nothing outside the transaction that may not be done twice.
 * TRANSACTION_EXPIRED is not repeated: a function that took too long once would take too long again.
 */
export async function transact<T>(
  client: Pick<RpcClient<typeof DataService>, 'transact'>,
  work: (transaction: Transaction) => Promise<T>,
  options: TransactOptions = {},
): Promise<T> {
  const { isolation = 'read committed', readOnly = false, retryMs = defaultRetryMs, signal, onRetry } = options;
  const begin = { isolation: isolationOf(isolation), readOnly, requestId: readOnly ? '' : randomUUID() };
  const endsMs = performance.now() + retryMs;
  /** What the tries returned whose commits nobody knows the end of, and why not. */
  const doubtful: { readonly result: T; readonly error: SwitchyardError }[] = [];
  /** What the caller is told of the transaction when a try has failed like this. */
  const outcomeOf = (error: unknown): unknown => {
    const last = doubtful.at(-1);
    return last === undefined ? error : outcomeUnknown('the transaction', last.error, error);
  };
  for (let pauseMs = 10; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    let transaction: Conversation | null = null;
    let finished: { readonly result: T } | null = null;
    try {
      await using conversation = client.transact(signal === undefined ? {} : { signal });
      using open = new Conversation(conversation);
      transaction = open;
      await transaction.ask({ case: 'begin', value: begin });
      const result = await work(transaction);
      if (transaction.ended !== null) throw transaction.ended;
      if (signal?.aborted) throw cancelled(signal);
      finished = { result };
      await inTime(transaction.ask({ case: 'commit', value: {} }));
      return result;
    } catch (thrown) {
      // The function may have caught what ended the transaction, or wrapped it in an error of its own.
      const error = transaction?.ended ?? thrown;
      if (doubtful.length > 0 && hasReason(error, 'TRANSACTION_COMMITTED')) return committedOf(doubtful, error);
      // The commit was sent and may have been done: only the same request id tells.
      if (finished !== null && error instanceof SwitchyardError && (signal?.aborted || hasReason(error, ...tellsNothing))) doubtful.push({ ...finished, error });
      if (signal?.aborted) throw outcomeOf(cancelled(signal));
      // In doubt whatever fails may have failed because of what was done.
      const mayRepeat =
        error instanceof SwitchyardError && error.reason !== 'TRANSACTION_EXPIRED' && (error.retryable || doubtful.length > 0 || hasReason(error, 'PEER_UNREACHABLE'));
      if (!mayRepeat) throw outcomeOf(thrown);
      const waitMs = Math.max(error.retryAfterMs ?? 0, pauseMs * (0.5 + Math.random()));
      if (performance.now() + waitMs > endsMs) throw outcomeOf(thrown);
      onRetry?.(error);
      await pause(waitMs, signal).catch((stopped: unknown) => Promise.reject(outcomeOf(stopped)));
    }
  }
}

/** With these nobody knows whether a commit was done. */
const tellsNothing: readonly ErrorReason[] = ['OUTCOME_UNKNOWN', 'PEER_UNREACHABLE', 'DEADLINE_EXCEEDED', 'CANCELLED', 'INTERNAL'];

/** What the try returned that was committed: one of these, and nobody knows which. */
function committedOf<T>(tries: readonly { readonly result: T }[], error: SwitchyardError): T {
  const { result } = tries[0] as { readonly result: T };
  if (tries.every((each) => Object.is(each.result, result))) return result;
  throw new SwitchyardError(
    'TRANSACTION_COMMITTED',
    `the transaction has been committed, once, but the commits of ${tries.length} runs of its function were not answered: nobody knows which of their results holds`,
    { metadata: error.metadata, cause: error },
  );
}

/** The answer to a commit. DEADLINE_EXCEEDED: none has come for too long. */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = after(commitLimitMs, () => reject(new SwitchyardError('DEADLINE_EXCEEDED', `the commit was not answered within ${commitLimitMs} ms`)));
  try {
    return await Promise.race([answer, promise]);
  } finally {
    stop();
  }
}

type Step = NonNullable<MessageInitShape<typeof TransactRequestSchema>['kind']>;
type AnswerOf<K extends TransactResponse['kind']['case']> = Extract<TransactResponse['kind'], { case: K }>['value'];

/** One request, one answer, one after the other. */
class Conversation implements Transaction, Disposable {
  readonly #stream: RpcConversation<MessageInitShape<typeof TransactRequestSchema>, MessageShape<typeof TransactResponseSchema>>;
  /** Requests of one transaction that are sent at once are carried out in turn. */
  #last: Promise<unknown> = Promise.resolve();
  #ended: SwitchyardError | null = null;
  #isLeft = false;

  constructor(stream: RpcConversation<MessageInitShape<typeof TransactRequestSchema>, MessageShape<typeof TransactResponseSchema>>) {
    this.#stream = stream;
  }

  /** The failure that ended the transaction, whatever its function has made of it; none that came of leaving it. */
  get ended(): SwitchyardError | null {
    return this.#ended;
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
    if (this.#ended !== null) throw this.#ended;
    // What keeps a request from being sent, the next answer tells.
    await this.#stream.send({ kind, ...(lock === undefined ? {} : { lock }) }).catch(() => {});
    const answer = await this.#stream.next().catch((error: unknown) => this.#end(error));
    if (answer === null) return this.#end(new SwitchyardError('INTERNAL', 'the gateway ended the transaction without an answer'));
    if (answer.kind.case === 'error') throw fromStatus(answer.kind.value);
    return answer.kind;
  }

  [Symbol.dispose](): void {
    this.#isLeft = true;
  }

  #end(error: unknown): never {
    if (!this.#isLeft) this.#ended = error instanceof SwitchyardError ? error : new SwitchyardError('INTERNAL', 'a call failed', { cause: error });
    throw error;
  }

  async #answer<K extends Step['case'] & TransactResponse['kind']['case']>(name: K, kind: Step, lock?: RowLock): Promise<NonNullable<AnswerOf<K>>> {
    const answer = await this.ask(kind, lock);
    if (answer.case !== name) throw new SwitchyardError('INTERNAL', `the gateway answered ${name} with ${answer.case}`);
    return answer.value as NonNullable<AnswerOf<K>>;
  }
}
