import type { FenceScope, FenceSession, KeptLog, OwnerStore, Problem, SequenceState, StreamSeen, StreamSpec, TableDefinition } from '../../../backends/backend.ts';
import { strangeRows } from '../../../backends/strange-rows.ts';
import { logBegunLater, requireAsSeen } from '../../../backends/stream-beginning.ts';
import type { FenceRow } from '../../../core/fence.ts';
import { type Attempt, attempt, type Position, position, type StreamToken, streamToken } from '../../../core/ids.ts';
import type { RequestRecord } from '../../../core/request-record.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import { noExtras } from '../../../core/table-extras.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { claimTables, createTables, disownTables, dropTables, requireClosed, saveRights } from './claims.ts';
import { SimFenceSession } from './fence-session.ts';
import { fenceRowsOf, sequencesOf } from './owner-reads.ts';
import { rowsOf } from './rows.ts';
import type { StoreLink } from './store-link.ts';
import { type StreamRow, relaxTable } from './transitions.ts';
import type { Transaction } from './transaction.ts';

const slotLimitMs = 30_000;
const slotPollMs = 5;

/** The simulated store under its owner's login. */
export class SimOwnerStore implements OwnerStore {
  readonly #link: StoreLink;

  constructor(link: StoreLink) {
    this.#link = link;
  }

