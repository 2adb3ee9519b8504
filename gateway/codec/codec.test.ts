import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Cell, cellsEqual, type ScalarKind } from '../../core/cell.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import { ValueSchema } from '../../gen/switchyard/data/v1/value_pb.ts';
import { decodeCell } from '../../runtime/wire/decode-cell.ts';
import { encodeCell } from '../../runtime/wire/encode-cell.ts';
import { decodePageToken, encodePageToken, queryDigest } from './page-token.ts';
import { tableHandle } from './table-handle.ts';

const column = (kind: ColumnSchema['kind'], elementKind?: ScalarKind): ColumnSchema => ({
  name: 'c',
  kind,
  nullable: true,
  hasDefault: false,
  generated: false,
  nativeType: `native ${kind}`,
  ...(elementKind === undefined ? {} : { elementKind }),
});

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const cellsOf: Readonly<Record<ScalarKind, fc.Arbitrary<Cell>>> = {
  bool: fc.boolean(),
  int16: fc.integer({ min: -0x8000, max: 0x7fff }),
  int32: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
  int64,
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  float32: fc.float(),
  float64: fc.double(),
  decimal: fc.constantFrom('0', '-12.3400', '123456789012345678901234567890.5', 'NaN', 'Infinity', '-Infinity'),
  text: fc.string(),
  bytes: fc.uint8Array(),
  uuid: fc.uuid(),
  date: fc.constantFrom('2024-02-29', '0001-01-01', '-0043-03-15', '+10000-12-31', 'infinity', '-infinity'),
  time: fc.bigInt({ min: 0n, max: 86_400_000_000n }),
  timestamp: int64,
  timestamptz: int64,
  json: fc.json(),
  enum: fc.string(),
};
const kinds = Object.keys(cellsOf) as readonly ScalarKind[];

describe.each(kinds)('%s', (kind) => {
  const throughTheWire = (of: ColumnSchema, cell: Cell): Cell => decodeCell(fromBinary(ValueSchema, toBinary(ValueSchema, encodeCell(of.kind, cell, of.elementKind))), of, 'row');

  test('comes back over the wire as it was', () => {
    fc.assert(fc.property(fc.option(cellsOf[kind]), (cell) => cellsEqual(throughTheWire(column(kind), cell), cell)));
  });

  test('so do arrays of it', () => {
    fc.assert(fc.property(fc.array(fc.option(cellsOf[kind]), { maxLength: 5 }), (cells) => cellsEqual(throughTheWire(column('array', kind), cells), cells)));
  });

  test('a value of another kind is refused by field, value and type', () => {
    const other = kind === 'bool' ? encodeCell('text', 'x') : encodeCell('bool', true);
    expect(() => decodeCell(other, column(kind), 'row')).toThrow(new RegExp(`^row\\.c: got (bool_value true|text_value "x"); expected ${kind} \\(native ${kind}\\) as \\w+$`));
  });
});

describe('what does not fit', () => {
  test.each([
    ['int16', encodeCell('int64', 32_768n), /int64_value 32768 \(must be -32768 to 32767\)/],
    ['int32', encodeCell('int64', -2_147_483_649n), /int64_value -2147483649 \(must be -2147483648 to 2147483647\)/],
    ['float32', encodeCell('float64', 0.1), /nearest one is 0\.10000000149011612/],
    ['decimal', encodeCell('decimal', '1e401'), /an exponent of at most 400/],
    ['decimal', encodeCell('decimal', ''), /a decimal number/],
    ['uuid', encodeCell('uuid', '{00000000-0000-0000-0000-00000000000a}'), /with hyphens/],
    ['date', encodeCell('date', '2023-02-29'), /calendar/],
    ['date', encodeCell('date', '1900-02-29'), /calendar/],
    ['date', encodeCell('date', '2023-13-01'), /calendar/],
    ['time', encodeCell('int64', 5n), /expected time/],
    ['time', encodeCell('time', 86_400_000_001n), /must be 0 to 86400000000/],
    ['json', encodeCell('json', '{'), /well-formed/],
    ['text', create(ValueSchema), /got nothing/],
  ] as const)('%s %#', (kind, value, message) => {
    expect(() => decodeCell(value, column(kind), 'row')).toThrow(message);
  });
});

test.each([
  ['uuid', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['decimal', '1.50e1', '15.0'],
  ['decimal', '-2E-3', '-0.002'],
] as const)('%s %s is taken as over HTTP, and is %s', (kind, given, cell) => {
  expect(decodeCell(encodeCell(kind, given), column(kind), 'row')).toBe(cell);
});

describe('page tokens', () => {
  test('carry keys that are arrays, and large ones', () => {
    const array = { ...column('array', 'text'), name: 'id' };
    const handle = tableHandle('shop', { name: 'item', columns: [array], primaryKey: ['id'], uniqueKeys: [], fingerprint: '' });
    const order = [{ column: 'id', descending: false }];
    const digest = queryDigest('shop.item', undefined, order);
    expect(decodePageToken(handle, order, digest, encodePageToken(handle, order, digest, [['a', null]]))).toEqual([['a', null]]);
    const long = 'x'.repeat(1_500_000);
    expect(decodePageToken(handle, order, digest, encodePageToken(handle, order, digest, [[long]]))).toEqual([[long]]);
  });

  const handle = tableHandle('old', {
    name: 't',
    columns: [
      { ...column('timestamptz'), name: 'seen', nullable: false },
      { ...column('int64'), name: 'id', nullable: false },
    ],
    primaryKey: ['id'],
    uniqueKeys: [],
    fingerprint: 'f',
  });
  const order = [
    { column: 'seen', descending: true },
    { column: 'id', descending: false },
  ];
  const digest = queryDigest('t', undefined, order);

  test('hold the cells of the order exactly', () => {
    fc.assert(fc.property(int64, int64, (seen, id) => cellsEqual(decodePageToken(handle, order, digest, encodePageToken(handle, order, digest, [seen, id])), [seen, id])));
  });

  test('belong to their query', () => {
    const token = encodePageToken(handle, order, digest, [1n, 2n]);
    expect(() => decodePageToken(handle, order, queryDigest('u', undefined, order), token)).toThrow(/another table, filter or order/);
    expect(() => decodePageToken(handle, order, digest, 'nonsense')).toThrow(/malformed/);
    expect(() => decodePageToken(handle, order, digest, `${token}AAAA`)).toThrow(/page_token/);
  });
});
