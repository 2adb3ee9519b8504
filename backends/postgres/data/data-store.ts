import type { FenceRow, FenceState } from '../../../core/fence.ts';
import { attempt } from '../../../core/ids.ts';
import type { AggregateGroup, AggregateOperation, BatchGetOperation, GetOperation, QueryOperation, QueryPage, Row, WriteOperation, WriteResult } from '../../../core/operation.ts';
import type { OnceAnswer, OnceRequest } from '../../../core/request-record.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import type { EventLine, EventPlace, TableEvents } from '../../../core/table-event.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { DataStore, DataTransaction, PoolStatus, StoreOptions, TransactionOptions } from '../../backend.ts';
import { textFromElements } from '../array-text.ts';
import { compileAggregate, compileBatchGet, compileGet, compileQuery } from './compiler.ts';
import { clientConfig } from '../connection.ts';
import { connectError, sqlState, unpreparedStates } from '../errors.ts';
import { ConnectionPool } from '../../connection-pool.ts';
import { describeText, listTablesText, tableFromFacts } from '../schema.ts';
import type { TextRow } from '../batch.ts';
import { Session, type Statement } from '../session.ts';
import { silenceWatch } from '../lookout.ts';
import { watchedText } from '../watched.ts';
import type { JointReads } from '../../joint-reads.ts';
import { jointReads } from './joint-reads.ts';
import { onLive, onSession } from '../../live-session.ts';
import { InteractiveTransaction } from './interactive-transaction.ts';
import { checkGone, readEvents, EventLines, eventsStatement, goneStatement, lastNumberStatement, nextTransactionStatement, oldestRunningStatement } from './events.ts';
import { readOn, runRead, runReadCut } from './read.ts';
import { answerOf, type DoneWrite, NOT_WRITTEN } from '../../write-answers.ts';
import { groupsOf, onlyRow, pageOf, placedRows, planned, results } from './results.ts';
import { runWrites } from './write.ts';
import { onceTexts, runWritesOnce } from './write-once.ts';

const fenceText = `SELECT "table_name", "state", "attempt", "peer", "workflow" FROM switchyard.fence WHERE table_name = ANY($1)`;

/** The gateway's store over a bounded pool; connects when it is first used. */
export function openDataStore(options: StoreOptions): DataStore {
  return new PostgresDataStore(options);
}

class PostgresDataStore implements DataStore {
  readonly #pool: ConnectionPool<Session>;
  readonly #jointReads: JointReads<TableSchema, Statement, readonly TextRow[]>;
  readonly #eventLines = new EventLines();

