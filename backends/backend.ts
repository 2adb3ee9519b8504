import type { Cell } from '../core/cell.ts';
import type { ChangeTransaction, RowChange } from '../core/change.ts';
import type { Clock } from '../core/clock.ts';
import type { FenceRow } from '../core/fence.ts';
import type { Attempt, Position, StreamToken } from '../core/ids.ts';
import type { Shard, ShardForm } from '../core/keyspace.ts';
import type {
  AggregateGroup,
  AggregateOperation,
  BatchGetOperation,
  GetOperation,
  IsolationLevel,
  QueryOperation,
  QueryPage,
  Row,
  RowLock,
  WriteOperation,
  WriteResult,
} from '../core/operation.ts';
import type { AnswerBound, OnceAnswer, OnceRequest, RequestRecord } from '../core/request-record.ts';
import type { EventLine, EventPlace, TableEvents } from '../core/table-event.ts';
import type { TableExtras } from '../core/table-extras.ts';
import type { TableSchema } from '../core/table-schema.ts';

/*
 * The narrow waist: everything above the stores is written once against this file. A store is opened under one of three identities, and what an
 * identity may do is one interface: the gateway's DataStore, the player's ReplicationStore, the owner's (control's) OwnerStore. A backend does not know that
 * routing exists. Every failure is a SwitchyardError. Everything that waits takes a signal: an abort cancels the statement in the store, and rejects with the
 * signal's reason when it is a SwitchyardError, else with CANCELLED.
 */

/** What a kind of store can do. Code above the backends asks these, never the kind's name. */
export interface Capabilities {
  /** The store can take reads away from the gateway (or answer them under a check) atomically with its fence row. */
  readonly readFence: boolean;
  /** `DataStore.begin` works. */
  readonly transactions: boolean;
  /** The store can write down changes for watchers: `OwnerStore.watch`, `DataStore.events`. */
  readonly watching: boolean;
}

/** How the application name of every process of ours begins. A gateway's transactions are told by it: they end by themselves when a hold begins. */
export const APPLICATION_PREFIX = 'switchyard ';

export interface StoreOptions {
  /** The keyspace whose store it is, for messages. */
  readonly keyspace: string;
  /** The process that opens it, for messages: it alone knows what a credential's reference stands for. E.g. `gateway "g1"`. */
  readonly openedBy: string;
  readonly shard: Shard;
  /** The secret of the identity's credential, already resolved; empty for a store that knows no logins. */
  readonly password: string;
  /** Largest number of connections; a caller that gets none within `acquireTimeoutMs` fails with STORE_OVERLOADED. */
  readonly poolSize: number;
  readonly acquireTimeoutMs: number;
  /** Shown in the store's own activity view; see `APPLICATION_PREFIX`. */
  readonly applicationName: string;
  readonly clock: Clock;
  /** Called for a fault with no caller to tell, such as a lost idle connection. Must not throw. */
  readonly onBackgroundError: (error: Error) => void;
}

/** A kind of store, as the registry holds it. Opening connects lazily. */
export interface Backend {
  readonly kind: string;
  /** What a shard of this kind names: a server with three logins, a file, or a service. */
  readonly shardForm: ShardForm;
  readonly capabilities: Capabilities;
  openData(options: StoreOptions): DataStore;
  openReplication(options: StoreOptions): ReplicationStore;
  openOwner(options: StoreOptions): OwnerStore;
  /** The script that gives the shard's three identities their rights on these tables; for an administrator. `tables` empty: every table that the owner owns. */
  grantScript(shard: Shard, tables: readonly string[]): string;
}

