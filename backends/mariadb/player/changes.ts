import type { ChangeTransaction } from '../../../core/change.ts';
import type { Clock } from '../../../core/clock.ts';
import type { Position } from '../../../core/ids.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { abortError } from '../../abort-error.ts';
import type { ChangeFeed } from '../../backend.ts';
import type { LoginConfig } from '../connection.ts';
import { errorNumber } from '../errors.ts';
import { identityError } from '../store-client.ts';
import { GtidPosition } from './binlog/gtid-position.ts';
import { LogConnection } from './binlog/log-connection.ts';
import { LogDecoder } from './binlog/log-events.ts';
import { LogFault } from './binlog/log-fault.ts';
import { logLost } from './log-shape.ts';
import type { Assembled, TransactionAssembler } from './transaction-assembler.ts';

/** An empty array is delivered when nothing has come for so long, and what is confirmed is written down as often. */
const BEAT_MS = 1_000;
/** The server says something every second; one that has been silent for so long is gone. */
const SILENCE_LIMIT_MS = 15_000;
/** While it looks for the position, through a whole file at worst, it says nothing. */
const SEARCH_LIMIT_MS = 120_000;
/** Beyond this many bytes of finished transactions nothing more is read from the socket. */
const BUFFER_LIMIT_BYTES = 16 * 1024 * 1024;
/** A log that goes on without anything for the stream delivers its position so often, as a transaction without events, so that the source need not keep what is of no interest. */
const IDLE_POSITION_MS = 5_000;
/** So often the source is looked at beside its log: its time may have been set, its log thrown away. */
const LOOK_MS = 10_000;
/** What the server's log has is sent within so long, but for what somebody is still writing into it. */
const UNSENT_LIMIT_MS = 60_000;
/** The server cannot, or not any more, give what follows the position. */
const NO_LOG = 1236;

export interface FeedParts {
  /** For messages. */
  readonly stream: string;
  readonly from: Position;
  readonly config: LoginConfig;
  readonly clock: Clock;
  /** Checks the log and the tables' shapes. `confirmed`: what is written down. */
  readonly prepare: (signal: AbortSignal) => Promise<{ readonly assembler: TransactionAssembler; readonly confirmed: Position }>;
  readonly look: (signal: AbortSignal) => Promise<SourceLook>;
  /** Writes down that everything up to here may be forgotten. False: it is not as it was `before`, so somebody else has begun the log anew, or reads it. */
  readonly saveConfirmed: (position: Position, before: Position, signal: AbortSignal) => Promise<boolean>;
}

/** The source as it is just now. */
export interface SourceLook {
  /** Its time, in ms since the epoch. */
  readonly nowMs: number;
  /** Where its log ends. */
  readonly end: GtidPosition;
}

interface Entry {
  readonly transaction: ChangeTransaction;
  readonly bytes: number;
}

/**
 * One stream's log, as the source sends it to a replica. The states: not begun → (first `next`) connecting → streaming → ended, by the consumer, by the signal or by a failure. What has been received is delivered before a failure is.
 */
export class LogFeed implements ChangeFeed {
  readonly #parts: FeedParts;
  readonly #signal: AbortSignal;
  readonly #end = new AbortController();
  readonly #decoder = new LogDecoder();
  readonly #queue: Entry[] = [];
  #queuedBytes = 0;
  /** Null: nothing new. */
  #confirmed: Position | null = null;
  /** As it is written down; null: it is not ours to write down any more. */
  #saved: Position | null;
  #saving = false;
  /** What the source's clock is ahead of our monotonic one. */
  #sourceAheadMs = 0;
  #lookedMs = 0;
  /** Where the source's log ended at a look; null when something has come since then. */
  #unsent: { readonly end: GtidPosition; readonly sinceMs: number } | null = null;
  #isSearching = true;
  #deliveredMs = 0;
  #heardMs = 0;
  #paused = false;
  #connection: LogConnection | null = null;
  #failure: SwitchyardError | null = null;
  #wake: (() => void) | null = null;
  #begun = false;

