import type { Cell } from '../../../core/cell.ts';
import { attempt, type Position, position, type StreamToken, streamToken } from '../../../core/ids.ts';
import { serverShard } from '../../../core/keyspace.ts';
import type { RequestRecord } from '../../../core/request-record.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { ApplyBatch, ChangeFeed, CopyProgress, RawReader, RawRows, ReplicationStore, StoreOptions, StreamSpec, StreamState, Visibility } from '../../backend.ts';
import { clientConfig, connectClient } from '../connection.ts';
import { connectError } from '../errors.ts';
import { abortError } from '../../abort-error.ts';
import { COPY_FORM } from '../copy-text.ts';
import { logName } from '../log-names.ts';
import { Session } from '../session.ts';
import { membersOf } from '../members.ts';
import type { SilenceWatch } from '../../silence-watch.ts';
import { silenceWatch } from '../lookout.ts';
import { StoreClient } from '../store-client.ts';
import { applyBatch } from './apply.ts';
import { keyFromJson } from '../../../core/cell-json.ts';
import { LogFeed } from './changes.ts';
import { chunkStatement, copyChunkText, rowsFromText, rowsStatement } from './chunk.ts';
import { checkSlot, readPartitions, readShapes } from './log-shape.ts';
import { parseLsn } from './pgoutput.ts';
import { maySendRaw, RAW_CHUNK_BYTES, RawChunk } from './raw-chunk.ts';
import { recordFromTexts, requestsStatement } from './requests.ts';
import { TransactionAssembler } from './transaction-assembler.ts';
import { visibilityFromText } from './visibility.ts';

const playerSettings: Readonly<Record<string, string>> = {
  // Foreign keys and users' triggers have done their work on the source. The fence's own triggers fire always and let this login pass.
  session_replication_role: 'replica',
  // A player that stops in mid-transaction must not hold the stream's row, for which a cutover waits.
  idle_in_transaction_session_timeout: '2s',
};

const VISIBLE_POLL_MS = 10;
const VISIBLE_LIMIT_MS = 30_000;

/** A batch looks its rows up by their primary key, each in the index, whatever the planner believes of a table that has just been filled: else it reads all of it for each batch. */
const applierSettings: Readonly<Record<string, string>> = { ...playerSettings, enable_hashjoin: 'off', enable_mergejoin: 'off', enable_seqscan: 'off' };

/** The store under the player's login. Connects lazily. */
export function openReplicationStore(options: StoreOptions): ReplicationStore {
  return new PostgresReplicationStore(options);
}

