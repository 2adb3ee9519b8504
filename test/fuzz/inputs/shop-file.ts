import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { sqliteBackend } from '../../../backends/sqlite/backend.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { Finding } from '../target.ts';

/** Names that would be SQL if anybody took them for that: of a table and of its columns, all of them served. */
export const sqlTable = 'x"; DROP TABLE canary; --';
export const sqlColumn = 'y" = 1; DELETE FROM canary; --';

export const tableNames = ['item', 'line', sqlTable, 'shop.item', 'shop.line'];
export const columnNames = [
  'id',
  'name',
  'amount',
  'price',
  'seen',
  'wall',
  'day',
  'at_time',
  'doc',
  'raw',
  'ref',
  'mood',
  'ratio',
  'part',
  'flag',
  'huge',
  'small',
  'twice',
  'item_id',
  'line',
  sqlColumn,
];

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

// Without a primary key a table is not served: no call can change the canary but by SQL.
const tables = `
CREATE TABLE item (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, amount BIGINT NOT NULL DEFAULT 0 CHECK (amount >= -1000), price DECIMAL_TEXT(12,4), seen TIMESTAMPTZ_TEXT, wall TIMESTAMP_TEXT, day DATE_TEXT, at_time TIME_TEXT,
  doc JSON_TEXT, raw BLOB, ref UUID_TEXT, mood ENUM_TEXT, ratio REAL, part FLOAT32, flag BOOLEAN, huge UNSIGNED64_TEXT, small SMALLINT, twice BIGINT GENERATED ALWAYS AS (amount * 2) STORED);
CREATE TABLE line (item_id BIGINT NOT NULL REFERENCES item, line TEXT NOT NULL, amount INT32 NOT NULL DEFAULT 1, PRIMARY KEY (item_id, line));
CREATE TABLE ${quoted(sqlTable)} (id BIGINT PRIMARY KEY NOT NULL, ${quoted(sqlColumn)} TEXT NOT NULL);
CREATE TABLE canary (note TEXT);
INSERT INTO canary VALUES ('nobody may touch this'), ('nor this');`;

const rows = `
INSERT INTO item (id, name, amount, price) VALUES (1, 'one', 1, '1.0000'), (2, 'two', 2, NULL), (3, 'three', 3, NULL);
INSERT INTO line VALUES (1, 'a', 1), (1, 'b', 2);
INSERT INTO ${quoted(sqlTable)} VALUES (1, 'a');`;

const changeable = ['item', 'line', sqlTable, 'switchyard_request'];

/** A SQLite file with tables that are served and one, the canary, that no call can reach. */
export class ShopFile implements AsyncDisposable {
  readonly directory: string;
  readonly path: string;
  #untouched = '';

  private constructor(directory: string) {
    this.directory = directory;
    this.path = join(directory, 'shop.db');
  }

  static async create(): Promise<ShopFile> {
    const file = new ShopFile(await mkdtemp(join(tmpdir(), 'switchyard-fuzz-')));
    using database = file.connect();
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; ${tables} ${rows}`);
    return file;
  }

  connect(): DatabaseSync {
    return new DatabaseSync(this.path, { timeout: 5_000 });
  }

  /** Makes Switchyard's own tables in it, as control does. */
  async install(keyspace: string): Promise<void> {
    await using owner = sqliteBackend.openOwner({
      keyspace,
      openedBy: 'the fuzzer',
      shard: { kind: 'sqlite', path: this.path },
      password: '',
      poolSize: 1,
      acquireTimeoutMs: 5_000,
      applicationName: 'fuzz',
      clock: systemClock,
      onBackgroundError: () => {},
    });
    await owner.install(new AbortController().signal);
  }

  /** Remembers what must not change from now on. */
  seal(): void {
    this.#untouched = this.#digest();
  }

  /** The rows of every table that calls can change, and the records of requests: equal texts exactly for equal rows. */
  rowsOf(database: DatabaseSync): string {
    const texts = changeable.map((table) => {
      const statement = database.prepare(`SELECT * FROM ${quoted(table)}`);
      statement.setReadBigInts(true);
      return JSON.stringify(statement.all(), (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));
    });
    return texts.join('\n');
  }

  /** Makes these rows what they were at the beginning. */
  reset(database: DatabaseSync): void {
    const cleared = [...changeable].reverse().map((table) => `DELETE FROM ${quoted(table)};`);
    database.exec(`BEGIN IMMEDIATE; ${cleared.join(' ')} ${rows} COMMIT;`);
  }

  /** A finding when the canary, or the shape of anything in the file, is not what it was. */
  checkUntouched(): void {
    if (this.#digest() !== this.#untouched) throw new Finding('state', "the canary's rows or the file's schema have changed: a text of a caller was taken for SQL");
  }

  #digest(): string {
    using database = this.connect();
    const rows = [...database.prepare('SELECT name, sql FROM sqlite_master ORDER BY name').all(), ...database.prepare('SELECT rowid, note FROM canary ORDER BY rowid').all()];
    return createHash('sha256').update(JSON.stringify(rows)).digest('hex');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
