import type { ChangeTransaction } from '../../../core/change.ts';
import type { Clock } from '../../../core/clock.ts';
import { type Position, position } from '../../../core/ids.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { ChangeFeed, StreamSpec } from '../../backend.ts';
import type { Connection } from '../connection.ts';
import { abortError } from '../../abort-error.ts';

import { lastId, trimLog } from '../owner/log.ts';
import type { StoreClient } from '../store-client.ts';
import { type LogEntry, LogReader } from './log-reader.ts';
import { checkLog, checkShapes, logLost, parsePosition } from './log-shape.ts';

/** An empty array is delivered when nothing has come for so long, and what is confirmed is written down as often. */
const BEAT_MS = 1_000;
/** How often it is asked whether anybody has committed: a look at shared memory, some microseconds. A little less often where nothing has come for a while. */
const POLL_MS = 2;
const IDLE_POLL_MS = 5;
const IDLE_AFTER_MS = 2_000;
/** Rows that are read at once; between two such pieces everything else has its turn. */
const SLICE_ROWS = 500;
/** So much is delivered at once at the most. The log does not tell where its writers' transactions end, only where a look ended: within a backlog longer than this the end of a part may be within one of them. */
const GROUP_ROWS = 25_000;
const GROUP_BYTES = 32 * 1024 * 1024;
/** A log that goes on without anything for the stream delivers its position so often, as a transaction without events. */
const IDLE_POSITION_MS = 5_000;
/** Of the log that nobody needs any more so much is removed at a beat, in small pieces, waiting this long for the lock at most. */
const TRIM_ROWS = 500;
const TRIM_PIECES = 40;
const TRIM_LOCK_MS = 50;

export interface FeedParts {
  readonly stream: StreamSpec;
  readonly schemas: ReadonlyMap<string, TableSchema>;
  readonly from: Position;
  readonly clock: Clock;
  /** A connection that reads and never writes, so that it notices every commit. It ends with the feed. */
  readonly reading: StoreClient;
  readonly writing: StoreClient;
}

/**
 * One stream's log. What one look finds was committed before it, and a transaction is never found in part: so everything that came since the last look is delivered as one transaction (of one or several of the source's), but for
 * markers and watermarks, which stand alone. The states: not begun → following → ended, by the consumer, by the signal or by a failure.
 */
export class LogFeed implements ChangeFeed {
  readonly #parts: FeedParts;
  readonly #signal: AbortSignal;
  readonly #end = new AbortController();
  readonly #reader: LogReader;
  /** Everything up to here has been looked at. */
  #reached: bigint;
  /** Newest position that was delivered. */
  #delivered: bigint;
  #deliveredAtMs: number;
  #confirmed: bigint;
  #saved: bigint;
  /** What the last look saw: the connection, its count of others' commits, the file's schema. */
  #seen: { readonly connection: Connection; readonly commits: unknown; readonly schema: unknown } | null = null;
  #begun = false;

