import pg from 'pg';
import type { DataStore, StoreOptions } from '../../backends/backend.ts';
import { openDataStore } from '../../backends/postgres/data/data-store.ts';
import { grantScript } from '../../backends/postgres/owner/grants.ts';
import { openOwnerStore } from '../../backends/postgres/owner/owner-store.ts';
import { openReplicationStore } from '../../backends/postgres/player/replication-store.ts';
import type { Identity, ServerShard, Shard } from '../../core/keyspace.ts';
import { systemClock } from '../../runtime/clock.ts';
import { type PostgresServer, startPostgres } from '../support/servers/postgres.ts';
import { createShop, SHOP_LOGINS } from '../support/servers/shop.ts';
import type { MoveDialect } from './move-dialect.ts';
import type { MoveStores, StoreUnderTest, NamedStore, RawSession } from './move-stores.ts';

const TABLES_TEXT = `
CREATE TYPE mood AS ENUM ('calm', 'so so', 'angry');
CREATE TABLE item (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, amount integer NOT NULL DEFAULT 0 CHECK (amount > -1000), twice integer GENERATED ALWAYS AS (amount * 2) STORED,
  price numeric(12,4), big text, seen timestamptz, plain timestamp, at_time time, due date, tags text[], doc jsonb, raw bytea, mood mood, code char(5), ratio float8, part real, flag boolean, ref uuid
) WITH (fillfactor = 80);
ALTER TABLE item ALTER COLUMN big SET STORAGE EXTERNAL;
CREATE INDEX item_amount ON item (amount) WHERE amount > 0;
CREATE TABLE line (item_id bigint NOT NULL REFERENCES item, line serial, quantity integer, PRIMARY KEY (item_id, line)) PARTITION BY RANGE (item_id);
CREATE INDEX line_quantity ON line (quantity);
CREATE TABLE line_few PARTITION OF line FOR VALUES FROM (MINVALUE) TO (3);
CREATE TABLE line_many PARTITION OF line FOR VALUES FROM (3) TO (1000000) PARTITION BY HASH (line);
CREATE TABLE line_even PARTITION OF line_many FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "Line, odd" (quantity integer, gone text, line integer NOT NULL, item_id bigint NOT NULL);
ALTER TABLE "Line, odd" DROP COLUMN gone;
ALTER TABLE line_many ATTACH PARTITION "Line, odd" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE line_rest PARTITION OF line DEFAULT WITH (fillfactor = 70);`;

const insert = (name: string): string => `INSERT INTO item (name) VALUES ('${name}')`;

