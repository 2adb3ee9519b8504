import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Cell, cellsEqual, type ScalarKind } from '../../../core/cell.ts';
import type { ColumnSchema } from '../../../core/table-schema.ts';
import { cellWriter } from '../../codec/cell-writer.ts';
import { EncodedRow } from '../../codec/encoded-row.ts';
import { decodeCell } from '../../../runtime/wire/decode-cell.ts';
import { encodeCell } from '../../../runtime/wire/encode-cell.ts';
import { tableHandle } from '../../codec/table-handle.ts';
import { amountFromJson, jsonFromValue, valueFromJson } from '../../../runtime/json/cell-json.ts';
import { parseJson } from '../../../runtime/json/json-parser.ts';
import { doubleOf, exactInteger, plainDecimal } from '../../../runtime/wire/number-text.ts';
import { amountsFromJson, changesFromJson, keyFromPath, keyToPath, rowFromJson, rowToJson } from './row-json.ts';
import { microsOfTime, microsOfTimestamp, timestampText } from '../../../core/time-text.ts';

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
const decimal = fc
  .tuple(fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }), fc.stringMatching(/^\d{0,20}$/))
  .map(([whole, fraction]) => (fraction === '' ? `${whole}` : `${whole}.${fraction}`));
const json = fc.oneof(
  fc.json(),
  fc.constantFrom('null', ' null ', '{"$json": 1}', '{"$json": {"$json": null}}', '{"\\u0024json": null}', '12345678901234567890.10', '{"b": 1, "a": 2, "1": 3}'),
);
const cellsOf: Readonly<Record<ScalarKind, fc.Arbitrary<Cell>>> = {
  bool: fc.boolean(),
  int16: fc.integer({ min: -0x8000, max: 0x7fff }),
  int32: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
  int64,
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  float32: fc.float(),
  float64: fc.oneof(fc.double(), fc.constantFrom(-0, Number.MAX_VALUE, Number.MIN_VALUE, 2 ** 53, 1e21)),
  decimal: fc.oneof(decimal, fc.constantFrom('0', '-0.00', 'NaN', 'Infinity', '-Infinity')),
  text: fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('', '\u2028', '\0', 'null', '"')),
  bytes: fc.uint8Array(),
  uuid: fc.uuid(),
  date: fc.constantFrom('2024-02-29', '0001-01-01', '-0043-03-15', '+10000-12-31', 'infinity', '-infinity'),
  time: fc.bigInt({ min: 0n, max: 86_400_000_000n }),
  timestamp: int64,
  timestamptz: int64,
  json,
  enum: fc.string(),
};
const kinds = Object.keys(cellsOf) as readonly ScalarKind[];

/** What a caller gets and gives back is what the store holds. */
const throughJson = (of: ColumnSchema, cell: Cell): Cell =>
  decodeCell(valueFromJson(parseJson(jsonFromValue(encodeCell(of.kind, cell, of.elementKind), of), 'the test', 100), of, 'row'), of, 'row');
/** A JSON text may be laid out differently inside the wrapper, but is the same text otherwise. */
const same = (kind: ScalarKind, a: Cell, b: Cell): boolean => (kind === 'json' && typeof a === 'string' && typeof b === 'string' ? a === b.trim() : cellsEqual(a, b));

describe.each(kinds)('%s', (kind) => {
  test('comes back through JSON as it was', () => {
    fc.assert(fc.property(fc.option(cellsOf[kind]), (cell) => same(kind, throughJson(column(kind), cell), cell)));
  });

  test('so do arrays of it', () => {
    fc.assert(
      fc.property(fc.array(fc.option(cellsOf[kind]), { maxLength: 5 }), (cells) => {
        const back = throughJson(column('array', kind), cells) as readonly Cell[];
        return back.length === cells.length && cells.every((cell, index) => same(kind, back[index] ?? null, cell));
      }),
    );
  });

  test('what it is written as is JSON', () => {
    fc.assert(fc.property(fc.option(cellsOf[kind]), (cell) => JSON.parse(jsonFromValue(encodeCell(kind, cell), column(kind))) !== undefined));
  });
});

