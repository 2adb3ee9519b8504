import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DataStore, StoreOptions } from '../../backends/backend.ts';
import { Connection, type SqlRow } from '../../backends/sqlite/connection.ts';
import { openDataStore } from '../../backends/sqlite/data/data-store.ts';
import { isBusy, isFenced, resultCode } from '../../backends/sqlite/errors.ts';
import { openOwnerStore } from '../../backends/sqlite/owner/owner-store.ts';
import { openReplicationStore } from '../../backends/sqlite/player/replication-store.ts';
import { ReadFence } from '../../backends/sqlite/read-fence.ts';
import { storeOptions } from './data-store-harness.ts';
import type { MoveDialect } from './move-dialect.ts';
import { type MoveStores, type NamedStore, type RawSession, TABLES } from './move-stores.ts';
import type { StoresSource } from './armed-stores.ts';

const TABLES_TEXT = `
CREATE TABLE item (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, amount INT32 NOT NULL DEFAULT 0 CHECK (amount > -1000), twice INT32 GENERATED ALWAYS AS (amount * 2) STORED,
  price DECIMAL_TEXT(12,4), big TEXT, seen TIMESTAMPTZ_TEXT, plain TIMESTAMP_TEXT, at_time TIME_TEXT, due DATE_TEXT, doc JSON_TEXT, raw BLOB, mood ENUM_TEXT, ratio REAL, part FLOAT32, flag BOOLEAN, ref UUID_TEXT,
  huge UNSIGNED64_TEXT, wide BIGINT, small SMALLINT
);
CREATE INDEX item_amount ON item (amount) WHERE amount > 0;
CREATE TABLE line (item_id INTEGER NOT NULL REFERENCES item ON DELETE CASCADE ON UPDATE CASCADE, line INT32 NOT NULL DEFAULT 0, quantity INT32, PRIMARY KEY (item_id, line));`;

const insert = (name: string): string => `INSERT INTO item (name) VALUES ('${name}')`;

export const sqliteDialect: MoveDialect = {
  name: 'SQLite',
  codes: { write: 'FENCED', writeOfReader: 'FENCED', oldSnapshot: 'SQLITE_517', read: 'FENCED' },
  own: (table) => `switchyard_${table}`,
  series: (count) => `(WITH RECURSIVE series (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < ${count}) SELECT i FROM series)`,
  textOfI: `printf('%032d', i)`,
  repeated: (text, times) => `replace(printf('%.*c', ${times}, 'x'), 'x', ${text})`,
  everyType: `INSERT INTO item (name, amount, price, big, seen, plain, at_time, due, doc, raw, mood, ratio, part, flag, ref, huge, wide, small) VALUES
    ('all', 1, '12.5000', 'ünïcödé 🚂', '2026-02-03 02:05:06.789123Z', '0044-03-15 00:00:00.000000', '23:59:59.999999', 'infinity', '{"n": 1e400}', x'00ff5c', 'so so', 9e999, -0.0, 1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
      '18446744073709551615', 9223372036854775807, -32768),
    ('none', 0, NULL, NULL, '-infinity', NULL, NULL, NULL, NULL, x'', '', -9e999, 0.5, 0, NULL, '00000000000000000000', -9223372036854775808, NULL)`,
  somePosition: '77',
  numbered: [['item', 'id']],
  beginSnapshot: ['BEGIN', 'BEGIN'],
  warmInsert: { prepare: null, use: insert },
  holdStream: (id) => `BEGIN IMMEDIATE; UPDATE switchyard_stream SET position = position WHERE id = '${id}'`,
  dropOwn: ['installation', 'fence', 'stream', 'copy', 'marker', 'sequence', 'session', 'log', 'log_attempt', 'change', 'candidate', 'request', 'preparation']
    .map((name) => `DROP TABLE switchyard_${name}`)
    .join('; '),
  withoutRequests: 'DROP TABLE switchyard_request; DROP TABLE switchyard_preparation; DROP TABLE switchyard_log_attempt; UPDATE switchyard_installation SET version = 1',
  fencedWrites: [
    'INSERT OR REPLACE INTO item (id, name) SELECT id, name FROM item',
    "INSERT OR IGNORE INTO item (name) VALUES ('z')",
    "INSERT OR FAIL INTO item (name) VALUES ('z')",
    "INSERT OR ROLLBACK INTO item (name) VALUES ('z')",
    'UPDATE OR IGNORE item SET amount = 1',
    'UPDATE OR REPLACE item SET id = id + 1',
    `${insert('x')} ON CONFLICT (name) DO UPDATE SET amount = 2`,
    'PRAGMA foreign_keys = OFF; DELETE FROM item',
    'PRAGMA ignore_check_constraints = ON; PRAGMA recursive_triggers = ON; UPDATE item SET amount = -5000',
  ],
  traps: [
    ['CREATE TRIGGER mine AFTER INSERT ON ITEM BEGIN SELECT 1; END', /trigger "mine"/, 'DROP TRIGGER mine'],
    ['CREATE TRIGGER mine AFTER INSERT ON item BEGIN SELECT 1; END', /trigger "mine"/, 'DROP TRIGGER mine'],
    ['CREATE UNIQUE INDEX mine ON item (lower(name))', /"mine" is on an expression/, 'DROP INDEX mine'],
    ['ALTER TABLE item ADD COLUMN mine NUMERIC', /column "mine" has the type NUMERIC/, 'ALTER TABLE item DROP COLUMN mine'],
    ['CREATE TABLE mine (id INTEGER PRIMARY KEY, item_id INTEGER REFERENCES item)', /foreign key .* of table "mine" leads here/, 'DROP TABLE mine'],
    [
      'CREATE TABLE mine (id INTEGER PRIMARY KEY); ALTER TABLE item ADD COLUMN mine INTEGER REFERENCES mine',
      /leads to table "mine"/,
      'ALTER TABLE item DROP COLUMN mine; DROP TABLE mine',
    ],
  ],
  has: { rights: false, manyWriters: false, preparedTransactions: false, transactionsInLog: false, unchangedCells: false, truncate: false, constraints: true, autovacuum: false },
};

