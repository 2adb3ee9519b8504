import type pg from 'pg';
import type { Clock } from '../../core/clock.ts';
import { type CancelKey, requestCancel } from './cancel-request.ts';
import { connectClient, dropClient } from './connection.ts';
import { sqlState } from './errors.ts';

/** A statement that nobody wants any more may end by itself for so long: most do, and a cancel request costs a connection at a time when the store may be overloaded already. */
const CANCEL_AFTER_MS = 500;
/** How long an aborted statement may take to end after the server was asked to cancel it. */
const CANCEL_LIMIT_MS = 1_000;
/** Statements that one connection keeps parsed. */
const PREPARED_LIMIT = 256;
const nothing: Statement = { text: 'SELECT', values: [], prepared: false };
/** The server no longer knows the prepared statement, or its result has another shape since the table was altered. */
const staleStates: readonly (string | null)[] = ['0A000', '26000'];

export type Parameter = string | Buffer | null;
export type TextRow = readonly (string | null)[];

export interface Statement {
  readonly text: string;
  readonly values: readonly Parameter[];
  /** Keep it parsed on the connection: for texts that come again. */
  readonly prepared: boolean;
}

/** What became of one statement of a batch. */
export type Outcome =
  | { readonly ok: true; readonly rows: readonly TextRow[]; readonly rowCount: number }
  /** `stale`: nothing was executed, because what the connection had parsed no longer holds; the same statement, not prepared, may succeed. */
  | { readonly ok: false; readonly error: unknown; readonly stale: boolean };

/** How a batch ended. */
export interface BatchResult {
  /** One per statement, in order; null when there was no complete answer within a limit after an abort: the connection is dropped then. */
  readonly outcomes: readonly Outcome[] | null;
  /** Statements that the server reported as executed; their effect may be committed even though an outcome says that the connection was lost. */
  readonly executed: number;
  /** The server warned after it was asked to cancel: a commit may be durable on the primary only. */
  readonly warned: boolean;
}

/**
 * One connection to the store. Runs one batch at a time: all its statements are sent at once and each is its own unit towards the server (outside BEGIN … COMMIT a statement commits by itself).
 * A little after an abort the server is asked to cancel, and the connection is only `usable` again when it is certain that this request cannot hit a later statement.
 */
export class Session {
  readonly #client: pg.Client;
  readonly #cancelKey: CancelKey;
  readonly #clock: Clock;
  readonly #names = new Map<string, string>();
  #namesGiven = 0;
  #executed = 0;
  #warnings = 0;
  #usable = true;

  private constructor(client: pg.Client, cancelKey: CancelKey, clock: Clock) {
    this.#client = client;
    this.#cancelKey = cancelKey;
    this.#clock = clock;
    client.connection.on('commandComplete', () => {
      this.#executed += 1;
    });
    client.on('notice', (notice) => {
      if (notice.severity === 'WARNING') this.#warnings += 1;
    });
  }

