import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { messageOf, resultCode } from './errors.ts';
import { registerFunctions } from './functions.ts';

/** What SQLite stores and takes: INTEGER is a bigint, REAL a number, TEXT a string, BLOB bytes. */
export type SqlValue = null | number | bigint | string | Uint8Array;
export type SqlRow = readonly SqlValue[];

/** One statement with its parameters. Values travel as parameters only. */
export interface Statement {
  readonly text: string;
  readonly values: readonly SqlValue[];
}

export interface ConnectionOptions {
  /** Absolute path of the file. */
  readonly path: string;
  /** Make the file when it is not there; otherwise a missing file is an error. */
  readonly create?: boolean;
  /** Check foreign keys and run their actions; default true. False for rows whose keys have done their work elsewhere. */
  readonly foreignKeys?: boolean;
  /** Asked once for every row that a statement with `switchyard_go_on()` looks at; false ends the statement with an error. */
  readonly goOn?: () => boolean;
}

/** Statements that one connection keeps parsed. */
const PREPARED_LIMIT = 256;

/**
 * One connection to a file. Everything is synchronous and nothing waits: a lock that another connection has is an error at once (`isBusy`), to be tried again later. Errors are those of `node:sqlite`;
 * errors.ts tells what they mean.
 */
export class Connection implements Disposable {
  readonly #database: DatabaseSync;
  /** By text, the one used last at the end. */
  readonly #statements = new Map<string, StatementSync>();

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Opens the file in WAL mode. Turning a file to WAL that is not needs it for itself for a moment, or it is busy. */
  static open({ path, create = false, foreignKeys = true, goOn = () => true }: ConnectionOptions): Connection {
    const url = pathToFileURL(path);
    url.searchParams.set('mode', create ? 'rwc' : 'rw');
    const options = { timeout: 0, readBigInts: true, returnArrays: true, enableForeignKeyConstraints: foreignKeys, enableDoubleQuotedStringLiterals: false, open: false };
    const database = new DatabaseSync(url, options);
    try {
      database.open();
      const connection = new Connection(database);
      const [mode] = connection.all('PRAGMA journal_mode');
      if (mode?.[0] !== 'wal') {
        const [turned] = connection.all('PRAGMA journal_mode = WAL');
        if (turned?.[0] !== 'wal')
          throw new SwitchyardError('STORE_UNAVAILABLE', `"${path}" cannot be turned to WAL mode, which Switchyard needs; it stays in ${String(turned?.[0])}`);
      }
      // An acknowledged write must survive a power cut: only FULL syncs the log at every commit.
      database.exec(`PRAGMA synchronous = FULL; PRAGMA foreign_keys = ${foreignKeys ? 'ON' : 'OFF'}; PRAGMA busy_timeout = 0;`);
      registerFunctions(database, goOn);
      return connection;
    } catch (error) {
      if (database.isOpen) database.close();
      const code = resultCode(error);
      // SQLite's own message does not say which file it could not open.
      throw code === null ? error : Object.assign(new Error(`"${path}": ${messageOf(error)}`, { cause: error }), { errcode: code });
    }
  }

  /** Runs one statement, kept parsed, and gives all its rows. */
  all(text: string, values: readonly SqlValue[] = []): readonly SqlRow[] {
    // The types know nothing of the option that makes rows arrays.
    return this.#prepared(text).all(...values) as unknown as readonly SqlRow[];
  }

  /** Runs these statements, kept parsed, and gives the rows of each: all that come before the one with which they would come to more bytes, roughly, but the first in any case. `cut`: there are more. Of several statements each has one row, or none. */
  within(maxBytes: number, statements: readonly Statement[]): { readonly rows: readonly (readonly SqlRow[])[]; readonly cut: boolean } {
    const [only] = statements;
    if (statements.length === 1 && only !== undefined) {
      const { rows, cut } = this.#upTo(maxBytes, only);
      return { rows: [rows], cut };
    }
    const all: (readonly SqlRow[])[] = [];
    let bytes = 0;
    for (const { text, values } of statements) {
      const rows = this.all(text, values);
      const before = bytes;
      for (const row of rows) bytes += bytesOf(row);
      if (rows.length > 0 && before > 0 && bytes > maxBytes) return { rows: all, cut: true };
      all.push(rows);
    }
    return { rows: all, cut: false };
  }

