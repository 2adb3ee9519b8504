import type pg from 'pg';
import type { ChangeTransaction } from '../../../core/change.ts';
import type { Clock } from '../../../core/clock.ts';
import { type Position, position } from '../../../core/ids.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import type { ChangeFeed } from '../../backend.ts';
import { dropClient } from '../connection.ts';
import { connectError, sqlState, storeError } from '../errors.ts';
import { abortError } from '../../abort-error.ts';
import { decodeFrame, encodeStatus, formatLsn, type Lsn, parseLsn } from './pgoutput.ts';
import { type Partitions, type TransactionAssembler, UnknownRelation } from './transaction-assembler.ts';

declare module 'pg' {
  // Parts of the driver that its types leave out.
  interface Connection {
    /** Sends a CopyData message. */
    sendCopyFromChunk(chunk: Buffer): void;
  }
}

/** An empty array is delivered when nothing has come for so long, and the server is told what is confirmed as often. */
const BEAT_MS = 1_000;
/** The server answers every beat; one that has been silent for so long is gone. */
const SILENCE_LIMIT_MS = 15_000;
/** Beyond this many bytes of finished transactions nothing more is read from the socket. */
const BUFFER_LIMIT_BYTES = 16 * 1024 * 1024;
/** A log that goes on without anything for the stream delivers its position so often, as a transaction without events, so that the source need not keep what is of no interest. */
const IDLE_POSITION_MS = 5_000;
const BUSY_SLOT_LIMIT_MS = 10_000;
/** A reader that has just ended needs a moment to let the slot go; after this one is ended. */
const BUSY_SLOT_PATIENCE_MS = 1_000;
const BUSY_SLOT_RETRY_MS = 100;
const OBJECT_IN_USE = '55006';
/** 2000-01-01 in ms of the Unix epoch: where the server's time begins. */
const SERVER_EPOCH_MS = 946_684_800_000;

export interface FeedParts {
  readonly slot: string;
  readonly from: Position;
  readonly clock: Clock;
  /** Checks the slot, the tables' shapes and their partitions, if there are any: then these have to be looked at again and again. */
  readonly prepare: (signal: AbortSignal) => Promise<{ readonly assembler: TransactionAssembler; readonly watchesPartitions: boolean }>;
  /** See `readPartitions`. With a transaction that the log has shown: as they are when readers see what it has done. */
  readonly partitions: (seen: number | null, signal: AbortSignal) => Promise<Partitions>;
  /** A connection in replication mode. */
  readonly connect: (signal: AbortSignal, onLost: (error: Error) => void) => Promise<pg.Client>;
  /** Ends a reader of the slot that was left behind; its server process may outlive a player that was cut off. */
  readonly endReader: (signal: AbortSignal) => Promise<void>;
}

interface Entry {
  readonly transaction: ChangeTransaction;
  readonly bytes: number;
}

/**
 * One stream's log, read through a logical replication slot. The states: not begun → (first `next`) connecting → streaming → ended, by the consumer, by the signal or by a failure. What has been received is delivered
 * before a failure is.
 */
export class LogFeed implements ChangeFeed {
  readonly #parts: FeedParts;
  readonly #signal: AbortSignal;
  readonly #end = new AbortController();
  readonly #queue: Entry[] = [];
  #queuedBytes = 0;
  #confirmed: Lsn;
  /** Newest position handed to the queue. */
  #reached: Lsn;
  #reachedAtMs: number;
  #lastHeardMs = 0;
  #paused = false;
  #client: pg.Client | null = null;
  #failure: SwitchyardError | null = null;
  #wake: (() => void) | null = null;
  #begun = false;
  /** What has come while a relation is looked up that was not known; null while there is none. */
  #held: Buffer[] | null = null;
  #lookedUp: number | null = null;
  #watching = false;

