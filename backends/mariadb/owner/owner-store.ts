import type { FenceRow } from '../../../core/fence.ts';
import { type Attempt, type Position, type StreamToken, streamToken } from '../../../core/ids.ts';
import { type ServerShard, serverShard } from '../../../core/keyspace.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { FenceScope, FenceSession, KeptLog, OwnerStore, Problem, SequenceState, StoreOptions, StreamSeen, StreamSpec, TableDefinition } from '../../backend.ts';
import { unownedTables } from '../../strange-rows.ts';
import { requireAsSeen } from '../../stream-beginning.ts';
import { errorNumber, sqlState } from '../errors.ts';
import { FENCE_TABLE, nowMicros, REQUEST_TABLE, STREAM_TABLE } from '../names.ts';
import { fenceColumns, fenceRow } from '../read-fence.ts';
import { StoreClient } from '../store-client.ts';
import type { CheckedStore } from './checked-store.ts';
import { checkStore, checkTables, rowProblems } from './checks.ts';
import { claimTables, disownTables, fenceRowsOf, type Preparing, scopeValues } from './claims.ts';
import { defineTables } from './definition.ts';
import { openFenceSession } from './fence-session.ts';
import { NOT_AS_SEEN_STATE } from './fence-sql.ts';
import { createIndexes } from './indexes.ts';
import { install } from './install.ts';
import { createLog, dropLog } from './log.ts';
import { checkQuiet } from './quiet.ts';
import { gatewayRights, saveRights } from './rights.ts';
import { raiseSequences, readSequences } from './sequences.ts';
import { createTables, dropTables, planTables } from './tables.ts';

const NO_SUCH_TABLE = 1146;

/** The store under the owner's login. Connects lazily. */
export function openOwnerStore(options: StoreOptions): OwnerStore {
  return new MariaDbOwnerStore(options);
}

