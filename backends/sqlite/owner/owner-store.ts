import type { FenceRow } from '../../../core/fence.ts';
import { type Attempt, type Position, type StreamToken, streamToken } from '../../../core/ids.ts';
import { fileShard } from '../../../core/keyspace.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { FenceScope, FenceSession, KeptLog, OwnerStore, Problem, SequenceState, StoreOptions, StreamSeen, StreamSpec, TableDefinition } from '../../backend.ts';
import { requireAsSeen } from '../../stream-beginning.ts';
import type { Connection } from '../connection.ts';
import { checkReach, isStillToMake } from '../reach.ts';
import { expireRequests } from '../request-records.ts';
import { StoreClient, type Transaction } from '../store-client.ts';
import { checkQuiet, checkTables } from './checks.ts';
import { claimTables, disownTables, requireOwned } from './claims.ts';
import { openFenceSession } from './fence-session.ts';
import { install } from './install.ts';
import { dropKeptLog, keptLogs } from './kept-logs.ts';
import { createLog, dropLeftTriggers, dropLog, trimLog } from './log.ts';
import { tableExists } from './names.ts';
import { raiseSequences, readSequences } from './sequences.ts';
import { createTables, defineTables, dropTables, planTables } from './tables.ts';

const GATEWAY_RIGHTS: readonly string[] = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'];

/** How long a step of a preparation waits for the file's write lock. */
const LOCK_LIMIT_MS = 15_000;
/** Rows of the log that are removed while the lock is held once. */
const TRIM_ROWS = 1_000;

/**
 * The store for control. Opens lazily; only `install` makes a file where there is none: an empty target. Until then a file that is missing in an existing folder is one that was never prepared to
 * `fenceRows`, an empty target to `checkTables`, and STORE_UNAVAILABLE to everything else.
 */
export function openOwnerStore(options: StoreOptions): OwnerStore {
  return new SqliteOwnerStore(options);
}

function tokenOf(connection: Connection, { id }: StreamSpec): StreamToken | null {
  const [row] = connection.all('SELECT token FROM switchyard_stream WHERE id = ?', [id]);
  return row === undefined ? null : streamToken(Number(row[0]));
}

