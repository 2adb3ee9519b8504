import type { Cell } from '../../../core/cell.ts';
import { keyFromJson } from '../../../core/cell-json.ts';
import { attempt, type Position, position, type StreamToken, streamToken } from '../../../core/ids.ts';
import { serverShard } from '../../../core/keyspace.ts';
import type { RequestRecord } from '../../../core/request-record.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { abortError } from '../../abort-error.ts';
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
import type { SilenceWatch } from '../../silence-watch.ts';
import { clientConfig, type LoginConfig } from '../connection.ts';
import { connectError, errorNumber } from '../errors.ts';
import { silenceWatch } from '../lookout.ts';
import { COPY_TABLE, STREAM_TABLE, WATERMARK_TABLE } from '../names.ts';
import { LOG_TABLE } from '../owner/store-sql.ts';
import { named } from '../schema.ts';
import { Session, type ValueRow } from '../session.ts';
import { StoreClient } from '../store-client.ts';
import { applyBatch } from './apply.ts';
import { GtidPosition } from './binlog/gtid-position.ts';
import { LogFeed } from './changes.ts';
import { chunkStatement, rowsFromValues, rowsStatements } from './chunk.ts';
import { readGround } from './log-shape.ts';
import { recordFromRow, requestsStatement } from './requests.ts';
import { TransactionAssembler } from './transaction-assembler.ts';

const playerSettings: Readonly<Record<string, string>> = {
  // Foreign keys have done their work on the source: what they did to other rows comes as changes of those.
  foreign_key_checks: '0',
};

/** What is applied begins a transaction with its first statement, and saves a round trip while the stream's row is waited for. */
const applierSettings: Readonly<Record<string, string>> = { ...playerSettings, autocommit: '0' };

const NO_TABLE = 1146;

/** The store under the player's login. Connects lazily. */
export function openReplicationStore(options: StoreOptions): ReplicationStore {
  return new MariaDbReplicationStore(options);
}

