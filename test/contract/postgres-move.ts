import pg from 'pg';
import type { StoreOptions } from '../../backends/backend.ts';
import { grantScript } from '../../backends/postgres/owner/grants.ts';
import { openOwnerStore } from '../../backends/postgres/owner/owner-store.ts';
import { openReplicationStore } from '../../backends/postgres/player/replication-store.ts';
import type { Identity, Shard } from '../../core/keyspace.ts';
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

/** Two servers for a whole suite; every test gets fresh databases in them. */
export class PostgresPair implements AsyncDisposable {
  readonly #servers: readonly [PostgresServer, PostgresServer];
  #databases = 0;

  private constructor(servers: readonly [PostgresServer, PostgresServer]) {
    this.#servers = servers;
  }

  static async start(): Promise<PostgresPair> {
    const settings = { max_replication_slots: '60', max_wal_senders: '60', autovacuum_naptime: '1s' };
    return new PostgresPair(await Promise.all([startPostgres({ name: 'source', settings }), startPostgres({ name: 'target', settings })]));
  }

  async fresh(): Promise<MoveStores> {
    const database = `move_${++this.#databases}`;
    const source = await OneStore.make(this.#servers[0], database, TABLES_TEXT);
    const target = await OneStore.make(this.#servers[1], database, '');
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

class OneStore implements StoreUnderTest, AsyncDisposable {
  readonly owner;
  readonly player;
  readonly #server: PostgresServer;
  readonly #shard: Shard;

  private constructor(server: PostgresServer, shard: Shard) {
    this.#server = server;
    this.#shard = shard;
    this.owner = openOwnerStore(this.#options('owner'));
    this.player = openReplicationStore(this.#options('player'));
  }

  static async make(server: PostgresServer, database: string, tables: string): Promise<OneStore> {
    await createShop(server, { tables: false, database });
    if (tables !== '') await server.psql(database, tables, { login: SHOP_LOGINS.owner });
    const by = (identity: Identity) => ({ user: SHOP_LOGINS[identity].user, password: 'env:UNUSED' });
    const shard: Shard = { kind: 'postgres', host: server.host, port: server.port, database, gateway: by('gateway'), player: by('player'), owner: by('owner') };
    const script = grantScript(shard, []);
    await server.psql(database, script);
    await server.psql(database, script);
    return new OneStore(server, shard);
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