// ─── Gateway ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface DataStore extends AsyncDisposable {
  /** Names of the tables that could be served: ordinary tables of the keyspace, in order of name. */
  listTables(signal: AbortSignal): Promise<readonly string[]>;
  /** Reads a table's shape from the store (not cached, works also while the gateway has no right on its rows). Null: no such table. TABLE_UNSUPPORTED names what cannot be served. */
  describe(table: string, signal: AbortSignal): Promise<TableSchema | null>;

  // Reads. FENCED: the store refused because the fence has taken the right away, or may have: ask fenceRows. They see one snapshot each.
  get(table: TableSchema, operation: GetOperation, signal: AbortSignal): Promise<Row | null>;
  /** One entry per key, in order. RESULT_TOO_LARGE: see `BatchGetOperation`. */
  batchGet(table: TableSchema, operation: BatchGetOperation, signal: AbortSignal): Promise<readonly (Row | null)[]>;
  query(table: TableSchema, operation: QueryOperation, signal: AbortSignal): Promise<QueryPage>;
  aggregate(table: TableSchema, operation: AggregateOperation, signal: AbortSignal): Promise<readonly AggregateGroup[]>;

  /**
   * Runs the writes in order in one transaction (a single one as one statement). All or nothing. `schemas` holds the schema of every table named.
   * FENCED: rejected by the fence, or by a missing right that the fence may have taken: definitely not applied. OUTCOME_UNKNOWN: the connection was lost after the commit was sent,
   * or the signal aborted then. STORE_FAILED whose message says that the write was done: its answer cannot be shown. Every other failure: definitely not applied.
   * `answer` makes of the results what is returned; left out: they are. It may be called more than once. What it throws is the failure of all, and nothing was written: only a single write may be committed already, and then STORE_FAILED says so.
   * A store behind a service has committed before `answer` can be asked: it holds to `bound` instead, in the same way, and what `answer` throws beside that is STORE_FAILED.
   */
  write<T = readonly WriteResult[]>(
    schemas: ReadonlyMap<string, TableSchema>,
    operations: readonly WriteOperation[],
    signal: AbortSignal,
    answer?: (results: readonly WriteResult[]) => T,
    bound?: AnswerBound,
  ): Promise<T>;
  /**
   * The same, once: the request's record is committed together with the writes. Where there is one already nothing is written, and its result is the answer, whatever the fence says (the record was
   * written by a write that the fence let pass). Safe to repeat after every failure, OUTCOME_UNKNOWN included: a first one that is still under way is waited for. REQUEST_ID_REUSED: the record is of another content.
   * REQUEST_IDS_NOT_KEPT: the store was never prepared for records.
   */
  writeOnce(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[], request: OnceRequest, signal: AbortSignal): Promise<OnceAnswer>;

  /** Opens a transaction on a connection of its own. STORE_OVERLOADED, STORE_UNAVAILABLE; NOT_SUPPORTED where the kind has none. */
  begin(options: TransactionOptions, signal: AbortSignal): Promise<DataTransaction>;

  /** How far the store's events are complete now. Never falls. NOT_SUPPORTED; TABLE_NOT_WATCHED: the store was never prepared for events. */
  eventLine(signal: AbortSignal): Promise<EventLine>;
  /**
   * Events of a table behind `after` up to the number `until`, in order of their place, at most `limit`, and at most `maxBytes` of them, roughly, but for a first one that is larger. Also of a table that the gateway may not read any more, and of one that is watched no longer. Cells of columns that have gone
   * are left out. WATCH_TOO_OLD: events behind `after` were removed.
   */
  events(table: TableSchema, after: EventPlace, until: bigint, limit: number, maxBytes: number, signal: AbortSignal): Promise<TableEvents>;
  /** Whether changes of the table are written down. */
  isWatched(table: string, signal: AbortSignal): Promise<boolean>;

  /** The fence rows of these tables in one statement and snapshot; a table without one is left out. None at all when the store was never prepared. */
  fenceRows(tables: readonly string[], signal: AbortSignal): Promise<readonly FenceRow[]>;
  /** Opens up to `connections` connections now and parses what first calls on these tables will need. */
  warmUp(tables: readonly TableSchema[], connections: number, signal: AbortSignal): Promise<void>;
  /** Whether the store lets this identity in now, whatever connections are open: connects anew and lets go. STORE_LOGIN_REFUSED, STORE_UNAVAILABLE. A file that a move is still to make is no fault. */
  checkLogin(signal: AbortSignal): Promise<void>;
  /** Connections now: in use, idle, callers waiting. */
  poolStatus(): PoolStatus;
}

export interface TransactionOptions {
  readonly isolation: IsolationLevel;
  readonly readOnly: boolean;
  /** Whose record its commit writes; null: none. */
  readonly once: Pick<OnceRequest, 'caller' | 'id'> | null;
}

/**
 * An open transaction; one call at a time. Whatever the fence refuses to a call of its own it refuses here as well: FENCED, or SERIALIZATION_FAILURE where the transaction's snapshot is older than the fence. A signal that aborts cancels the statement, and
 * the transaction with it. Disposing of it rolls back what is not committed.
 */
