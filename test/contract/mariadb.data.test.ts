import { type Connection, createConnection } from 'mysql2/promise';
import type { StoreOptions } from '../../backends/backend.ts';
import { mariadbBackend } from '../../backends/mariadb/backend.ts';
import type { Shard } from '../../core/keyspace.ts';
import { FreezableProxy } from '../support/cluster/freezable-proxy.ts';
import { type MariaDbServer, startMariaDb } from '../support/servers/mariadb.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { dataStoreContract } from './data-store.ts';
import { type DataStoreHarness, storeOptions } from './data-store-harness.ts';

const DATABASE = 'contract';
const GATEWAY = { user: 'gateway', password: 'secret' };

const trigger = (event: string): string => `
CREATE TRIGGER switchyard_fence_${event}_item BEFORE ${event} ON item FOR EACH ROW
BEGIN
  IF (SELECT state FROM switchyard_fence WHERE table_name = 'item' LOCK IN SHARE MODE) <> 'OPEN' THEN SIGNAL SQLSTATE 'SY001' SET MESSAGE_TEXT = 'fenced'; END IF;
END`;

// The notes' collation takes "A" for "a" and pays no attention to blanks at the end, as most databases' do.
const tables: readonly string[] = [
  `CREATE USER gateway IDENTIFIED BY 'secret'`,
  `CREATE TABLE item (
    id bigint AUTO_INCREMENT PRIMARY KEY, name varchar(2100) NOT NULL UNIQUE, amount bigint NOT NULL DEFAULT 0 CHECK (amount >= 0), price decimal(10,2), note mediumtext COLLATE utf8mb4_general_ci
  )`,
  'CREATE TABLE line (item_id bigint NOT NULL REFERENCES item (id), line int NOT NULL, quantity int NOT NULL, PRIMARY KEY (item_id, line))',
  'CREATE TABLE keyless (a int)',
  `CREATE TABLE sets (id int PRIMARY KEY, often SET('a', 'b'))`,
  'CREATE VIEW shown AS SELECT 1 AS id',
  'CREATE TABLE switchyard_fence (table_name varchar(64) PRIMARY KEY, state varchar(8) NOT NULL, attempt bigint NOT NULL, peer varchar(255) NOT NULL, workflow varchar(255))',
  ...['insert', 'update', 'delete'].map(trigger),
  'GRANT SELECT, INSERT, UPDATE, DELETE ON item TO gateway',
  'GRANT SELECT, INSERT, UPDATE, DELETE ON line TO gateway',
  ...['keyless', 'sets', 'shown', 'switchyard_fence'].map((table) => `GRANT SELECT ON ${table} TO gateway`),
];

class MariaDbHarness implements DataStoreHarness {
  readonly unsupported = [
    { table: 'keyless', names: 'primary key' },
    { table: 'sets', names: 'often' },
    { table: 'shown', names: 'view' },
  ];
  readonly #server: MariaDbServer;
  #admin: Connection | null = null;

  constructor(server: MariaDbServer) {
    this.#server = server;
  }

  open(options: Partial<StoreOptions> = {}) {
    return mariadbBackend.openData(storeOptions({ shard: this.#shard(this.#server.port), password: GATEWAY.password, ...options }));
  }

  async reset() {
    for (const [id] of await this.#calls()) await this.run(`KILL QUERY ${id}`).catch(() => {});
    for (const table of ['switchyard_fence', 'line', 'item']) await this.run(`DELETE FROM ${table}`);
  }

  async print(table: string, column: string, id: bigint) {
    const [row] = await this.run(`SELECT CAST(${column} AS char) FROM ${table} WHERE id = ${id}`);
    return String(row?.[0]).replace(/\n+$/, '');
  }

  lockItem = (id: bigint) => this.#hold('BEGIN', `SELECT 1 FROM item WHERE id = ${id} FOR UPDATE`);
  lockTable = (table: string) => this.#hold(`LOCK TABLES ${table} WRITE`);

  running = async () => (await this.#calls()).length;
  connections = async () => (await this.#connections()).length;

  async killConnections() {
    for (const [id] of await this.#connections()) await this.run(`KILL ${id}`).catch(() => {});
  }

  async fence(_table: string, { table, state, attempt, peer, workflow }: Parameters<DataStoreHarness['fence']>[1]) {
    await (await this.#connect()).execute('INSERT INTO switchyard_fence VALUES (?, ?, ?, ?, ?)', [table, state, attempt, peer, workflow]);
  }

  async takeReads(table: string) {
    await this.run(`INSERT INTO switchyard_fence VALUES ('${table}', 'CLOSED', 1, 'new', NULL)`);
  }

  async openDoor() {
    const proxy = await FreezableProxy.start(this.#server);
    return {
      options: { shard: this.#shard(proxy.port) },
      holdNewConnections: () => proxy.holdNew(),
      untilHeld: async () => void (await waitUntil('a held connection', { limitMs: 5_000, everyMs: 2 }, async () => (proxy.held > 0 ? true : undefined))),
      letThrough: () => proxy.thaw(),
      [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
    };
  }

  async stop() {
    this.#admin?.destroy();
    this.#admin = null;
    await this.#server.stop();
  }

  start = () => this.#server.start();

  async freeze() {
    await this.#server.pause();
    return { [Symbol.asyncDispose]: async () => this.#server.resume() };
  }

  async run(text: string): Promise<readonly (readonly unknown[])[]> {
    const [rows] = await (await this.#connect()).query({ sql: text, rowsAsArray: true });
    return rows as readonly (readonly unknown[])[];
  }

  async [Symbol.asyncDispose]() {
    this.#admin?.destroy();
    await this.#server[Symbol.asyncDispose]();
  }

  async #connect(): Promise<Connection> {
    this.#admin ??= await this.#open();
    return this.#admin;
  }

  #open(): Promise<Connection> {
    const { host, port, superuser } = this.#server;
    return createConnection({ host, port, ...superuser, database: DATABASE });
  }

  /** Holds what the statements lock until disposed of. */
  async #hold(...statements: readonly string[]) {
    const connection = await this.#open();
    for (const statement of statements) await connection.query(statement);
    return { [Symbol.asyncDispose]: () => connection.end() };
  }

  #connections = () => this.run(`SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'gateway'`);
  #calls = () => this.run(`SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'gateway' AND COMMAND IN ('Query', 'Execute', 'Prepare')`);

  #shard(port: number): Shard {
    const credential = { user: GATEWAY.user, password: 'env:GATEWAY' };
    return { kind: 'mariadb', host: this.#server.host, port, database: DATABASE, gateway: credential, player: credential, owner: credential };
  }
}

dataStoreContract(
  'MariaDB',
  async () => {
    const server = await startMariaDb({ name: 'data-contract' });
    await server.createDatabase(DATABASE);
    const harness = new MariaDbHarness(server);
    for (const text of tables) await harness.run(text);
    return harness;
  },
  { lastWords: 'the server closes the connection without a word, whatever the statement on it has come to: only the end of a transaction before its COMMIT is certain' },
);
