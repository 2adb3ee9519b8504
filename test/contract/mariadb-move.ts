import { createConnection } from 'mysql2/promise';
import type { DataStore, StoreOptions } from '../../backends/backend.ts';
import { openDataStore } from '../../backends/mariadb/data/data-store.ts';
import { grantScript } from '../../backends/mariadb/owner/grants.ts';
import { openOwnerStore } from '../../backends/mariadb/owner/owner-store.ts';
import { ownTables } from '../../backends/mariadb/owner/store-sql.ts';
import { openReplicationStore } from '../../backends/mariadb/player/replication-store.ts';
import type { Identity, ServerShard } from '../../core/keyspace.ts';
import { type MariaDbServer, quoteMariaDbName, startMariaDb } from '../support/servers/mariadb.ts';
import type { StoresSource } from './armed-stores.ts';
import { storeOptions } from './data-store-harness.ts';
import type { MoveDialect } from './move-dialect.ts';
import type { MoveStores, RawSession, StoreUnderTest } from './move-stores.ts';

const LOGINS = {
  owner: { user: 'shop_owner', password: 'owner-demo' },
  player: { user: 'shop_player', password: 'player-demo' },
  gateway: { user: 'shop_gateway', password: 'gateway-demo' },
} as const;

const TABLES_TEXT = `
CREATE TABLE item (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(100) NOT NULL UNIQUE, amount int NOT NULL DEFAULT 0 CHECK (amount > -1000), twice int GENERATED ALWAYS AS (amount * 2) STORED,
  price decimal(12,4), big longtext, seen timestamp(6) NULL, plain datetime(6), at_time time(6), due date, doc json, raw longblob, mood enum('calm', 'so so', 'angry'), code char(5), ratio double, part float, flag tinyint(1), ref uuid,
  huge bigint unsigned, wide bigint, small smallint
) COMMENT = 'AUTO_INCREMENT=7 (of items)';
CREATE INDEX item_amount ON item (amount);
CREATE TABLE line (item_id bigint NOT NULL, line int NOT NULL AUTO_INCREMENT, quantity int, PRIMARY KEY (item_id, line), KEY (line), CONSTRAINT line_item FOREIGN KEY (item_id) REFERENCES item (id));`;

const insert = (name: string): string => `INSERT INTO item (name) VALUES ('${name}')`;