export interface DataTransaction extends AsyncDisposable {
  /** The record of its request is there: it was committed before, and nothing may be done. */
  readonly wasCommitted: boolean;
  /** A statement has failed, so that only `rollBackTo` can help. Arguments that are refused and rows that are missed are no such failure. */
  readonly hasFailed: boolean;
  /** Nothing can be done with it any more: it has ended, or its connection has. */
  readonly isOver: boolean;
  get(table: TableSchema, operation: GetOperation, lock: RowLock | null, signal: AbortSignal): Promise<Row | null>;
  batchGet(table: TableSchema, operation: BatchGetOperation, lock: RowLock | null, signal: AbortSignal): Promise<readonly (Row | null)[]>;
  query(table: TableSchema, operation: QueryOperation, lock: RowLock | null, signal: AbortSignal): Promise<QueryPage>;
  aggregate(table: TableSchema, operation: AggregateOperation, signal: AbortSignal): Promise<readonly AggregateGroup[]>;
  /** In order; the first that fails is the failure of all, and those before it are done all the same. */
  write(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[], signal: AbortSignal): Promise<readonly WriteResult[]>;
  savepoint(name: string, signal: AbortSignal): Promise<void>;
  rollBackTo(name: string, signal: AbortSignal): Promise<void>;
  /** `table`: of the request's record. OUTCOME_UNKNOWN as of `write`; every other failure: nothing was committed. */
  commit(table: string, signal: AbortSignal): Promise<void>;
}

export interface PoolStatus {
  readonly busy: number;
  readonly idle: number;
  readonly waiting: number;
}

// ─── Player ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Names one stream: one direction of one workflow. `id` is unique in the cluster, e.g. "move1.forward". */
export interface StreamSpec {
  readonly id: string;
  readonly workflow: string;
  readonly tables: readonly string[];
}

/** Where a target's stream stands; written in the same transaction as the rows that it covers. */
export interface StreamState {
  readonly token: StreamToken;
  readonly position: Position;
  /** Highest attempt whose marker has been applied; 0 when none. */
  readonly marker: Attempt;
  /** Copy progress by table; a table not in here has not been begun. */
  readonly copied: ReadonlyMap<string, CopyProgress>;
}

export interface CopyProgress {
  /** Primary key of the last row copied, null before the first. */
  readonly lastKey: readonly Cell[] | null;
  readonly rows: number;
  readonly done: boolean;
}

/** Rows as their store has sent them. It has what is used of an array of them; what a row says is found out only when it is asked for. */
export interface RawRows {
  /** See `RawReader`. */
  readonly form: string;
  readonly bytes: Buffer;
  readonly length: number;
  /** Rows behind these were left out for their bytes. */
  readonly cut: boolean;
  /** VALUE_UNSUPPORTED names the row. */
  at(index: number): readonly Cell[] | undefined;
  /** All of them. VALUE_UNSUPPORTED names the row. */
  cells(): readonly (readonly Cell[])[];
}

export type ChunkRows = readonly (readonly Cell[])[] | RawRows;

export const cellsOf = (rows: ChunkRows): readonly (readonly Cell[])[] => ('cells' in rows ? rows.cells() : rows);

/** What reads rows for a store that takes them in the same form, as they are. */
export interface RawReader {
  /** Stores of the same form read each other's rows, of tables with the same fingerprint. */
  readonly form: string;
  /** As `ReplicationStore.readChunk`, but no more rows than come to some megabytes, or the first one: see `cut`. Null: not of this table. */
  readChunk(table: TableSchema, after: readonly Cell[] | null, limit: number, signal: AbortSignal): Promise<RawRows> | null;
}

/** Rows of one table that are copied. */
export interface CopiedChunk {
  readonly table: string;
  /** Raw ones only of a form that the store itself reads. */
  readonly rows: ChunkRows;
  /** The rows are in the order of the source's primary key, and the source has no others between the first and the last. */
  readonly contiguous: boolean;
  readonly progress: CopyProgress;
}