  constructor(options: StoreOptions) {
    const config = clientConfig(options, 'gateway');
    const watch = silenceWatch(config, options.clock);
    this.#pool = new ConnectionPool({
      login: config.login,
      size: options.poolSize,
      acquireTimeoutMs: options.acquireTimeoutMs,
      clock: options.clock,
      open: (signal, onLost) => Session.open(config, { clock: options.clock, watch, onLost }, signal),
      connectError,
      onBackgroundError: options.onBackgroundError,
    });
    this.#jointReads = jointReads(this.#pool, options.clock);
  }

  checkLogin(signal: AbortSignal): Promise<void> {
    return this.#pool.checkLogin(signal);
  }

  async listTables(signal: AbortSignal): Promise<readonly string[]> {
    const rows = await runRead(this.#pool, fixed(listTablesText), signal);
    return rows.map((row) => row[0] ?? '');
  }

  async describe(table: string, signal: AbortSignal): Promise<TableSchema | null> {
    if (table.includes('\0')) return null;
    const [row] = await runRead(this.#pool, fixed(describeText, table), signal);
    return typeof row?.[0] === 'string' ? tableFromFacts(table, row[0]) : null;
  }

  async get(table: TableSchema, operation: GetOperation, signal: AbortSignal): Promise<Row | null> {
    const rows = await this.#jointReads.run(table, table, compileGet(table, operation), signal);
    return onlyRow(table, operation, { rows, cut: false });
  }

  async batchGet(table: TableSchema, operation: BatchGetOperation, signal: AbortSignal): Promise<readonly (Row | null)[]> {
    return placedRows(table, operation, await runReadCut(this.#pool, compileBatchGet(table, operation), signal, table));
  }

  async query(table: TableSchema, operation: QueryOperation, signal: AbortSignal): Promise<QueryPage> {
    return pageOf(table, operation, await runReadCut(this.#pool, compileQuery(table, operation), signal, table));
  }

  async aggregate(table: TableSchema, operation: AggregateOperation, signal: AbortSignal): Promise<readonly AggregateGroup[]> {
    return groupsOf(table, operation, await runReadCut(this.#pool, compileAggregate(table, operation), signal, table));
  }

  async write<T = readonly WriteResult[]>(
    schemas: ReadonlyMap<string, TableSchema>,
    operations: readonly WriteOperation[],
    signal: AbortSignal,
    answer: (results: readonly WriteResult[]) => T = (found) => found as T,
  ): Promise<T> {
    const writes = planned(schemas, operations);
    return runWrites(
      this.#pool,
      writes,
      answerOf((done: readonly DoneWrite<string | null>[], failure) => results(writes, done, failure), answer),
      signal,
    );
  }

  async writeOnce(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[], request: OnceRequest, signal: AbortSignal): Promise<OnceAnswer> {
    const writes = planned(schemas, operations);
    const encode = (done: readonly DoneWrite<string | null>[]): Uint8Array => request.encode(results(writes, done, NOT_WRITTEN));
    return runWritesOnce(this.#pool, writes, request, encode, signal);
  }

  async eventLine(signal: AbortSignal): Promise<EventLine> {
    try {
      return await onSession(this.#pool, signal, async (session) => {
        // One after the other: each must not be older than the one before.
        const ask = async (asked: Statement): Promise<bigint> => BigInt((await readOn(session, asked, signal))[0]?.[0] ?? 0);
        const last = await ask(lastNumberStatement);
        if (this.#eventLines.asksWhoRuns(last)) this.#eventLines.begin(last, await ask(nextTransactionStatement));
        return this.#eventLines.learn(last, await ask(oldestRunningStatement));
      });
    } catch (error) {
      throw unprepared(error);
    }
  }

  async events(table: TableSchema, after: EventPlace, until: bigint, limit: number, maxBytes: number, signal: AbortSignal): Promise<TableEvents> {
    // Looked at behind the events: what was removed meanwhile is noticed.
    const statement = { ...eventsStatement(table.name, after, until, limit), maxBytes };
    const { rows, cut } = await runReadCut(this.#pool, statement, signal).catch((error: unknown) => Promise.reject(unprepared(error)));
    checkGone(table.name, after, await runRead(this.#pool, goneStatement(table.name), signal));
    return readEvents(table, rows, cut);
  }

  async isWatched(table: string, signal: AbortSignal): Promise<boolean> {
    return (await runRead(this.#pool, fixed(watchedText), signal)).some(([name]) => name === table);
  }

  begin(options: TransactionOptions, signal: AbortSignal): Promise<DataTransaction> {
    return onLive(signal, () => InteractiveTransaction.begin(this.#pool, options, signal));
  }

  async fenceRows(tables: readonly string[], signal: AbortSignal): Promise<readonly FenceRow[]> {
    try {
      const rows = await runRead(this.#pool, fixed(fenceText, textFromElements(tables)), signal);
      return rows.map(([table, state, attemptText, peer, workflow]) => ({
        table: table ?? '',
        state: state as FenceState,
        attempt: attempt(Number(attemptText)),
        peer: peer ?? '',
        workflow: workflow ?? null,
      }));
    } catch (error) {
      if (isUnprepared(error)) return [];
      throw error;
    }
  }

  async warmUp(tables: readonly TableSchema[], connections: number, signal: AbortSignal): Promise<void> {
    const texts = tables.flatMap((table) => {
      const columns = table.columns.map((column) => column.name);
      return [compileGet(table, { key: [], columns }).text, compileBatchGet(table, { keys: [], columns }).text];
    });
    await this.#pool.warmUp(connections, (session) => session.prepare([fenceText, ...texts, ...onceTexts], signal), signal);
  }

  poolStatus(): PoolStatus {
    return this.#pool.status();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}

const fixed = (text: string, ...values: readonly string[]): Statement => ({ text, values, prepared: true });

/** Of a statement, not of a login: that is refused by the same states. */
const isUnprepared = (error: unknown): error is SwitchyardError => hasReason(error, 'FENCED', 'TABLE_UNKNOWN', 'STORE_FAILED') && unpreparedStates.includes(sqlState(error.cause));

/** A store without the tables for events. */
function unprepared(error: unknown): unknown {
  if (!isUnprepared(error)) return error;
  return new SwitchyardError(
    'TABLE_NOT_WATCHED',
    'the store is not prepared to write down changes for watchers: a running control prepares every keyspace whose owner it can log in as',
    { cause: error },
  );
}
