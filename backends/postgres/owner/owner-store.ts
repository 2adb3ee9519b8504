import pg from 'pg';
import type { FenceRow } from '../../../core/fence.ts';
import { type ServerShard, serverShard } from '../../../core/keyspace.ts';
import { type Attempt, type Position, type StreamToken, streamToken } from '../../../core/ids.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import type { FenceScope, FenceSession, KeptLog, OwnerStore, Problem, SequenceState, StoreOptions, StreamSeen, StreamSpec, TableDefinition } from '../../backend.ts';
import { unownedTables } from '../../strange-rows.ts';
import { requireAsSeen } from '../../stream-beginning.ts';
import { textFromElements } from '../array-text.ts';
import { quoteTable } from '../connection.ts';
import { sqlState } from '../errors.ts';
import { StoreClient } from '../store-client.ts';
import { watchedText } from '../watched.ts';
import { type CheckedStore, checkQuiet, checkStore, checkTables, rowProblems } from './checks.ts';
import { claimTables, disownTables, fenceColumns, fenceRowsFromText, lockRows, lockTables } from './claims.ts';
import { defineTables } from './definition.ts';
import { openFenceSession } from './fence-session.ts';
import { createIndexes } from './indexes.ts';
import { install } from './install.ts';
import { dropKeptLog, keptLogs } from './kept-logs.ts';
import { lockingTransaction } from './locking.ts';
import { createLog, dropLog } from './log.ts';
import { raiseSequences, sequencesFromRows, sequencesText } from './sequences.ts';
import { createTables, dropTables, planTables } from './tables.ts';
import { expireEventsText, watchStatements } from './watch-sql.ts';

const GATEWAY_RIGHTS = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'];

/** No such schema, no such table: a store that was never prepared. */
const unpreparedStates: readonly (string | null)[] = ['3F000', '42P01'];

/** The store under the owner's login. Connects lazily. */
export function openOwnerStore(options: StoreOptions): OwnerStore {
  return new PostgresOwnerStore(options);
}