  constructor(parts: FeedParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = AbortSignal.any([signal, this.#end.signal]);
    this.#reader = new LogReader(parts.stream, parts.schemas);
    this.#reached = parsePosition(parts.from);
    this.#delivered = this.#reached;
    this.#deliveredAtMs = parts.clock.monotonic();
    this.#confirmed = this.#reached;
    this.#saved = -1n;
  }

  confirm(to: Position): void {
    const id = parsePosition(to);
    if (id > this.#confirmed) this.#confirmed = id;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly ChangeTransaction[]> {
    if (this.#begun) throw new SwitchyardError('INTERNAL', 'a followed log is read only once');
    this.#begun = true;
    const { clock } = this.#parts;
    try {
      let heardAtMs = clock.monotonic();
      let toldAtMs = Number.NEGATIVE_INFINITY;
      let beatAtMs = clock.monotonic();
      for (;;) {
        const transactions = await this.#look();
        if (this.#signal.aborted) break;
        const nowMs = clock.monotonic();
        if (nowMs - beatAtMs >= BEAT_MS) {
          await this.#save();
          beatAtMs = nowMs;
        }
        if (transactions.length > 0) heardAtMs = nowMs;
        if (transactions.length > 0 || nowMs - toldAtMs >= BEAT_MS) {
          toldAtMs = nowMs;
          yield transactions;
        }
        if (this.#signal.aborted) break;
        if (transactions.length === 0) await clock.sleep(nowMs - heardAtMs > IDLE_AFTER_MS ? IDLE_POLL_MS : POLL_MS, this.#signal).catch(() => undefined);
      }
      if (!this.#end.signal.aborted) throw abortError(this.#signal);
    } catch (error) {
      if (!this.#end.signal.aborted) throw error;
    } finally {
      this.#parts.reading[Symbol.dispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    this.#parts.reading[Symbol.dispose]();
  }

  /** What was committed since the last look. */
  async #look(): Promise<readonly ChangeTransaction[]> {
    const until = await this.#parts.reading.read(this.#signal, ({ connection }) => this.#newest(connection));
    if (until === null) return [];
    const transactions: ChangeTransaction[] = [];
    let group: LogEntry[] = [];
    const end = (): void => {
      const last = group[group.length - 1];
      if (last !== undefined) transactions.push({ id: null, position: position(String(last.id)), ageMs: last.ageMs, events: group.map(({ event }) => event) });
      group = [];
    };
    // Every id up to the newest is in the log for good: what the pieces see is what one look would have seen.
    for (let rows = 0, bytes = 0; this.#reached < until && rows < GROUP_ROWS && bytes < GROUP_BYTES; ) {
      const slice = await this.#parts.reading.read(this.#signal, ({ connection }) => {
        // In the snapshot that is read: a log that was dropped meanwhile may have lost what comes next, as soon as nobody else wants it.
        checkLog(connection, this.#parts.stream, this.#reached);
        return this.#reader.read(connection, this.#reached, until, SLICE_ROWS);
      });
      for (const entry of slice.entries) {
        const alone = entry.event.kind === 'marker' || entry.event.kind === 'watermark';
        if (alone) end();
        group.push(entry);
        if (alone) end();
        bytes += entry.bytes;
      }
      rows += slice.entries.length;
      this.#reached = slice.reached;
      await new Promise<void>((resolve) => this.#parts.clock.endOfTurn(resolve));
    }
    end();
    return this.#withPosition(transactions);
  }

  /** Newest id of the log; null when nobody has committed anything since the last look and that was read to its end. */
  #newest(connection: Connection): bigint | null {
    const [[commits] = []] = connection.all('PRAGMA data_version');
    const [[schema] = []] = connection.all('PRAGMA schema_version');
    const seen = this.#seen?.connection === connection ? this.#seen : null;
    // First: with a log that is dropped go its triggers, which alone would look like a table that was made anew.
    if (seen?.schema !== schema) checkLog(connection, this.#parts.stream, this.#reached);
    if (seen?.schema !== schema) checkShapes(connection, this.#parts.stream, this.#parts.schemas);
    const until = lastId(connection);
    // Ids that have begun again: what came since then cannot be told from what was read.
    if (until < this.#reached) throw logLost(this.#parts.stream, this.#reached, `it ends at ${until}`);
    this.#seen = { connection, commits, schema };
    return seen?.commits === commits && until === this.#reached ? null : until;
  }

  #withPosition(transactions: readonly ChangeTransaction[]): readonly ChangeTransaction[] {
    const nowMs = this.#parts.clock.monotonic();
    const last = transactions[transactions.length - 1];
    if (last !== undefined) this.#delivered = parsePosition(last.position);
    else if (this.#reached === this.#delivered || nowMs - this.#deliveredAtMs < IDLE_POSITION_MS) return [];
    else this.#delivered = this.#reached;
    this.#deliveredAtMs = nowMs;
    return last === undefined ? [{ id: null, position: position(String(this.#reached)), ageMs: 0, events: [] }] : transactions;
  }

  /** Writes down what is confirmed, and removes a part of what no stream needs any more. A busy file is asked again at the next beat. */
  async #save(): Promise<void> {
    if (this.#confirmed === this.#saved) return;
    const { stream, writing } = this.#parts;
    const confirmed = this.#confirmed;
    try {
      await writing.write(this.#signal, ({ connection }) => connection.run('UPDATE switchyard_log SET confirmed = max(confirmed, ?) WHERE stream = ?', [confirmed, stream.id]), {
        limitMs: TRIM_LOCK_MS,
      });
      this.#saved = confirmed;
      for (let piece = 0; piece < TRIM_PIECES; piece += 1) {
        if ((await writing.write(this.#signal, ({ connection }) => trimLog(connection, TRIM_ROWS), { limitMs: TRIM_LOCK_MS })) < TRIM_ROWS) return;
      }
    } catch (error) {
      if (!(error instanceof SwitchyardError) || error.reason !== 'STORE_OVERLOADED') throw error;
    }
  }
}
