import type { Socket } from 'node:net';
import type pg from 'pg';
import type { Clock } from '../../core/clock.ts';
import { unlessAborted } from '../abort-error.ts';
import { Batch, type Outcome, type Parameter, type SentStatement } from './batch.ts';
import { type CancelKey, requestCancel } from './cancel-request.ts';
import { connectClient, dropClient, type LoginConfig } from './connection.ts';
import { isConnectionLoss } from './errors.ts';
import { DeadConnection, type SilenceWatch } from '../silence-watch.ts';

/** A statement that nobody wants any more may end by itself for so long: most do, and a cancel request costs a connection at a time when the store may be overloaded already. */
const CANCEL_AFTER_MS = 200;
/** How long an aborted statement may take to end after the server was asked to cancel it. */
const CANCEL_LIMIT_MS = 1_000;
/** Statements that one connection keeps parsed. */
const PREPARED_LIMIT = 256;
const nothing: Statement = { text: 'SELECT', values: [], prepared: false };
const rollback: Statement = { text: 'ROLLBACK', values: [], prepared: false };

export interface Statement {
  readonly text: string;
  readonly values: readonly Parameter[];
  /** Keep it parsed on the connection: for texts that come again. */
  readonly prepared: boolean;
  /** See `SentStatement`; left out: all rows are kept. */
  readonly maxBytes?: number;
  /** See `SentStatement`. */
  readonly input?: Buffer;
}

/** How a batch ended. */
export interface BatchResult {
  /** One per statement, in order; null when there was no complete answer within a limit after an abort: the connection is dropped then. */
  readonly outcomes: readonly Outcome[] | null;
  /** Statements that the server reported as executed; their effect may be committed even though an outcome says that the connection was lost. */
  readonly executed: number;
  /** The server warned after it was asked to cancel: a commit may be durable on the primary only. */
  readonly warned: boolean;
}

export interface SessionParts {
  readonly clock: Clock;
  /** Of all connections with this configuration. */
  readonly watch: SilenceWatch;
  /** Told when a connection ends by itself, with whatever it was doing. */
  readonly onLost: (session: Session, error: Error) => void;
}

/**
 * One connection to the store. Runs batches one after the other: all statements of one are sent at once, and what follows a failed one is not executed. A little after an abort the server is asked to cancel, and the
 * connection is only `usable` again when it is certain that this request cannot hit a later statement.
 */
export class Session {
  readonly #client: pg.Client;
  readonly #cancelKey: CancelKey;
  readonly #clock: Clock;
  readonly #watch: SilenceWatch;
  readonly #onLost: (session: Session, error: Error) => void;
  /** Names of the statements that the server has parsed, by their text, the one used last at the end. */
  readonly #names = new Map<string, string>();
  #namesGiven = 0;
  /** Names that the server may forget. */
  #forgotten: string[] = [];
  #warnings = 0;
  #usable = true;

  private constructor(client: pg.Client, cancelKey: CancelKey, parts: SessionParts) {
    this.#client = client;
    this.#cancelKey = cancelKey;
    this.#clock = parts.clock;
    this.#watch = parts.watch;
    this.#onLost = parts.onLost;
    client.on('notice', (notice) => {
      if (notice.severity === 'WARNING') this.#warnings += 1;
    });
  }

  /** Connects. Rejects as `connectClient` does. */
  static async open(config: LoginConfig, parts: SessionParts, signal: AbortSignal): Promise<Session> {
    let session: Session | undefined;
    let early: Error | undefined;
    const lost = (error: Error): void => {
      if (session === undefined) early = error;
      else session.#lost(error);
    };
    const client = await connectClient(config, signal, lost);
    if (early !== undefined) throw early;
    const cancelKey = { host: client.host, port: client.port, processId: client.processID ?? 0, secretKey: client.secretKey ?? 0 };
    session = new Session(client, cancelKey, parts);
    return session;
  }

  /** Whether another caller may have it: connected, outside a transaction, no cancel request on its way. */
  get usable(): boolean {
    return this.#usable;
  }

  /** The server's process id of this connection. */
  get processId(): number {
    return this.#cancelKey.processId;
  }

