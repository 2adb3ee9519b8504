import { create } from '@bufbuild/protobuf';
import { expect, test } from '@jest/globals';
import type { ColumnKind } from '../../../core/cell.ts';
import { AggregateRequestSchema } from '../../../gen/switchyard/data/v1/data_service_pb.ts';
import { tableHandle } from '../../codec/table-handle.ts';
import { decodeAggregate, encodeGroups } from '../../codec/validate-aggregate.ts';
import { groupsToJson } from './answer-json.ts';

const column = (name: string, kind: ColumnKind) => ({ name, kind, nullable: true, hasDefault: false, generated: false, nativeType: kind });
const handle = tableHandle('old', {
  name: 't',
  columns: [column('short', 'int32'), column('long', 'int64'), column('price', 'decimal')],
  primaryKey: ['long'],
  uniqueKeys: [],
  fingerprint: '',
});

test('an aggregate is written as its column is: short integers as numbers, counts and long ones as strings', () => {
  const request = create(AggregateRequestSchema, {
    table: 't',
    groupBy: 'short',
    aggregations: [
      { kind: { case: 'count', value: {} } },
      ...(['short', 'long', 'price'] as const).flatMap((name) => [{ kind: { case: 'max' as const, value: name } }, { kind: { case: 'sum' as const, value: name } }]),
    ],
  });
  const answer = encodeGroups(handle, decodeAggregate(handle, request), [
    { group: 5, values: [2n, 7, '9', 8n, '10', '1.50', '2.50'] },
    { group: null, values: [1n, null, null, null, null, null, null] },
  ]);
  expect(groupsToJson(answer, handle, request)).toBe(
    '{"groups":[{"group":5,"values":["2",7,"9","8","10","1.50","2.50"]},{"group":null,"values":["1",null,null,null,null,null,null]}]}',
  );
  const all = { ...request, groupBy: '' };
  expect(groupsToJson(encodeGroups(handle, decodeAggregate(handle, all), [{ group: null, values: [0n, 1, null, null, null, null, null] }]), handle, all)).toBe(
    '{"groups":[{"group":null,"values":["0",1,null,null,null,null,null]}]}',
  );
});
