import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SupervisedProcess } from '../servers/supervised-process.ts';
import type { ClusterStore } from './store.ts';

const accountsPerScale = 100_000;
const tellersPerScale = 10;

/** pgbench's tables with what `createShop` gives them in PostgreSQL: a key of history and the id that only a client knows. */
const tables = `
CREATE TABLE pgbench_branches (bid INTEGER NOT NULL PRIMARY KEY, bbalance INTEGER, filler TEXT);
CREATE TABLE pgbench_tellers (tid INTEGER NOT NULL PRIMARY KEY, bid INTEGER, tbalance INTEGER, filler TEXT);
CREATE TABLE pgbench_accounts (aid INTEGER NOT NULL PRIMARY KEY, bid INTEGER, abalance INTEGER, filler TEXT);
CREATE TABLE pgbench_history (tid INTEGER, bid INTEGER, aid INTEGER, delta INTEGER, mtime TIMESTAMP_TEXT, filler TEXT, hid INTEGER PRIMARY KEY AUTOINCREMENT, op_id UUID_TEXT);
`;

const numbers = (count: number): string => `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;

function fill(database: DatabaseSync, scale: number): void {
  database.exec(`BEGIN; ${tables}
${numbers(scale)} INSERT INTO pgbench_branches SELECT i, 0, NULL FROM n;
${numbers(scale * tellersPerScale)} INSERT INTO pgbench_tellers SELECT i, (i - 1) / ${tellersPerScale} + 1, 0, NULL FROM n;
${numbers(scale * accountsPerScale)} INSERT INTO pgbench_accounts SELECT i, (i - 1) / ${accountsPerScale} + 1, 0, '${' '.repeat(84)}' FROM n;
COMMIT;`);
}

/** A SQLite file of its own, which goes with this process in whatever way this one ends. */
export class SqliteStore implements ClusterStore, AsyncDisposable {
  readonly kind = 'sqlite';
  readonly title = 'SQLite';
  readonly fenceTable = 'switchyard_fence';
  readonly path: string;
  readonly #directory: SupervisedProcess;

  private constructor(directory: SupervisedProcess) {
    this.#directory = directory;
    this.path = join(directory.directory, 'shop.db');
  }

  /** An empty file, or one with pgbench's tables. */
  static async create(name: string, scale: number | null): Promise<SqliteStore> {
    const store = new SqliteStore(await SupervisedProcess.open({ prefix: `switchyard-sqlite-${name}-`, killSignal: 'SIGKILL' }));
    using database = store.#open();
    database.exec('PRAGMA journal_mode = WAL');
    if (scale !== null) fill(database, scale);
    return store;
  }

  get shard(): ClusterStore['shard'] {
    return { kind: 'sqlite', path: this.path };
  }

  async rows(query: string): Promise<readonly (readonly (string | null)[])[]> {
    using database = this.#open();
    const statement = database.prepare(query);
    statement.setReadBigInts(true);
    statement.setReturnArrays(true);
    return (statement.all() as unknown as readonly (readonly unknown[])[]).map((row) => row.map((value) => (value === null ? null : String(value))));
  }

  async grant(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#directory.dispose();
  }

  #open(): DatabaseSync {
    return new DatabaseSync(this.path, { timeout: 5_000 });
  }
}
