import type { FenceRow } from '../../../core/fence.ts';
import type { AggregateGroup, AggregateOperation, BatchGetOperation, GetOperation, QueryOperation, QueryPage, Row, WriteOperation, WriteResult } from '../../../core/operation.ts';
import type { OnceAnswer, OnceRequest } from '../../../core/request-record.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { EventLine, TableEvents } from '../../../core/table-event.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { DataStore, DataTransaction, PoolStatus, StoreOptions, TransactionOptions } from '../../backend.ts';
import { ConnectionPool } from '../../connection-pool.ts';
import { onLive } from '../../live-session.ts';
import { answerOf, type DoneWrite, NOT_WRITTEN } from '../../write-answers.ts';
import { clientConfig } from '../connection.ts';
import { connectError } from '../errors.ts';
import { silenceWatch } from '../lookout.ts';
import { describeTable, listTablesText } from '../schema.ts';
import { Session, type Value } from '../session.ts';
import { compileBatchGet } from './batch-get.ts';
import { compileAggregate, compileGet, compileQuery } from './compiler.ts';
import { FencedReads, warmTexts } from './fenced-reads.ts';
import { InteractiveTransaction } from './interactive-transaction.ts';
import { JointGets } from './joint-gets.ts';
import { PresentFence } from './present-fence.ts';
import { onReader, type Read, type ReadValues, readOn, runQuery } from './read.ts';
import { groupsOf, pageOf, planned, results } from './results.ts';
import { runWrites } from './write.ts';
import { onceTexts, runWritesOnce } from './write-once.ts';

/** The gateway's store over a bounded pool; connects when it is first used. */
export function openDataStore(options: StoreOptions): DataStore {
  return new MariaDbDataStore(options);
}

class MariaDbDataStore implements DataStore {
  readonly #pool: ConnectionPool<Session>;
  readonly #fenced = new FencedReads();
  readonly #presentFence: PresentFence;
  readonly #jointGets: JointGets;

  constructor(options: StoreOptions) {
    const { acquireTimeoutMs, clock, onBackgroundError } = options;
    const config = clientConfig(options, 'gateway');
    const watch = silenceWatch(config, clock);
    const open = (signal: AbortSignal, onLost: (session: Session, error: Error) => void): Promise<Session> => Session.open(config, { clock, watch, onLost }, signal);
    const poolOf = (size: number): ConnectionPool<Session> => new ConnectionPool({ login: config.login, size, acquireTimeoutMs, clock, open, connectError, onBackgroundError });
    this.#pool = poolOf(options.poolSize);
    this.#presentFence = new PresentFence(poolOf(1), this.#fenced);
    this.#jointGets = new JointGets(this.#pool, this.#fenced, clock);
  }

  checkLogin(signal: AbortSignal): Promise<void> {
    return this.#pool.checkLogin(signal);
  }

  async listTables(signal: AbortSignal): Promise<readonly string[]> {
    const rows = await runQuery(this.#pool, { text: listTablesText, values: [], form: 'kept' }, signal);
    return rows.map(([name]) => String(name));
  }

  describe(table: string, signal: AbortSignal): Promise<TableSchema | null> {
    return onReader(this.#pool, signal, (session) => describeTable(async (text, values) => (await readOn(session, { text, values, form: 'kept' }, signal)).rows, table));
  }

  get(table: TableSchema, operation: GetOperation, signal: AbortSignal): Promise<Row | null> {
    return this.#jointGets.run(table, operation, signal);
  }

  async batchGet(table: TableSchema, operation: BatchGetOperation, signal: AbortSignal): Promise<readonly (Row | null)[]> {
    if (operation.keys.length === 0) return [];
    const { read, place } = compileBatchGet(table, operation);
    return place(await this.#read(read, signal));
  }

  async query(table: TableSchema, operation: QueryOperation, signal: AbortSignal): Promise<QueryPage> {
    return pageOf(table, operation, await this.#read(compileQuery(table, operation), signal));
  }

  async aggregate(table: TableSchema, operation: AggregateOperation, signal: AbortSignal): Promise<readonly AggregateGroup[]> {
    return groupsOf(table, operation, await this.#read(compileAggregate(table, operation), signal));
  }

  async write<T = readonly WriteResult[]>(
    schemas: ReadonlyMap<string, TableSchema>,
    operations: readonly WriteOperation[],
    signal: AbortSignal,
    answer: (results: readonly WriteResult[]) => T = (found) => found as T,
  ): Promise<T> {
    const writes = planned(schemas, operations);
    const make = answerOf((done: readonly DoneWrite<Value>[], failure) => results(writes, done, failure), answer);
    return runWrites(this.#pool, this.#fenced, writes, make, signal);
  }

  async writeOnce(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[], request: OnceRequest, signal: AbortSignal): Promise<OnceAnswer> {
    const writes = planned(schemas, operations);
    const encode = (done: readonly DoneWrite<Value>[]): Uint8Array => request.encode(results(writes, done, NOT_WRITTEN));
    return runWritesOnce(this.#pool, this.#fenced, writes, request, encode, signal);
  }

  begin(options: TransactionOptions, signal: AbortSignal): Promise<DataTransaction> {
    const parts = { pool: this.#pool, fenced: this.#fenced, presentFence: this.#presentFence };
    return onLive(signal, () => InteractiveTransaction.begin(parts, options, signal));
  }

  eventLine(): Promise<EventLine> {
    return Promise.reject(noEvents());
  }

  events(): Promise<TableEvents> {
    return Promise.reject(noEvents());
  }

  async isWatched(): Promise<boolean> {
    return false;
  }

  fenceRows(tables: readonly string[], signal: AbortSignal): Promise<readonly FenceRow[]> {
    return onReader(this.#pool, signal, (session) => this.#fenced.rows(session, tables, signal));
  }

  async warmUp(tables: readonly TableSchema[], connections: number, signal: AbortSignal): Promise<void> {
    const reads = tables.flatMap((table) => {
      const columns = table.columns.map((column) => column.name);
      const key = table.primaryKey.map(() => null);
      return [compileGet(table, { key, columns }), compileBatchGet(table, { keys: [key, key], columns }).read];
    });
    const texts = [...warmTexts(reads), ...onceTexts];
    await this.#pool.warmUp(connections, (session) => session.prepare(texts, signal), signal);
  }

  poolStatus(): PoolStatus {
    return this.#pool.status();
  }

  #read(read: Read, signal: AbortSignal): Promise<ReadValues> {
    return onReader(this.#pool, signal, (session) => this.#fenced.read(session, read, signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#pool[Symbol.asyncDispose](), this.#presentFence[Symbol.asyncDispose]()]);
  }
}

const noEvents = (): SwitchyardError => new SwitchyardError('NOT_SUPPORTED', 'a store of kind "mariadb" does not write down changes for watchers');
