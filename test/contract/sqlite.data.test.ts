import { mkdtemp, rename, rm } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DataStore, StoreOptions } from '../../backends/backend.ts';
import { sqliteBackend } from '../../backends/sqlite/backend.ts';
import { dataStoreContract } from './data-store.ts';
import { type DataStoreHarness, storeOptions } from './data-store-harness.ts';

// The names' collation takes "A" for "a", as many files of applications do.
const tables = `
PRAGMA journal_mode = WAL;
CREATE TABLE item (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount BIGINT NOT NULL DEFAULT 0 CHECK (amount >= 0), price DECIMAL_TEXT(10,2), note TEXT COLLATE NOCASE, UNIQUE (name)
);
CREATE TABLE line (item_id BIGINT NOT NULL REFERENCES item, line INT32 NOT NULL, quantity INT32 NOT NULL, PRIMARY KEY (item_id, line));
CREATE TABLE keyless (a INT);
CREATE TABLE dated (id INTEGER PRIMARY KEY, seen DATETIME);
CREATE VIEW shown AS SELECT 1 AS id;
CREATE TABLE switchyard_fence (table_name TEXT PRIMARY KEY, state TEXT NOT NULL, attempt INTEGER NOT NULL, peer TEXT NOT NULL, workflow TEXT) WITHOUT ROWID;`;

class SqliteHarness implements DataStoreHarness {
  readonly unsupported = [
    { table: 'keyless', names: 'primary key' },
    { table: 'dated', names: 'seen' },
    { table: 'shown', names: 'view' },
  ];
  readonly #directory: string;
  readonly #path: string;
  readonly #opened = new Set<DataStore>();

  constructor(directory: string) {
    this.#directory = directory;
    this.#path = join(directory, 'contract.db');
    this.#sql((database) => database.exec(tables));
  }

  open(options: Partial<StoreOptions> = {}): DataStore {
    const store = sqliteBackend.openData(
      storeOptions({
        shard: { kind: 'sqlite', path: this.#path },
        password: '',
        ...options,
      }),
    );
    this.#opened.add(store);
    return store;
  }

  async reset() {
    this.#sql((database) =>
      database.exec(`
DROP TRIGGER IF EXISTS fence_insert; DROP TRIGGER IF EXISTS fence_update; DROP TRIGGER IF EXISTS fence_delete;
DELETE FROM switchyard_fence; DELETE FROM line; DELETE FROM item;`),
    );
  }

  async print(table: string, column: string, id: bigint) {
    return this.#sql((database) => {
      const row = database.prepare(`SELECT CAST(${column} AS TEXT) AS printed FROM ${table} WHERE id = ?`).get(id);
      return String(row?.printed).replace(/\n+$/, '');
    });
  }

  /** The file has one write lock, whatever the row. */
  async lockItem() {
    const database = new DatabaseSync(this.#path, { timeout: 5_000 });
    database.exec('BEGIN IMMEDIATE');
    return { [Symbol.asyncDispose]: async () => database.close() };
  }

  async running() {
    return [...this.#opened].reduce((sum, store) => sum + store.poolStatus().busy + store.poolStatus().waiting, 0);
  }

  async fence(table: string, row: Parameters<DataStoreHarness['fence']>[1]) {
    this.#sql((database) => {
      database.prepare('INSERT INTO switchyard_fence VALUES (?, ?, ?, ?, ?)').run(row.table, row.state, row.attempt, row.peer, row.workflow);
      for (const event of ['INSERT', 'UPDATE', 'DELETE']) {
        database.exec(`CREATE TRIGGER fence_${event.toLowerCase()} BEFORE ${event} ON ${table} BEGIN SELECT RAISE(ABORT, 'switchyard: fenced ${table}'); END`);
      }
    });
  }

  async takeReads(table: string) {
    this.#sql((database) => database.prepare(`INSERT INTO switchyard_fence VALUES (?, 'CLOSED', 1, 'new', NULL)`).run(table));
  }

  async stop() {
    await rename(this.#path, `${this.#path}.away`);
  }

  async start() {
    await rename(`${this.#path}.away`, this.#path);
  }

  lockTable = () => this.#missing();
  connections = () => this.#missing();
  killConnections = () => this.#missing();
  openDoor = () => this.#missing();
  freeze = () => this.#missing();

  async [Symbol.asyncDispose]() {
    await rm(this.#directory, { recursive: true });
  }

  #missing(): Promise<never> {
    throw new Error('SQLite has nothing of the kind: the test is to be left out');
  }

  #sql<T>(work: (database: DatabaseSync) => T): T {
    using database = new DatabaseSync(this.#path, { timeout: 5_000 });
    return work(database);
  }
}

dataStoreContract('SQLite', async () => new SqliteHarness(await mkdtemp(join(tmpdir(), 'switchyard-sqlite-'))), {
  readLocks: 'in WAL mode no reader waits for a lock',
  cancelRequests: 'a waiting call is no statement yet, and a scan is stopped within its thread',
  ownConnections: 'short calls share one connection and take turns on this thread; the tests of its own are in sqlite.connections.test.ts',
  lostConnections: 'a file has no connections that another could end',
});
