import type { Connection } from 'mysql2';
import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { unlessAborted } from '../abort-error.ts';
import { DeadConnection, type SilenceWatch } from '../silence-watch.ts';
import { type Client, connectClient, dropConnection, type LoginConfig, socketOf } from './connection.ts';
import { isConnectionLoss, isStale } from './errors.ts';
import { killQuery } from './kill-query.ts';

/** A statement that nobody wants any more may end by itself for so long: most do, and a KILL costs a connection at a time when the store may be overloaded already. */
const CANCEL_AFTER_MS = 200;
/** How long an aborted statement may take to end after the server was asked to end it. */
const CANCEL_LIMIT_MS = 1_000;

/** What travels to the server as a parameter: texts, bytes, NULL. Numbers, dates and all else go as texts, with a CAST where their type matters; see cells.ts. */
export type Parameter = string | Buffer | null;

/**
 * What arrives of a prepared statement: integers up to 32 bits and floats as numbers; integers of 64 bits, decimals, dates and times, texts and JSON as texts; binary strings as Buffers. Of a command (text protocol) a FLOAT has been rounded to six
 * digits, so that cells are read from prepared statements only.
 */
export type Value = string | number | Buffer | null;
export type ValueRow = readonly Value[];

export interface Statement {
  readonly text: string;
  readonly values: readonly Parameter[];
  /**
   * `kept`: prepared, and kept parsed on the connection: for texts that come again. `once`: prepared, and forgotten. `command`: sent as text, without parameters: BEGIN, DDL, SET, and whatever else the server does not prepare.
   */
  readonly form: 'kept' | 'once' | 'command';
  /** From the row on with which they would come to more bytes, roughly, rows are thrown away as they arrive; but not the first. Left out: all are kept. */
  readonly maxBytes?: number;
}

/** What became of one statement. */
export type Outcome = DoneStatement | FailedStatement;

export interface DoneStatement {
  readonly ok: true;
  readonly rows: readonly ValueRow[];
  /** Rows that the statement found to write (also where it changed nothing in them); of INSERT … ON DUPLICATE KEY UPDATE 1 for an inserted row and 1 or 2 for one that was there. 0 where it answered with rows. */
  readonly affectedRows: number;
  /** Rows behind these were left out, for the statement's `maxBytes`. */
  readonly cut: boolean;
}

export interface FailedStatement {
  readonly ok: false;
  readonly error: unknown;
  /** Whether the statement had been sent to be executed: before that nothing can have been done. */
  readonly sent: boolean;
}

export interface SessionParts {
  readonly clock: Clock;
  /** Of all connections with this configuration. */
  readonly watch: SilenceWatch;
  /** Told when a connection ends by itself, with whatever it was doing. */
  readonly onLost: (session: Session, error: Error) => void;
}

/**
 * One connection to the store. Runs statements one after the other. A little after an abort the server is told over another connection to end what runs (KILL QUERY), and the connection is only `usable` again when it is certain that this
 * cannot hit a later statement.
 */
export class Session {
  readonly #client: Client;
  readonly #config: LoginConfig;
  readonly #clock: Clock;
  readonly #watch: SilenceWatch;
  /** What waits for an answer, to be told of a loss. */
  readonly #waiting = new Set<(error: Error) => void>();
  #lostBy: Error | null = null;
  #usable = true;

  private constructor(client: Client, config: LoginConfig, { clock, watch }: SessionParts) {
    this.#client = client;
    this.#config = config;
    this.#clock = clock;
    this.#watch = watch;
  }

