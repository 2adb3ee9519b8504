import type { DataStore, StoreOptions } from '../../backends/backend.ts';
import type { Cell } from '../../core/cell.ts';
import type { ErrorReason } from '../../core/error-catalogue.ts';
import type { FenceRow } from '../../core/fence.ts';
import type { Filter, OrderTerm, Row, WriteOperation } from '../../core/operation.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { systemClock } from '../../runtime/clock.ts';

/**
 * A real store with the contract's tables, which the gateway's identity may read and write:
 * `item` (id int64 key with a sequence, name text unique not null, amount int64 not null default 0 and never negative, price decimal(10,2), note text),
 * `line` (item_id int64 referring to item and line int32 as key, quantity int32 not null).
 */
export interface DataStoreHarness extends AsyncDisposable {
  open(options?: Partial<StoreOptions>): DataStore;
  /** Empties the tables, lifts fences, gives back rights, ends what the store is running for us. */
  reset(): Promise<void>;
  /** What the store's own client prints for one value. */
  print(table: string, column: string, id: bigint): Promise<string>;
  /** Holds a write lock on an item's row from outside until disposed of. */
  lockItem(id: bigint): Promise<AsyncDisposable>;
  /** Keeps every read and write of the table waiting from outside until disposed of. Not asked where `readLocks` is left out; likewise those below where what they need is. */
  lockTable(table: string): Promise<AsyncDisposable>;
  /** Calls of the gateway's identity that are running in the store, or wait for a lock there, just now. */
  running(): Promise<number>;
  /** Connections of the gateway's identity. */
  connections(): Promise<number>;
  /** Ends every connection of the gateway's identity from outside. */
  killConnections(): Promise<void>;
  /** Makes the store refuse writes of the table as its fence does. */
  fence(table: string, row: FenceRow): Promise<void>;
  /** Takes the right to read the table away. */
  takeReads(table: string): Promise<void>;
  /** Makes a column without an exact mapping, a table without a key; gives their names and what must be named in the refusal. */
  readonly unsupported: readonly { readonly table: string; readonly names: string }[];
  /** Another way to the store, whose new connections can be held up. */
  openDoor(): Promise<StoreDoor>;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Stops the store's processes from doing anything while their sockets stay open, until disposed of. */
  freeze(): Promise<AsyncDisposable>;
}

/** What a kind of store does not have, each with the reason that is shown for the tests left out. */
export interface ContractSkips {
  /** Locks that keep a reader of one table or row waiting. */
  readonly readLocks?: string;
  /** Reads of single rows that come at once go to the store as one. */
  readonly jointReads?: string;
  /** Requests to cancel that travel beside the statement. */
  readonly cancelRequests?: string;
  /** A pool of which every call takes one connection for itself. */
  readonly ownConnections?: string;
  /** Connections that somebody else can end or freeze. */
  readonly lostConnections?: string;
  /** A last word of the store on a connection that it ends, by which a write that commits by itself is known not to have been done. */
  readonly lastWords?: string;
  /** Connections of its own to the store, which it can count. */
  readonly ownPool?: string;
  /** A caller that can still refuse the answer of several writes before they are committed. */
  readonly refusedAnswers?: string;
}

export interface StoreDoor extends AsyncDisposable {
  /** What to open a store with, so that it comes this way. */
  readonly options: Pick<StoreOptions, 'shard'>;
  /** From here on a new connection is accepted, and nothing passes through it. */
  holdNewConnections(): void;
  /** Resolves when there is such a connection. */
  untilHeld(): Promise<void>;
  letThrough(): void;
}

/** Columns of `item`, in the table's order. */
export const itemColumns = ['id', 'name', 'amount', 'price', 'note'] as const;
/** A row without cells. */
export const none: Row = { columns: [], cells: [] };
/** How a test opens a store: what it does not say itself. */
export const storeOptions = (given: Pick<StoreOptions, 'shard' | 'password'> & Partial<StoreOptions>): StoreOptions => ({
  poolSize: 4,
  acquireTimeoutMs: 5_000,
  keyspace: 'shop',
  openedBy: 'a test',
  applicationName: 'contract',
  clock: systemClock,
  onBackgroundError: () => {},
  ...given,
});
/** A signal that does not abort. */
export const never = new AbortController().signal;

/** An insert into `item`. */
export const insertItem = (id: bigint, name: string, rest: Readonly<Record<string, Cell>> = {}, returning: readonly string[] = []): WriteOperation => ({
  kind: 'insert',
  table: 'item',
  row: { columns: ['id', 'name', ...Object.keys(rest)], cells: [id, name, ...Object.values(rest)] },
  returning,
});

/** An update of one item. */
export const updateItem = (
  id: bigint,
  set: Readonly<Record<string, Cell>>,
  more: { add?: Readonly<Record<string, Cell>>; precondition?: Filter; returning?: readonly string[] } = {},
): WriteOperation => ({
  kind: 'update',
  table: 'item',
  key: [id],
  set: rowOf(set),
  add: more.add === undefined ? none : rowOf(more.add),
  precondition: more.precondition ?? null,
  returning: more.returning ?? [],
});

/** A delete of one item. */
export const deleteItem = (id: bigint, more: { precondition?: Filter; allowMissing?: boolean } = {}): WriteOperation => ({
  kind: 'delete',
  table: 'item',
  key: [id],
  precondition: more.precondition ?? null,
  allowMissing: more.allowMissing ?? false,
});

/** A row of these cells by column. */
export const rowOf = (cells: Readonly<Record<string, Cell>>): Row => ({ columns: Object.keys(cells), cells: Object.values(cells) });
/** Condition on an item's amount. */
export const amountIs = (value: bigint): Filter => ({ kind: 'compare', column: 'amount', operator: '=', value });
/** The order of `item` by its key. */
export const byId: readonly OrderTerm[] = [{ column: 'id', descending: false }];

/** Waits for the failure and gives it; a success is an error of the test. */
export async function failure(work: Promise<unknown>): Promise<SwitchyardError> {
  const error = await work.then(
    (value) => new Error(`succeeded with ${String(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof SwitchyardError) return error;
  throw error;
}

/** Waits for the failure and gives its reason. */
export const reasonOf = async (work: Promise<unknown>): Promise<ErrorReason> => (await failure(work)).reason;