  /** Sends all statements at once and waits for all answers. Never rejects. With `cancel`, an abort cancels what is running; without it, an abort only starts the limit of the wait. */
  async run(statements: readonly Statement[], signal: AbortSignal, cancel = true): Promise<BatchResult> {
    const warningsBefore = this.#warnings;
    const batch = this.#send(statements);
    const unwatch = this.#watch.watch({ connectionId: this.processId, heard: () => (this.#client.connection.stream as Socket).bytesRead, onDead: () => this.#die() });
    const outcomes = (await unlessAborted(batch.done, signal)) ?? (await this.#afterAbort(batch.done, cancel));
    unwatch();
    // The server's last word may come a moment before the end of the connection does.
    if (outcomes?.some((outcome) => !outcome.ok && isConnectionLoss(outcome.error)) === true) this.#usable = false;
    return { outcomes, executed: batch.executed, warned: this.#warnings > warningsBefore };
  }

  /** Parses these texts now, which executes nothing and needs no right on their tables. Never rejects; a text that cannot be parsed now is tried again when it is used. */
  async prepare(texts: readonly string[], signal: AbortSignal): Promise<void> {
    let left = texts.slice(0, PREPARED_LIMIT).filter((text) => !this.#names.has(text));
    while (left.length > 0 && this.#usable && !signal.aborted) {
      const named = left.map((text) => ({ text, name: this.#newName() }));
      const { outcomes } = await this.run(
        named.map(({ text, name }) => ({ text: `PREPARE ${name} AS ${text}`, values: [], prepared: false })),
        signal,
      );
      if (outcomes === null) return;
      for (const [i, { text, name }] of named.entries()) if (outcomes[i]?.ok === true) this.#keep(text, name);
      const failed = outcomes.findIndex((outcome) => !outcome.ok);
      left = failed === -1 ? [] : left.slice(failed + 1);
    }
  }

  /** Ends the transaction that a failed statement has left open, or where that takes too long the connection. Never rejects. */
  async rollBack(): Promise<void> {
    if (!this.#usable) return;
    // A signal that has aborted: the answer has a limit from the start.
    const { outcomes } = await this.run([rollback], AbortSignal.abort(), false);
    if (outcomes?.[0]?.ok !== true) this.drop();
  }

  /** Closes the connection's socket at once; the server rolls back what was open. */
  drop(): void {
    this.#usable = false;
    dropClient(this.#client);
  }

  /** Says goodbye. Never rejects. */
  async close(): Promise<void> {
    this.#usable = false;
    const stop = this.#clock.after(CANCEL_LIMIT_MS, () => dropClient(this.#client));
    await this.#client.end();
    stop();
  }

  /** What waits for an answer fails as by any other loss of the connection. */
  #die(): void {
    const error = new DeadConnection();
    this.#client.connection.stream.destroy(error);
    this.#lost(error);
  }

  #lost(error: Error): void {
    const wasUsable = this.#usable;
    this.#usable = false;
    if (wasUsable) this.#onLost(this, error);
  }

  async #afterAbort(answers: Promise<readonly Outcome[]>, cancel: boolean): Promise<readonly Outcome[] | null> {
    const soon = new AbortController();
    const stopWaiting = this.#clock.after(CANCEL_AFTER_MS, () => soon.abort());
    const early = await unlessAborted(answers, soon.signal);
    stopWaiting();
    if (early !== null) return early;

    const limit = new AbortController();
    const stop = this.#clock.after(CANCEL_LIMIT_MS, () => limit.abort());
    try {
      const delivered = cancel ? requestCancel(this.#cancelKey, limit.signal) : Promise.resolve(false);
      const late = await unlessAborted(answers, limit.signal);
      // A request that was not delivered may still arrive, and one that was may be about to hit: the next statement, which is nobody's.
      const isOver = late !== null && (!cancel || ((await delivered) && (await unlessAborted(this.#send([nothing]).done, limit.signal)) !== null));
      if (!isOver) this.drop();
      return late;
    } finally {
      stop();
    }
  }

  #send(statements: readonly Statement[]): Batch {
    const mayPrepare = statements.length <= PREPARED_LIMIT;
    const parsedNow = new Map<string, string>();
    const sent = statements.map(({ text, values, prepared, maxBytes = Number.POSITIVE_INFINITY, input }): SentStatement => {
      if (!prepared || !mayPrepare) return { text, values, name: '', parse: true, maxBytes, ...(input === undefined ? {} : { input }) };
      const known = this.#names.get(text);
      if (known !== undefined) this.#keep(text, known);
      const name = known ?? parsedNow.get(text);
      if (name !== undefined) return { text, values, name, parse: false, maxBytes };
      const fresh = this.#newName();
      parsedNow.set(text, fresh);
      return { text, values, name: fresh, parse: true, maxBytes };
    });
    const batch = new Batch(sent, this.#forgotten);
    this.#forgotten = [];
    this.#client.query(batch);
    void batch.done.then((outcomes) => this.#learn(sent, outcomes, batch.parsed));
    return batch;
  }

  /** Remembers what the server has parsed, and forgets what it no longer knows. */
  #learn(sent: readonly SentStatement[], outcomes: readonly Outcome[], parses: number): void {
    let parsed = parses;
    for (const [i, { text, name, parse }] of sent.entries()) {
      const outcome = outcomes[i];
      if (name !== '' && parse && parsed > 0) this.#keep(text, name);
      if (parse) parsed -= 1;
      if (outcome?.ok === false && outcome.stale && this.#names.get(text) === name) this.#forget(text, name);
    }
  }

  #newName(): string {
    this.#namesGiven += 1;
    return `s${this.#namesGiven}`;
  }

  /** Puts the statement behind all others; the one that was used longest ago makes room. */
  #keep(text: string, name: string): void {
    this.#names.delete(text);
    this.#names.set(text, name);
    if (this.#names.size <= PREPARED_LIMIT) return;
    const [oldest] = this.#names;
    if (oldest !== undefined) this.#forget(...oldest);
  }

  #forget(text: string, name: string): void {
    this.#names.delete(text);
    this.#forgotten.push(name);
  }
}