  /** Connects. `onLost` is told when the connection ends by itself. Rejects with the driver's error or the signal's reason. */
  static async open(config: pg.ClientConfig, clock: Clock, signal: AbortSignal, onLost: (session: Session, error: Error) => void): Promise<Session> {
    let session: Session | undefined;
    let early: Error | undefined;
    const lost = (error: Error): void => {
      if (session === undefined) {
        early = error;
        return;
      }
      const wasUsable = session.#usable;
      session.#usable = false;
      if (wasUsable) onLost(session, error);
    };
    const client = await connectClient({ ...config, pipeline: true }, signal, lost);
    if (early !== undefined) throw early;
    const cancelKey = { host: client.host, port: client.port, processId: client.processID ?? 0, secretKey: client.secretKey ?? 0 };
    session = new Session(client, cancelKey, clock);
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
    const executedBefore = this.#executed;
    const warningsBefore = this.#warnings;
    const answers = this.#sendAll(statements);
    const outcomes = await this.#unlessAborted(answers, signal, cancel);
    return { outcomes, executed: this.#executed - executedBefore, warned: this.#warnings > warningsBefore };
  }

  /** Parses these texts now, which executes nothing and needs no right on their tables. Never rejects; a text that cannot be parsed now is tried again when it is used. */
  async prepare(texts: readonly string[], signal: AbortSignal): Promise<BatchResult> {
    const unknown = texts.slice(0, PREPARED_LIMIT).filter((text) => !this.#names.has(text));
    const names = unknown.map((text) => this.#nameOf(text));
    const result = await this.run(
      unknown.map((text, i) => ({ text: `PREPARE ${names[i]} AS ${text}`, values: [], prepared: false })),
      signal,
    );
    for (const [i, text] of unknown.entries()) {
      const name = names[i];
      if (name !== undefined && result.outcomes?.[i]?.ok === true) this.#client.connection.parsedStatements[name] = text;
    }
    return result;
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

  async #unlessAborted(answers: readonly Promise<Outcome>[], signal: AbortSignal, cancel: boolean): Promise<readonly Outcome[] | null> {
    const aborted = Promise.withResolvers<null>();
    const onAbort = (): void => aborted.resolve(null);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    const first = await Promise.race([Promise.all(answers), aborted.promise]);
    signal.removeEventListener('abort', onAbort);
    if (first !== null) return first;

    const soon = Promise.withResolvers<null>();
    const stopWaiting = this.#clock.after(CANCEL_AFTER_MS, () => soon.resolve(null));
    const byItself = await Promise.race([Promise.all(answers), soon.promise]);
    stopWaiting();
    if (byItself !== null) return byItself;

    const limit = new AbortController();
    const stop = this.#clock.after(CANCEL_LIMIT_MS, () => limit.abort());
    try {
      const all = Promise.all(answers);
      const tooLate = whenAborted(limit.signal);
      // Never before the first of several is answered: were a BEGIN cancelled, those behind it would commit one by one.
      const begun = answers.length > 1 ? (await Promise.race([answers[0], tooLate])) !== null : true;
      const delivered = cancel && begun ? requestCancel(this.#cancelKey, limit.signal) : Promise.resolve(false);
      const late = await Promise.race([all, tooLate]);
      // A request that was not delivered may still arrive, and one that was may be about to hit: the next statement, which is nobody's.
      const isOver = late !== null && (!cancel || ((await delivered) && (await Promise.race([this.#send(nothing, null), tooLate])) !== null));
      if (!isOver) this.drop();
      return late;
    } finally {
      stop();
    }
  }

  #sendAll(statements: readonly Statement[]): readonly Promise<Outcome>[] {
    // All names first: what makes room for a new one must not land inside the batch's transaction.
    const mayPrepare = statements.length <= PREPARED_LIMIT;
    const names = statements.map((statement) => (statement.prepared && mayPrepare ? this.#nameOf(statement.text) : null));
    const { stream } = this.#client.connection;
    stream.cork();
    try {
      return statements.map((statement, i) => this.#send(statement, names[i] ?? null));
    } finally {
      stream.uncork();
    }
  }

  async #send(statement: Statement, name: string | null): Promise<Outcome> {
    const { text, values } = statement;
    try {
      const answer = await this.#client.query<(string | null)[], Parameter[]>({ ...(name === null ? {} : { name }), text, values: [...values], rowMode: 'array' });
      // A text of several statements, possible without values, is answered by a list; its last answer counts.
      const result = Array.isArray(answer) ? (answer as (typeof answer)[]).at(-1) : answer;
      if (result === undefined) return { ok: true, rows: [], rowCount: 0 };
      return { ok: true, rows: result.rows, rowCount: result.rowCount ?? 0 };
    } catch (error) {
      const stale = name !== null && staleStates.includes(sqlState(error));
      if (stale) this.#forget(text);
      return { ok: false, error, stale };
    }
  }

  #nameOf(text: string): string {
    const known = this.#names.get(text);
    const name = known ?? `s${++this.#namesGiven}`;
    this.#names.delete(text);
    this.#names.set(text, name);
    const oldest = this.#names.size > PREPARED_LIMIT ? this.#names.keys().next().value : undefined;
    if (oldest !== undefined) this.#forget(oldest);
    return name;
  }

  /** Frees a parsed statement. The server answers behind what was sent before; a refusal (inside a failed transaction) leaves a little memory in use until the connection ends. */
  #forget(text: string): void {
    const name = this.#names.get(text);
    if (name === undefined) return;
    this.#names.delete(text);
    delete this.#client.connection.parsedStatements[name];
    this.#client.query(`DEALLOCATE ${name}`).catch((error: unknown) => {
      if (sqlState(error) === null) this.#usable = false;
    });
  }
}

function whenAborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(null), { once: true }));
}
