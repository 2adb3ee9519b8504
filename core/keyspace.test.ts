import { expect, test } from '@jest/globals';
import { credentialOf, fileShard, keyspaceSchema, placeOf, serverShard, type Shard } from './keyspace.ts';

const login = { user: 'gateway', password: 'env:GATEWAY' };
const server: Shard = { kind: 'postgres', host: 'db', port: 5432, database: 'shop', gateway: login, player: login, owner: login };
const file: Shard = { kind: 'sqlite', path: '/var/lib/shop/shop.db' };

test.each([server, file])('a shard in either form is kept as it is: %j', (shard) => {
  expect(keyspaceSchema.parse({ name: 'shop', shards: [shard] })).toEqual({ name: 'shop', shards: [shard] });
});

test.each<[string, Record<string, unknown>]>([
  ['shards.0.path', { kind: 'sqlite', path: 'shop.db' }],
  ['shards.0.path', { kind: 'sqlite', path: '/var/lib/' }],
  ['shards.0', { ...file, host: 'db' }],
  ['shards.0.port', { ...server, port: 0 }],
  ['shards.0.owner', { kind: 'postgres', host: 'db', port: 1, database: 'x', gateway: login, player: login }],
  ['shards.0.gateway.password', { ...server, gateway: { user: 'x', password: 'secret' } }],
  ['shards.0', { ...server, socket: 'x' }],
  ['shards.0.kind', { path: '/x' }],
])('a wrong field is named: %s', (path, shard) => {
  const parsed = keyspaceSchema.safeParse({ name: 'shop', shards: [shard] });
  expect(parsed.error?.issues.map((issue) => issue.path.join('.'))).toContain(path);
});

test('what a kind needs is asked of the shard', () => {
  expect([serverShard(server), fileShard(file)]).toEqual([server, file]);
  expect(() => serverShard(file)).toThrow(expect.objectContaining({ reason: 'KEYSPACE_INVALID' }));
  expect(() => fileShard(server)).toThrow(expect.objectContaining({ reason: 'KEYSPACE_INVALID' }));
  expect([placeOf(server), placeOf(file)]).toEqual(['db:5432/shop', '/var/lib/shop/shop.db']);
  expect([credentialOf(server, 'player'), credentialOf(file, 'player')]).toEqual([login, null]);
});
