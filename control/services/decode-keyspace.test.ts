import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { expect, test } from '@jest/globals';
import { KeyspaceSchema } from '../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { decodeKeyspace } from './decode-keyspace.ts';

const login = { user: 'x', password: 'env:X' };
const logins = { gateway: login, player: login, owner: login };
const decode = (shard: JsonValue) => decodeKeyspace(fromJson(KeyspaceSchema, { name: 'shop', shards: [shard] }));

test.each<[string, JsonValue]>([
  ['a server', { kind: 'postgres', host: 'db', port: 5432, database: 'shop', ...logins }],
  ['a file', { kind: 'sqlite', path: '/var/lib/shop.db' }],
  ['another Switchyard', { kind: 'grpc', gateways: ['old-1:7101', 'old-2:7101'], control: ['old-1:7201'], keyspace: 'shop', ...logins }],
  ['a foreign service', { kind: 'http', gateways: ['legacy:80'], mapping: '/etc/legacy.yaml' }],
])('a shard that is %s is taken as it is given', (_, shard) => {
  expect(decode(shard)).toEqual({ name: 'shop', shards: [shard] });
});

test.each<[string, JsonValue]>([
  ['keyspace.shards.0.host', { kind: 'postgres', port: 5432, database: 'shop', ...logins }],
  ['keyspace.shards.0.gateway', { kind: 'postgres', host: 'db', port: 5432, database: 'shop' }],
  ['keyspace.shards.0.path', { kind: 'sqlite', path: 'shop.db' }],
  ['"host"', { kind: 'sqlite', path: '/shop.db', host: 'db' }],
  ['"owner"', { kind: 'sqlite', path: '/shop.db', owner: login }],
  ['keyspace.shards.0.kind', { path: '/shop.db' }],
  ['"host"', { kind: 'grpc', gateways: ['old-1:7101'], host: 'db' }],
  ['keyspace.shards.0.keyspace', { kind: 'grpc', gateways: ['old-1:7101'], control: ['old-1:7201'], ...logins }],
])('%s is named when it is wrong', (field, shard) => {
  expect(() => decode(shard)).toThrow(expect.objectContaining({ reason: 'KEYSPACE_INVALID', message: expect.stringContaining(field) }));
});
