import type { ChangeFeed, ChunkRows, CopyProgress, ReplicationStore, StreamSpec, StreamState } from '../../backends/backend.ts';
import { type Cell, keyText } from '../../core/cell.ts';
import type { ChangeTransaction, RowChange } from '../../core/change.ts';
import type { Clock } from '../../core/clock.ts';
import type { Attempt } from '../../core/ids.ts';
import type { RequestRecord } from '../../core/request-record.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import { keyIndexes, type TableSchema } from '../../core/table-schema.ts';
import { ChangeQueue } from './change-queue.ts';
import { type BothRows, LogWindow, type WindowFill, type WholeRow } from './log-window.ts';
import { completeMoves } from './moved-rows.ts';
import type { RecentKeys } from './recent-keys.ts';
import { keyOf } from './replay.ts';
import type { StreamSchemas } from './stream-schemas.ts';
import { UnseenTransactions } from './unseen-transactions.ts';

const bounds = { batchChanges: 2_000, batchBytes: 4 * 1024 * 1024, batches: 4 };
/** Changes are gathered this long before they are applied: a commit costs the target more than many rows. */
export const gatherMs = 25;
/** The same when a cutover is near, which waits for the last change. */
const hurriedGatherMs = 5;
/** The source says something at least once a second; a longer silence counts as lag. */
const silenceMs = 2_000;
const heartbeatMs = 10_000;
/** Watermark ids of one player; its token makes them unique in the stream's log. */
const idsPerToken = 2 ** 31;

export interface PlayerOptions {
  readonly stream: StreamSpec;
  readonly schemas: StreamSchemas;
  /** Whose log is followed. */
  readonly from: ReplicationStore;
  /** Where it is applied. */
  readonly to: ReplicationStore;
  readonly clock: Clock;
  readonly recent: RecentKeys;
  /** Whether a small lag is worth more than a light load just now. */
  readonly hurried: () => boolean;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The data path of one attempt of one stream: takes the stream over, follows the source's log from the stream's position and applies it in batches of what has arrived meanwhile, or within 25 ms; 5 ms when a cutover waits for it. Windows for the
 * copier and for comparisons run in the same order as the changes. Nothing is confirmed to the source that the target has not committed.
 */
export class Player {
  readonly #options: PlayerOptions;
  readonly #queue: ChangeQueue;
  readonly #state: StreamState;
  readonly #waiters = new Map<number, Waiter>();
  readonly #unseen: UnseenTransactions;
  /** Told when the log shows a watermark, of all that it has shown before. */
  readonly #arrivals = new Map<number, PromiseWithResolvers<readonly number[]>>();
  readonly #windows = new Set<LogWindow>();
  #lastId: number;
  #heardAt: number;
  #caughtUp = false;
  #copying = false;
  #ended: { readonly error: unknown } | null = null;

  private constructor(options: PlayerOptions, state: StreamState) {
    this.#options = options;
    this.#queue = new ChangeQueue(options.clock, { ...bounds, gatherMs: () => (options.hurried() ? hurriedGatherMs : gatherMs) });
    this.#state = state;
    this.#unseen = new UnseenTransactions(options.from, options.clock);
    this.#lastId = state.token * idsPerToken;
    this.#heardAt = options.clock.monotonic();
  }

  /** Takes the stream over: from here on every earlier player of it is refused. */
  static async take(options: PlayerOptions, signal: AbortSignal): Promise<Player> {
    return new Player(options, await options.to.takeStream(options.stream, signal));
  }

  /** What the target had recorded when the stream was taken. */
  get state(): StreamState {
    return this.#state;
  }

  /** While tables are being copied a row that changes its key may not be on the target yet. */
  set copying(copying: boolean) {
    this.#copying = copying;
  }

