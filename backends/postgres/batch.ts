import type pg from 'pg';
import { sqlState } from './errors.ts';

declare module 'pg' {
  // Parts of the driver that its types leave out.
  interface Connection {
    parse(statement: { readonly name: string; readonly text: string }): void;
    bind(portal: { readonly statement: string; readonly values: readonly Parameter[] }): void;
    execute(portal: Record<string, never>): void;
    endCopyFrom(): void;
    close(what: { readonly type: 'S'; readonly name: string }): void;
  }
}

export type Parameter = string | Buffer | null;
export type TextRow = readonly (string | null)[];

/** What became of one statement. */
export type Outcome =
  /** `cut`: rows behind these were left out, for the statement's `maxBytes`. `lines`: what a COPY … TO STDOUT has sent. */
  | { readonly ok: true; readonly rows: readonly TextRow[]; readonly rowCount: number; readonly cut: boolean; readonly lines?: CopiedLines }
  /** `stale`: nothing was executed, because what the connection had parsed no longer holds; the same statement, not prepared, may succeed. */
  | { readonly ok: false; readonly error: unknown; readonly stale: boolean };

/** What a COPY … TO STDOUT has sent. */
export interface CopiedLines {
  readonly bytes: Buffer;
  readonly count: number;
}

/** One statement as it is sent. */
export interface SentStatement {
  readonly text: string;
  readonly values: readonly Parameter[];
  /** Name under which the connection keeps it parsed; empty: not kept. */
  readonly name: string;
  /** Whether the server has to parse it first. */
  readonly parse: boolean;
  /** From the row, or the line of a COPY, on with which they would come to more bytes, all are thrown away as they arrive; but not the first. */
  readonly maxBytes: number;
  /** The lines of a COPY … FROM STDIN. Sent along without waiting for the server to ask: one that has failed throws them away, as it does with the statements behind it. */
  readonly input?: Buffer;
}

/** The server no longer knows the prepared statement, or its result has another shape since the table was altered. */
const staleStates: readonly (string | null)[] = ['0A000', '26000'];
/** "INSERT 0 1", "UPDATE 2", "SELECT 5": the last word counts rows, where there is one. */
const countPattern = / (\d+)$/;

/**
 * Statements that are sent to the server at once, as the driver takes them for one query of its own. They are one unit: what follows a failed one is not executed. Without BEGIN … COMMIT they commit together at the end. A single one without
 * parameters may be a script; its last answer counts. Rows come as texts, and no description of them is asked for.
 */
export class Batch implements pg.Submittable {
  readonly #statements: readonly SentStatement[];
  readonly #close: readonly string[];
  readonly #outcomes: Outcome[] = [];
  readonly #done = Promise.withResolvers<readonly Outcome[]>();
  #rows: TextRow[] = [];
  #lines = new Lines();
  #bytesLeft = Number.POSITIVE_INFINITY;
  #cut = false;
  #parsed = 0;
  #executed = 0;
  #stopCounting: () => void = () => {};

  /** `close`: names of parsed statements that the server may forget. */
  constructor(statements: readonly SentStatement[], close: readonly string[]) {
    this.#statements = statements;
    this.#close = close;
    this.#beginRows();
  }

  /** One for each statement, in order. Never rejects. */
  get done(): Promise<readonly Outcome[]> {
    return this.#done.promise;
  }

  /** Statements that the server reported as executed; their effect may be committed even though an outcome says that the connection was lost. */
  get executed(): number {
    return this.#executed;
  }

  /** Statements that the server has parsed for it, whatever became of them. */
  get parsed(): number {
    return this.#parsed;
  }

  // What the driver calls.

