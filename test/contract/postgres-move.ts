import pg from 'pg';
import type { StoreOptions } from '../../backends/backend.ts';
import { grantScript } from '../../backends/postgres/owner/grants.ts';
import { openOwnerStore } from '../../backends/postgres/owner/owner-store.ts';
import { openReplicationStore } from '../../backends/postgres/player/replication-store.ts';
import type { Identity, ServerShard } from '../../core/keyspace.ts';
import { systemClock } from '../../runtime/clock.ts';
import { type PostgresServer, startPostgres } from '../support/servers/postgres.ts';
import { createShop, SHOP_LOGINS } from '../support/servers/shop.ts';
import type { MoveStores, RawSession, StoreUnderTest } from './move-stores.ts';

const TABLES_TEXT = `
CREATE TYPE mood AS ENUM ('calm', 'so so', 'angry');
CREATE TABLE item (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, amount integer NOT NULL DEFAULT 0 CHECK (amount > -1000), twice integer GENERATED ALWAYS AS (amount * 2) STORED,
  price numeric(12,4), big text, seen timestamptz, plain timestamp, at_time time, due date, tags text[], doc jsonb, raw bytea, mood mood, code char(5), ratio float8, part real, flag boolean, ref uuid
) WITH (fillfactor = 80);
ALTER TABLE item ALTER COLUMN big SET STORAGE EXTERNAL;
CREATE INDEX item_amount ON item (amount) WHERE amount > 0;
CREATE TABLE line (item_id bigint NOT NULL REFERENCES item, line serial, quantity integer, PRIMARY KEY (item_id, line));`;

const template = 'template_move';

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

  async fresh(): Promise<MoveStores> {
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

class OneStore implements StoreUnderTest, AsyncDisposable {
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
      applicationName: `contract-${identity}`,
      clock: systemClock,
      onBackgroundError: () => {},
    };
  }
}