  constructor(parts: FeedParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = AbortSignal.any([signal, this.#end.signal]);
    this.#confirmed = parseLsn(parts.from);
    this.#reached = this.#confirmed;
    this.#reachedAtMs = parts.clock.monotonic();
  }

  confirm(to: Position): void {
    const lsn = parseLsn(to);
    if (lsn > this.#confirmed) this.#confirmed = lsn;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly ChangeTransaction[]> {
    if (this.#begun) throw new SwitchyardError('INTERNAL', 'a followed log is read only once');
    this.#begun = true;
    const onAbort = (): void => this.#wake?.();
    this.#signal.addEventListener('abort', onAbort, { once: true });
    let stopBeat = (): void => {};
    try {
      const prepared = await this.#parts.prepare(this.#signal);
      await this.#start(prepared.assembler);
      stopBeat = this.#beat(prepared.watchesPartitions ? prepared.assembler : null);
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

  async #start(assembler: TransactionAssembler): Promise<void> {
    const parts = this.#parts;
    const deadline = parts.clock.monotonic() + BUSY_SLOT_LIMIT_MS;
    let ended = false;
    for (;;) {
      const refused = await this.#startOnce(assembler);
      if (refused === null) return;
      if (sqlState(refused) !== OBJECT_IN_USE || parts.clock.monotonic() > deadline) throw storeError(refused);
      await parts.clock.sleep(BUSY_SLOT_RETRY_MS, this.#signal);
      if (!ended && parts.clock.monotonic() > deadline - BUSY_SLOT_LIMIT_MS + BUSY_SLOT_PATIENCE_MS) {
        ended = true;
        await parts.endReader(this.#signal);
      }
    }
  }

  /** Null: streaming. Otherwise the server's refusal. */
  async #startOnce(assembler: TransactionAssembler): Promise<Error | null> {
    const { promise, resolve } = Promise.withResolvers<Error | null>();
    let streaming = false;
    const onFailure = (error: Error): void => (streaming ? this.#fail(error) : resolve(error));
    let client: pg.Client;
    try {
      client = await this.#parts.connect(this.#signal, onFailure);
    } catch (error) {
      throw this.#signal.aborted ? abortError(this.#signal) : connectError(error);
    }
    client.connection.once('replicationStart', () => {
      streaming = true;
      this.#client = client;
      this.#lastHeardMs = this.#parts.clock.monotonic();
      resolve(null);
    });
    client.connection.on('copyData', ({ chunk }: { chunk: Buffer }) => this.#receive(assembler, chunk));
    const slot = this.#parts.slot;
    const command = `START_REPLICATION SLOT "${slot}" LOGICAL ${this.#parts.from} (proto_version '1', publication_names '"${slot}"', messages 'true')`;
    client.query(command).then(
      () => onFailure(new Error('the server ended the replication')),
      (error: unknown) => onFailure(error instanceof Error ? error : new Error(String(error))),
    );
    const onAbort = (): void => dropClient(client);
    this.#signal.addEventListener('abort', onAbort, { once: true });
    const refused = await promise;
    this.#signal.removeEventListener('abort', onAbort);
    if (this.#signal.aborted) throw abortError(this.#signal);
    if (refused !== null) dropClient(client);
    return refused;
  }

  #receive(assembler: TransactionAssembler, chunk: Buffer): void {
    if (this.#failure !== null) return;
    this.#lastHeardMs = this.#parts.clock.monotonic();
    if (this.#held !== null) {
      this.#held.push(chunk);
      return;
    }
    try {
      const frame = decodeFrame(chunk);
      if (frame.kind === 'data') {
        const assembled = assembler.take(frame);
        if (assembled !== null) this.#push(assembled);
      } else {
        if (assembler.isBetweenTransactions) this.#idle(frame.walEnd);
        if (frame.replyRequested) this.#tell(false);
      }
    } catch (error) {
      if (error instanceof UnknownRelation && error.relationId !== this.#lookedUp) this.#lookUp(assembler, error.relationId, chunk);
      else this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** A partition that is newer than our last look: what has come goes on from this chunk when it is known. */
  #lookUp(assembler: TransactionAssembler, relationId: number, chunk: Buffer): void {
    this.#lookedUp = relationId;
    this.#held = [chunk];
    // It may have been made by the transaction that is being read, which the log shows before readers see it.
    this.#parts.partitions(assembler.openId, this.#signal).then(
      (partitions) => {
        assembler.learn(partitions);
        const held = this.#held ?? [];
        this.#held = null;
        for (const each of held) this.#receive(assembler, each);
      },
      (error: unknown) => this.#fail(error instanceof Error ? error : new Error(String(error))),
    );
  }

  /** Partitions come and go beside the log. A look that fails otherwise is made again; the fence looks, too. */
  #watch(assembler: TransactionAssembler): void {
    if (this.#watching) return;
    this.#watching = true;
    const looked = this.#parts.partitions(null, this.#signal).then(
      (partitions) => assembler.learn(partitions),
      (error: unknown) => {
        if (hasReason(error, 'STREAM_FAILED')) this.#fail(error);
      },
    );
    void looked.finally(() => {
      this.#watching = false;
    });
  }

  #push(entry: Entry): void {
    this.#queue.push(entry);
    this.#queuedBytes += entry.bytes;
    this.#reached = parseLsn(entry.transaction.position);
    this.#reachedAtMs = this.#parts.clock.monotonic();
    if (this.#queuedBytes > BUFFER_LIMIT_BYTES && !this.#paused) {
      this.#paused = true;
      this.#client?.connection.stream.pause();
    }
    this.#wake?.();
  }

  /** Everything of interest before `walEnd` has been received. */
  #idle(walEnd: Lsn): void {
    if (walEnd <= this.#reached || this.#parts.clock.monotonic() - this.#reachedAtMs < IDLE_POSITION_MS) return;
    this.#push({ transaction: { id: null, position: position(formatLsn(walEnd)), ageMs: 0, events: [] }, bytes: 0 });
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#lastHeardMs = this.#parts.clock.monotonic();
    this.#client?.connection.stream.resume();
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

  /** `watched`: whose partitions are looked at. */
  #beat(watched: TransactionAssembler | null): () => void {
    let stop = (): void => {};
    const beat = (): void => {
      const silentMs = this.#parts.clock.monotonic() - this.#lastHeardMs;
      if (!this.#paused && silentMs > SILENCE_LIMIT_MS) this.#fail(new Error(`the server has been silent for ${Math.round(silentMs)} ms`));
      else {
        this.#tell(true);
        if (watched !== null) this.#watch(watched);
        stop = this.#parts.clock.after(BEAT_MS, beat);
      }
    };
    beat();
    return () => stop();
  }

  #tell(requestReply: boolean): void {
    const nowMicros = BigInt(Math.round((this.#parts.clock.now() - SERVER_EPOCH_MS) * 1_000));
    this.#client?.connection.sendCopyFromChunk(encodeStatus(this.#confirmed, nowMicros, requestReply));
  }

  #fail(error: Error): void {
    this.#failure ??= storeError(error);
    this.#wake?.();
  }

  #close(): void {
    const client = this.#client;
    this.#client = null;
    this.#queue.length = 0;
    if (client !== null) dropClient(client);
  }
}