  /** Age of the oldest change that is not committed on the target; null until everything that was there at the start is. */
  lagMs(): number | null {
    if (!this.#caughtUp || this.#ended !== null) return null;
    const silent = this.#options.clock.monotonic() - this.#heardAt;
    return Math.max(this.#queue.lagMs(), silent > silenceMs ? silent : 0);
  }

  /** Follows and applies until the signal aborts or something fails; never resolves. `onFollowing` is called once, when the log has begun to arrive. */
  async run(onFollowing: () => void, signal: AbortSignal): Promise<never> {
    const failure = new AbortController();
    const both = AbortSignal.any([signal, failure.signal]);
    await using feed = this.#options.from.follow(this.#options.stream, this.#options.schemas.from, this.#state.position, both);
    const parts = [this.#read(feed, onFollowing, both), this.#apply(feed, both), this.#beat(both)];
    try {
      return await Promise.race(parts);
    } catch (error) {
      failure.abort(error);
      this.#end(error);
      await Promise.allSettled(parts);
      if (hasReason(error, 'STREAM_FAILED') && !signal.aborted) await this.#requireOurs(signal);
      throw error;
    }
  }

  /** STREAM_TAKEN where the stream is not ours any more: then whoever has it has moved the log on, or begun it anew, and that we cannot follow it says nothing of the stream. */
  async #requireOurs(signal: AbortSignal): Promise<void> {
    const { stream, schemas, to } = this.#options;
    await to.apply(stream, schemas.to, this.#state.token, { changes: [], copied: null, requests: { records: [], progress: null }, position: null, marker: null }, signal);
  }

  /** Resolves when everything that the source had committed before this call is committed on the target. */
  async passWatermark(signal: AbortSignal): Promise<void> {
    const id = this.#nextId();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => undefined);
    this.#waiters.set(id, { resolve, reject });
    try {
      await this.#writeWatermark(id, signal);
      await settledOr(promise, signal);
    } finally {
      this.#waiters.delete(id);
    }
  }

  /** Resolves when a read of the source sees all that its log has by now. STORE_UNAVAILABLE when that takes more than 30 s. */
  untilReadable(signal: AbortSignal): Promise<void> {
    return this.#untilReadable(this.#nextId(), signal);
  }

  /** Reads a chunk between two watermarks. Resolves when the second is written, with what resolves when the chunk and its progress are committed on the target. */
  async copyChunk(table: TableSchema, read: () => Promise<{ rows: ChunkRows; progress: CopyProgress }>, signal: AbortSignal): Promise<{ readonly applied: Promise<unknown> }> {
    const window = await this.#runWindow(
      table,
      async () => {
        const { rows, progress } = await read();
        return { rows, use: { kind: 'copy', progress } };
      },
      signal,
    );
    return { applied: window.passed };
  }

  /** Applies copied records of requests with their progress, beside the stream's batches: they are only ever added, so they need no place in the source's history. */
  async applyRequests(records: readonly RequestRecord[], progress: CopyProgress, signal: AbortSignal): Promise<void> {
    const { stream, schemas, to } = this.#options;
    await to.apply(stream, schemas.to, this.#state.token, { changes: [], copied: null, requests: { records, progress }, position: null, marker: null }, signal);
  }

  /** The rows of these keys on both sides as they were at one place of the source's history, whatever goes on meanwhile. A missing row is left out. */
  async readBoth(table: TableSchema, keys: readonly (readonly Cell[])[], signal: AbortSignal): Promise<BothRows> {
    const window = await this.#runWindow(table, async () => ({ rows: await this.#options.from.readRows(table, keys, signal), use: { kind: 'compare', keys } }), signal);
    const rows = await settledOr(window.passed, signal);
    if (rows === null) throw new Error('a comparison ended as a copy');
    return rows;
  }

  /** Makes the target's rows of these keys what the source's are, at one place of the source's history. Resolves when that is committed. */
  async repair(table: TableSchema, keys: readonly (readonly Cell[])[], signal: AbortSignal): Promise<void> {
    const window = await this.#runWindow(table, async () => ({ rows: await this.#options.from.readRows(table, keys, signal), use: { kind: 'repair', keys } }), signal);
    await settledOr(window.passed, signal);
  }

  async #runWindow(table: TableSchema, read: () => Promise<WindowFill>, signal: AbortSignal): Promise<LogWindow> {
    const window = new LogWindow(table, this.#nextId(), this.#nextId());
    this.#windows.add(window);
    try {
      await this.#untilReadable(window.low, signal);
      window.fill(await read());
      await this.#writeWatermark(window.high, signal);
    } catch (error) {
      this.#windows.delete(window);
      throw error;
    }
    return window;
  }

  /** Writes the watermark. Resolves when whoever reads the source from here on sees all that its log has before the watermark. */
  async #untilReadable(watermark: number, signal: AbortSignal): Promise<void> {
    const arrival = Promise.withResolvers<readonly number[]>();
    arrival.promise.catch(() => undefined);
    this.#arrivals.set(watermark, arrival);
    try {
      await this.#writeWatermark(watermark, signal);
      await this.#unseen.untilSeen(await settledOr(arrival.promise, signal), signal);
    } finally {
      this.#arrivals.delete(watermark);
    }
  }

  /** The log shows the transaction. */
  #arrived({ id, events }: ChangeTransaction): void {
    for (const event of events) if (event.kind === 'watermark') this.#arrivals.get(event.id)?.resolve(this.#unseen.shown);
    this.#unseen.add(id);
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  async #writeWatermark(id: number, signal: AbortSignal): Promise<void> {
    if (this.#ended !== null) throw this.#ended.error;
    await this.#options.from.writeWatermark(this.#options.stream, id, signal);
  }

  async #read(feed: ChangeFeed, onFollowing: () => void, signal: AbortSignal): Promise<never> {
    const first = this.passWatermark(signal).then(() => {
      this.#caughtUp = true;
    });
    const groups = (async (): Promise<never> => {
      let following = false;
      for await (const group of feed) {
        this.#heardAt = this.#options.clock.monotonic();
        if (!following) onFollowing();
        following = true;
        for (const transaction of group) {
          this.#arrived(transaction);
          this.#queue.push(transaction);
        }
        await this.#queue.room(signal);
      }
      throw new SwitchyardError('STORE_UNAVAILABLE', `the log of stream ${this.#options.stream.id} ended`);
    })();
    const [, result] = await Promise.all([first, groups]);
    return result;
  }

  /** Moves the confirmed position on while nothing of the stream's tables changes, and shows that the log still flows. */
  async #beat(signal: AbortSignal): Promise<never> {
    for (;;) {
      await this.#options.clock.sleep(heartbeatMs, signal);
      await this.#writeWatermark(this.#nextId(), signal);
      await this.#unseen.forgetSeen(signal);
    }
  }

