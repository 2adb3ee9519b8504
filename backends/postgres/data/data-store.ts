import type { FenceRow, FenceState } from '../../../core/fence.ts';
import { attempt } from '../../../core/ids.ts';
import { aggregateColumn } from '../../../core/aggregate-column.ts';
import type { AggregateGroup, AggregateOperation, BatchGetOperation, GetOperation, QueryOperation, QueryPage, Row, WriteOperation, WriteResult } from '../../../core/operation.ts';
import type { OnceAnswer, OnceRequest } from '../../../core/request-record.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import type { ColumnSchema, TableSchema } from '../../../core/table-schema.ts';
import type { DataStore, PoolStatus, StoreOptions } from '../../backend.ts';
import { textFromElements } from '../array-text.ts';
import { cellFromText } from '../cells.ts';
import { columnNamed, compileAggregate, compileBatchGet, compileExists, compileGet, compileQuery, compileWrite } from './compiler.ts';
import { clientConfig } from '../connection.ts';
import { sqlState, unpreparedStates } from '../errors.ts';
import { ConnectionPool } from '../pool.ts';
import { describeText, listTablesText, tableFromFacts } from '../schema.ts';
import type { TextRow } from '../batch.ts';
import { Session, type Statement } from '../session.ts';
import { SilenceWatch } from '../silence-watch.ts';
import { JointReads } from './joint-reads.ts';
import { runRead, runReadCut } from './read.ts';
import { type DoneWrite, type PlannedWrite, runWrites } from './write.ts';
import { onceTexts, runWritesOnce } from './write-once.ts';

/** A gateway that stops in the middle of a transaction must not keep its locks: a fence could not drain. */
const sessionSettings = { idle_in_transaction_session_timeout: '5s' };

const fenceText = `SELECT "table_name", "state", "attempt", "peer", "workflow" FROM switchyard.fence WHERE table_name = ANY($1)`;

/** The gateway's store over a bounded pool; connects when it is first used. */
export function openDataStore(options: StoreOptions): DataStore {
  return new PostgresDataStore(options);
}

class PostgresDataStore implements DataStore {
  readonly #pool: ConnectionPool;
  readonly #jointReads: JointReads;

  constructor(options: StoreOptions) {
    const config = clientConfig(options, 'gateway', sessionSettings);
    const watch = new SilenceWatch(config, options.clock);
    this.#pool = new ConnectionPool({
      login: config.login,
      size: options.poolSize,
      acquireTimeoutMs: options.acquireTimeoutMs,
      clock: options.clock,
      open: (signal, onLost) => Session.open(config, { clock: options.clock, watch, onLost }, signal),
      onBackgroundError: options.onBackgroundError,
    });
    this.#jointReads = new JointReads(this.#pool, options.clock);
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
    const [row] = await this.#jointReads.run(table, compileGet(table, operation), signal);
    return row === undefined ? null : rowReader(table, operation.columns)(row, 0);
  }

  async batchGet(table: TableSchema, operation: BatchGetOperation, signal: AbortSignal): Promise<readonly (Row | null)[]> {
    const found = await runRead(this.#pool, compileBatchGet(table, operation), signal, table);
    const read = rowReader(table, operation.columns);
    const rows = new Array<Row | null>(operation.keys.length).fill(null);
    for (const row of found) rows[Number(row[0]) - 1] = read(row, 1);
    return rows;
  }

  async query(table: TableSchema, operation: QueryOperation, signal: AbortSignal): Promise<QueryPage> {
    const { rows, cut } = await runReadCut(this.#pool, compileQuery(table, operation), signal, table);
    const read = rowReader(table, operation.columns);
    return { rows: rows.slice(0, operation.limit).map((row) => read(row, 0)), more: cut || rows.length > operation.limit };
  }

  async aggregate(table: TableSchema, operation: AggregateOperation, signal: AbortSignal): Promise<readonly AggregateGroup[]> {
    const rows = await runRead(this.#pool, compileAggregate(table, operation), signal, table);
    const group = operation.groupBy === null ? null : columnNamed(table, operation.groupBy);
    const columns = operation.aggregations.map((aggregation) => aggregateColumn(aggregation, (name) => columnNamed(table, name)));
    const first = group === null ? 0 : 1;
    return rows.map((row) => ({
      group: group === null ? null : cellFromText(group, row[0] ?? null),
      values: columns.map((column, i) => cellFromText(column, row[first + i] ?? null)),
    }));
  }

  async write(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[], signal: AbortSignal): Promise<readonly WriteResult[]> {
    const writes = planned(schemas, operations);
    // Committed by now: a value that cannot be shown must not look like a write that was refused.
    return results(writes, await runWrites(this.#pool, writes, signal), 'the write was done; its answer cannot be shown');
  }

  async writeOnce(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[], request: OnceRequest, signal: AbortSignal): Promise<OnceAnswer> {
    const writes = planned(schemas, operations);
    const encode = (done: readonly DoneWrite[]): Uint8Array => request.encode(results(writes, done, 'nothing was written, for its answer cannot be shown'));
    return runWritesOnce(this.#pool, writes, request, encode, signal);
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
      if (hasReason(error, 'FENCED', 'TABLE_UNKNOWN', 'STORE_FAILED') && unpreparedStates.includes(sqlState(error.cause))) return [];
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

function planned(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[]): readonly PlannedWrite[] {
  return operations.map((operation) => {
    const table = schemas.get(operation.table);
    if (table === undefined) throw new SwitchyardError('INTERNAL', `no schema was given for table "${operation.table}"`);
    const statement = compileWrite(table, operation);
    const exists = operation.kind === 'update' || operation.kind === 'delete' ? compileExists(table, operation.key) : null;
    return { operation, table, statement, exists };
  });
}

/** What the writes returned. STORE_FAILED, beginning with `failure`, where a value has no cell. */
function results(writes: readonly PlannedWrite[], done: readonly DoneWrite[], failure: string): readonly WriteResult[] {
  return done.map(({ row, found }, i) => {
    const write = writes[i];
    if (row === null || write === undefined || write.operation.kind === 'delete') return { row: null, found };
    const { table, operation } = write;
    try {
      return { row: rowReader(table, operation.returning)(row, 0), found };
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new SwitchyardError('STORE_FAILED', `${failure}: ${why}`, { metadata: { table: table.name }, cause });
    }
  });
}

/** Reads these columns' cells out of a row of texts, from the place `offset` on. */
function rowReader(table: TableSchema, names: readonly string[]): (row: TextRow, offset: number) => Row {
  const columns = names.map((name) => table.columns.find((column) => column.name === name)).filter((column): column is ColumnSchema => column !== undefined);
  return (row, offset) => ({ columns: names, cells: columns.map((column, i) => cellFromText(column, row[i + offset] ?? null)) });
}
