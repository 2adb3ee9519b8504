import { type Cell, cellText } from '../../core/cell.ts';
import type { ChangeTransaction, RowChange } from '../../core/change.ts';
import { type Attempt, attempt, type Position } from '../../core/ids.ts';
import type { Shard } from '../../core/keyspace.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { ApplyBatch, DataStore, FenceScope, OwnerStore, ReplicationStore, StoreOptions, StreamSpec, StreamState } from '../../backends/backend.ts';

/** One session of a login that is none of ours, for SQL by hand. Rejections carry the store's own code. */
export interface RawSession {
  query(sql: string): Promise<readonly (readonly (string | null)[])[]>;
  close(): Promise<void>;
}

export interface StoreUnderTest {
  readonly owner: OwnerStore;
  readonly player: ReplicationStore;
  /** The store as one gateway has it; for the caller to dispose of. */
  openData(options?: Partial<StoreOptions>): DataStore;
  session(identity: 'gateway' | 'owner' | 'player' | 'admin'): Promise<RawSession>;
  /** One statement in a session of its own. */
  sql(text: string, identity?: 'gateway' | 'owner' | 'player' | 'admin'): Promise<readonly (readonly (string | null)[])[]>;
}

/** One that a keyspace can name: by the shard, whose passwords are in `env`. */
export interface NamedStore extends StoreUnderTest {
  readonly shard: Shard;
  readonly env: Readonly<Record<string, string>>;
}

/** Two real stores, fresh: the source with the tables `item` and `line` (a foreign key to `item`) of the suite, rights given by the grant script, the target empty. */
export interface MoveStores extends AsyncDisposable {
  readonly source: StoreUnderTest;
  readonly target: StoreUnderTest;
}

export const TABLES = ['item', 'line'];
export const FORWARD: StreamSpec = { id: 'move1.forward', workflow: 'move1', tables: TABLES };
export const SOURCE: FenceScope = { workflow: 'move1', peer: 'new', tables: TABLES };
export const TARGET: FenceScope = { workflow: 'move1', peer: 'old', tables: TABLES };
export const never = (): AbortSignal => AbortSignal.timeout(30_000);

/** Begins a stream, anew where there is one, as who has just looked at it does. */
export async function begin(owner: OwnerStore, stream: StreamSpec, position: Position, scope: FenceScope = TARGET): Promise<void> {
  await owner.beginStream(stream, position, { token: await owner.streamToken(stream, never()), scope, state: 'CLOSED' }, never());
}

/** Installs, claims, makes the target's tables, log and stream: everything before the copy. */
export async function arm(stores: MoveStores): Promise<ReadonlyMap<string, TableSchema>> {
  const { source, target } = stores;
  const signal = never();
  await Promise.all([source.owner.install(signal), target.owner.install(signal)]);
  await target.owner.claim(TARGET, 'target', signal);
  await source.owner.claim(SOURCE, 'source', signal);
  const definitions = await source.owner.define(TABLES, signal);
  await target.owner.createTables(TARGET, definitions, signal);
  await target.owner.saveRights(TARGET, await source.owner.gatewayRights(TABLES, signal), signal);
  const start = await source.owner.createLog(FORWARD, attempt(0), signal);
  await begin(target.owner, FORWARD, start);
  return new Map(definitions.map(({ schema }) => [schema.name, schema]));
}

/** Plays the stream until `done` says so of what has been applied; returns all transactions that came. */
export async function play(
  stores: MoveStores,
  schemas: ReadonlyMap<string, TableSchema>,
  done: (transactions: readonly ChangeTransaction[]) => boolean,
  stream: StreamSpec = FORWARD,
): Promise<readonly ChangeTransaction[]> {
  const signal = never();
  const state = await stores.target.player.takeStream(stream, signal);
  await using feed = stores.source.player.follow(stream, schemas, state.position, signal);
  const seen: ChangeTransaction[] = [];
  for await (const transactions of feed) {
    if (transactions.length > 0) {
      await stores.target.player.apply(stream, schemas, state.token, batchOf(transactions), signal);
      seen.push(...transactions);
      feed.confirm(transactions[transactions.length - 1]?.position as Position);
    }
    if (done(seen)) break;
  }
  return seen;
}

/** Writes a watermark into the source and plays up to it. */
export async function catchUp(stores: MoveStores, schemas: ReadonlyMap<string, TableSchema>, id: number): Promise<readonly ChangeTransaction[]> {
  await stores.source.player.writeWatermark(FORWARD, id, never());
  return play(stores, schemas, (seen) => seen.some((each) => each.events.some((event) => event.kind === 'watermark' && event.id === id)));
}

/** What one apply of these transactions is. */
export function batchOf(transactions: readonly ChangeTransaction[]): ApplyBatch {
  const events = transactions.flatMap((each) => each.events);
  const markers = events.flatMap((event) => (event.kind === 'marker' ? [event.attempt] : []));
  return {
    changes: events.filter((event): event is RowChange => event.kind !== 'marker' && event.kind !== 'watermark' && event.kind !== 'request'),
    copied: null,
    requests: { records: events.flatMap((event) => (event.kind === 'request' ? [event.record] : [])), progress: null },
    position: transactions[transactions.length - 1]?.position as Position,
    marker: markers.length === 0 ? null : attempt(Math.max(...markers)),
  };
}

export const emptyBatch = (state: StreamState, marker: Attempt | null = null): ApplyBatch => ({
  changes: [],
  copied: null,
  requests: { records: [], progress: null },
  position: state.position,
  marker,
});

/** Every row of a table as readable text, in key order. */
export async function allRows(store: StoreUnderTest, table: TableSchema): Promise<readonly string[]> {
  const rows: (readonly Cell[])[] = [];
  for (let last: readonly Cell[] | null = null; ; ) {
    const chunk: readonly (readonly Cell[])[] = await store.player.readChunk(table, last, 3, never());
    rows.push(...chunk);
    const end = chunk[chunk.length - 1];
    if (end === undefined) return rows.map((row) => row.map(cellText).join(' | '));
    last = table.primaryKey.map((name) => end[table.columns.findIndex((column) => column.name === name)] ?? null);
  }
}

/** The reason of ours, or the store's code, that a promise rejects with; "none" when it resolves. */
export async function reasonOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    if (error instanceof SwitchyardError) return error.reason;
    const code = (error as { code?: unknown }).code;
    if (typeof code === 'string') return code;
    throw error;
  }
}