  #upTo(maxBytes: number, { text, values }: Statement): { readonly rows: readonly SqlRow[]; readonly cut: boolean } {
    const rows: SqlRow[] = [];
    let bytes = 0;
    try {
      for (const row of this.#prepared(text).iterate(...values) as unknown as Iterable<SqlRow>) {
        const more = bytesOf(row);
        if (rows.length > 0 && bytes + more > maxBytes) return { rows, cut: true };
        rows.push(row);
        bytes += more;
      }
    } catch (error) {
      // One whose iteration has failed, as by an abort, would fail once more when it is used again: with an error without a message.
      this.#statements.delete(text);
      throw error;
    }
    return { rows, cut: false };
  }

  /** Runs one statement, kept parsed, and gives the number of rows that it changed itself (triggers not counted). */
  run(text: string, values: readonly SqlValue[] = []): number {
    return Number(this.#prepared(text).run(...values).changes);
  }

  /** Runs a script of any number of statements without parameters. */
  script(text: string): void {
    this.#database.exec(text);
  }

  /** Parses a text now, for its first use. Does nothing for one that cannot be parsed: its use will tell why. */
  prepare(text: string): void {
    try {
      this.#prepared(text);
    } catch {
      return;
    }
  }

  /** Statements kept parsed just now; never more than a fixed bound. */
  get preparedCount(): number {
    return this.#statements.size;
  }

  /** Whether a transaction is open. */
  get inTransaction(): boolean {
    return this.#database.isTransaction;
  }

  /**
   * Runs `work` in one transaction and commits; whatever it or the commit throws rolls everything back. IMMEDIATE takes the write lock now, or is busy. `work` must not wait for anything: nobody else can come in between.
   * `onCommitError` may turn the commit's own error into another.
   */
  transaction<T>(mode: 'DEFERRED' | 'IMMEDIATE', work: () => T, onCommitError: (error: unknown) => unknown = (error) => error): T {
    this.run(mode === 'IMMEDIATE' ? 'BEGIN IMMEDIATE' : 'BEGIN');
    let result: T;
    try {
      result = work();
    } catch (error) {
      this.#rollBack();
      throw error;
    }
    try {
      this.run('COMMIT');
    } catch (error) {
      this.#rollBack();
      throw onCommitError(error);
    }
    return result;
  }

  [Symbol.dispose](): void {
    this.#statements.clear();
    if (this.#database.isOpen) this.#database.close();
  }

  #rollBack(): void {
    // Some errors, such as a full disk, have rolled back by themselves.
    if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
  }

  #prepared(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (statement === undefined) statement = this.#database.prepare(text);
    else this.#statements.delete(text);
    this.#statements.set(text, statement);
    if (this.#statements.size > PREPARED_LIMIT) {
      const [oldest] = this.#statements.keys();
      if (oldest !== undefined) this.#statements.delete(oldest);
    }
    return statement;
  }
}

const bytesOf = (row: SqlRow): number =>
  row.reduce<number>((sum, value) => sum + (typeof value === 'string' ? Buffer.byteLength(value) : value instanceof Uint8Array ? value.length : 8), 0);

/** The name as SQL, whatever characters it has. */
export function quoteIdentifier(name: string): string {
  if (name === '' || name.includes('\0')) throw new SwitchyardError('ARGUMENT_INVALID', 'a name must have at least one character and no U+0000');
  return `"${name.replaceAll('"', '""')}"`;
}

/** A served table as SQL. Temporary tables and attached files do not exist for us. */
export const quoteTable = (table: string): string => `main.${quoteIdentifier(table)}`;

/** A text as SQL, for triggers and other texts that take no parameters. */
export function quoteText(text: string): string {
  if (text.includes('\0')) throw new SwitchyardError('ARGUMENT_INVALID', 'a text in a definition must have no U+0000');
  return `'${text.replaceAll("'", "''")}'`;
}
