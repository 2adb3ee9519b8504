import { create } from '@bufbuild/protobuf';
import { expect, test } from '@jest/globals';
import { KeyspaceSchema } from '../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { grantsCommands } from './keyspace.ts';

test('the script of the grants goes to the client of its kind of store, and a store without rights has none', () => {
  const of = (kind: string) => grantsCommands(create(KeyspaceSchema, { name: 'shop', shards: [{ kind, host: 'db', port: 5, database: 'orders' }] }));
  expect(of('postgres')).toEqual(['  switchyard keyspace grants shop | psql -h db -p 5 -d orders -U …']);
  expect(of('mariadb')).toEqual(['  switchyard keyspace grants shop | mariadb -h db -P 5 -u … -p orders']);
  for (const kind of ['sqlite', 'grpc', 'http']) expect(of(kind)).toEqual([]);
});