  submit(connection: pg.Connection): void {
    const { stream } = connection;
    if (this.#statements.some(({ parse }) => parse)) this.#countParsed(connection);
    stream.cork();
    for (const name of this.#close) connection.close({ type: 'S', name });
    const [first] = this.#statements;
    if (first !== undefined && this.#isScript) connection.query(first.text);
    else {
      for (const { text, values, name, parse, input } of this.#statements) {
        if (parse) connection.parse({ name, text });
        connection.bind({ statement: name, values });
        connection.execute({});
        if (input === undefined) continue;
        sendInput(stream, input);
        connection.endCopyFrom();
      }
      connection.sync();
    }
    stream.uncork();
  }

  handleRowDescription(): void {
    this.#beginRows();
  }

  handleDataRow({ fields, length }: { readonly fields: TextRow; readonly length: number }): void {
    this.#cut ||= this.#rows.length > 0 && length > this.#bytesLeft;
    if (this.#cut) return;
    this.#rows.push(fields);
    this.#bytesLeft -= length;
  }

  handleCommandComplete(message: { readonly text: string }): void {
    this.#executed += 1;
    const { bytes, count } = this.#lines;
    const lines = count === 0 ? {} : { lines: { bytes, count } };
    this.#put({ ok: true, rows: this.#rows, cut: this.#cut, rowCount: Number(countPattern.exec(message.text)?.[1] ?? 0), ...lines });
  }

  handleEmptyQuery(): void {
    this.#put({ ok: true, rows: [], cut: false, rowCount: 0 });
  }

  handlePortalSuspended(): void {}

  handleCopyInResponse(connection: { sendCopyFail(message: string): void }): void {
    if (this.#statements[this.#outcomes.length]?.input === undefined) connection.sendCopyFail('no source is given');
  }

  /** Each is one line. */
  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    this.#cut ||= this.#lines.count > 0 && chunk.length > this.#bytesLeft;
    if (this.#cut) return;
    this.#lines.add(chunk);
    this.#bytesLeft -= chunk.length;
  }

  /** Whatever has no answer now has failed by this: the server skips what follows, or the connection is gone. An error behind the last answer is one of the commit. */
  handleError(error: unknown): void {
    if (this.#outcomes.length === this.#statements.length) this.#outcomes.pop();
    const stale = this.#statements[this.#outcomes.length]?.name !== '' && staleStates.includes(sqlState(error));
    const failed: Outcome = { ok: false, error, stale };
    while (this.#outcomes.length < this.#statements.length) this.#outcomes.push(failed);
    this.#end();
  }

  handleReadyForQuery(): void {
    this.#end();
  }

  #end(): void {
    this.#stopCounting();
    this.#done.resolve(this.#outcomes);
  }

  #beginRows(): void {
    this.#rows = [];
    if (this.#lines.count > 0) this.#lines = new Lines();
    this.#cut = false;
    this.#bytesLeft = this.#statements[this.#outcomes.length]?.maxBytes ?? Number.POSITIVE_INFINITY;
  }

  /** The driver tells queries of their own kind only. */
  #countParsed(connection: pg.Connection): void {
    const count = (): void => {
      this.#parsed += 1;
    };
    connection.on('parseComplete', count);
    this.#stopCounting = () => connection.off('parseComplete', count);
  }

  get #isScript(): boolean {
    const [first] = this.#statements;
    return this.#statements.length === 1 && first?.values.length === 0 && first.name === '' && first.input === undefined;
  }

  #put(outcome: Outcome): void {
    if (this.#isScript) this.#outcomes.pop();
    this.#outcomes.push(outcome);
    this.#beginRows();
  }
}

/** Far below the gigabyte that a message can have. */
const messageBytes = 1024 * 1024;

/** As messages of a COPY … FROM STDIN, which need not be whole lines (PostgreSQL's manual, "Message Formats", CopyData). The driver would copy all of it into a buffer that grows. */
function sendInput(stream: { write(bytes: Buffer): unknown }, input: Buffer): void {
  for (let at = 0; at < input.length; at += messageBytes) {
    const part = input.subarray(at, at + messageBytes);
    const head = Buffer.alloc(5, 'd');
    head.writeInt32BE(part.length + 4, 1);
    stream.write(head);
    stream.write(part);
  }
}

const noMemory = Buffer.alloc(0);

/** In memory of their own: the driver uses that of what it has handed out again. */
class Lines {
  #memory: Buffer = noMemory;
  #length = 0;
  #count = 0;

  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  get count(): number {
    return this.#count;
  }

  add(line: Buffer): void {
    const length = this.#length + line.length;
    if (length > this.#memory.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#memory.length, 64 * 1024));
      this.#memory.copy(larger, 0, 0, this.#length);
      this.#memory = larger;
    }
    this.#memory.set(line, this.#length);
    this.#length = length;
    this.#count += 1;
  }
}