  async #apply(feed: ChangeFeed, signal: AbortSignal): Promise<never> {
    for (;;) {
      const transactions = await this.#queue.take((transaction) => this.#endsBatch(transaction), signal);
      const position = transactions.at(-1)?.position;
      if (position === undefined) continue;
      await this.#applyBatch(transactions, position, signal);
      feed.confirm(position);
      this.#queue.settle();
      for (const transaction of transactions) {
        for (const event of transaction.events) if (event.kind === 'watermark') this.#waiters.get(event.id)?.resolve();
      }
    }
  }

  /** A marker is what a cutover waits for; a window's end is where its rows are exact. */
  #endsBatch(transaction: ChangeTransaction): boolean {
    const windows = [...this.#windows];
    return transaction.events.some((event) => event.kind === 'marker' || (event.kind === 'watermark' && windows.some((window) => window.high === event.id)));
  }

  async #applyBatch(transactions: readonly ChangeTransaction[], position: StreamState['position'], signal: AbortSignal): Promise<void> {
    const { stream, schemas, to } = this.#options;
    const changes: RowChange[] = [];
    const records: RequestRecord[] = [];
    let marker: Attempt | null = null;
    let ending: LogWindow | null = null;
    const events = transactions.flatMap((transaction) => transaction.events);
    const untilSeen = (): Promise<void> => this.#unseen.untilSeen(this.#unseen.shown, signal);
    const whole = this.#copying ? await completeMoves(this.#options.from, untilSeen, schemas.from, events, signal) : events;
    for (const event of whole) {
      if (event.kind === 'marker') marker = marker === null || event.attempt > marker ? event.attempt : marker;
      else if (event.kind === 'watermark') ending = this.#passWindow(event.id) ?? ending;
      else if (event.kind === 'request') records.push(event.record);
      else {
        changes.push(event);
        for (const window of this.#windows) window.record(event);
      }
    }
    const end = ending?.end() ?? null;
    const copied = end?.kind === 'copy' ? { table: end.table.name, rows: end.rows, contiguous: end.contiguous, progress: end.progress } : null;
    const repairs = end?.kind === 'repair' ? repairsOf(end.table, end.rows, end.keys) : [];
    const batch = { changes: [...changes, ...repairs], copied, requests: { records, progress: null }, position, marker };
    await to.apply(stream, schemas.to, this.#state.token, batch, signal);
    this.#remember(batch.changes);
    if (ending === null || end === null) return;
    // Until it is settled it is among those that a failure ends.
    const compared = end.kind === 'compare' ? { from: end.rows, to: await this.#targetRows(end.table, end.keys, signal) } : null;
    this.#windows.delete(ending);
    ending.settle(compared);
  }

  /** Begins the window that has this low watermark; returns the one that has this high watermark. */
  #passWindow(id: number): LogWindow | null {
    for (const window of this.#windows) {
      if (window.low === id) window.begin();
      if (window.high === id) return window;
    }
    return null;
  }

  async #targetRows(table: TableSchema, keys: readonly (readonly Cell[])[], signal: AbortSignal): Promise<ReadonlyMap<string, WholeRow>> {
    const indexes = keyIndexes(table);
    const rows = await this.#options.to.readRows(this.#options.schemas.to.get(table.name) ?? table, keys, signal);
    return new Map(rows.map((row) => [keyText(keyOf(indexes, row)), row]));
  }