class MariaDbReplicationStore implements ReplicationStore {
  readonly #options: StoreOptions;
  /** Of those that apply. */
  readonly #config: LoginConfig;
  readonly #client: StoreClient;
  readonly #watch: SilenceWatch;
  /** A connection of its own for every stream that is applied here. */
  readonly #appliers = new Map<string, Session>();
  #disposed = false;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#config = clientConfig(options, 'player', applierSettings);
    this.#client = new StoreClient(options, 'player', playerSettings);
    this.#watch = silenceWatch(this.#config, options.clock);
  }

  checkLogin(signal: AbortSignal): Promise<void> {
    return this.#client.checkLogin(signal);
  }

  describe(table: string, signal: AbortSignal): Promise<TableSchema | null> {
    return this.#client.describe(table, signal);
  }

  follow(stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>, from: Position, signal: AbortSignal): ChangeFeed {
    const client = this.#client;
    const { database } = serverShard(this.#options.shard);
    return new LogFeed(
      {
        stream: stream.id,
        from,
        config: clientConfig(this.#options, 'player'),
        clock: this.#options.clock,
        prepare: async (each) => {
          const ground = await readGround(client, stream, schemas, from, each);
          return { assembler: new TransactionAssembler(stream, database, ground, GtidPosition.parse(from)), confirmed: ground.confirmed };
        },
        look: async (each) => {
          const [row] = (await client.query('SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000 AS DOUBLE), @@GLOBAL.gtid_binlog_pos', [], each)).rows;
          return { nowMs: Number(row?.[0]), end: GtidPosition.parse(String(row?.[1])) };
        },
        saveConfirmed: async (to, before, each) => {
          const saved = await client.query(`UPDATE ${LOG_TABLE} SET position = ? WHERE stream = ? AND position = ?`, [to, stream.id, before], each);
          return saved.affectedRows > 0;
        },
      },
      signal,
    );
  }

  /** A transaction is in the log before it is in the tables, but in one order: the watermark behind it, once its own commit has been answered, has it in front of it in both. */
  async visibility(): Promise<Visibility> {
    return allVisible;
  }

  async readChunk(table: TableSchema, after: readonly Cell[] | null, limit: number, signal: AbortSignal): Promise<readonly (readonly Cell[])[]> {
    const { text, values } = chunkStatement(table, after, limit);
    return rowsFromValues(table, (await this.#client.query(text, values, signal)).rows);
  }

  async readRows(table: TableSchema, keys: readonly (readonly Cell[])[], signal: AbortSignal): Promise<readonly (readonly Cell[])[]> {
    const rows: (readonly Cell[])[] = [];
    for (const { text, values } of rowsStatements(table, keys)) rows.push(...rowsFromValues(table, (await this.#client.query(text, values, signal)).rows));
    return rows;
  }

  async readRequests(tables: readonly string[], after: readonly Cell[] | null, limit: number, signal: AbortSignal): Promise<readonly RequestRecord[]> {
    if (tables.length === 0) return [];
    const { text, values } = requestsStatement(tables, after, limit);
    try {
      return (await this.#client.query(text, values, signal)).rows.map(recordFromRow);
    } catch (error) {
      // Where none can be kept there are none; those that are written once they can are in the log.
      if (error instanceof SwitchyardError && errorNumber(error.cause) === NO_TABLE) return [];
      throw error;
    }
  }

  async writeWatermark(stream: StreamSpec, id: number, signal: AbortSignal): Promise<void> {
    await this.#client.query(`INSERT INTO ${WATERMARK_TABLE} (stream, id) VALUES (?, ?) ON DUPLICATE KEY UPDATE id = VALUES(id)`, [stream.id, String(id)], signal);
  }

  async estimateRows(table: string, signal: AbortSignal): Promise<number> {
    const [row] = (await this.#client.query(`SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND ${named('TABLE_NAME')}`, [table, table], signal))
      .rows;
    return Number(row?.[0] ?? 0);
  }

  takeStream(stream: StreamSpec, signal: AbortSignal): Promise<StreamState> {
    return this.#client.transaction(signal, async (transaction) => {
      const taken = await transaction.query(`UPDATE ${STREAM_TABLE} SET token = token + 1 WHERE id = ? AND workflow = ? AND position <> ''`, [stream.id, stream.workflow], signal);
      const [row] = (await transaction.query(`SELECT token, position, marker FROM ${STREAM_TABLE} WHERE id = ?`, [stream.id], signal)).rows;
      if (taken.affectedRows === 0 || row === undefined)
        throw new SwitchyardError('STREAM_FAILED', `the target has no stream "${stream.id}" of workflow "${stream.workflow}"`, { metadata: { stream: stream.id } });
      const copies = (await transaction.query(`SELECT table_name, last_key, row_count, done FROM ${COPY_TABLE} WHERE stream = ?`, [stream.id], signal)).rows;
      const [token, at, marker] = row;
      return { token: streamToken(Number(token)), position: position(String(at)), marker: attempt(Number(marker)), copied: new Map(copies.map(progressOf)) };
    });
  }

  async apply(stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>, token: StreamToken, batch: ApplyBatch, signal: AbortSignal): Promise<void> {
    const session = await this.#takeApplier(stream.id, signal);
    try {
      await applyBatch(session, stream, schemas, token, batch, signal);
    } finally {
      await this.#giveApplierBack(stream.id, session);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    const appliers = [...this.#appliers.values()];
    this.#appliers.clear();
    await Promise.all([...appliers.map((session) => session.close()), this.#client[Symbol.asyncDispose]()]);
  }

  /** The stream's connection for the caller alone: a second apply of a stream at the same time, of a player that lost it or of copied records, gets another one. */
  async #takeApplier(id: string, signal: AbortSignal): Promise<Session> {
    const kept = this.#appliers.get(id);
    this.#appliers.delete(id);
    if (kept?.usable === true) return kept;
    try {
      const { clock, onBackgroundError } = this.#options;
      return await Session.open(this.#config, { clock, watch: this.#watch, onLost: (_, error) => onBackgroundError(error) }, signal);
    } catch (error) {
      throw signal.aborted ? abortError(signal) : connectError(error);
    }
  }

  async #giveApplierBack(id: string, session: Session): Promise<void> {
    if (!session.usable) session.drop();
    else if (this.#disposed || this.#appliers.has(id)) await session.close();
    else this.#appliers.set(id, session);
  }
}

function progressOf([table, lastKey, rows, done]: ValueRow): [string, CopyProgress] {
  return [String(table), { lastKey: typeof lastKey === 'string' ? keyFromJson(lastKey) : null, rows: Number(rows), done: Number(done) === 1 }];
}