/** Changes to apply in one transaction. */
export interface ApplyBatch {
  /** In the source's order. Applied so that the result equals applying one after another; `truncate` is a barrier. Unchanged cells keep the target's value. */
  readonly changes: readonly RowChange[];
  /** Rows to insert or overwrite after `changes`: a copied chunk, at most one table a batch. */
  readonly copied: CopiedChunk | null;
  /** Records of requests, streamed or copied, in any order: where one is there already the later written stays. `progress` is written down under `REQUESTS` when they were copied. */
  readonly requests: { readonly records: readonly RequestRecord[]; readonly progress: CopyProgress | null };
  /** Null: as it is. A batch of copied records alone has none, and may be applied beside another batch of the stream. */
  readonly position: Position | null;
  /** Highest marker within the changes, null for none. */
  readonly marker: Attempt | null;
}

/**
 * Which transactions a read of the source sees that begins after this look. Where the log has a transaction earlier than its readers (PostgreSQL: while it waits for a synchronous standby, or for a processor), rows that are read may be older than
 * what the log has said of them.
 */
export interface Visibility {
  /** Whether the transaction has ended for readers. */
  hasEnded(id: number): boolean;
  /** Those that have not, whether the log has them or not. */
  readonly running: readonly number[];
  /** The id that the next transaction gets; null: whatever the log has is seen. */
  readonly next: number | null;
}

/** By what is running and the next id. Ids are of 32 bits and go round: the later one of two is the one that is less than half the round ahead. */
export function visibilityOf(next: number | null, running: readonly number[]): Visibility {
  const isRunning = new Set(running);
  return { next, running, hasEnded: (id) => next === null || (((next - id) | 0) > 0 && !isRunning.has(id)) };
}

/** Of a store whose log and rows are one. */
export const allVisible: Visibility = visibilityOf(null, []);

export interface ReplicationStore extends AsyncDisposable {
  /** See `DataStore.checkLogin`. */
  checkLogin(signal: AbortSignal): Promise<void>;
  describe(table: string, signal: AbortSignal): Promise<TableSchema | null>;

  // As a source.
  /**
   * Follows the log from `from`: every later transaction that touches the stream's tables, its workflow's markers or its own watermarks, in commit order, grouped in arrays as they arrive (a
   * transaction is never split). Transactions of a player (those that touch `switchyard.stream`) are left out. Empty arrays come at least once a second, so that the caller can confirm and
   * measure. Ends with STREAM_FAILED (shape changed, log position lost) or STORE_UNAVAILABLE. One reader a stream.
   */
  follow(stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>, from: Position, signal: AbortSignal): ChangeFeed;
  /** One look; see `Visibility`. */
  visibility(signal: AbortSignal): Promise<Visibility>;
  /** Up to `limit` whole rows in primary key order after `after` (null: from the start), one snapshot; fewer only where there are no more. */
  readChunk(table: TableSchema, after: readonly Cell[] | null, limit: number, signal: AbortSignal): Promise<readonly (readonly Cell[])[]>;
  /** Left out: it reads and takes cells only. */
  readonly raw?: RawReader;
  /** The rows with these keys, in no order; a missing row is left out. */
  readRows(table: TableSchema, keys: readonly (readonly Cell[])[], signal: AbortSignal): Promise<readonly (readonly Cell[])[]>;
  /**
   * Up to `limit` records of requests that name one of the tables, in order of their key (caller, id, table; by code point) after `after` (null: from the start), one snapshot. Fewer only where there are no more or
   * their results come to `REQUESTS_CHUNK_BYTES`.
   */
  readRequests(tables: readonly string[], after: readonly Cell[] | null, limit: number, signal: AbortSignal): Promise<readonly RequestRecord[]>;
  /** Writes a watermark for the stream into the store's own log, in its own committed transaction. */
  writeWatermark(stream: StreamSpec, id: number, signal: AbortSignal): Promise<void>;
  /** The store's own estimate of a table's rows. */
  estimateRows(table: string, signal: AbortSignal): Promise<number>;

  // As a target.
  /** Takes the stream over: raises its token by one and returns its state. Every earlier player of the stream is refused from here on. STREAM_FAILED: no such stream. */
  takeStream(stream: StreamSpec, signal: AbortSignal): Promise<StreamState>;
  /**
   * One transaction: a locking update of the stream's row where the token is `token`, a check that every table's fence is CLOSED, rows, position, marker, copy progress. STREAM_TAKEN: the token is not the
   * present one, or a table is not CLOSED; nothing was applied.
   */
  apply(stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>, token: StreamToken, batch: ApplyBatch, signal: AbortSignal): Promise<void>;
}