export const mariadbDialect: MoveDialect = {
  name: 'MariaDB',
  codes: { write: 'SY001', writeOfReader: 'SY001', oldSnapshot: '40001', read: 'FENCED' },
  own: (table) => `switchyard_${table}`,
  series: (count) => `JSON_TABLE(CONCAT('[1', REPEAT(',1', ${count - 1}), ']'), '$[*]' COLUMNS (i FOR ORDINALITY)) AS series`,
  textOfI: 'md5(i)',
  repeated: (text, times) => `repeat(${text}, ${times})`,
  everyType: `INSERT INTO item (name, amount, price, big, seen, plain, at_time, due, doc, raw, mood, code, ratio, part, flag, ref, huge, wide, small) VALUES
    ('all', 1, 12.5000, 'ünïcödé 🚂', '2026-02-03 02:05:06.789123', '0044-03-15 00:00:00', '23:59:59.999999', '9999-12-31', '{"n": 1e400}', x'00ff5c', 'so so', 'ab', 1.7976931348623157e308, -0.1, 1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
      18446744073709551615, 9223372036854775807, -32768),
    ('none', 0, NULL, NULL, '1970-01-01 00:00:00.000001', NULL, NULL, NULL, NULL, x'', NULL, '', -5e-324, 0.5, 0, NULL, 0, -9223372036854775808, NULL)`,
  somePosition: '0-1-77',
  numbered: [
    ['item', 'id'],
    ['line', 'line'],
  ],
  beginSnapshot: ['BEGIN', 'START TRANSACTION WITH CONSISTENT SNAPSHOT'],
  warmInsert: { prepare: `PREPARE warm FROM 'INSERT INTO item (name) VALUES (?)'`, use: (name) => `EXECUTE warm USING '${name}'` },
  holdStream: (id) => `BEGIN; UPDATE switchyard_stream SET applied = applied + 1 WHERE id = '${id}'`,
  dropOwn: `DROP TABLE ${ownTables.join(', ')}`,
  withoutRequests: `DROP TABLE switchyard_request; UPDATE switchyard_installation SET version = 1, digest = ''`,
  fencedWrites: [
    `REPLACE INTO item (name) VALUES ('x')`,
    `INSERT IGNORE INTO item (name) VALUES ('x'), ('z')`,
    `${insert('x')} ON DUPLICATE KEY UPDATE amount = amount + 1`,
    `INSERT INTO item (name) SELECT concat(name, '2') FROM item`,
    'UPDATE IGNORE item SET amount = 5',
    'UPDATE item a JOIN item b ON a.id = b.id SET a.amount = 5',
    'DELETE a FROM item a JOIN item b ON a.id = b.id',
    `${insert('y')} RETURNING id`,
    'DELETE FROM item RETURNING id',
    `SET @@foreign_key_checks = 0, @@check_constraint_checks = 0, @@sql_mode = ''; UPDATE item SET amount = -5000`,
    `BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR SQLSTATE '23000' BEGIN END; UPDATE item SET amount = 3; END`,
  ],
  traps: [
    [`CREATE USER app IDENTIFIED BY 'secret'; GRANT INSERT ON item TO app`, /account 'app'@'%' may write it without the gateway/, 'DROP USER app'],
    [`CREATE USER app IDENTIFIED BY 'secret'; GRANT UPDATE (name) ON item TO app`, /account 'app'@'%' may write it without the gateway/, 'DROP USER app'],
    ['CREATE ROLE clerks; GRANT DROP ON item TO clerks; GRANT clerks TO shop_gateway', /role `clerks` has DROP/, 'DROP ROLE clerks'],
    ['GRANT TRIGGER ON item TO shop_gateway', /account 'shop_gateway'@'%' has TRIGGER/, 'REVOKE TRIGGER ON item FROM shop_gateway'],
    ['GRANT INSERT ON *.* TO shop_gateway', /has INSERT on the whole server, Switchyard's own tables included/, 'REVOKE INSERT ON *.* FROM shop_gateway'],
    ['GRANT SUPER ON *.* TO shop_gateway', /is an administrator/, 'REVOKE SUPER ON *.* FROM shop_gateway'],
    ['REVOKE REPLICATION SLAVE ON *.* FROM shop_player', /player 'shop_player'@'%' has no right REPLICATION SLAVE/, 'GRANT REPLICATION SLAVE ON *.* TO shop_player'],
    ['CREATE TRIGGER mine AFTER INSERT ON item FOR EACH ROW SET @mine = 1', /trigger "mine"/, 'DROP TRIGGER mine'],
    ['ALTER TABLE item ADD COLUMN mine SET("a")', /column "mine" has the type set/, 'ALTER TABLE item DROP COLUMN mine'],
    ['CREATE TABLE mine (id bigint PRIMARY KEY, item_id bigint REFERENCES item (id))', /foreign key .* of table "mine" leads here/, 'DROP TABLE mine'],
    [
      'ALTER TABLE line DROP FOREIGN KEY line_item, ADD CONSTRAINT line_items FOREIGN KEY (item_id) REFERENCES item (id) ON DELETE CASCADE',
      /foreign key "line_items" changes rows by itself \(ON DELETE CASCADE/,
      'ALTER TABLE line DROP FOREIGN KEY line_items, ADD CONSTRAINT line_item FOREIGN KEY (item_id) REFERENCES item (id)',
    ],
  ],
  has: { rights: false, manyWriters: true, preparedTransactions: false, transactionsInLog: true, unchangedCells: false, truncate: false, constraints: true, autovacuum: false },
};

/** Two servers for a whole suite; every test gets fresh databases in them, which go with the test. */
export class MariaDbPair implements StoresSource {
  readonly #servers: readonly [MariaDbServer, MariaDbServer];
  #databases = 0;

  private constructor(servers: readonly [MariaDbServer, MariaDbServer]) {
    this.#servers = servers;
  }

  static async start(): Promise<MariaDbPair> {
    const servers = await Promise.all([startMariaDb({ name: 'source' }), startMariaDb({ name: 'target', settings: { 'server-id': '2' } })]);
    const users = Object.values(LOGINS).map(({ user, password }) => `CREATE USER ${user} IDENTIFIED BY '${password}';`);
    await Promise.all(servers.map((server) => server.sql('', users.join('\n'))));
    return new MariaDbPair(servers);
  }

  /** The source with these tables, the target empty. The grant script may be run any number of times: it is, twice. */
  async fresh(tables = TABLES_TEXT): Promise<MoveStores> {
    const database = `move_${++this.#databases}`;
    const [source, target] = await Promise.all(this.#servers.map((server, at) => OneStore.make(server, database, at === 0 ? tables : '')));
    if (source === undefined || target === undefined) throw new Error('two stores are needed');
    return {
      source,
      target,
      [Symbol.asyncDispose]: async () => {
        await Promise.all([source, target].map((store) => store[Symbol.asyncDispose]()));
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map((server) => server[Symbol.asyncDispose]()));
  }
}

type Login = 'gateway' | 'owner' | 'player' | 'admin';

class OneStore implements StoreUnderTest, AsyncDisposable {
  readonly owner;
  readonly player;
  readonly server: MariaDbServer;
  readonly shard: ServerShard;

  private constructor(server: MariaDbServer, shard: ServerShard) {
    this.server = server;
    this.shard = shard;
    this.owner = openOwnerStore(this.#options('owner'));
    this.player = openReplicationStore(this.#options('player'));
  }

  static async make(server: MariaDbServer, database: string, tables: string): Promise<OneStore> {
    const by = (identity: Identity) => ({ user: LOGINS[identity].user, password: 'env:UNUSED' });
    const shard: ServerShard = { kind: 'mariadb', host: server.host, port: server.port, database, gateway: by('gateway'), player: by('player'), owner: by('owner') };
    await server.createDatabase(database);
    if (tables !== '') await server.sql(database, tables);
    for (let twice = 0; twice < 2; twice += 1) await server.sql(database, grantScript(shard, []));
    return new OneStore(server, shard);
  }

  openData(options: Partial<StoreOptions> = {}): DataStore {
    return openDataStore({ ...this.#options('gateway'), ...options });
  }

  async session(identity: Login): Promise<RawSession> {
    const { user, password } = identity === 'admin' ? this.server.superuser : LOGINS[identity];
    const { host, port, database } = this.shard;
    const options = { host, port, database, user, password, multipleStatements: true, rowsAsArray: true, supportBigNumbers: true, bigNumberStrings: true, dateStrings: true };
    const connection = await createConnection(options);
    connection.on('error', () => {});
    await connection.query(`SET sql_mode = 'STRICT_ALL_TABLES,PIPES_AS_CONCAT', time_zone = '+00:00', max_recursive_iterations = 100000`);
    const run = async (sql: string): Promise<readonly (readonly (string | null)[])[]> => {
      const [answer] = await connection.query(sql);
      const rows = Array.isArray(answer) ? answer : [];
      return rows.every((row) => Array.isArray(row)) ? rows.map((row) => (row as readonly unknown[]).map(textOf)) : [];
    };
    return {
      query: async (text) => {
        try {
          if (identity === 'gateway' && text.startsWith('SELECT')) await this.#checkRead(text);
          return await run(inItsWords(text));
        } catch (error) {
          throw withCode(error);
        }
      },
      close: () => connection.end(),
    };
  }

  async sql(text: string, identity: Login = 'gateway') {
    const session = await this.session(identity);
    try {
      return await session.query(text);
    } finally {
      await session.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.owner[Symbol.asyncDispose](), this.player[Symbol.asyncDispose]()]);
    await this.server.sql('', `DROP DATABASE ${quoteMariaDbName(this.shard.database)};`);
  }

  /** As a gateway's read does in its own statement: the store itself refuses no reader. Beside the session, whose transaction may lock whatever it reads. */
  async #checkRead(text: string): Promise<void> {
    const closed = (await this.owner.fenceRows(null, AbortSignal.timeout(30_000))).filter(({ state }) => state === 'CLOSED');
    if (closed.some(({ table }) => new RegExp(`\\b${table}\\b`).test(text))) throw Object.assign(new Error(text), { code: mariadbDialect.codes.read });
  }

  #options(identity: Identity): StoreOptions {
    return storeOptions({ shard: this.shard, password: LOGINS[identity].password, poolSize: 3 });
  }
}

const textOf = (value: unknown): string | null => (value === null ? null : value instanceof Buffer ? value.toString('latin1') : String(value));

/** What the suites say in words that this server does not know. */
const inItsWords = (sql: string): string => sql.replaceAll(/INSERT( INTO item \(name\) VALUES \('[^']*'\)) ON CONFLICT DO NOTHING/g, 'INSERT IGNORE$1');

/** The fence's own SQLSTATEs, or the server's name of the error. */
function withCode(error: unknown): unknown {
  if (!(error instanceof Error) || !('sqlState' in error)) return error;
  const state = String(error.sqlState);
  return state.startsWith('SY') || state === '40001' ? Object.assign(error, { code: state }) : error;
}