export const postgresDialect: MoveDialect = {
  name: 'PostgreSQL',
  codes: { write: 'SY001', writeOfReader: '42501', oldSnapshot: '40001', read: '42501' },
  own: (table) => `switchyard.${table}`,
  series: (count) => `generate_series(1, ${count}) AS i`,
  textOfI: 'md5(i::text)',
  repeated: (text, times) => `repeat(${text}, ${times})`,
  everyType: `INSERT INTO item (name, amount, price, big, seen, plain, at_time, due, tags, doc, raw, mood, code, ratio, part, flag, ref) VALUES
    ('all', 1, 12.5000, 'b', '2026-02-03 04:05:06.789123+02', '0044-03-15 00:00:00 BC', '23:59:59.999999', 'infinity', ARRAY['a', NULL, '', '"{,}\\\\'], '{"n": 1e400}', '\\x00ff5c', 'so so', 'ab', 'NaN', '-0', true, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
    ('none', 0, NULL, NULL, '-infinity', NULL, NULL, NULL, '{}', NULL, '', NULL, '', '-Infinity', 1.1, false, NULL)`,
  somePosition: '0/1',
  numbered: [
    ['item', 'id'],
    ['line', 'line'],
  ],
  beginSnapshot: ['BEGIN ISOLATION LEVEL REPEATABLE READ', 'BEGIN ISOLATION LEVEL SERIALIZABLE'],
  warmInsert: { prepare: 'PREPARE add (text) AS INSERT INTO item (name) VALUES ($1)', use: (name) => `EXECUTE add ('${name}')` },
  holdStream: (id, token, position) => `BEGIN; SELECT switchyard.advance('${id}', 'move1', '{item,line}', ${token}, '${position}', NULL)`,
  dropOwn: 'DROP SCHEMA switchyard CASCADE',
  withoutRequests: `DROP TABLE switchyard.request, switchyard.log, switchyard.preparation, switchyard.watched, switchyard.event, switchyard.partition; UPDATE switchyard.installation SET version = 1, digest = ''`,
  fencedWrites: ['UPDATE item SET amount = 1 WHERE false', `WITH new AS (${insert('z')} RETURNING id) SELECT * FROM new`],
  traps: [
    ['GRANT SELECT ON item TO PUBLIC', /SELECT through PUBLIC/, 'REVOKE ALL ON item FROM PUBLIC'],
    [
      'CREATE ROLE clerks; GRANT UPDATE ON item TO clerks; GRANT clerks TO shop_gateway',
      /member of role "clerks"/,
      'REVOKE clerks FROM shop_gateway; REVOKE ALL ON item FROM clerks; DROP ROLE clerks',
    ],
    ['CREATE ROLE app; GRANT INSERT ON item TO app', /"app" may write it without the gateway/, 'REVOKE ALL ON item FROM app; DROP ROLE app'],
    ['GRANT SELECT (name) ON item TO shop_gateway', /single columns \(name\)/, 'REVOKE ALL (name) ON item FROM shop_gateway'],
    ['GRANT SELECT ON item TO shop_gateway WITH GRANT OPTION', /may grant its rights on/, 'REVOKE GRANT OPTION FOR ALL ON item FROM shop_gateway'],
    ['GRANT pg_read_all_data TO shop_gateway', /member of role "pg_read_all_data"/, 'REVOKE pg_read_all_data FROM shop_gateway'],
    ['GRANT shop_owner TO shop_gateway', /member of role "shop_owner"/, 'REVOKE shop_owner FROM shop_gateway'],
    ['ALTER ROLE shop_gateway SUPERUSER', /superuser/, 'ALTER ROLE shop_gateway NOSUPERUSER'],
    ['GRANT SET ON PARAMETER session_replication_role TO shop_gateway', /session_replication_role/, 'REVOKE SET ON PARAMETER session_replication_role FROM shop_gateway'],
    ['REVOKE SET ON PARAMETER deadlock_timeout FROM shop_owner', /may not set deadlock_timeout/, 'GRANT SET ON PARAMETER deadlock_timeout TO shop_owner'],
    ['ALTER ROLE shop_player NOREPLICATION', /"shop_player" may not use replication/, 'ALTER ROLE shop_player REPLICATION'],
    ['ALTER TABLE item REPLICA IDENTITY FULL', /replica identity/, 'ALTER TABLE item REPLICA IDENTITY DEFAULT'],
    ['ALTER TABLE item ENABLE ROW LEVEL SECURITY', /row security/, 'ALTER TABLE item DISABLE ROW LEVEL SECURITY'],
    ['CREATE TRIGGER mine BEFORE INSERT ON item EXECUTE FUNCTION suppress_redundant_updates_trigger()', /trigger "mine"/, 'DROP TRIGGER mine ON item'],
    ['CREATE RULE mine AS ON DELETE TO item DO ALSO NOTHING', /rule "mine"/, 'DROP RULE mine ON item'],
    ['GRANT SELECT ON line_few TO shop_gateway', /SELECT on its partition public\.line_few/, 'REVOKE ALL ON line_few FROM shop_gateway'],
    ['GRANT SELECT ON line_even TO PUBLIC', /SELECT on its partition public\.line_even through PUBLIC/, 'REVOKE ALL ON line_even FROM PUBLIC'],
    ['CREATE ROLE app; GRANT INSERT ON line_few TO app', /"app" may write its partition public\.line_few/, 'REVOKE ALL ON line_few FROM app; DROP ROLE app'],
    ['ALTER TABLE line_few REPLICA IDENTITY FULL', /partition public\.line_few: its replica identity/, 'ALTER TABLE line_few REPLICA IDENTITY DEFAULT'],
    ['ALTER TABLE "Line, odd" ENABLE ROW LEVEL SECURITY', /partition public\."Line, odd": it has row security/, 'ALTER TABLE "Line, odd" DISABLE ROW LEVEL SECURITY'],
    ['ALTER TABLE line_rest SET UNLOGGED', /partition public\.line_rest: it is unlogged/, 'ALTER TABLE line_rest SET LOGGED'],
    ['ALTER TABLE line_rest OWNER TO postgres', /partition public\.line_rest: it belongs to role "postgres"/, 'ALTER TABLE line_rest OWNER TO shop_owner'],
    ['CREATE RULE mine AS ON DELETE TO line_few DO ALSO NOTHING', /partition public\.line_few: rule "mine"/, 'DROP RULE mine ON line_few'],
    [
      'CREATE TRIGGER mine BEFORE INSERT ON line_few EXECUTE FUNCTION suppress_redundant_updates_trigger()',
      /partition public\.line_few: trigger "mine"/,
      'DROP TRIGGER mine ON line_few',
    ],
    [
      'CREATE SCHEMA beside; ALTER TABLE line_few SET SCHEMA beside',
      /partition beside\.line_few is not in the schema public/,
      'ALTER TABLE beside.line_few SET SCHEMA public; DROP SCHEMA beside',
    ],
    ['ALTER SEQUENCE line_line_seq CYCLE', /sequence "line_line_seq"/, 'ALTER SEQUENCE line_line_seq NO CYCLE'],
  ],
  has: { rights: true, manyWriters: true, preparedTransactions: true, transactionsInLog: true, unchangedCells: true, truncate: true, constraints: true, autovacuum: true },
};