/** A followed log. Iterate once; leaving the loop or disposing ends it. */
export interface ChangeFeed extends AsyncIterable<readonly ChangeTransaction[]>, AsyncDisposable {
  /** Tells the source that everything up to here is committed on the target and may be forgotten. Never beyond what is. */
  confirm(position: Position): void;
}

// ─── Owner ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What a check found; `fix` is the statement or step that helps. */
export interface Problem {
  readonly table: string | null;
  readonly message: string;
  readonly fix: string;
}

/** The tables of one workflow in one store, as every transition asks for them: the row's workflow and peer must match. */
export interface FenceScope {
  readonly workflow: string;
  /** Keyspace at the other end. */
  readonly peer: string;
  readonly tables: readonly string[];
}

/** A log that was begun in a store, and what the store keeps because of it. */
export interface KeptLog {
  /** As the store calls it; no other log of the store has it. */
  readonly name: string;
  /** Id of its stream; null: the store does not remember it. */
  readonly stream: string | null;
  /** What has not been confirmed; an estimate where counting would cost too much. */
  readonly bytes: number;
  /** Whether somebody follows it now; null: the store cannot tell. */
  readonly followed: boolean | null;
  /** The statement by which the store's owner drops it by hand. */
  readonly dropText: string;
}

/** A table's definition, enough to make the like of it in another store. */
export interface TableDefinition {
  readonly schema: TableSchema;
  /** What a store of another kind makes the like of, beside the schema. The same kind goes by `native`. */
  readonly extras: TableExtras;
  /**
   * What the store keeps of the table's rows beside all that, and a like of another kind would lack, each by name, for people: checks, exclusions, unique indexes on a part of the rows or on expressions, foreign keys that change rows. Such a
   * table is made anew only by the same kind; another refuses it (PRECHECK_FAILED), for somebody to make it by hand.
   */
  readonly more: readonly string[];
  /** Understood by the same kind only: everything, in the store's own words. */
  readonly native: { readonly kind: string; readonly detail: unknown };
}

export interface SequenceState {
  readonly table: string;
  readonly column: string;
  /** Highest value handed out so far. */
  readonly value: bigint;
}

/** A stream's row seen from its target together with the fence rows: what `commit` looks at, in one statement. */
export interface CatchUpState {
  /** Highest marker applied; 0 when none. */
  readonly marker: Attempt;
  readonly fences: readonly FenceRow[];
}

/** What a stream's beginning rests on, looked at before its log is begun. */
export interface StreamSeen {
  /** See `OwnerStore.streamToken`. */
  readonly token: StreamToken | null;
  /** The stream's tables in the store that it leads to, and the state that they are in: nothing has been switched. */
  readonly scope: FenceScope;
  readonly state: 'OPEN' | 'CLOSED';
}

