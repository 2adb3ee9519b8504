import { create, equals, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Cell } from '../../core/cell.ts';
import { rpcMethodDefinition } from '../../core/rpc-definition.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import { DataService, QueryResponseSchema } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { RowSchema } from '../../gen/switchyard/data/v1/value_pb.ts';
import { rowEncoder } from './encode.ts';
import { tableHandle } from './table-handle.ts';

/* Rows write their bytes themselves; what a library reads from them must be what their messages say. */

const lengths = fc.constantFrom(0, 1, 40, 41, 42, 43, 60, 126, 127, 128, 129, 5_000, 16_382, 16_383, 16_384, 70_000);
const texts = fc.tuple(lengths, fc.constantFrom('a', 'ü', '€', '🐟')).map(([length, character]) => character.repeat(length));
const integers = fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.constantFrom(0n, 127n, 128n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n, -1n, -(2n ** 31n)));
const cells = {
  bool: fc.boolean(),
  int16: fc.integer({ min: -0x8000, max: 0x7fff }),
  int32: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
  int64: integers,
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  float32: fc.float({ noNaN: true }),
  float64: fc.double({ noNaN: true }),
  decimal: fc.constantFrom('0', '-12.3400', 'NaN'),
  text: texts,
  bytes: fc.oneof(
    fc.uint8Array(),
    lengths.map((length) => new Uint8Array(length).fill(7)),
  ),
  uuid: fc.uuid(),
  date: fc.constantFrom('2024-02-29', 'infinity'),
  time: fc.bigInt({ min: 0n, max: 86_400_000_000n }),
  timestamp: integers,
  timestamptz: integers,
  json: fc.json(),
  enum: fc.string(),
} satisfies Readonly<Record<Exclude<ColumnSchema['kind'], 'array'>, fc.Arbitrary<Cell>>>;
const kinds = Object.keys(cells) as readonly (keyof typeof cells)[];
const cellOf = (kind: keyof typeof cells): fc.Arbitrary<Cell> => fc.option(cells[kind] as fc.Arbitrary<Cell>);

const columnOf = (name: string, kind: ColumnSchema['kind']): ColumnSchema => ({ name, kind, nullable: true, hasDefault: false, generated: false, nativeType: kind });
const columns = kinds.flatMap((kind) => [columnOf(`a ${kind}`, kind), { ...columnOf(`many ${kind} ${'ü'.repeat(70)}`, 'array'), elementKind: kind }]);
const handle = tableHandle('old', { name: 't', columns, primaryKey: [columns[0]?.name ?? ''], uniqueKeys: [], fingerprint: '' });
const names = columns.map(({ name }) => name);
const rowCells: fc.Arbitrary<readonly Cell[]> = fc.tuple(...kinds.flatMap((kind) => [cellOf(kind), fc.option(fc.array(cellOf(kind), { maxLength: 3 }))]));
const { responseSerialize } = rpcMethodDefinition(DataService.method.query);

/** The same with messages in place of rows that write themselves. */
const asMessages = ({ rows = [], ...rest }: MessageInitShape<typeof QueryResponseSchema>) =>
  create(QueryResponseSchema, { ...rest, rows: rows.map(({ cells: found = {} }) => create(RowSchema, { cells: { ...found } })) });

describe('a row that writes itself', () => {
  test('is read as its message says, whatever is in it', () => {
    fc.assert(
      fc.property(fc.array(rowCells, { maxLength: 3 }), fc.constantFrom('', 'token'), (found, nextPageToken) => {
        const encode = rowEncoder(handle);
        const answer = { rows: found.map((row) => encode({ columns: names, cells: row })), nextPageToken };
        const read = fromBinary(QueryResponseSchema, responseSerialize(answer));
        return equals(QueryResponseSchema, read, fromBinary(QueryResponseSchema, toBinary(QueryResponseSchema, asMessages(answer))));
      }),
      { numRuns: 200 },
    );
  });

  test('leaves out what was not asked for, and knows no columns that the table does not have', () => {
    const encode = rowEncoder(handle, ['a bool']);
    const answer = { rows: [encode({ columns: ['a bool', 'a int64'], cells: [true, 1n] })] };
    expect(Object.keys(fromBinary(QueryResponseSchema, responseSerialize(answer)).rows[0]?.cells ?? {})).toEqual(['a bool']);
    expect(() => rowEncoder(handle)({ columns: ['other'], cells: [1] })).toThrow('a column other that table t does not have');
  });

  test('is written as any message is where it is one of a message that is nested', () => {
    const row = rowEncoder(handle)({ columns: ['a bool', 'a int64'], cells: [true, 7n] });
    const { output } = DataService.method.batchGet;
    const bytes = rpcMethodDefinition(DataService.method.batchGet).responseSerialize({ entries: [{ row }, {}] } as MessageInitShape<typeof output>);
    const [first, second] = fromBinary(output, bytes).entries;
    expect([first?.row?.cells['a int64']?.kind, second?.row]).toEqual([{ case: 'int64Value', value: 7n }, undefined]);
  });

  test('a failure leaves nothing to the next one', () => {
    const encode = rowEncoder(handle);
    const wrong = encode({ columns: ['a text'], cells: [{} as unknown as Cell] });
    expect(() => responseSerialize({ rows: [wrong] })).toThrow();
    const right = { rows: [encode({ columns: ['a text'], cells: ['x'] })] };
    expect(fromBinary(QueryResponseSchema, responseSerialize(right)).rows[0]?.cells['a text']?.kind.value).toBe('x');
  });
});
