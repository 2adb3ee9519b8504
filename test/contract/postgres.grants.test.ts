import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { grantScript } from '../../backends/postgres/owner/grants.ts';
import type { Shard } from '../../core/keyspace.ts';
import { type PostgresServer, startPostgres } from '../support/servers/postgres.ts';
import { createShop, SHOP_LOGINS } from '../support/servers/shop.ts';

let server: PostgresServer;
const by = (user: string) => ({ user, password: 'env:UNUSED' });
const shard = (): Shard => ({
  kind: 'postgres',
  host: server.host,
  port: server.port,
  database: 'shop',
  gateway: by(SHOP_LOGINS.gateway.user),
  player: by(SHOP_LOGINS.player.user),
  owner: by(SHOP_LOGINS.owner.user),
});
const rightsOf = (table: string): Promise<string> =>
  server.psql(
    'shop',
    `SELECT string_agg(p, ',' ORDER BY p) FROM unnest(ARRAY['DELETE', 'INSERT', 'SELECT', 'UPDATE']) AS p WHERE has_table_privilege('shop_gateway', 'public."${table}"', p)`,
  );

beforeAll(async () => {
  server = await startPostgres({ name: 'grants' });
  await createShop(server, { tables: false });
  await server.psql('shop', `CREATE TABLE "Odd ""name" (id serial PRIMARY KEY); CREATE TABLE plain (id serial PRIMARY KEY); CREATE TABLE left_out (id int PRIMARY KEY)`);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

test('gives the named tables to the owner and their rows to the gateway, any number of times', async () => {
  const script = grantScript(shard(), ['Odd "name', 'plain']);
  for (let round = 0; round < 3; round += 1) await server.psql('shop', script);
  expect((await rightsOf('plain')).trim()).toBe('DELETE,INSERT,SELECT,UPDATE');
  expect((await rightsOf('Odd ""name')).trim()).toBe('DELETE,INSERT,SELECT,UPDATE');
  expect((await rightsOf('left_out')).trim()).toBe('');
  expect((await server.psql('shop', `SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'plain'`)).trim()).toBe('shop_owner');
  await server.psql('shop', 'INSERT INTO plain DEFAULT VALUES', { login: SHOP_LOGINS.gateway });
  await server.psql('shop', 'TRUNCATE plain', { login: SHOP_LOGINS.player });
});

test('gives the gateway nothing back of what the fence has taken', async () => {
  await server.psql('shop', grantScript(shard(), []));
  await server.psql(
    'shop',
    `CREATE TABLE switchyard.fence (table_name text PRIMARY KEY, state text); INSERT INTO switchyard.fence VALUES ('plain', 'CLOSED'); REVOKE ALL ON plain FROM shop_gateway`,
  );
  await server.psql('shop', grantScript(shard(), []));
  await server.psql('shop', grantScript(shard(), ['plain']));
  expect((await rightsOf('plain')).trim()).toBe('');
});