  constructor(parts: FeedParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = AbortSignal.any([signal, this.#end.signal]);
    this.#saved = parts.from;
  }

  confirm(to: Position): void {
    this.#confirmed = to;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly ChangeTransaction[]> {
    if (this.#begun) throw new SwitchyardError('INTERNAL', 'a followed log is read only once');
    this.#begun = true;
    const onAbort = (): void => this.#wake?.();
    this.#signal.addEventListener('abort', onAbort, { once: true });
    let stopBeat = (): void => {};
    try {
      const assembler = await this.#start();
      stopBeat = this.#beat(assembler);
      for (;;) {
        if (this.#end.signal.aborted) return;
        if (this.#signal.aborted) throw abortError(this.#signal);
        const entries = this.#queue.splice(0);
        this.#queuedBytes = 0;
        if (entries.length === 0 && this.#failure !== null) throw this.#failure;
        this.#resume();
        yield entries.map((entry) => entry.transaction);
        await this.#more();
      }
    } catch (error) {
      if (!this.#end.signal.aborted) throw this.#named(error);
    } finally {
      stopBeat();
      this.#signal.removeEventListener('abort', onAbort);
      this.#close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    this.#close();
  }

  #named(error: unknown): unknown {
    if (!(error instanceof LogFault)) return error;
    const { cause, fix, metadata, what } = error;
    return new SwitchyardError('STREAM_FAILED', what, { metadata: { ...metadata, stream: this.#parts.stream }, ...(fix === undefined ? {} : { fix }), cause });
  }

  async #start(): Promise<TransactionAssembler> {
    const { clock, config, from, prepare } = this.#parts;
    const { assembler, confirmed } = await prepare(this.#signal);
    this.#saved = confirmed;
    await this.#look(assembler);
    this.#heardMs = clock.monotonic();
    this.#deliveredMs = clock.monotonic();
    try {
      this.#connection = await LogConnection.open({ config, from, onEvent: (bytes) => this.#receive(assembler, bytes), onEnd: (error) => this.#fail(error) }, this.#signal);
    } catch (error) {
      throw this.#signal.aborted ? abortError(this.#signal) : failureOf(error);
    }
    return assembler;
  }

  #receive(assembler: TransactionAssembler, bytes: Buffer): void {
    if (this.#failure !== null) return;
    this.#heardMs = this.#parts.clock.monotonic();
    try {
      const received = this.#decoder.decode(bytes);
      const { kind } = received.event;
      if (kind !== 'heartbeat') this.#unsent = null;
      if (kind === 'heartbeat' || kind === 'gtid') this.#isSearching = false;
      const assembled = assembler.take(received);
      if (assembled !== null) this.#push(this.#withAge(assembled));
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** The log has whole seconds only, so that the last of them is taken for the whole of the truth: a transaction is as old as it is at the least. */
  #withAge({ transaction, bytes, timestamp }: Assembled): Entry {
    const ageMs = this.#parts.clock.monotonic() + this.#sourceAheadMs - (timestamp + 1) * 1_000;
    return { transaction: { ...transaction, ageMs: Math.max(0, ageMs) }, bytes };
  }

  #push(entry: Entry): void {
    this.#queue.push(entry);
    this.#queuedBytes += entry.bytes;
    this.#deliveredMs = this.#parts.clock.monotonic();
    if (this.#queuedBytes > BUFFER_LIMIT_BYTES && !this.#paused) {
      this.#paused = true;
      this.#connection?.pause();
    }
    this.#wake?.();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#heardMs = this.#parts.clock.monotonic();
    this.#connection?.resume();
  }

  async #more(): Promise<void> {
    if (this.#queue.length > 0 || this.#failure !== null || this.#signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = this.#parts.clock.after(BEAT_MS, resolve);
    this.#wake = resolve;
    await promise;
    this.#wake = null;
    stop();
  }

  #beat(assembler: TransactionAssembler): () => void {
    const { clock } = this.#parts;
    let stop = (): void => {};
    const beat = (): void => {
      const nowMs = clock.monotonic();
      const silentMs = nowMs - this.#heardMs;
      if (!this.#paused && silentMs > (this.#isSearching ? SEARCH_LIMIT_MS : SILENCE_LIMIT_MS)) {
        this.#fail(new Error(`the server has been silent for ${Math.round(silentMs)} ms`));
        return;
      }
      if (nowMs - this.#deliveredMs >= IDLE_POSITION_MS) {
        const position = assembler.takeIdlePosition();
        if (position !== null) this.#push({ transaction: { id: null, position, ageMs: 0, events: [] }, bytes: 0 });
      }
      if (nowMs - this.#lookedMs >= LOOK_MS) void this.#inBackground(() => this.#look(assembler));
      if (!this.#saving) void this.#inBackground(() => this.#save());
      stop = clock.after(BEAT_MS, beat);
    };
    beat();
    return () => stop();
  }

  /** What fails there is tried again; whether the source is lost, the log itself tells. */
  async #inBackground(act: () => Promise<void>): Promise<void> {
    await act().catch(() => {});
  }

  /** A server whose log was thrown away (RESET MASTER) goes on to send what it had open, which ends, and then says only that it is there. */
  async #look(assembler: TransactionAssembler): Promise<void> {
    const { clock, look } = this.#parts;
    this.#lookedMs = clock.monotonic();
    // While the source is asked more may come.
    const read = GtidPosition.parse(assembler.position.format());
    const { nowMs, end } = await look(this.#signal);
    // At the latest it was told at the end of the call: no transaction is taken for older than it is.
    this.#sourceAheadMs = nowMs - clock.monotonic();
    if (!end.isAtOrBehind(read)) this.#fail(logLost(`it ends at ${end.format()}, before ${read.format()}: it was thrown away`));
    if (this.#paused || this.#isSearching || this.#unsent === null || assembler.position.isAtOrBehind(this.#unsent.end)) this.#unsent = { end, sinceMs: clock.monotonic() };
    else if (clock.monotonic() - this.#unsent.sinceMs > UNSENT_LIMIT_MS) this.#fail(new Error(`the server does not send what its log has up to ${this.#unsent.end.format()}`));
  }

  async #save(): Promise<void> {
    const [confirmed, before] = [this.#confirmed, this.#saved];
    if (confirmed === null || before === null || confirmed === before) return;
    this.#saving = true;
    try {
      this.#saved = (await this.#parts.saveConfirmed(confirmed, before, this.#signal)) ? confirmed : null;
    } finally {
      this.#saving = false;
    }
  }

  #fail(error: Error): void {
    this.#failure ??= failureOf(error);
    this.#connection?.drop();
    this.#wake?.();
  }

  #close(): void {
    const connection = this.#connection;
    this.#connection = null;
    this.#queue.length = 0;
    connection?.drop();
  }
}

function failureOf(error: unknown): SwitchyardError {
  if (errorNumber(error) === NO_LOG) return logLost(error instanceof Error ? error.message : String(error));
  return error instanceof LogFault ? error : identityError(error, 'player');
}