class MariaDbOwnerStore implements OwnerStore {
  readonly #options: StoreOptions;
  readonly #shard: ServerShard;
  readonly #client: StoreClient;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#shard = serverShard(options.shard);
    // Tables are made and dropped whole, in any order.
    this.#client = new StoreClient(options, 'owner', { foreign_key_checks: '0' });
  }

  install(signal: AbortSignal): Promise<void> {
    return install(this.#client, this.#shard, signal);
  }

  watch(): Promise<void> {
    return Promise.reject(new SwitchyardError('NOT_SUPPORTED', 'this kind of store does not write down changes for watchers'));
  }

  async watched(): Promise<readonly string[]> {
    return [];
  }

  async expireEvents(): Promise<number> {
    return 0;
  }

  async expireRequests(ageMs: number, limit: number, signal: AbortSignal): Promise<number> {
    // One that a player is just replacing is left for the next time.
    const text = `
      DELETE r FROM (
        SELECT caller, request_id, table_name FROM ${REQUEST_TABLE} WHERE recorded_at < ${nowMicros} - CAST(? AS SIGNED) * 1000 ORDER BY recorded_at LIMIT ${Math.floor(limit)} FOR UPDATE SKIP LOCKED) old
      STRAIGHT_JOIN ${REQUEST_TABLE} r FORCE INDEX (PRIMARY) ON r.caller = old.caller AND r.request_id = old.request_id AND r.table_name = old.table_name`;
    try {
      return (await this.#client.query(text, [String(Math.round(ageMs))], signal)).affectedRows;
    } catch (error) {
      if (error instanceof SwitchyardError && errorNumber(error.cause) === NO_SUCH_TABLE) return 0;
      throw error;
    }
  }

  checkStore(signal: AbortSignal): Promise<readonly Problem[]> {
    return this.#anew((client) => checkStore(this.#checked(client), signal));
  }

  checkTables(tables: readonly string[], side: 'source' | 'target', signal: AbortSignal): Promise<readonly Problem[]> {
    return this.#anew(async (client) => {
      const found = await checkTables(this.#checked(client), tables, side, signal);
      if (side === 'source') return found;
      return [...found, ...(await rowProblems(client, unownedTables(tables, await this.fenceRows(tables, signal)), signal))];
    });
  }

  checkQuiet(tables: readonly string[], transactionAgeMs: number, signal: AbortSignal): Promise<readonly Problem[]> {
    return this.#anew((client) => checkQuiet({ client, clock: this.#options.clock, shard: this.#shard }, tables, transactionAgeMs, signal));
  }

  define(tables: readonly string[], signal: AbortSignal): Promise<readonly TableDefinition[]> {
    return defineTables(this.#client, tables, signal);
  }

  async planTables(definitions: readonly TableDefinition[]): Promise<readonly string[]> {
    return planTables(definitions);
  }

  createTables(scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void> {
    return createTables(this.#preparing, scope, definitions, signal);
  }

  async createIndexes(scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void> {
    // Of its own: a build may take hours, and others wait for a connection of the pool.
    await using client = new StoreClient({ ...this.#options, poolSize: 1 }, 'owner', {});
    await createIndexes(client, scope, definitions, signal);
  }

  dropTables(scope: FenceScope, signal: AbortSignal): Promise<void> {
    return dropTables(this.#preparing, scope, signal);
  }

  claim(scope: FenceScope, side: 'source' | 'target', signal: AbortSignal): Promise<void> {
    return claimTables(this.#preparing, scope, side, signal);
  }

  disown(scope: FenceScope, state: 'OPEN' | 'CLOSED', signal: AbortSignal): Promise<void> {
    return disownTables(this.#client, scope, state, signal);
  }

  saveRights(scope: FenceScope, rights: ReadonlyMap<string, readonly string[]>, signal: AbortSignal): Promise<void> {
    return saveRights(this.#preparing, scope, rights, signal);
  }

  gatewayRights(tables: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, readonly string[]>> {
    return gatewayRights(this.#preparing, tables, signal);
  }

  createLog(stream: StreamSpec, by: Attempt, signal: AbortSignal): Promise<Position> {
    return createLog(this.#client, stream, by, signal);
  }

  dropLog(stream: StreamSpec, by: Attempt | null, signal: AbortSignal): Promise<void> {
    return dropLog(this.#client, stream, by, signal);
  }

  /** The server keeps its log by its own settings, whoever still reads it. */
  async keptLogs(): Promise<readonly KeptLog[]> {
    return [];
  }

  async dropKeptLog(): Promise<boolean> {
    return false;
  }

  async trimLogs(): Promise<number> {
    return 0;
  }

  async streamToken(stream: StreamSpec, signal: AbortSignal): Promise<StreamToken | null> {
    const [row] = (await this.#client.query(`SELECT token FROM ${STREAM_TABLE} WHERE id = ?`, [stream.id], signal)).rows;
    return row === undefined ? null : streamToken(Number(row[0]));
  }

  async beginStream(stream: StreamSpec, position: Position, seen: StreamSeen, signal: AbortSignal): Promise<void> {
    const values = [...scopeValues(seen.scope), seen.state, stream.id, stream.workflow, position, String(seen.token ?? 0)];
    try {
      await this.#client.query('SELECT switchyard_begin_stream(?, ?, ?, ?, ?, ?, ?, ?)', values, signal);
    } catch (error) {
      if (!(error instanceof SwitchyardError) || sqlState(error.cause) !== NOT_AS_SEEN_STATE) throw error;
      requireAsSeen(stream, seen, await this.streamToken(stream, signal), await fenceRowsOf(this.#client, seen.scope.tables, signal));
      throw new SwitchyardError('FENCE_CONFLICT', `stream "${stream.id}" was not as it was seen when it was to begin`, { cause: error });
    }
  }

  async dropStream(stream: StreamSpec, signal: AbortSignal): Promise<void> {
    await this.#client.query('SELECT switchyard_drop_stream(?)', [stream.id], signal);
  }

  sequences(tables: readonly string[], signal: AbortSignal): Promise<readonly SequenceState[]> {
    return readSequences(this.#client, tables, signal);
  }

  raiseSequences(states: readonly SequenceState[], signal: AbortSignal): Promise<void> {
    return raiseSequences(this.#client, this.#options.clock, states, signal);
  }

  async fenceRows(tables: readonly string[] | null, signal: AbortSignal): Promise<readonly FenceRow[]> {
    try {
      if (tables !== null) return await fenceRowsOf(this.#client, tables, signal);
      return (await this.#client.query(`SELECT ${fenceColumns} FROM ${FENCE_TABLE} ORDER BY table_name`, [], signal)).rows.map(fenceRow);
    } catch (error) {
      if (error instanceof SwitchyardError && errorNumber(error.cause) === NO_SUCH_TABLE) return [];
      throw error;
    }
  }

  openFence(scope: FenceScope, signal: AbortSignal): Promise<FenceSession> {
    return openFenceSession(this.#options, scope, signal);
  }

  /** The triggers stay: they are needed for the way back, and to put them again every transaction that has only read the tables would have to end. */
  async relaxFence(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }

  #checked(client: StoreClient): CheckedStore {
    return { client, shard: this.#shard, keyspace: this.#options.keyspace };
  }

  /** Over connections of its own: rights on the server and on the database are those that a connection had when it began. */
  async #anew<T>(check: (client: StoreClient) => Promise<T>): Promise<T> {
    await using client = new StoreClient(this.#options, 'owner', {});
    return await check(client);
  }

  get #preparing(): Preparing {
    return { client: this.#client, clock: this.#options.clock, shard: this.#shard };
  }
}
