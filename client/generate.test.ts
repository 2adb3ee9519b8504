import { expect, test } from '@jest/globals';
import { create } from '@bufbuild/protobuf';
import { ColumnKind, TableSchemaSchema } from '../gen/switchyard/data/v1/value_pb.ts';
import { moduleText } from './generate.ts';

const table = (name: string) => create(TableSchemaSchema, { name, columns: [{ name: 'id', kind: ColumnKind.INT32, nativeType: 'int' }], primaryKey: ['id'] });

test('a table that has the name of a method of the database gets another one in the program, and keeps its own at the gateway', () => {
  const text = moduleText(['orders', 'close', 'close_', 'shop.close'].map(table), { client: 'switchyard/client', command: 'c' });
  expect(text.match(/^ {2}(?=\S+: \{$).*|^ {4}name: .*/gm)).toEqual([
    '  orders: {',
    "    name: 'orders',",
    '  close__: {',
    "    name: 'close',",
    '  close_: {',
    "    name: 'close_',",
    "  'shop.close': {",
    "    name: 'shop.close',",
  ]);
  expect(text).toContain("export type Close = RowOf<(typeof tables)['close__']>;");
});