class SqliteOwnerStore implements OwnerStore {
  readonly #options: StoreOptions;
  readonly #client: StoreClient;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#client = this.#open(false);
  }

  async install(signal: AbortSignal): Promise<void> {
    using client = this.#open(true);
    await client.write(signal, ({ connection }) => install(connection), { limitMs: LOCK_LIMIT_MS });
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
    if (this.#isMissing()) return 0;
    return this.#write(signal, ({ connection }) => expireRequests(connection, ageMs, limit));
  }

  async checkStore(signal: AbortSignal): Promise<readonly Problem[]> {
    await checkReach(this.#client, this.#path, signal);
    return [];
  }

  async checkTables(tables: readonly string[], side: 'source' | 'target', signal: AbortSignal): Promise<readonly Problem[]> {
    if (side === 'target' && this.#isMissing()) return [];
    return this.#client.read(signal, (transaction) => checkTables(transaction, tables, side));
  }

  checkQuiet(_tables: readonly string[], transactionAgeMs: number, signal: AbortSignal): Promise<readonly Problem[]> {
    return checkQuiet(this.#client, transactionAgeMs, signal);
  }

  define(tables: readonly string[], signal: AbortSignal): Promise<readonly TableDefinition[]> {
    return this.#client.read(signal, (transaction) => defineTables(transaction, tables));
  }

  async planTables(definitions: readonly TableDefinition[]): Promise<readonly string[]> {
    return planTables(definitions);
  }

  createTables(scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void> {
    return this.#write(signal, (transaction) => createTables(transaction, scope, definitions));
  }

  /** They came with their tables: to make one later would keep every writer of the file waiting until it is made. */
  async createIndexes(): Promise<void> {}

  dropTables(scope: FenceScope, signal: AbortSignal): Promise<void> {
    return this.#write(signal, (transaction) => dropTables(transaction, scope));
  }

  claim(scope: FenceScope, side: 'source' | 'target', signal: AbortSignal): Promise<void> {
    return this.#write(signal, (transaction) => claimTables(transaction, scope, side));
  }

  disown(scope: FenceScope, state: 'OPEN' | 'CLOSED', signal: AbortSignal): Promise<void> {
    return this.#write(signal, (transaction) => disownTables(transaction, scope, state));
  }

  /** There are no rights to save; that the tables are the scope's is asked all the same. */
  saveRights(scope: FenceScope, rights: ReadonlyMap<string, readonly string[]>, signal: AbortSignal): Promise<void> {
    const foreign = [...rights.values()].flat().find((right) => !GATEWAY_RIGHTS.includes(right));
    if (foreign !== undefined) return Promise.reject(new SwitchyardError('ARGUMENT_INVALID', `"${foreign}" is no right of a gateway`));
    return this.#client.read(signal, (transaction) => requireOwned(transaction, { ...scope, tables: [...rights.keys()] }, 'any'));
  }

  /** Always all four of a table that is there: SQLite has none to give or take, the fence rows alone decide. */
  gatewayRights(tables: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, readonly string[]>> {
    return this.#client.read(signal, ({ connection }) => new Map(tables.filter((table) => tableExists(connection, table)).map((table) => [table, GATEWAY_RIGHTS])));
  }

  createLog(stream: StreamSpec, by: Attempt, signal: AbortSignal): Promise<Position> {
    return this.#write(signal, ({ connection }) => createLog(connection, stream, by));
  }

  async dropLog(stream: StreamSpec, by: Attempt | null, signal: AbortSignal): Promise<void> {
    const drop = ({ connection, fence }: Transaction): boolean => {
      if (fence.isInstalled()) dropLog(connection, stream, by);
      return fence.isInstalled();
    };
    if (!(await this.#write(signal, drop))) return;
    while ((await this.#write(signal, ({ connection }) => trimLog(connection, TRIM_ROWS))) === TRIM_ROWS);
  }

  async keptLogs(signal: AbortSignal): Promise<readonly KeptLog[]> {
    if (this.#isMissing()) return [];
    return this.#client.read(signal, ({ connection }) => keptLogs(connection));
  }

  async dropKeptLog(name: string, atLeastBytes: number, signal: AbortSignal): Promise<boolean> {
    if (this.#isMissing()) return false;
    return this.#write(signal, ({ connection }) => dropKeptLog(connection, name, atLeastBytes));
  }

  async trimLogs(limit: number, signal: AbortSignal): Promise<number> {
    if (this.#isMissing()) return 0;
    return this.#write(signal, ({ connection, fence }) => {
      if (!fence.isInstalled()) return 0;
      dropLeftTriggers(connection);
      return trimLog(connection, limit);
    });
  }

  streamToken(stream: StreamSpec, signal: AbortSignal): Promise<StreamToken | null> {
    return this.#client.read(signal, ({ connection }) => tokenOf(connection, stream));
  }

  beginStream(stream: StreamSpec, position: Position, seen: StreamSeen, signal: AbortSignal): Promise<void> {
    const begin = `
      INSERT INTO switchyard_stream (id, workflow, token, position, marker) VALUES (?, ?, 1, ?, 0)
      ON CONFLICT (id) DO UPDATE SET workflow = excluded.workflow, position = excluded.position, token = token + 1`;
    return this.#write(signal, ({ connection, fence }) => {
      requireAsSeen(stream, seen, tokenOf(connection, stream), fence.rows(seen.scope.tables));
      connection.run(begin, [stream.id, stream.workflow, position]);
    });
  }

  dropStream(stream: StreamSpec, signal: AbortSignal): Promise<void> {
    // Tokens never restart, or a forgotten player of this stream could hold the token of a later one with the same id. So the row stays, and its token rises.
    return this.#write(signal, ({ connection }) => {
      connection.run(`UPDATE switchyard_stream SET position = '', token = token + 1 WHERE id = ? AND position <> ''`, [stream.id]);
      connection.run('DELETE FROM switchyard_copy WHERE stream = ?', [stream.id]);
    });
  }

  sequences(tables: readonly string[], signal: AbortSignal): Promise<readonly SequenceState[]> {
    return this.#client.read(signal, (transaction) => readSequences(transaction, tables));
  }

  raiseSequences(states: readonly SequenceState[], signal: AbortSignal): Promise<void> {
    return this.#write(signal, (transaction) => raiseSequences(transaction, states));
  }

  async fenceRows(tables: readonly string[] | null, signal: AbortSignal): Promise<readonly FenceRow[]> {
    if (this.#isMissing()) return [];
    return this.#client.read(signal, ({ fence }) => fence.rows(tables));
  }

  openFence(scope: FenceScope, signal: AbortSignal): Promise<FenceSession> {
    return openFenceSession(this.#open(false), scope, signal);
  }

  /** The triggers look up one row of a small table for each row that is written; taking them away would cost every connection the parsing of its statements. */
  async relaxFence(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
  }

  #isMissing(): boolean {
    return isStillToMake(this.#path);
  }

  get #path(): string {
    return fileShard(this.#options.shard).path;
  }

  #write<T>(signal: AbortSignal, work: (transaction: Transaction) => T): Promise<T> {
    return this.#client.write(signal, work, { limitMs: LOCK_LIMIT_MS });
  }

  #open(create: boolean): StoreClient {
    const { acquireTimeoutMs, clock, shard } = this.#options;
    // Tables are made and dropped whole, in any order.
    return new StoreClient({ path: fileShard(shard).path, create, foreignKeys: false, acquireTimeoutMs, clock });
  }
}