export interface OwnerStore extends AsyncDisposable {
  // Prepare. Idempotent; DDL allowed; minutes allowed.
  /** Creates or updates the store's own schema `switchyard`. */
  install(signal: AbortSignal): Promise<void>;
  /** Begins to write down the changes of these tables, or ends it; repeating it is success. What was written down stays. NOT_SUPPORTED. */
  watch(tables: readonly string[], on: boolean, signal: AbortSignal): Promise<void>;
  /** The tables whose changes are written down. */
  watched(signal: AbortSignal): Promise<readonly string[]>;
  /** Removes events older than `ageMs` on the store's clock, at most `limit`; returns how many. Nothing where the store was never prepared. */
  expireEvents(ageMs: number, limit: number, signal: AbortSignal): Promise<number>;
  /** Removes records of requests that are older than `ageMs` on the store's own clock, at most `limit` of them; returns how many. Not streamed. Nothing where the store was never prepared. */
  expireRequests(ageMs: number, limit: number, signal: AbortSignal): Promise<number>;
  /** Problems of the store itself, whatever is moved: server settings, rights that the grant script gives, rights of the gateway that no fence could take away. Looks only. */
  checkStore(signal: AbortSignal): Promise<readonly Problem[]>;
  /** Problems that make these tables unmovable from or into this store, each with its fix: no primary key, unsupported types, foreign keys that leave the set, partitions, rights that the fence could not take
   * away (ownership, superuser, PUBLIC, other grantors, column rights), missing server settings or rights of the identities. */
  checkTables(tables: readonly string[], side: 'source' | 'target', signal: AbortSignal): Promise<readonly Problem[]>;
  /** Problems that would make a hold long or unsafe just now: transactions older than `transactionAgeMs`, prepared transactions. */
  checkQuiet(tables: readonly string[], transactionAgeMs: number, signal: AbortSignal): Promise<readonly Problem[]>;
  define(tables: readonly string[], signal: AbortSignal): Promise<readonly TableDefinition[]>;
  /** What `createTables` and then `createIndexes` would run, for people, and behind it, as comments, what they would leave out. PRECHECK_FAILED names everything that this store cannot be told. */
  planTables(definitions: readonly TableDefinition[], signal: AbortSignal): Promise<readonly string[]>;
  /**
   * Creates missing tables with keys, sequences and constraints, and with those indexes that they need at once or that this kind cannot make beside writers; PRECHECK_FAILED when an existing table is not alike or, for an unclaimed one, holds rows.
   * Fence triggers are on before anyone has a right on them.
   */
  createTables(scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void>;
  /**
   * The plain secondary indexes that `createTables` has left for later: makes those that the scope's tables lack, and may take hours. Writers of the tables are not kept waiting meanwhile. `definitions`: of all tables that were made together, as `createTables`
   * has them. For tables that the workflow has made itself; FENCE_CONFLICT where one of the scope is not its own and CLOSED. What was cut off is done again; of two callers at once one waits, or fails with an error that can be tried again. PRECHECK_FAILED names
   * the index that this store cannot make.
   */
  createIndexes(scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void>;
  dropTables(scope: FenceScope, signal: AbortSignal): Promise<void>;

  /**
   * Takes the tables' fence rows for a workflow by compare-and-set from no owner: the target's CLOSED with its fence on (a row that is OPEN, or a table with rows that nobody owns, is refused: TABLE_OWNED, PRECHECK_FAILED),
   * the source's OPEN with its triggers installed but off. Repeating it is success.
   */
  claim(scope: FenceScope, side: 'source' | 'target', signal: AbortSignal): Promise<void>;
  /**
   * Clears the owner of the scope's rows, all of which must be in this state; state and attempt stay for ever. FENCE_CONFLICT otherwise: a cutover is under way, or has switched meanwhile. Rows that the workflow does not own (any
   * more) are left alone. From then on no transition of the workflow finds them.
   */
  disown(scope: FenceScope, state: 'OPEN' | 'CLOSED', signal: AbortSignal): Promise<void>;
  /** The gateway's rights that `open` will give on this store: those that it has on the other one. Saved in the store. */
  saveRights(scope: FenceScope, rights: ReadonlyMap<string, readonly string[]>, signal: AbortSignal): Promise<void>;
  /** The gateway's present rights by table: SELECT, INSERT, UPDATE, DELETE. */
  gatewayRights(tables: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, readonly string[]>>;

  /**
   * As a source: begins keeping the log for the stream anew (slot, publication), throwing away what there is, and returns where it starts. `by`: the attempt that needs it; 0 before there is any.
   * LOCK_TAKEN, with nothing changed: a later attempt has begun it, which whoever has slept meanwhile must not take away.
   */
  createLog(stream: StreamSpec, by: Attempt, signal: AbortSignal): Promise<Position>;
  /** As a source: lets the log go, also where there is none; one that a later attempt than `by` has begun stays, without an error. Null: the workflow ends; the log goes whoever has begun it, and with it the memory of who that was. */
  dropLog(stream: StreamSpec, by: Attempt | null, signal: AbortSignal): Promise<void>;
  /** Every log of Switchyard's that this store keeps something for, whoever has begun it and whether or not its workflow is still known, in order of name. Empty where the store keeps its history by settings of its own. Looks only, at little cost. */
  keptLogs(signal: AbortSignal): Promise<readonly KeptLog[]>;
  /**
   * Drops the log if it still keeps at least so much when it goes, ending its reader first; false: it does not, or is not there. Its stream cannot go on, also not from a log that is begun later under the same name: it ends with STREAM_FAILED
   * (`problem` LOG_LOST). Who had begun it stays remembered.
   */
  dropKeptLog(name: string, atLeastBytes: number, signal: AbortSignal): Promise<boolean>;
  /** Removes what no log keeps any more, at most `limit` changes; returns how many. Nothing where the store does that by itself, or was never prepared. */
  trimLogs(limit: number, signal: AbortSignal): Promise<number>;
  /** As a target: the token that the stream's row has now; null: there was never such a stream. */
  streamToken(stream: StreamSpec, signal: AbortSignal): Promise<StreamToken | null>;
  /**
   * As a target: the stream begins at `position`, anew where there is one already: its marker stays, its token rises. One transaction with the look at what was `seen` before the log was begun. FENCE_CONFLICT when that is so no more:
   * somebody else has gone on with the stream, and a beginning at a later place would lose what lies between.
   */
  beginStream(stream: StreamSpec, position: Position, seen: StreamSeen, signal: AbortSignal): Promise<void>;
  dropStream(stream: StreamSpec, signal: AbortSignal): Promise<void>;

  sequences(tables: readonly string[], signal: AbortSignal): Promise<readonly SequenceState[]>;
  /** Raises sequences to at least these values; never lowers one. */
  raiseSequences(states: readonly SequenceState[], signal: AbortSignal): Promise<void>;

  /** Every fence row of the store, or of these tables. */
  fenceRows(tables: readonly string[] | null, signal: AbortSignal): Promise<readonly FenceRow[]>;
  /** A warm connection of its own for the transitions of one cutover. */
  openFence(scope: FenceScope, signal: AbortSignal): Promise<FenceSession>;
  /** Takes the checks of an OPEN table off the write path where that is cheap; never waits longer than 50 ms for a lock. Best effort. */
  relaxFence(scope: FenceScope, signal: AbortSignal): Promise<void>;
}

/**
 * The transitions, each one conditional transaction over all tables of the scope, idempotent and safe to repeat by anyone at any time: a transition that changes no row reads again, and the wished state with the same
 * attempt, workflow and peer is success; anything else is FENCE_CONFLICT. After `fence` none takes a table lock or runs DDL.
 */
export interface FenceSession extends AsyncDisposable {
  /** The highest attempt that the store knows of the scope's workflow and tables: that of a fence row, or one that has begun to prepare. Another one must be higher, or it is refused. */
  highestAttempt(signal: AbortSignal): Promise<Attempt>;
  /**
   * The attempt begins to prepare: from here on no earlier one can `fence` this store, whatever it has looked at. LOCK_TAKEN: a later one has begun. What is looked at after it can only be changed by a later attempt. No drain, no
   * change of a fence row, as often as one likes.
   */
  prepare(attempt: Attempt, signal: AbortSignal): Promise<void>;
  /**
   * OPEN, attempt lower, no later one has begun to prepare → FROZEN(attempt): drains writers, refuses new ones, ends the history with the attempt's marker. LOCK_TIMEOUT: writers did not drain within `lockTimeoutMs`;
   * LOCK_TAKEN: a later attempt has begun to prepare; nothing changed in both.
   */
  fence(attempt: Attempt, lockTimeoutMs: number, signal: AbortSignal): Promise<void>;
  /** FROZEN(attempt) → SEALED(attempt): the decision. Legal once the marker is durable in the target. */
  commit(attempt: Attempt, signal: AbortSignal): Promise<void>;
  /** FROZEN(attempt) → OPEN: the other decision. */
  abort(attempt: Attempt, signal: AbortSignal): Promise<void>;
  /** CLOSED, attempt lower, marker in the stream's row → READABLE: gives gateways SELECT. Legal once the source is SEALED(attempt). */
  ready(stream: StreamSpec, attempt: Attempt, signal: AbortSignal): Promise<void>;
  /** SEALED(attempt) → CLOSED: takes every right of the gateways. Legal once the target is READABLE. */
  close(attempt: Attempt, signal: AbortSignal): Promise<void>;
  /** READABLE, attempt lower → OPEN(attempt), stream token + 1: gives gateways their saved rights. Legal once the source is CLOSED. */
  open(stream: StreamSpec, attempt: Attempt, signal: AbortSignal): Promise<void>;
  /** As a target: what the stream has recorded, with the fence rows, in one statement. */
  catchUp(stream: StreamSpec, signal: AbortSignal): Promise<CatchUpState>;
  sequences(signal: AbortSignal): Promise<readonly SequenceState[]>;
  fenceRows(signal: AbortSignal): Promise<readonly FenceRow[]>;
}