class PostgresReplicationStore implements ReplicationStore {
  readonly #options: StoreOptions;
  readonly #client: StoreClient;
  readonly #watch: SilenceWatch;
  /** A connection of its own for every stream that is applied here. */
  readonly #appliers = new Map<string, Session>();
  #disposed = false;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#client = new StoreClient(options, 'player', playerSettings);
    this.#watch = silenceWatch(clientConfig(options, 'player', playerSettings), options.clock);
  }

  checkLogin(signal: AbortSignal): Promise<void> {
    return this.#client.checkLogin(signal);
  }

  describe(table: string, signal: AbortSignal): Promise<TableSchema | null> {
    return this.#client.describe(table, signal);
  }

  follow(stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>, from: Position, signal: AbortSignal): ChangeFeed {
    const slot = logName(stream, serverShard(this.#options.shard));
    const config = { ...clientConfig(this.#options, 'player'), replication: 'database' };
    return new LogFeed(
      {
        slot,
        from,
        clock: this.#options.clock,
        connect: (each, onLost) => connectClient(config, each, onLost),
        prepare: async (each) => {
          await checkSlot(this.#client, stream, slot, parseLsn(from), each);
          const shapes = await readShapes(this.#client, stream, schemas, each);
          const partitions = await readPartitions(this.#client, stream, each);
          return { assembler: new TransactionAssembler(stream, shapes, partitions ?? new Map()), watchesPartitions: partitions !== null };
        },
        partitions: async (seen, each) => {
          if (seen !== null) await this.#untilSeen(seen, each);
          return (await readPartitions(this.#client, stream, each)) ?? new Map();
        },
        endReader: async (each) => {
          await this.#client.query('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active', [slot], each);
        },
      },
      signal,
    );
  }

  async visibility(signal: AbortSignal): Promise<Visibility> {
    const [row] = await this.#client.query('SELECT pg_current_snapshot()::text', [], signal);
    return visibilityFromText(row?.[0] ?? '');
  }

  /** Resolves when readers see what the transaction has done. STORE_UNAVAILABLE when that takes more than 30 s. */
  async #untilSeen(transaction: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const giveUpMs = clock.monotonic() + VISIBLE_LIMIT_MS;
    while (!(await this.visibility(signal)).hasEnded(transaction)) {
      if (clock.monotonic() > giveUpMs)
        throw new SwitchyardError(
          'STORE_UNAVAILABLE',
          `transaction ${transaction} is in the log, and nobody sees it yet: it waits for a synchronous standby after its commit (pg_stat_activity, wait_event SyncRep)`,
        );
      await clock.sleep(VISIBLE_POLL_MS, signal);
    }
  }

  async readChunk(table: TableSchema, after: readonly Cell[] | null, limit: number, signal: AbortSignal): Promise<readonly (readonly Cell[])[]> {
    const { text, values } = chunkStatement(table, after, limit);
    return rowsFromText(table, await this.#client.query(text, values, signal));
  }

  readonly raw: RawReader = {
    form: COPY_FORM,
    readChunk: (table, after, limit, signal) => (maySendRaw(table) ? this.#readRaw(table, after, limit, signal) : null),
  };

  async #readRaw(table: TableSchema, after: readonly Cell[] | null, limit: number, signal: AbortSignal): Promise<RawRows> {
    return new RawChunk(table, await this.#client.copyOut(copyChunkText(table, after, limit), RAW_CHUNK_BYTES, signal));
  }

  async readRows(table: TableSchema, keys: readonly (readonly Cell[])[], signal: AbortSignal): Promise<readonly (readonly Cell[])[]> {
    if (keys.length === 0) return [];
    const { text, values } = rowsStatement(table, keys);
    return rowsFromText(table, await this.#client.query(text, values, signal));
  }

  async readRequests(tables: readonly string[], after: readonly Cell[] | null, limit: number, signal: AbortSignal): Promise<readonly RequestRecord[]> {
    const { text, values } = requestsStatement(tables, after, limit);
    return (await this.#client.query(text, values, signal)).map(recordFromTexts);
  }

  async writeWatermark(stream: StreamSpec, id: number, signal: AbortSignal): Promise<void> {
    const text = 'INSERT INTO switchyard.watermark (stream, id) VALUES ($1, $2::bigint) ON CONFLICT (stream) DO UPDATE SET id = excluded.id';
    await this.#client.query(text, [stream.id, String(id)], signal);
  }

  async estimateRows(table: string, signal: AbortSignal): Promise<number> {
    // A table that was never analyzed says −1; then its size tells a little.
    const text = `SELECT sum(CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint ELSE pg_relation_size(c.oid) / 100 END)
      FROM pg_class t, ${membersOf('t.oid')} m JOIN pg_class c ON c.oid = m.member WHERE t.relnamespace = 'public'::regnamespace AND t.relname = $1 AND c.relkind <> 'p'`;
    const [row] = await this.#client.query(text, [table], signal);
    return Number(row?.[0] ?? 0);
  }

  async takeStream(stream: StreamSpec, signal: AbortSignal): Promise<StreamState> {
    const take = `UPDATE switchyard.stream SET token = token + 1 WHERE id = $1 AND workflow = $2 AND position <> '' RETURNING token, position, marker`;
    return this.#client.transaction(signal, async (transaction) => {
      const [row] = await transaction.query(take, [stream.id, stream.workflow], signal);
      if (row === undefined)
        throw new SwitchyardError('STREAM_FAILED', `the target has no stream "${stream.id}" of workflow "${stream.workflow}"`, { metadata: { stream: stream.id } });
      const copies = await transaction.query('SELECT table_name, last_key, rows, done FROM switchyard.copy WHERE stream = $1', [stream.id], signal);
      const [token, at, marker] = row;
      return {
        token: streamToken(Number(token)),
        position: position(at ?? ''),
        marker: attempt(Number(marker)),
        copied: new Map(
          copies.map(([table, lastKey, rows, done]): [string, CopyProgress] => [
            table ?? '',
            { lastKey: lastKey == null ? null : keyFromJson(lastKey), rows: Number(rows), done: done === 't' },
          ]),
        ),
      };
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

  /** The stream's connection for the caller alone: a second apply of a stream at the same time, of a player that lost it, gets another one. */
  async #takeApplier(id: string, signal: AbortSignal): Promise<Session> {
    const kept = this.#appliers.get(id);
    this.#appliers.delete(id);
    if (kept?.usable === true) return kept;
    try {
      const { clock, onBackgroundError } = this.#options;
      return await Session.open(clientConfig(this.#options, 'player', applierSettings), { clock, watch: this.#watch, onLost: (_, error) => onBackgroundError(error) }, signal);
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