describe('keys in paths', () => {
  const keyKinds = kinds.filter((kind) => kind !== 'json');
  const columns = (of: readonly ScalarKind[]): ColumnSchema[] => of.map((kind, index) => ({ ...column(kind), name: `k${index}`, nullable: false }));

  test('of any columns lead back to the same cells', () => {
    const wellFormed = (cell: Cell): boolean => typeof cell !== 'string' || cell.isWellFormed();
    const keys = fc
      .array(fc.constantFrom(...keyKinds), { minLength: 1, maxLength: 3 })
      .chain((of) => fc.tuple(fc.constant(of), fc.tuple(...of.map((kind) => cellsOf[kind].filter(wellFormed)))));
    fc.assert(
      fc.property(keys, ([of, cells]) => {
        const all = columns(of);
        const handle = tableHandle('old', { name: 't', columns: all, primaryKey: all.map(({ name }) => name), uniqueKeys: [], fingerprint: 'f' });
        const row = { $typeName: 'switchyard.data.v1.Row' as const, cells: Object.fromEntries(all.map(({ name, kind }, index) => [name, encodeCell(kind, cells[index] ?? null)])) };
        const path = keyToPath(row, handle) ?? '';
        const found = keyFromPath(path, handle);
        return !path.includes('/') && !path.includes('?') && all.every((one, index) => cellsEqual(decodeCell(found.cells[one.name], one, 'key'), cells[index] ?? null));
      }),
    );
  });

  test('name what is wrong with them', () => {
    const all = columns(['int64', 'text']);
    const handle = tableHandle('old', { name: 't', columns: all, primaryKey: ['k0', 'k1'], uniqueKeys: [], fingerprint: 'f' });
    expect(() => keyFromPath('1', handle)).toThrow(/key: got 1 parts; the primary key of "t" is \(k0, k1\)/);
    expect(() => keyFromPath('x,y', handle)).toThrow(/key\.k0: got "x"; expected int64/);
    expect(() => keyFromPath('1,%FF', handle)).toThrow(/percent-encoding/);
    expect(decodeCell(keyFromPath('1,a%2Cb', handle).cells.k1, all[1] as ColumnSchema, 'key')).toBe('a,b');
  });
});

const read = (kind: ColumnSchema['kind'], text: string, elementKind?: ScalarKind): Cell => {
  const of = column(kind, elementKind);
  return decodeCell(valueFromJson(parseJson(text, 'the test', 100), of, 'row'), of, 'row');
};

test.each([
  ['int64', '9007199254740993', 9007199254740993n],
  ['int64', '"9007199254740993"', 9007199254740993n],
  ['int64', '1.5e1', 15n],
  ['int64', '-9223372036854775808', -9223372036854775808n],
  ['uint64', '18446744073709551615', 18446744073709551615n],
  ['int32', '"5"', 5],
  ['decimal', '0.1000', '0.1000'],
  ['decimal', '1e-7', '0.0000001'],
  ['decimal', '12345678901234567890.123456789', '12345678901234567890.123456789'],
  ['float64', '0.1', 0.1],
  ['float64', '"-Infinity"', Number.NEGATIVE_INFINITY],
  ['float64', '-0', -0],
  ['uuid', '"AAAAAAAA-0000-4000-8000-00000000000A"', 'aaaaaaaa-0000-4000-8000-00000000000a'],
  ['timestamptz', '"2026-01-01T02:00:00.5+02:00"', 1_767_225_600_500_000n],
  ['timestamp', '"2026-01-01 00:00:00"', 1_767_225_600_000_000n],
  ['json', '{"$json": null}', 'null'],
  ['json', '[1.50, "x"]', '[1.50, "x"]'],
] as const)('%s understands %s', (kind, text, cell) => {
  expect(cellsEqual(read(kind, text), cell)).toBe(true);
});

test.each([
  ['bool', '1', /row\.c: got 1; expected bool \(native bool\) as true or false/],
  ['int64', '9223372036854775808', /got 9223372036854775808; expected int64/],
  ['int64', '1.5', /got 1\.5/],
  ['int64', '""', /got ""/],
  ['int16', '32768', /got int64_value 32768 \(must be -32768 to 32767\)/],
  ['int32', '1e18', /must be -2147483648 to 2147483647/],
  ['int64', '9223372036854775808', /an integer from -9223372036854775808 to 9223372036854775807/],
  ['uint64', '-1', /expected uint64 .* an integer from 0 to 18446744073709551615/],
  ['float64', '9007199254740993', /expected float64/],
  ['float64', '1e400', /expected float64/],
  ['float32', '0.1', /nearest one/],
  ['decimal', '"1e5x"', /expected decimal/],
  ['decimal', '1e999999999', /expected decimal/],
  ['text', '5', /expected text \(native text\) as a string/],
  ['bytes', '"a"', /base64/],
  ['date', '"2023-02-29"', /calendar/],
  ['time', '"24:00:00.000001"', /HH:MM:SS/],
  ['timestamptz', '"2026-01-01T00:00:00"', /with an offset/],
  ['timestamp', '"2026-01-01T00:00:00Z"', /without an offset/],
  ['timestamp', '"2026-02-29T00:00:00"', /expected timestamp/],
  ['timestamptz', '"2026-01-01T00:00:00.1234567Z"', /expected timestamptz/],
] as const)('%s refuses %s', (kind, text, message) => {
  expect(() => read(kind, text)).toThrow(message);
});

test('an element that does not fit is named by its place', () => {
  expect(() => read('array', '[1, "x"]', 'int64')).toThrow(/row\.c\[1\]: got "x"; expected array of int64/);
  expect(() => read('array', '5', 'int64')).toThrow(/row\.c: got 5; .* as an array, each element an integer/);
});