  install(signal: AbortSignal): Promise<void> {
    return this.#run(signal, async (transaction) => {
      await transaction.lockRow('installation', '', 'exclusive');
      if (transaction.readNewest('installation', '') === undefined) transaction.put('installation', '', true);
    });
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

  expireRequests(ageMs: number, limit: number, signal: AbortSignal): Promise<number> {
    return this.#run(signal, async (transaction) => {
      transaction.beginStatement();
      const before = this.#link.server.epochMicros - BigInt(Math.round(ageMs * 1_000));
      const old = transaction
        .scan<RequestRecord>('request')
        .filter(([, record]) => record.recordedAtMicros < before)
        .slice(0, limit);
      for (const [key] of old) {
        await transaction.lockRow('request', key, 'exclusive');
        transaction.put('request', key, null);
      }
      return old.length;
    });
  }

  checkStore(signal: AbortSignal): Promise<readonly Problem[]> {
    return this.#run(signal, async () => []);
  }

  checkTables(tables: readonly string[], side: 'source' | 'target', signal: AbortSignal): Promise<readonly Problem[]> {
    return this.#run(signal, async (transaction) => tables.flatMap((table) => tableProblems(transaction, table, tables, side)));
  }

  checkQuiet(_tables: readonly string[], transactionAgeMs: number, signal: AbortSignal): Promise<readonly Problem[]> {
    const { server } = this.#link;
    return this.#run(signal, async (own) => {
      const old = [...server.transactions].filter((each) => each !== own && each.writes.size > 0 && server.now - each.beganAt > transactionAgeMs);
      return old.map(() => ({ table: null, message: 'a transaction has been open for too long', fix: 'end it' }));
    });
  }

  define(tables: readonly string[], signal: AbortSignal): Promise<readonly TableDefinition[]> {
    return this.#run(signal, async (transaction) =>
      tables.map((table) => {
        const schema = transaction.readNewest<TableSchema>('table', table);
        if (schema === undefined) throw new SwitchyardError('TABLE_UNKNOWN', `the store has no table "${table}"`);
        return { schema, extras: noExtras, more: [], native: { kind: 'simulated', detail: null } };
      }),
    );
  }

  async planTables(definitions: readonly TableDefinition[]): Promise<readonly string[]> {
    return definitions.map(({ schema }) => `CREATE TABLE ${schema.name}`);
  }

  createTables(scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void> {
    return this.#run(signal, (transaction) => createTables(transaction, scope, definitions));
  }

  /** Its tables have no indexes; what is asked of the workflow is asked all the same. */
  createIndexes(scope: FenceScope, _definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void> {
    return this.#run(signal, (transaction) => requireClosed(transaction, scope));
  }

  dropTables(scope: FenceScope, signal: AbortSignal): Promise<void> {
    return this.#run(signal, (transaction) => dropTables(transaction, scope));
  }

  claim(scope: FenceScope, side: 'source' | 'target', signal: AbortSignal): Promise<void> {
    return this.#run(signal, (transaction) => claimTables(transaction, scope, side));
  }

  disown(scope: FenceScope, state: 'OPEN' | 'CLOSED', signal: AbortSignal): Promise<void> {
    return this.#run(signal, (transaction) => disownTables(transaction, scope, state));
  }

  saveRights(scope: FenceScope, rights: ReadonlyMap<string, readonly string[]>, signal: AbortSignal): Promise<void> {
    return this.#run(signal, (transaction) => saveRights(transaction, scope, rights));
  }

  gatewayRights(tables: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, readonly string[]>> {
    return this.#run(signal, async (transaction) => new Map(tables.map((table) => [table, transaction.readNewest<readonly string[]>('acl', table) ?? []])));
  }

  /** A new slot begins when the transactions that have written something by now have ended. */
  createLog(stream: StreamSpec, by: Attempt, signal: AbortSignal): Promise<Position> {
    const { server } = this.#link;
    const { engine } = server;
    return this.#run(signal, async (own) => {
      if (this.#isBegunLater(stream, by)) throw logBegunLater(stream);
      engine.logAttempts.set(stream.id, by);
      engine.slots.delete(stream.id);
      const running = [...server.transactions].filter((each) => each !== own && each.writes.size > 0);
      for (let waitedMs = 0; running.some((each) => server.transactions.has(each)); waitedMs += slotPollMs) {
        if (waitedMs > slotLimitMs) throw new SwitchyardError('PRECHECK_FAILED', 'the log could not begin because transactions stayed open');
        await new Promise<void>((resolve) => server.after(slotPollMs, resolve));
      }
      if (engine.slots.has(stream.id)) throw logBegunLater(stream);
      engine.slots.set(stream.id, { confirmed: engine.lastCommit });
      return position(String(engine.lastCommit));
    });
  }

  dropLog(stream: StreamSpec, by: Attempt | null, signal: AbortSignal): Promise<void> {
    return this.#run(signal, async () => {
      const { engine } = this.#link.server;
      if (!this.#isBegunLater(stream, by)) engine.slots.delete(stream.id);
      if (by === null) engine.logAttempts.delete(stream.id);
    });
  }

  /** No log here grows until it would have to be dropped. */
  async keptLogs(): Promise<readonly KeptLog[]> {
    return [];
  }

  async dropKeptLog(): Promise<boolean> {
    return false;
  }

  async trimLogs(): Promise<number> {
    return 0;
  }

  #isBegunLater(stream: StreamSpec, by: Attempt | null): boolean {
    return by !== null && (this.#link.server.engine.logAttempts.get(stream.id) ?? 0) > by;
  }

  streamToken(stream: StreamSpec, signal: AbortSignal): Promise<StreamToken | null> {
    return this.#run(signal, async (transaction) => transaction.readNewest<StreamRow>('stream', stream.id)?.token ?? null);
  }

  beginStream(stream: StreamSpec, from: Position, seen: StreamSeen, signal: AbortSignal): Promise<void> {
    return this.#run(signal, async (transaction) => {
      await transaction.lockRow('stream', stream.id, 'exclusive');
      const row = transaction.readNewest<StreamRow>('stream', stream.id);
      const tables = [...seen.scope.tables].sort();
      for (const table of tables) await transaction.lockRow('fence', table, 'exclusive');
      const rows = tables.flatMap((table) => transaction.readNewest<FenceRow>('fence', table) ?? []);
      requireAsSeen(stream, seen, row?.token ?? null, rows);
      const begun: StreamRow = { workflow: stream.workflow, token: streamToken((row?.token ?? 0) + 1), position: from, marker: row?.marker ?? attempt(0) };
      transaction.put('stream', stream.id, begun);
    });
  }

  dropStream(stream: StreamSpec, signal: AbortSignal): Promise<void> {
    return this.#run(signal, async (transaction) => {
      await transaction.lockRow('stream', stream.id, 'exclusive');
      const row = transaction.readNewest<StreamRow>('stream', stream.id);
      if (row !== undefined && row.position !== '') transaction.put('stream', stream.id, { ...row, position: '', token: streamToken(row.token + 1) });
      transaction.beginStatement();
      for (const [key] of transaction.scan('copy')) if (key.startsWith(`${stream.id} `)) transaction.put('copy', key, null);
    });
  }

  sequences(tables: readonly string[], signal: AbortSignal): Promise<readonly SequenceState[]> {
    return this.#run(signal, async (transaction) => sequencesOf(transaction, tables));
  }

  raiseSequences(states: readonly SequenceState[], signal: AbortSignal): Promise<void> {
    return this.#run(signal, async (transaction) => {
      for (const state of states) {
        const key = `${state.table}.${state.column}`;
        await transaction.lockRow('sequence', key, 'exclusive');
        const present = transaction.readNewest<SequenceState>('sequence', key);
        if (present === undefined || present.value < state.value) transaction.put('sequence', key, state);
      }
    });
  }

  fenceRows(tables: readonly string[] | null, signal: AbortSignal): Promise<readonly FenceRow[]> {
    return this.#run(signal, async (transaction) => {
      transaction.beginStatement();
      return fenceRowsOf(transaction, tables);
    });
  }

  async openFence(scope: FenceScope, signal: AbortSignal): Promise<FenceSession> {
    const session = new SimFenceSession(this.#link, scope);
    try {
      await session.fenceRows(signal);
      return session;
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  async relaxFence(scope: FenceScope, signal: AbortSignal): Promise<void> {
    for (const table of scope.tables) {
      try {
        await this.#run(signal, (transaction) => relaxTable(transaction, scope, table));
      } catch (error) {
        // The table is busy: its writes keep a check that costs them little.
        if (!hasReason(error, 'SERIALIZATION_FAILURE')) throw error;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #run<T>(signal: AbortSignal, act: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#link.once('nothing', signal, (session) => session.run('owner', act));
  }
}

function tableProblems(transaction: Transaction, table: string, moved: readonly string[], side: 'source' | 'target'): readonly Problem[] {
  const schema = transaction.readNewest<TableSchema>('table', table);
  if (schema === undefined) return side === 'target' ? [] : [{ table, message: 'there is no such table', fix: 'create it' }];
  const found: [message: string, fix: string][] = [];
  if (schema.primaryKey.length === 0) found.push(['it has no primary key', 'give it one']);
  const ofAll = transaction.readNewest<readonly string[]>('acl', `PUBLIC ${table}`) ?? [];
  if (ofAll.length > 0) found.push([`the gateway has ${ofAll.join(', ')} through PUBLIC`, 'revoke it']);
  transaction.beginStatement();
  for (const [from, to] of transaction.scan<string>('reference')) {
    if (from === table && !moved.includes(to)) found.push([`foreign key "${from}" leads to table "${to}"`, `move "${to}" together with it`]);
    if (to === table && !moved.includes(from)) found.push([`foreign key "${from}" of table "${from}" leads here`, `move "${from}" together with it`]);
  }
  const isOwned = fenceRowsOf(transaction, [table]).some(({ workflow }) => workflow !== null);
  const rows = side === 'target' && !isOwned && transaction.scan(rowsOf(table)).length > 0 ? [strangeRows(table, table)] : [];
  return [...found.map(([message, fix]) => ({ table, message, fix })), ...rows];
}
