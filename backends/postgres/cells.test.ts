import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Cell, cellsEqual, type ScalarKind } from '../../core/cell.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import { cellFromText, cellToText } from './cells.ts';

const column = (kind: ColumnSchema['kind'], elementKind?: ScalarKind): ColumnSchema => ({
  name: 'c',
  kind,
  ...(elementKind === undefined ? {} : { elementKind }),
  nullable: true,
  hasDefault: false,
  generated: false,
  nativeType: kind,
});

const MICROS_PER_DAY = 86_400_000_000n;
// 4714-11-24 BC to the end of int64.
const timestampMicros = fc.bigInt(-210_866_803_200_000_000n, 2n ** 63n - 1n);
const text = fc.string({ unit: 'binary' }).map((value) => value.replaceAll('\0', ''));
const isoDate = fc.tuple(fc.integer({ min: -4712, max: 5_874_897 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 })).map(([year, month, day]) => {
  const digits = String(Math.abs(year)).padStart(4, '0');
  return `${year < 0 ? '-' : year > 9999 ? '+' : ''}${digits}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`;
});

const cellsOf: Readonly<Record<Exclude<ScalarKind, 'uint64'>, fc.Arbitrary<Cell>>> = {
  bool: fc.boolean(),
  int16: fc.integer({ min: -32_768, max: 32_767 }),
  int32: fc.integer(),
  int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  float32: fc.float(),
  float64: fc.double(),
  decimal: fc.oneof(
    fc.bigInt().map((value) => `${value}.10`),
    fc.constantFrom('NaN', 'Infinity', '-Infinity'),
  ),
  text,
  bytes: fc.uint8Array(),
  uuid: fc.uuid(),
  date: fc.oneof(isoDate, fc.constantFrom('infinity', '-infinity', '0000-01-01', '-4712-01-01', '+5874897-12-31')),
  time: fc.bigInt(0n, MICROS_PER_DAY),
  timestamp: fc.oneof(timestampMicros, fc.constantFrom(2n ** 63n - 1n, -(2n ** 63n), 0n, -1n)),
  timestamptz: fc.oneof(timestampMicros, fc.constantFrom(2n ** 63n - 1n, -(2n ** 63n), 0n, -1n)),
  json: fc.json(),
  enum: text,
};

describe('a cell', () => {
  test.each(Object.entries(cellsOf))('of kind %s comes back from its text as it was, alone and in an array', (kind, cells) => {
    const scalar = column(kind as ScalarKind);
    const array = column('array', kind as ScalarKind);
    fc.assert(
      fc.property(cells, (cell) => {
        const again = cellFromText(scalar, cellToText(scalar, cell));
        if (!cellsEqual(again, cell)) throw new Error(`${String(cell)} became ${String(again)} over ${cellToText(scalar, cell)}`);
      }),
    );
    fc.assert(fc.property(fc.array(fc.option(cells)), (cell) => cellsEqual(cellFromText(array, cellToText(array, cell)), cell)));
  });

  test.each<[ScalarKind, string, Cell]>([
    ['date', '0044-03-15 BC', '-0043-03-15'],
    ['date', '0001-12-31 BC', '0000-12-31'],
    ['date', '10000-01-01', '+10000-01-01'],
    ['time', '24:00:00', MICROS_PER_DAY],
    ['time', '23:59:59.5', 86_399_500_000n],
    ['timestamp', '1970-01-01 00:00:00.000001', 1n],
    ['timestamp', '1969-12-31 23:59:59.999999', -1n],
    ['timestamp', '0001-01-01 00:00:00 BC', -62_167_219_200_000_000n],
    ['timestamptz', '1970-01-01 05:30:00+05:30', 0n],
    ['timestamptz', '1969-12-31 19:03:58-04:56:02', 0n],
    ['timestamptz', 'infinity', 2n ** 63n - 1n],
    ['float64', '-0', -0],
    ['float32', '0.1', Math.fround(0.1)],
    ['bytes', '\\x00ff', new Uint8Array([0, 255])],
  ])('of kind %s is read from %s', (kind, stored, cell) => {
    expect(cellFromText(column(kind), stored)).toEqual(cell);
  });

  test('of an array is read with NULL, empty and quoted elements', () => {
    expect(cellFromText(column('array', 'text'), '{NULL,"NULL","",a b,"\\"\\\\,{}"}')).toEqual([null, 'NULL', '', 'a b', '"\\,{}']);
    expect(cellFromText(column('array', 'int32'), '{}')).toEqual([]);
    expect(cellFromText(column('array', 'bool'), '{t,f}')).toEqual([true, false]);
  });

  test.each<[ColumnSchema, string]>([
    [column('array', 'int32'), '{{1,2},{3,4}}'],
    [column('array', 'int32'), '[2:3]={1,2}'],
    [column('timestamp'), '294247-01-10 04:00:54.775807'],
    [column('timestamptz'), '294276-12-31 23:59:59.999999+00'],
  ])('without an exact mapping is refused', (schema, stored) => {
    expect(() => cellFromText(schema, stored)).toThrow(expect.objectContaining({ reason: 'VALUE_UNSUPPORTED' }));
  });

  test.each<[ColumnSchema, string]>([
    [column('bool'), 'true'],
    [column('bytes'), 'escaped'],
    [column('date'), '15.03.2044'],
    [column('timestamp'), 'Sat Mar 15 2044'],
    [column('array', 'int32'), '1,2'],
    [column('array', 'text'), '{"open}'],
    [column('int16'), 'seven'],
    [column('int32'), ''],
    [column('int64'), '0x10'],
    [column('uint64'), '1.5'],
    [column('float32'), '1,5'],
    [column('float64'), ''],
    [column('bytes'), '\\x0'],
    [column('bytes'), '\\x0g'],
    [column('array', 'int64'), '{1,two}'],
  ])('in another form than our sessions have is a failure of the store', (schema, stored) => {
    expect(() => cellFromText(schema, stored)).toThrow(expect.objectContaining({ reason: 'STORE_FAILED' }));
  });

  test.each<[ColumnSchema, Cell]>([
    [column('int32'), 1n],
    [column('int32'), 1.5],
    [column('int64'), 1],
    [column('text'), 'a\0'],
    [column('text'), '\ud800'],
    [column('date'), '2024-1-1'],
    [column('time'), -1n],
    [column('time'), MICROS_PER_DAY + 1n],
    [column('timestamp'), 2n ** 63n],
    [column('array', 'int32'), [[1]]],
    [column('array', 'int32'), 'x'],
    [column('text'), ['x']],
  ])('that is none of its column is refused', (schema, cell) => {
    expect(() => cellToText(schema, cell)).toThrow(expect.objectContaining({ reason: 'VALUE_INVALID' }));
  });
});
