import type { Cell } from '../../../core/cell.ts';
import { keyFromJson } from '../../../core/cell-json.ts';
import { attempt, type Position, position, type StreamToken, streamToken } from '../../../core/ids.ts';
import { fileShard } from '../../../core/keyspace.ts';
import type { RequestRecord } from '../../../core/request-record.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import {
  allVisible,
  type ApplyBatch,
  type ChangeFeed,
  type CopyProgress,
  type ReplicationStore,
  type StoreOptions,
  type StreamSpec,
  type StreamState,
  type Visibility,
} from '../../backend.ts';
import type { SqlRow, Statement } from '../connection.ts';
import { storeError } from '../errors.ts';
import { nowMs } from '../owner/store-sql.ts';
import { checkReach } from '../reach.ts';
import { keepsRequests, recordFromRow, requestsStatement } from '../request-records.ts';
import { ScanWorkers } from '../scan-workers.ts';
import { describeTable } from '../schema.ts';
import { StoreClient } from '../store-client.ts';
import { applyBatch } from './apply.ts';
import { LogFeed } from './changes.ts';
import { chunkStatement, estimateStatements, rowStatements, rowsFromValues } from './chunk.ts';

/** How long what is written here waits for the file's write lock. */
const LOCK_LIMIT_MS = 10_000;
/** Threads that read chunks and rows; one stream reads one chunk at a time. */
const SCAN_THREADS = 2;

/** The store under the player's identity. Opens lazily. */
export function openReplicationStore(options: StoreOptions): ReplicationStore {
  return new SqliteReplicationStore(options);
}

class SqliteReplicationStore implements ReplicationStore {
  readonly #options: StoreOptions;
  readonly #client: StoreClient;
  readonly #scans: ScanWorkers;

  constructor(options: StoreOptions) {
    const { acquireTimeoutMs, clock, onBackgroundError, poolSize, shard } = options;
    this.#options = options;
    this.#client = this.#open();
    this.#scans = new ScanWorkers({ path: fileShard(shard).path, size: Math.min(poolSize, SCAN_THREADS), acquireTimeoutMs, clock, onBackgroundError });
  }

  checkLogin(signal: AbortSignal): Promise<void> {
    return checkReach(this.#client, fileShard(this.#options.shard).path, signal);
  }

  describe(table: string, signal: AbortSignal): Promise<TableSchema | null> {
    return this.#client.read(signal, ({ connection }) => describeTable(connection, table));
  }

  follow(stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>, from: Position, signal: AbortSignal): ChangeFeed {
    return new LogFeed({ stream, schemas, from, clock: this.#options.clock, reading: this.#open(), writing: this.#client }, signal);
  }

  /** A change is logged by a trigger, in the transaction that makes it. */
  async visibility(): Promise<Visibility> {
    return allVisible;
  }

  async readChunk(table: TableSchema, after: readonly Cell[] | null, limit: number, signal: AbortSignal): Promise<readonly (readonly Cell[])[]> {
    return rowsFromValues(table, (await this.#scan([chunkStatement(table, after, limit)], signal))[0] ?? []);
  }

  async readRows(table: TableSchema, keys: readonly (readonly Cell[])[], signal: AbortSignal): Promise<readonly (readonly Cell[])[]> {
    if (keys.length === 0) return [];
    return rowsFromValues(table, (await this.#scan(rowStatements(table, keys), signal)).flat());
  }

  async readRequests(tables: readonly string[], after: readonly Cell[] | null, limit: number, signal: AbortSignal): Promise<readonly RequestRecord[]> {
    // Where none can be kept there are none; those that are written once they can are in the log.
    if (!(await this.#client.read(signal, ({ connection }) => keepsRequests(connection)))) return [];
    return ((await this.#scan([requestsStatement(tables, after, limit)], signal))[0] ?? []).map(recordFromRow);
  }

  writeWatermark(stream: StreamSpec, id: number, signal: AbortSignal): Promise<void> {
    return this.#client.write(
      signal,
      ({ connection }) => {
        connection.run(`INSERT INTO switchyard_change (at, kind, name, number) VALUES (${nowMs}, 'watermark', ?, ?)`, [stream.id, BigInt(id)]);
      },
      { limitMs: LOCK_LIMIT_MS, urgent: true },
    );
  }

  async estimateRows(table: string, signal: AbortSignal): Promise<number> {
    const { analyzed, counted, numbered } = estimateStatements(table);
    const hasStatistics = await this.#client.read(signal, ({ connection }) => connection.all(`SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'`).length > 0);
    const [found] = await this.#client.read(signal, ({ connection }) => connection.all(`SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?`, [table]));
    if (found === undefined) return 0;
    const statements = [...(hasStatistics ? [analyzed] : []), found[0] === 0n ? numbered : counted];
    const [first] = (await this.#scan(statements, signal)).flat();
    return Number.parseInt(String(first?.[0] ?? 0), 10);
  }

  takeStream(stream: StreamSpec, signal: AbortSignal): Promise<StreamState> {
    const take = `UPDATE switchyard_stream SET token = token + 1 WHERE id = ? AND workflow = ? AND position <> '' RETURNING token, position, marker`;
    return this.#client.write(
      signal,
      ({ connection }) => {
        const [row] = connection.all(take, [stream.id, stream.workflow]);
        if (row === undefined) {
          throw new SwitchyardError('STREAM_FAILED', `the target has no stream "${stream.id}" of workflow "${stream.workflow}"`, { metadata: { stream: stream.id } });
        }
        const [token, at, marker] = row;
        const copies = connection.all('SELECT table_name, last_key, rows, done FROM switchyard_copy WHERE stream = ?', [stream.id]);
        return { token: streamToken(Number(token)), position: position(String(at)), marker: attempt(Number(marker)), copied: new Map(copies.map(progressOf)) };
      },
      { limitMs: LOCK_LIMIT_MS, urgent: true },
    );
  }

  apply(stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>, token: StreamToken, batch: ApplyBatch, signal: AbortSignal): Promise<void> {
    return applyBatch(this.#client, stream, schemas, token, batch, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
    await this.#scans[Symbol.asyncDispose]();
  }

  async #scan(statements: readonly Statement[], signal: AbortSignal): Promise<readonly (readonly SqlRow[])[]> {
    try {
      return (await this.#scans.run({ tables: [], statements }, signal)).rows;
    } catch (error) {
      throw storeError(error);
    }
  }

  #open(): StoreClient {
    const { acquireTimeoutMs, clock, shard } = this.#options;
    // Foreign keys have done their work on the source.
    return new StoreClient({ path: fileShard(shard).path, foreignKeys: false, acquireTimeoutMs, clock });
  }
}

function progressOf([table, lastKey, rows, done]: SqlRow): [string, CopyProgress] {
  return [String(table), { lastKey: typeof lastKey === 'string' ? keyFromJson(lastKey) : null, rows: Number(rows), done: done === 1n }];
}
