import { create } from '@bufbuild/protobuf';
import { expect, test } from '@jest/globals';
import { InsertRequestSchema, UpsertRequestSchema } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import { contentDigest } from './once.ts';

const double = (value: number): Value => ({ $typeName: 'switchyard.data.v1.Value', kind: { case: 'doubleValue', value } });
const insert = (cells: Record<string, Value>, requestId = '') => contentDigest(InsertRequestSchema, create(InsertRequestSchema, { table: 't', row: { cells }, requestId }));

test('equal content has one digest, in whatever order its cells came and under whatever id', () => {
  expect(insert({ a: double(1), b: double(2) }, 'one')).toBe(insert({ b: double(2), a: double(1) }, 'two'));
});

test('other content has another digest', () => {
  const row = { cells: { a: double(0) } };
  const digests = [
    ...[0, -0, 1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((value) => insert({ a: double(value) })),
    insert({ a: { $typeName: 'switchyard.data.v1.Value', kind: { case: 'textValue', value: 'NaN' } } }),
    insert({}),
    contentDigest(UpsertRequestSchema, create(UpsertRequestSchema, { table: 't', row })),
    contentDigest(InsertRequestSchema, create(InsertRequestSchema, { table: 't', row }), 'If-Match: "a"'),
    contentDigest(InsertRequestSchema, create(InsertRequestSchema, { table: 't', row, returning: ['a'] })),
  ];
  expect(new Set(digests).size).toBe(digests.length);
});