test('numbers cost no more than their text, whatever their exponents', () => {
  const startedAt = performance.now();
  for (const text of ['0e150000', '1e150000', '-1e-150000'])
    for (let i = 0; i < 20_000; i += 1) {
      plainDecimal(text);
      exactInteger(text);
      doubleOf(text);
    }
  exactInteger(`${'0'.repeat(1_000_000)}1${'0'.repeat(1_000_000)}1e-1`);
  expect(performance.now() - startedAt).toBeLessThan(3_000); // written out, it would be minutes
  expect(() => read('decimal', '1e401')).toThrow(/row\.c: got 1e401; .*an exponent of at most 400/);
});

test('changes are told from amounts, and unknown columns by the closest name', () => {
  const handle = tableHandle('old', {
    name: 't',
    columns: [
      { ...column('int64'), name: 'amount' },
      { ...column('json'), name: 'doc' },
    ],
    primaryKey: ['amount'],
    uniqueKeys: [],
    fingerprint: 'f',
  });
  const { set, add } = changesFromJson(parseJson('{"amount": {"$add": -3}, "doc": {"$add": 1}}', 'the test', 10), handle, 'row');
  expect([Object.keys(set.cells), Object.keys(add.cells)]).toEqual([['doc'], ['amount']]);
  expect(add.cells.amount?.kind.value).toBe(-3n);
  expect(() => rowFromJson(parseJson('{"amuont": 1}', 'the test', 10), handle, 'row')).toThrow(/row: table "t" has no column "amuont"; did you mean "amount"/);
  expect(amountFromJson(parseJson('-5', 'the test', 1), column('uint64'), 'add').kind).toEqual({ case: 'int64Value', value: -5n });
});

test('texts of numbers and times', () => {
  expect(['-1.50e1', '1E+3', '12e-4', '0e0', '100e-2', '00'].map(plainDecimal)).toEqual(['-15.0', '1000', '0.0012', '0', '1.00', '00']);
  expect(['5.00', '5.01', '-0', 'x'].map((text) => exactInteger(text))).toEqual([5n, null, 0n, null]);
  expect(['9007199254740992', '9007199254740993', '1e309', '0x10'].map(doubleOf)).toEqual([2 ** 53, null, null, null]);
  expect(['0e150000', '-0.00e999999999999', '0e-3'].map(plainDecimal)).toEqual(['0', '-0', '0.000']);
  expect(['1e401', '1e-401', '1e150000'].map(plainDecimal)).toEqual([null, null, null]);
  expect(plainDecimal('1e400')).toHaveLength(401);
  expect(['0e150000', '1e150000', '-12.300e2', '1.5e0', '1e-1', '1e39', '1e40', `${'0'.repeat(60)}7`].map((text) => exactInteger(text))).toEqual([
    0n,
    null,
    -1230n,
    null,
    null,
    10n ** 39n,
    null,
    7n,
  ]);
  // Written in any way, an integer is not rounded unseen; a double's own shortest text is that double.
  expect(['9007199254740993.0', '9007199254740993e0', '90071992547409.93e2', '9.007199254740992e15'].map(doubleOf)).toEqual([null, null, null, 2 ** 53]);
  expect(['1e23', '1.0E+23', '100000000000000000000000', '100000000000000000000001', '1.7976931348623157e308', '5e-324'].map(doubleOf)).toEqual([
    1e23,
    1e23,
    1e23,
    null,
    Number.MAX_VALUE,
    Number.MIN_VALUE,
  ]);
  expect([microsOfTime('23:59:60'), microsOfTime('24:00:00'), microsOfTime('1:00:00')]).toEqual([null, 86_400_000_000n, null]);
  expect([timestampText(-62_135_596_800_000_001n, true), timestampText(0n, false)]).toEqual(['0000-12-31T23:59:59.999999Z', '1970-01-01T00:00:00.000000']);
  expect(microsOfTimestamp('+294247-01-10T04:00:54.775807Z', true)).toBeNull();
});

test('a row comes back whatever its columns are called', () => {
  const name = fc.oneof(fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty'), fc.string({ unit: 'grapheme' }));
  fc.assert(
    fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 6 }), (names) => {
      const columns = names.map((each) => ({ ...column('int32'), name: each }));
      const handle = tableHandle('old', { name: 't', columns, primaryKey: names, uniqueKeys: [], fingerprint: 'f' });
      const text = `{${names.map((each, index) => `${JSON.stringify(each)}:${index}`).join(',')}}`;
      const node = parseJson(text, 'the test', 10);
      expect(rowToJson(rowFromJson(node, handle, 'row'), handle)).toBe(text);
      expect(rowToJson(changesFromJson(node, handle, 'row').set, handle)).toBe(text);
      expect(rowToJson(amountsFromJson(node, handle, 'add'), handle)).toBe(text);
      expect(rowToJson(keyFromPath([...names.keys()].join(','), handle), handle)).toBe(text);
      expect(
        rowToJson(
          new EncodedRow(
            [...names.keys()],
            names.map((each) => cellWriter(handle, each)),
          ),
          handle,
        ),
      ).toBe(text);
      const added = parseJson(`{${names.map((each) => `${JSON.stringify(each)}:{"$add":1}`).join(',')}}`, 'the test', 10);
      expect(Object.keys(changesFromJson(added, handle, 'row').add.cells)).toHaveLength(names.length);
    }),
  );
});