/** A folder of files; every test gets two new ones. */
export class SqliteFiles implements StoresSource {
  readonly #folder: string;
  #files = 0;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async start(): Promise<SqliteFiles> {
    return new SqliteFiles(await mkdtemp(join(tmpdir(), 'switchyard-sqlite-')));
  }

  /** The source with these tables, the target empty. */
  async fresh(tables = TABLES_TEXT): Promise<MoveStores & { readonly source: NamedStore; readonly target: NamedStore }> {
    this.#files += 1;
    const [source, target] = [new OneStore(join(this.#folder, `source_${this.#files}.db`)), new OneStore(join(this.#folder, `target_${this.#files}.db`))];
    await source.sql(tables);
    return {
      source,
      target,
      [Symbol.asyncDispose]: async () => {
        await Promise.all([source, target].map((store) => store[Symbol.asyncDispose]()));
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

class OneStore implements NamedStore, AsyncDisposable {
  readonly owner;
  readonly player;
  readonly path: string;
  readonly #options: StoreOptions;

  constructor(path: string) {
    this.path = path;
    this.#options = storeOptions({ shard: { kind: 'sqlite', path }, password: '', poolSize: 3 });
    this.owner = openOwnerStore(this.#options);
    this.player = openReplicationStore(this.#options);
  }

  get shard() {
    return this.#options.shard;
  }

  readonly env = {};

  openData(options: Partial<StoreOptions> = {}): DataStore {
    return openDataStore({ ...this.#options, ...options });
  }

  async session(identity: 'gateway' | 'owner' | 'player' | 'admin'): Promise<RawSession> {
    return new FileSession(Connection.open({ path: this.path, create: true }), identity === 'gateway');
  }

  async sql(text: string, identity: 'gateway' | 'owner' | 'player' | 'admin' = 'gateway') {
    const session = await this.session(identity);
    try {
      return await session.query(text);
    } finally {
      await session.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.owner[Symbol.asyncDispose](), this.player[Symbol.asyncDispose]()]);
  }
}

/** SQL of any program. Only a gateway's reads look at the fence, in their own snapshot; the file itself refuses no reader. */
class FileSession implements RawSession {
  readonly #connection: Connection;
  readonly #isGateway: boolean;
  readonly #fence: ReadFence;

  constructor(connection: Connection, isGateway: boolean) {
    this.#connection = connection;
    this.#isGateway = isGateway;
    this.#fence = new ReadFence(connection);
  }

  /** Waits for another's lock unless a transaction is open. */
  async query(sql: string): Promise<readonly (readonly (string | null)[])[]> {
    const deadline = performance.now() + 10_000;
    // As over a network: whoever asks again and again leaves everybody else their turn.
    await new Promise((resolve) => setImmediate(resolve));
    for (;;) {
      const wasInTransaction = this.#connection.inTransaction;
      try {
        return this.#run(sql).map((row) => row.map((value) => (value === null ? null : String(value))));
      } catch (error) {
        if (!wasInTransaction && this.#connection.inTransaction && !sql.startsWith('BEGIN')) this.#connection.script('ROLLBACK');
        if (isBusy(error) && !wasInTransaction && performance.now() < deadline) {
          if (this.#connection.inTransaction) this.#connection.script('ROLLBACK');
          await new Promise((resolve) => setTimeout(resolve, 1));
        } else if (isFenced(error)) throw Object.assign(new Error(sql), { code: 'FENCED' });
        else if (resultCode(error) !== null) throw Object.assign(new Error(`${sql}: ${error}`), { code: `SQLITE_${resultCode(error)}` });
        else throw error;
      }
    }
  }

  async close(): Promise<void> {
    this.#connection[Symbol.dispose]();
  }

  #run(sql: string): readonly SqlRow[] {
    if (!sql.startsWith('SELECT')) {
      if (sql.includes(';')) this.#connection.script(sql);
      else this.#connection.run(sql);
      return [];
    }
    const read = (): readonly SqlRow[] => {
      if (this.#isGateway) this.#fence.check([...TABLES, 'empty_one'].filter((table) => sql.includes(table)));
      return this.#connection.all(sql);
    };
    return this.#connection.inTransaction ? read() : this.#connection.transaction('DEFERRED', read);
  }
}
