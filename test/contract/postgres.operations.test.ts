import { postgresBackend } from '../../backends/postgres/backend.ts';
import { startPostgres } from '../support/servers/postgres.ts';
import { operationsByTypeContract } from './operations-by-type.ts';
import { storeOptions } from './data-store-harness.ts';

const database = 'operations';
const types = {
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

operationsByTypeContract('PostgreSQL', types, async () => {
  const server = await startPostgres({ name: 'operations' });
  await server.createDatabase(database);
  // Declared in another order than that of its texts, by which the API compares.
  await server.psql(database, `CREATE ROLE gateway LOGIN PASSWORD 'secret'; CREATE TYPE mood AS ENUM ('wild', 'so so', 'calm', 'angry')`);
  const login = { user: 'gateway', password: 'env:GATEWAY' };
  const store = postgresBackend.openData(
    storeOptions({
      shard: { kind: 'postgres', host: server.host, port: server.port, database, gateway: login, player: login, owner: login },
      password: 'secret',
      applicationName: 'operations',
    }),
  );
  return {
    store,
    capabilities: postgresBackend.capabilities,
    script: async (text) => {
      await server.psql(database, `${text} GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO gateway`);
    },
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
});
