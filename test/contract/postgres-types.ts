import { postgresBackend } from '../../backends/postgres/backend.ts';
import { type PostgresServer, startPostgres } from '../support/servers/postgres.ts';
import type { Shard } from '../../core/keyspace.ts';
import type { TypesHarness } from './operations-by-type.ts';
import { storeOptions } from './data-store-harness.ts';

const database = 'operations';
/** What PostgreSQL calls each kind of column. */
export const postgresTypes = {
  int16: 'smallint',
  int32: 'integer',
  int64: 'bigint',
  uint64: { none: 'PostgreSQL has no unsigned integers' },
  float32: 'real',
  float64: 'double precision',
  decimal: 'numeric(20,4)',
  text: 'text',
  bytes: 'bytea',
  bool: 'boolean',
  uuid: 'uuid',
  date: 'date',
  time: 'time',
  timestamp: 'timestamp',
  timestamptz: 'timestamptz',
  enum: 'mood',
  json: 'jsonb',
  'int64[]': 'bigint[]',
  'text[]': 'text[]',
} as const;

/** A PostgreSQL server for tables of every type. */
export class PostgresTypes implements AsyncDisposable {
  readonly shard: Shard;
  readonly env = { GATEWAY: 'secret' };
  readonly #server: PostgresServer;

  private constructor(server: PostgresServer) {
    const login = { user: 'gateway', password: 'env:GATEWAY' };
    this.#server = server;
    this.shard = { kind: 'postgres', host: server.host, port: server.port, database, gateway: login, player: login, owner: login };
  }

  static async start(): Promise<PostgresTypes> {
    const server = await startPostgres({ name: 'operations' });
    await server.createDatabase(database);
    // Declared in another order than that of its texts, by which the API compares.
    await server.psql(database, `CREATE ROLE gateway LOGIN PASSWORD 'secret'; CREATE TYPE mood AS ENUM ('wild', 'so so', 'calm', 'angry')`);
    return new PostgresTypes(server);
  }

  /** Runs a script as the owner, and gives the gateway its rights on what is there then. */
  readonly script = async (text: string): Promise<void> => {
    await this.#server.psql(database, `${text} GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO gateway`);
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}

/** The server's own store. */
export async function postgresTypesHarness(): Promise<TypesHarness> {
  const types = await PostgresTypes.start();
  const store = postgresBackend.openData(storeOptions({ shard: types.shard, password: types.env.GATEWAY, applicationName: 'operations' }));
  return {
    store,
    capabilities: postgresBackend.capabilities,
    script: types.script,
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await types[Symbol.asyncDispose]();
    },
  };
}
