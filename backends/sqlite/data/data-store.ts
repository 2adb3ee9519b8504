import type { FenceRow } from '../../../core/fence.ts';
import { fileShard } from '../../../core/keyspace.ts';
import { aggregateColumn } from '../../../core/aggregate-column.ts';
import type { AggregateGroup, AggregateOperation, BatchGetOperation, GetOperation, QueryOperation, QueryPage, Row, WriteOperation, WriteResult } from '../../../core/operation.ts';
import type { OnceAnswer, OnceRequest } from '../../../core/request-record.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { EventLine, TableEvents } from '../../../core/table-event.ts';
import { columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import { batchTooLarge } from '../../request-answer.ts';
import type { DataStore, DataTransaction, PoolStatus, StoreOptions } from '../../backend.ts';
import type { SqlRow, Statement } from '../connection.ts';
import { isStatementFault, storeError } from '../errors.ts';
import { checkReach } from '../reach.ts';
import { cellFromValue } from '../cells.ts';
import { type ScanRows, ScanWorkers } from '../scan-workers.ts';
import { describeTable, listTables } from '../schema.ts';
import { StoreClient } from '../store-client.ts';
import { compileAggregate, compileGet, compileQuery } from './compiler.ts';
import { rowReader } from './rows.ts';
import { planWrites, runWrites } from './write.ts';
import { runOnce } from './write-once.ts';

/** Threads for scans, at most: they share the machine's cores with the gateway itself. */
const SCAN_THREADS_LIMIT = 4;
/** Keys that are read on this thread, some microseconds each; more go to a scan's thread. */
const SHORT_BATCH = 64;

/** The gateway's store: one connection for what is short, threads for scans. Opens when it is first used. KEYSPACE_INVALID: the shard names no file. */
export function openDataStore(options: StoreOptions): DataStore {
  return new SqliteDataStore(options);
}

class SqliteDataStore implements DataStore {
  readonly #client: StoreClient;
  readonly #scans: ScanWorkers;
  readonly #path: string;

  constructor(options: StoreOptions) {
    const { path } = fileShard(options.shard);
    this.#path = path;
    const { acquireTimeoutMs, clock, onBackgroundError } = options;
    this.#client = new StoreClient({ path, acquireTimeoutMs, clock });
    this.#scans = new ScanWorkers({ path, size: Math.min(options.poolSize, SCAN_THREADS_LIMIT), acquireTimeoutMs, clock, onBackgroundError });
  }

  checkLogin(signal: AbortSignal): Promise<void> {
    return checkReach(this.#client, this.#path, signal);
  }

  listTables(signal: AbortSignal): Promise<readonly string[]> {
    return this.#client.read(signal, ({ connection }) => listTables(connection));
  }

  describe(table: string, signal: AbortSignal): Promise<TableSchema | null> {
    return this.#client.read(signal, ({ connection }) => describeTable(connection, table));
  }

  async get(table: TableSchema, operation: GetOperation, signal: AbortSignal): Promise<Row | null> {
    const reader = rowReader(table, operation.columns);
    const {
      rows: [found],
    } = await this.#readKeys(table, [compileGet(table, operation.key, reader.columns)], signal);
    return found === undefined ? null : firstRow(table, found, reader.read);
  }

  async batchGet(table: TableSchema, operation: BatchGetOperation, signal: AbortSignal): Promise<readonly (Row | null)[]> {
    const reader = rowReader(table, operation.columns);
    const statements = operation.keys.map((key) => compileGet(table, key, reader.columns));
    const { rows: found, cut } = await this.#readKeys(table, statements, signal, operation.maxBytes);
    if (cut) throw batchTooLarge(operation, found.flat().length);
    return found.map((rows) => firstRow(table, rows, reader.read));
  }

  async query(table: TableSchema, operation: QueryOperation, signal: AbortSignal): Promise<QueryPage> {
    const reader = rowReader(table, operation.columns);
    const {
      rows: [rows = []],
      cut,
    } = await this.#scan(table, [compileQuery(table, operation, reader.columns)], signal, operation.maxBytes);
    return { rows: rows.slice(0, operation.limit).map(reader.read), more: cut || rows.length > operation.limit };
  }

  async aggregate(table: TableSchema, operation: AggregateOperation, signal: AbortSignal): Promise<readonly AggregateGroup[]> {
    const {
      rows: [rows = []],
    } = await this.#scan(table, [compileAggregate(table, operation)], signal);
    const group = operation.groupBy === null ? null : columnNamed(table, operation.groupBy);
    const columns = operation.aggregations.map((aggregation) => aggregateColumn(aggregation, (name) => columnNamed(table, name)));
    const first = group === null ? 0 : 1;
    return rows.map((row) => ({
      group: group === null ? null : cellFromValue(group, row[0] ?? null),
      values: columns.map((column, i) => cellFromValue(column, row[first + i] ?? null)),
    }));
  }

  async write<T = readonly WriteResult[]>(
    schemas: ReadonlyMap<string, TableSchema>,
    operations: readonly WriteOperation[],
    signal: AbortSignal,
    answer: (results: readonly WriteResult[]) => T = (found) => found as T,
  ): Promise<T> {
    const writes = planWrites(schemas, operations);
    if (writes.length === 0) return answer([]);
    return this.#client
      .write(signal, (transaction) => answer(runWrites(transaction, writes)), { joint: true })
      .catch((error: unknown) => this.#explain(error, [...schemas.values()], signal));
  }

  async writeOnce(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[], request: OnceRequest, signal: AbortSignal): Promise<OnceAnswer> {
    const writes = planWrites(schemas, operations);
    return this.#client
      .write(signal, (transaction) => runOnce(transaction, writes, request), { joint: true })
      .catch((error: unknown) => this.#explain(error, [...schemas.values()], signal));
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

  begin(): Promise<DataTransaction> {
    return Promise.reject(new SwitchyardError('NOT_SUPPORTED', 'a store of kind "sqlite" has no interactive transactions'));
  }

  fenceRows(tables: readonly string[], signal: AbortSignal): Promise<readonly FenceRow[]> {
    return this.#client.read(signal, ({ fence }) => fence.rows(tables));
  }

  async warmUp(tables: readonly TableSchema[], connections: number, signal: AbortSignal): Promise<void> {
    await this.#client.read(signal, ({ connection, fence }) => {
      fence.rows(tables.map((table) => table.name));
      for (const table of tables) {
        const reader = rowReader(
          table,
          table.columns.map((column) => column.name),
        );
        connection.prepare(compileGet(table, [], reader.columns).text);
      }
    });
    await this.#scans.warmUp(connections - 1, signal);
  }

  poolStatus(): PoolStatus {
    const { busy, idle, waiting } = this.#scans.status();
    return { busy, idle: idle + (this.#client.isOpen ? 1 : 0), waiting: waiting + this.#client.waiting };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
    await this.#scans[Symbol.asyncDispose]();
  }

  async #readKeys(table: TableSchema, statements: readonly Statement[], signal: AbortSignal, maxBytes?: number): Promise<ScanRows> {
    if (statements.length > SHORT_BATCH) return await this.#scan(table, statements, signal, maxBytes);
    try {
      return await this.#client.read(signal, ({ connection, fence }) => {
        fence.check([table.name]);
        return connection.within(maxBytes ?? Number.POSITIVE_INFINITY, statements);
      });
    } catch (error) {
      return this.#explain(error, [table], signal);
    }
  }

  async #scan(table: TableSchema, statements: readonly Statement[], signal: AbortSignal, maxBytes?: number): Promise<ScanRows> {
    try {
      return await this.#scans.run({ tables: [table.name], statements, ...(maxBytes === undefined ? {} : { maxBytes }) }, signal);
    } catch (error) {
      return this.#explain(storeError(error, table), [table], signal);
    }
  }

  /** SQLite has one code for every statement that is wrong. Whether table or column have gone since they were described, the schema tells. */
  async #explain(error: unknown, tables: readonly TableSchema[], signal: AbortSignal): Promise<never> {
    if (!(error instanceof SwitchyardError) || !isStatementFault(error.cause)) throw error;
    for (const table of tables) {
      const metadata = { table: table.name };
      const text = `SELECT x.name FROM pragma_table_list l, pragma_table_xinfo(l.name, 'main') x WHERE l.schema = 'main' AND l.name = ?`;
      const names = await this.#client.read(signal, ({ connection }) => connection.all(text, [table.name]).map(([name]) => name));
      if (names.length === 0) throw new SwitchyardError('TABLE_UNKNOWN', `there is no table "${table.name}" any more`, { metadata, cause: error.cause });
      const gone = table.columns.find((column) => !names.includes(column.name));
      if (gone !== undefined) {
        throw new SwitchyardError('COLUMN_UNKNOWN', `table "${table.name}" has no column "${gone.name}" any more`, {
          metadata: { ...metadata, column: gone.name },
          cause: error.cause,
        });
      }
    }
    throw error;
  }
}

/** The row of one key. Several: no unique index stands behind the primary key any more. */
function firstRow(table: TableSchema, rows: readonly SqlRow[], read: (row: SqlRow) => Row): Row | null {
  const [row, second] = rows;
  if (second !== undefined) throw new SwitchyardError('STORE_FAILED', `table "${table.name}" has several rows of one primary key`, { metadata: { table: table.name } });
  return row === undefined ? null : read(row);
}

const noEvents = (): SwitchyardError => new SwitchyardError('NOT_SUPPORTED', 'a store of kind "sqlite" does not write down changes for watchers');