  #remember(changes: readonly RowChange[]): void {
    // Only the last ones can stay; a large batch need not pass them all through.
    for (const change of changes.slice(-2_000)) {
      if (change.kind === 'truncate') continue;
      const table = this.#options.schemas.from.get(change.table);
      if (table === undefined) continue;
      if (change.kind === 'delete') this.#options.recent.add(change.table, change.key);
      else this.#options.recent.add(change.table, keyOf(keyIndexes(table), change.row));
      if (change.kind === 'update' && change.oldKey !== null) this.#options.recent.add(change.table, change.oldKey);
    }
  }

  #end(error: unknown): void {
    this.#ended = { error };
    for (const waiter of [...this.#waiters.values(), ...this.#arrivals.values()]) waiter.reject(error);
    for (const window of this.#windows) window.fail(error);
  }
}

/** `promise`, or the signal's reason as soon as it aborts. */
async function settledOr<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Changes that make the rows of these keys what `rows` says. All are removed first: wrong rows may hold each other's unique keys. */
function repairsOf({ name: table }: TableSchema, rows: ReadonlyMap<string, WholeRow>, keys: readonly (readonly Cell[])[]): readonly RowChange[] {
  const removed = keys.map((key): RowChange => ({ kind: 'delete', table, key }));
  const made = keys.flatMap((key): readonly RowChange[] => {
    const row = rows.get(keyText(key));
    return row === undefined ? [] : [{ kind: 'insert', table, row }];
  });
  return [...removed, ...made];
}