const template = 'template_move';

/** The standbys that a commit in the store waits for before readers see it; none of them is there. Empty: it does not wait. */
export async function setStandby(store: StoreUnderTest, names: string): Promise<void> {
  const admin = await store.session('admin');
  await admin.query(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
  await admin.query('SELECT pg_reload_conf()');
  await admin.close();
}

/** Two servers for a whole suite; every test gets fresh databases in them, copies of one that has tables and rights. They go with the test. */
export class PostgresPair implements AsyncDisposable {
  readonly #servers: readonly [PostgresServer, PostgresServer];
  #databases = 0;

  private constructor(servers: readonly [PostgresServer, PostgresServer]) {
    this.#servers = servers;
  }

  static async start(): Promise<PostgresPair> {
    const settings = { max_replication_slots: '60', max_wal_senders: '60' };
    const servers = await Promise.all([startPostgres({ name: 'source', settings }), startPostgres({ name: 'target', settings })]);
    await Promise.all([makeTemplate(servers[0], TABLES_TEXT), makeTemplate(servers[1], '')]);
    return new PostgresPair(servers);
  }

  async fresh(): Promise<MoveStores & { readonly source: NamedStore; readonly target: NamedStore }> {
    const database = `move_${++this.#databases}`;
    const [source, target] = await Promise.all([OneStore.make(this.#servers[0], database), OneStore.make(this.#servers[1], database)]);
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

/** The script may be run any number of times: it is, twice. */
async function makeTemplate(server: PostgresServer, tables: string): Promise<void> {
  await createShop(server, { tables: false, database: template });
  if (tables !== '') await server.psql(template, tables, { login: SHOP_LOGINS.owner });
  const script = grantScript(shardOf(server, template), []);
  await server.psql(template, script);
  await server.psql(template, script);
}

function shardOf(server: PostgresServer, database: string): ServerShard {
  const by = (identity: Identity) => ({ user: SHOP_LOGINS[identity].user, password: 'env:UNUSED' });
  return { kind: 'postgres', host: server.host, port: server.port, database, gateway: by('gateway'), player: by('player'), owner: by('owner') };
}

class OneStore implements NamedStore, AsyncDisposable {
  readonly owner;
  readonly player;
  readonly #server: PostgresServer;
  readonly #shard: ServerShard;

  private constructor(server: PostgresServer, shard: ServerShard) {
    this.#server = server;
    this.#shard = shard;
    this.owner = openOwnerStore(this.#options('owner'));
    this.player = openReplicationStore(this.#options('player'));
  }

  static async make(server: PostgresServer, database: string): Promise<OneStore> {
    await server.psql('postgres', `CREATE DATABASE ${database} TEMPLATE ${template} STRATEGY FILE_COPY OWNER ${SHOP_LOGINS.owner.user};`);
    return new OneStore(server, shardOf(server, database));
  }

  /** As a keyspace names it. */
  get shard(): Shard {
    const by = (identity: Identity) => ({ user: SHOP_LOGINS[identity].user, password: `env:${identity.toUpperCase()}` });
    return { ...this.#shard, gateway: by('gateway'), player: by('player'), owner: by('owner') };
  }

  readonly env = { GATEWAY: SHOP_LOGINS.gateway.password, PLAYER: SHOP_LOGINS.player.password, OWNER: SHOP_LOGINS.owner.password };

  openData(options: Partial<StoreOptions> = {}): DataStore {
    return openDataStore({ ...this.#options('gateway'), ...options });
  }

  async session(identity: 'gateway' | 'owner' | 'player' | 'admin'): Promise<RawSession> {
    const login = identity === 'admin' ? this.#server.superuser : SHOP_LOGINS[identity];
    const client = new pg.Client({ connectionString: this.#server.url(this.#shard.database, login), types: { getTypeParser: () => (text: unknown) => text } });
    client.on('error', () => {});
    await client.connect();
    return {
      query: async (text) => (await client.query<(string | null)[]>({ text, rowMode: 'array' })).rows,
      close: () => client.end(),
    };
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
    const { database } = this.#shard;
    await this.#server.psql(
      'postgres',
      `SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE database = '${database}' AND active;
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '${database}';
DROP DATABASE ${database} WITH (FORCE);`,
    );
  }

  #options(identity: Identity): StoreOptions {
    return {
      shard: this.#shard,
      password: SHOP_LOGINS[identity].password,
      poolSize: 3,
      acquireTimeoutMs: 5_000,
      keyspace: 'shop',
      openedBy: 'a test',
      applicationName: `contract-${identity}`,
      clock: systemClock,
      onBackgroundError: () => {},
    };
  }
}
