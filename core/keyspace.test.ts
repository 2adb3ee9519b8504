import { expect, test } from '@jest/globals';
import { credentialOf, fileShard, isPeer, keyspaceSchema, placeOf, requireForm, requirePeerOf, serverShard, serviceShard, type Shard } from './keyspace.ts';

const login = { user: 'gateway', password: 'env:GATEWAY' };
const server: Shard = { kind: 'postgres', host: 'db', port: 5432, database: 'shop', gateway: login, player: login, owner: login };
const file: Shard = { kind: 'sqlite', path: '/var/lib/shop/shop.db' };
const peer: Shard = { kind: 'grpc', gateways: ['old-1:7101', '[::1]:7101'], control: ['old-1:7201'], keyspace: 'shop', gateway: login, player: login, owner: login };
const foreign: Shard = { kind: 'http', gateways: ['legacy:80'], mapping: '/etc/switchyard/legacy.yaml' };

test.each([server, file, peer, foreign])('a shard in any form is kept as it is: %j', (shard) => {
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
  ['shards.0.gateways', { ...peer, gateways: [] }],
  ['shards.0.gateways.0', { ...peer, gateways: ['http://old-1:7101'] }],
  ['shards.0.keyspace', { ...peer, keyspace: undefined }],
  ['shards.0.owner', { ...peer, owner: undefined }],
  ['shards.0.mapping', { ...peer, mapping: '/x' }],
  ['shards.0', { ...peer, host: 'db' }],
])('a wrong field is named: %s', (path, shard) => {
  const parsed = keyspaceSchema.safeParse({ name: 'shop', shards: [shard] });
  expect(parsed.error?.issues.map((issue) => issue.path.join('.'))).toContain(path);
});

test('what a kind needs is asked of the shard', () => {
  expect([serverShard(server), fileShard(file)]).toEqual([server, file]);
  expect(() => serverShard(file)).toThrow(expect.objectContaining({ reason: 'KEYSPACE_INVALID' }));
  expect(() => fileShard(server)).toThrow(expect.objectContaining({ reason: 'KEYSPACE_INVALID' }));
  expect([placeOf(server), placeOf(file)]).toEqual(['db:5432/shop', '/var/lib/shop/shop.db']);
  expect(placeOf(peer)).toBe('old-1:7101,[::1]:7101/shop');
  expect([credentialOf(foreign, 'gateway'), isPeer(foreign), isPeer(peer)]).toEqual([null, false, true]);
  expect(() => requireForm(peer, 'server')).toThrow(expect.objectContaining({ reason: 'KEYSPACE_INVALID' }));
  expect(() => requirePeerOf(serviceShard(foreign), 'legacy')).toThrow(expect.objectContaining({ reason: 'NOT_SUPPORTED' }));
  expect([credentialOf(server, 'player'), credentialOf(file, 'player')]).toEqual([login, null]);
});