  /** Connects. Rejects with an error of ours, or with the signal's reason as soon as it aborts. */
  static async open(config: LoginConfig, parts: SessionParts, signal: AbortSignal): Promise<Session> {
    let opened: Session | null = null;
    const client = await connectClient(config, signal, (error) => {
      if (opened === null) return;
      if (opened.#lose(error)) parts.onLost(opened, error);
    });
    opened = new Session(client, config, parts);
    return opened;
  }

  /** Whether the next caller may have it: connected, no KILL on its way. */
  get usable(): boolean {
    return this.#usable;
  }

  /** The server's number of this connection. */
  get connectionId(): number {
    return this.#client.connectionId;
  }

  /** Whether REPEATABLE READ refuses a write of a row that has changed since the snapshot. */
  get isolatesSnapshots(): boolean {
    return this.#client.isolatesSnapshots;
  }

  /**
   * Sends the statement and waits for its answer. Never rejects; null when there was no answer within a limit after an abort: the connection is dropped then. With `cancel`, an abort ends what is running; without it, an abort only
   * starts the limit of the wait.
   */
  async run(statement: Statement, signal: AbortSignal, cancel = true): Promise<Outcome | null> {
    const answer = this.#send(statement);
    const unwatch = this.#watch.watch({
      connectionId: this.connectionId,
      heard: () => socketOf(this.#connection).bytesRead,
      onDead: () => this.#die(),
    });
    const outcome = (await unlessAborted(answer, signal)) ?? (await this.#afterAbort(answer, cancel));
    unwatch();
    // The server's last word may come a moment before the end of the connection does.
    if (outcome?.ok === false && isConnectionLoss(outcome.error)) this.#usable = false;
    return outcome;
  }

  /** Parses these texts now, which executes nothing. Never rejects; a text that cannot be parsed now is tried again when it is used. */
  async prepare(texts: readonly string[], signal: AbortSignal): Promise<void> {
    for (const text of texts) {
      if (!this.#usable || signal.aborted) return;
      await unlessAborted(
        this.#answered<void>((resolve) => this.#connection.prepare(text, () => resolve())),
        signal,
      );
    }
  }

  /** Ends the transaction that a failed statement has left open, or where that takes too long the connection. Never rejects. */
  async rollBack(): Promise<void> {
    if (!this.#usable) return;
    // A signal that has aborted: the answer has a limit from the start.
    const outcome = await this.run(rollback, AbortSignal.abort(), false);
    if (outcome?.ok !== true) this.drop();
  }

  /** Closes the connection's socket at once; the server rolls back what was open. */
  drop(): void {
    this.#lose(new Error('the connection was dropped'));
    dropConnection(this.#connection);
  }

  /** Says goodbye. Never rejects. */
  async close(): Promise<void> {
    this.#usable = false;
    const stop = this.#clock.after(CANCEL_LIMIT_MS, () => this.drop());
    await this.#answered<void>((resolve) => this.#connection.end(() => resolve()));
    stop();
    dropConnection(this.#connection);
  }

  get #connection(): Connection {
    return this.#client.connection;
  }

  /** What waits for an answer fails as by any other loss of the connection. */
  #die(): void {
    socketOf(this.#connection).destroy(new DeadConnection());
  }

  /** Whether it was usable. Whatever waits for an answer fails. */
  #lose(error: Error): boolean {
    const wasUsable = this.#usable;
    this.#usable = false;
    this.#lostBy ??= error;
    for (const fail of this.#waiting) fail(this.#lostBy);
    this.#waiting.clear();
    return wasUsable;
  }

  /** What `ask` resolves to, or `onLost` with the error of a loss that comes first. */
  #answered<T>(ask: (resolve: (value: T) => void) => void, onLost?: (error: Error) => T): Promise<T | undefined> {
    return new Promise((resolve) => {
      const fail = (error: Error): void => resolve(onLost?.(error));
      if (this.#lostBy !== null) return fail(this.#lostBy);
      this.#waiting.add(fail);
      ask((value) => {
        this.#waiting.delete(fail);
        resolve(value);
      });
    });
  }

  async #afterAbort(answer: Promise<Outcome>, cancel: boolean): Promise<Outcome | null> {
    const soon = new AbortController();
    const stopWaiting = this.#clock.after(CANCEL_AFTER_MS, () => soon.abort());
    const early = await unlessAborted(answer, soon.signal);
    stopWaiting();
    if (early !== null) return early;

    const limit = new AbortController();
    const stop = this.#clock.after(CANCEL_LIMIT_MS, () => limit.abort());
    try {
      const delivered = cancel ? killQuery(this.#config, this.connectionId, limit.signal) : Promise.resolve(false);
      const late = await unlessAborted(answer, limit.signal);
      // A KILL that was not delivered may still arrive, and one that was may be about to hit: the next statement, which is nobody's.
      const isOver = late !== null && (!cancel || ((await delivered) && (await unlessAborted(this.#send(nothing), limit.signal)) !== null));
      if (!isOver) this.drop();
      return late;
    } finally {
      stop();
    }
  }

  /** Never rejects. */
  #send({ text, values, form, maxBytes = Number.POSITIVE_INFINITY }: Statement): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const answering = new Answering(maxBytes, (outcome) => {
      this.#waiting.delete(onLost);
      if (form === 'once' || (!outcome.ok && isStale(outcome.error))) this.#forget(text);
      resolve(outcome);
    });
    const onLost = (error: Error): void => answering.fail(error);
    const oversize = form === 'command' ? null : oversizeOf(text, values, this.#client.commandBytes);
    if (this.#lostBy !== null) onLost(this.#lostBy);
    else if (oversize !== null) {
      answering.fail(oversize);
      // As the server would end it. The next one learns whether the server takes more by then.
      this.drop();
    } else {
      this.#waiting.add(onLost);
      if (form === 'command') answering.follow(this.#connection.query(text));
      else {
        this.#connection.prepare(text, (error, prepared) => {
          if (error !== null) answering.fail(error);
          else answering.follow(prepared.execute([...values]));
        });
      }
    }
    return promise;
  }

  #forget(text: string): void {
    if (this.#lostBy === null) this.#connection.unprepare(text);
  }
}

/**
 * Why the server would not take the statement's text, or its values, null when it will. It would answer so, and end the connection; where its end arrives before the answer has been read, nobody knows that nothing was done.
 */
function oversizeOf(text: string, values: readonly Parameter[], limit: number): SwitchyardError | null {
  const bytes = Math.max(textCommandBytes(text), executeBytes(values));
  if (bytes < limit) return null;
  return new SwitchyardError('VALUE_INVALID', `the statement comes to ${bytes} bytes, which is more than the store takes: its max_allowed_packet is ${limit}`, {
    fix: 'send smaller values, or fewer at once, or let the store take more: SET GLOBAL max_allowed_packet',
  });
}

const textCommandBytes = (text: string): number => 1 + Buffer.byteLength(text);

/** Bytes of COM_STMT_EXECUTE with these values, see MariaDB's description of its protocol: a head, a bit for each NULL, two bytes for each type, each value behind its length. */
const executeBytes = (values: readonly Parameter[]): number =>
  values.reduce<number>((sum, value) => sum + 2 + (value === null ? 0 : withLength(Buffer.byteLength(value))), 11 + Math.ceil(values.length / 8));

const withLength = (bytes: number): number => bytes + (bytes < 251 ? 1 : bytes < 65_536 ? 3 : bytes < 16_777_216 ? 4 : 9);

const rollback: Statement = { text: 'ROLLBACK', values: [], form: 'command' };
const nothing: Statement = { text: 'DO 0', values: [], form: 'command' };

/** A command of the driver, as it tells of what arrives. */
interface Answers {
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'result', listener: (result: ValueRow | { readonly affectedRows: number }) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
}

/** Collects the answer of one statement. What comes first counts: its end, or the loss of the connection. */
class Answering {
  readonly #resolve: (outcome: Outcome) => void;
  readonly #rows: ValueRow[] = [];
  #bytesLeft: number;
  #affectedRows = 0;
  #cut = false;
  #sent = false;

  constructor(maxBytes: number, resolve: (outcome: Outcome) => void) {
    this.#bytesLeft = maxBytes;
    this.#resolve = resolve;
  }

  follow(answers: Answers): void {
    this.#sent = true;
    answers.on('error', (error) => this.fail(error));
    answers.on('result', (result) => this.#take(result));
    answers.on('end', () => this.#resolve({ ok: true, rows: this.#rows, affectedRows: this.#affectedRows, cut: this.#cut }));
  }

  fail(error: unknown): void {
    this.#resolve({ ok: false, error, sent: this.#sent });
  }

  #take(result: ValueRow | { readonly affectedRows: number }): void {
    if ('affectedRows' in result) {
      this.#affectedRows = result.affectedRows;
      return;
    }
    const bytes = this.#bytesLeft === Number.POSITIVE_INFINITY ? 0 : bytesOf(result);
    this.#cut ||= this.#rows.length > 0 && bytes > this.#bytesLeft;
    if (this.#cut) return;
    this.#rows.push(result);
    this.#bytesLeft -= bytes;
  }
}

const bytesOf = (row: ValueRow): number =>
  row.reduce<number>((sum, value) => sum + (typeof value === 'string' ? Buffer.byteLength(value) : value instanceof Buffer ? value.length : 8), 0);
