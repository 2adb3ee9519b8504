import { mariadbBackend } from '../../backends/mariadb/backend.ts';
import { startMariaDb } from '../support/servers/mariadb.ts';
import { storeOptions } from './data-store-harness.ts';
import { operationsByTypeContract } from './operations-by-type.ts';

const database = 'operations';
// There are no infinities, and a timestamp is one from 1970 to 2038.
const types = {
  int16: 'smallint',
  int32: 'int',
  int64: 'bigint',
  uint64: 'bigint unsigned',
  float32: 'float',
  float64: 'double',
  decimal: 'decimal(20,4)',
  text: 'varchar(200)',
  bytes: 'varbinary(200)',
  bool: 'tinyint(1)',
  uuid: 'uuid',
  date: { type: 'date', values: ['0001-01-01', '1999-12-31', '2024-02-29', '9999-12-31'] },
  time: 'time(6)',
  timestamp: { type: 'datetime(6)', values: [-62_135_596_800_000_000n, -1n, 0n, 253_402_300_799_999_999n] },
  timestamptz: { type: 'timestamp(6) NULL', values: [1_000_000n, 1_000_001n, 951_825_600_100_000n, 2_147_483_647_999_999n] },
  // Declared in another order than that of its texts, by which the API compares.
  enum: `enum('wild', 'so so', 'calm', 'angry')`,
  json: 'json',
  'int64[]': { none: 'MariaDB has no arrays' },
  'text[]': { none: 'MariaDB has no arrays' },
} as const;

operationsByTypeContract('MariaDB', types, async () => {
  const server = await startMariaDb({ name: 'operations' });
  await server.createDatabase(database);
  await server.sql(database, `CREATE USER gateway IDENTIFIED BY 'secret'; GRANT SELECT, INSERT, UPDATE, DELETE ON ${database}.* TO gateway;`);
  const login = { user: 'gateway', password: 'env:GATEWAY' };
  const store = mariadbBackend.openData(
    storeOptions({
      shard: { kind: 'mariadb', host: server.host, port: server.port, database, gateway: login, player: login, owner: login },
      password: 'secret',
      applicationName: 'operations',
    }),
  );
  return {
    store,
    capabilities: mariadbBackend.capabilities,
    script: async (text) => {
      await server.sql(database, text.replaceAll('timestamp(6) NULL NOT NULL', 'timestamp(6) NOT NULL'));
    },
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
});