class PostgresOwnerStore implements OwnerStore {
  readonly #options: StoreOptions;
  readonly #shard: ServerShard;
  readonly #client: StoreClient;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#shard = serverShard(options.shard);
    this.#client = new StoreClient(options, 'owner', {});
  }

  install(signal: AbortSignal): Promise<void> {
    return install(this.#client, this.#shard, signal);
  }

  async watch(tables: readonly string[], on: boolean, signal: AbortSignal): Promise<void> {
    const player = pg.escapeLiteral(this.#shard.player.user);
    await lockingTransaction(this.#client, this.#options.clock, signal, async (transaction) => {
      const present = await lockTables(transaction, tables, signal);
      const missing = tables.find((table) => !present.includes(table));
      if (missing !== undefined && on) throw new SwitchyardError('TABLE_UNKNOWN', `the store has no table "${missing}"`, { metadata: { table: missing } });
      for (const table of present) for (const statement of watchStatements(quoteTable(table), pg.escapeLiteral(table), player, on)) await transaction.query(statement, [], signal);
      if (on) await transaction.query('INSERT INTO switchyard.watched (table_name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING', [textFromElements(tables)], signal);
    });
  }

  async watched(signal: AbortSignal): Promise<readonly string[]> {
    return (await this.#client.query(watchedText, [], signal)).map(([table]) => table ?? '');
  }

  async expireEvents(ageMs: number, limit: number, signal: AbortSignal): Promise<number> {
    try {
      const [row] = await this.#client.query(expireEventsText, [String(Math.round(ageMs)), String(limit)], signal);
      return Number(row?.[0] ?? 0);
    } catch (error) {
      if (error instanceof SwitchyardError && unpreparedStates.includes(sqlState(error.cause))) return 0;
      throw error;
    }
  }

  async expireRequests(ageMs: number, limit: number, signal: AbortSignal): Promise<number> {
    // One that a player is just replacing is left for the next time.
    const text = `
      WITH removed AS (
        DELETE FROM switchyard.request WHERE ctid = ANY (ARRAY(
          SELECT ctid FROM switchyard.request WHERE recorded_at < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - $1::bigint * 1000
          ORDER BY recorded_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED)) RETURNING 1)
      SELECT count(*) FROM removed`;
    try {
      const [row] = await this.#client.query(text, [String(Math.round(ageMs)), String(limit)], signal);
      return Number(row?.[0] ?? 0);
    } catch (error) {
      if (error instanceof SwitchyardError && unpreparedStates.includes(sqlState(error.cause))) return 0;
      throw error;
    }
  }

  async checkStore(signal: AbortSignal): Promise<readonly Problem[]> {
    const closed = (await this.fenceRows(null, signal)).filter(({ state }) => state !== 'OPEN').map(({ table }) => table);
    return checkStore(this.#checked, closed, signal);
  }

  async checkTables(tables: readonly string[], side: 'source' | 'target', signal: AbortSignal): Promise<readonly Problem[]> {
    const found = await checkTables(this.#checked, tables, side, signal);
    if (side === 'source') return found;
    return [...found, ...(await rowProblems(this.#client, unownedTables(tables, await this.fenceRows(tables, signal)), signal))];
  }

  checkQuiet(tables: readonly string[], transactionAgeMs: number, signal: AbortSignal): Promise<readonly Problem[]> {
    return checkQuiet(this.#client, this.#shard.gateway.user, tables, transactionAgeMs, signal);
  }

  define(tables: readonly string[], signal: AbortSignal): Promise<readonly TableDefinition[]> {
    return defineTables(this.#client, tables, signal);
  }

  async planTables(definitions: readonly TableDefinition[]): Promise<readonly string[]> {
    return planTables(definitions);
  }

  createTables(scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void> {
    return lockingTransaction(this.#client, this.#options.clock, signal, (transaction) => createTables(transaction, this.#shard, scope, definitions, signal));
  }

  createIndexes(scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void> {
    return createIndexes(this.#options, scope, definitions, signal);
  }

  dropTables(scope: FenceScope, signal: AbortSignal): Promise<void> {
    return lockingTransaction(this.#client, this.#options.clock, signal, (transaction) => dropTables(transaction, scope, signal));
  }

  claim(scope: FenceScope, side: 'source' | 'target', signal: AbortSignal): Promise<void> {
    return lockingTransaction(this.#client, this.#options.clock, signal, (transaction) => claimTables(transaction, this.#shard, scope, side, signal));
  }

  disown(scope: FenceScope, state: 'OPEN' | 'CLOSED', signal: AbortSignal): Promise<void> {
    return this.#client.transaction(signal, (transaction) => disownTables(transaction, scope, state, signal));
  }

  async saveRights(scope: FenceScope, rights: ReadonlyMap<string, readonly string[]>, signal: AbortSignal): Promise<void> {
    await this.#client.transaction(signal, async (transaction) => {
      const rows = await lockRows(transaction, scope.tables, signal);
      for (const [table, privileges] of rights) {
        const isOurs = rows.some((row) => row.table === table && row.workflow === scope.workflow && row.peer === scope.peer);
        if (!isOurs) throw new SwitchyardError('FENCE_CONFLICT', `table "${table}" does not belong to workflow "${scope.workflow}"`, { metadata: { table } });
        const foreign = privileges.find((privilege) => !GATEWAY_RIGHTS.includes(privilege));
        if (foreign !== undefined) throw new SwitchyardError('ARGUMENT_INVALID', `"${foreign}" is no right of a gateway`);
        const save = 'INSERT INTO switchyard.rights (table_name, privileges) VALUES ($1, $2::text[]) ON CONFLICT (table_name) DO UPDATE SET privileges = excluded.privileges';
        await transaction.query(save, [table, textFromElements(privileges)], signal);
      }
    });
  }

  async gatewayRights(tables: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, readonly string[]>> {
    const text = `
      SELECT c.relname, coalesce(string_agg(p.name, ',' ORDER BY p.place) FILTER (WHERE has_table_privilege($2, c.oid, p.name)), '')
      FROM pg_class c CROSS JOIN unnest($3::text[]) WITH ORDINALITY AS p (name, place)
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY ($1::text[]) GROUP BY c.relname`;
    const rows = await this.#client.query(text, [textFromElements(tables), this.#shard.gateway.user, textFromElements(GATEWAY_RIGHTS)], signal);
    return new Map(rows.map(([table, names]) => [table ?? '', (names ?? '').split(',').filter((name) => name !== '')]));
  }

  createLog(stream: StreamSpec, by: Attempt, signal: AbortSignal): Promise<Position> {
    return createLog(this.#logParts(), stream, by, signal);
  }

  dropLog(stream: StreamSpec, by: Attempt | null, signal: AbortSignal): Promise<void> {
    return dropLog(this.#logParts(), stream, by, signal);
  }

  keptLogs(signal: AbortSignal): Promise<readonly KeptLog[]> {
    return keptLogs(this.#logParts(), signal);
  }

  dropKeptLog(name: string, atLeastBytes: number, signal: AbortSignal): Promise<boolean> {
    return dropKeptLog(this.#logParts(), name, atLeastBytes, signal);
  }

  /** The server removes its WAL itself. */
  async trimLogs(): Promise<number> {
    return 0;
  }

  async streamToken(stream: StreamSpec, signal: AbortSignal): Promise<StreamToken | null> {
    const [row] = await this.#client.query('SELECT token FROM switchyard.stream WHERE id = $1', [stream.id], signal);
    return row === undefined ? null : streamToken(Number(row[0]));
  }

  beginStream(stream: StreamSpec, position: Position, seen: StreamSeen, signal: AbortSignal): Promise<void> {
    const text = `
      INSERT INTO switchyard.stream AS s (id, workflow, token, position, marker) VALUES ($1, $2, 1, $3, 0)
      ON CONFLICT (id) DO UPDATE SET workflow = excluded.workflow, position = excluded.position, token = s.token + 1
      RETURNING token - 1`;
    return lockingTransaction(this.#client, this.#options.clock, signal, async (transaction) => {
      // Written first and judged then: a row that is not there cannot be locked, and of two that make it the second one finds the first one's here.
      const [row] = await transaction.query(text, [stream.id, stream.workflow, position], signal);
      const before = Number(row?.[0]);
      requireAsSeen(stream, seen, before === 0 ? null : streamToken(before), await lockRows(transaction, seen.scope.tables, signal));
    });
  }

  async dropStream(stream: StreamSpec, signal: AbortSignal): Promise<void> {
    // Tokens never restart, or a forgotten player of this stream could hold the token of a later one with the same id. So the row stays, and its token rises.
    await this.#client.transaction(signal, async (transaction) => {
      await transaction.query(`UPDATE switchyard.stream SET position = '', token = token + 1 WHERE id = $1 AND position <> ''`, [stream.id], signal);
      await transaction.query('DELETE FROM switchyard.copy WHERE stream = $1', [stream.id], signal);
    });
  }

  async sequences(tables: readonly string[], signal: AbortSignal): Promise<readonly SequenceState[]> {
    return sequencesFromRows(await this.#client.query(sequencesText, [textFromElements(tables)], signal));
  }

  raiseSequences(states: readonly SequenceState[], signal: AbortSignal): Promise<void> {
    return raiseSequences(this.#client, states, signal);
  }

  async fenceRows(tables: readonly string[] | null, signal: AbortSignal): Promise<readonly FenceRow[]> {
    const [where, values] = tables === null ? ['', []] : ['WHERE table_name = ANY ($1::text[])', [textFromElements(tables)]];
    try {
      return fenceRowsFromText(await this.#client.query(`${fenceColumns} ${where} ORDER BY table_name`, values, signal));
    } catch (error) {
      if (error instanceof SwitchyardError && unpreparedStates.includes(sqlState(error.cause))) return [];
      throw error;
    }
  }

  openFence(scope: FenceScope, signal: AbortSignal): Promise<FenceSession> {
    return openFenceSession(this.#options, scope, signal);
  }

  async relaxFence(scope: FenceScope, signal: AbortSignal): Promise<void> {
    for (const table of scope.tables) {
      try {
        await this.#client.query('SELECT switchyard.relax_fence($1, $2, $3)', [scope.workflow, scope.peer, table], signal);
      } catch (error) {
        // The table is busy: its writes keep a check that costs them little.
        if (!hasReason(error, 'SERIALIZATION_FAILURE')) throw error;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }

  get #checked(): CheckedStore {
    return { client: this.#client, shard: this.#shard, keyspace: this.#options.keyspace };
  }

  #logParts(): { client: StoreClient; clock: StoreOptions['clock']; shard: ServerShard } {
    return { client: this.#client, clock: this.#options.clock, shard: this.#shard };
  }
}
