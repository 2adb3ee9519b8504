import { type Cell, cellsEqual, type ScalarKind } from '../../../core/cell.ts';
import type { ColumnSchema } from '../../../core/table-schema.ts';
import { cellFromValue, valueFromCell } from '../../../backends/sqlite/cells.ts';
import type { SqlValue } from '../../../backends/sqlite/connection.ts';
import { decimalOrder, decimalSum, decimalText } from '../../../backends/sqlite/decimal-text.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const types: readonly (readonly [ScalarKind, string])[] = [
  ['bool', 'BOOLEAN'],
  ['int16', 'SMALLINT'],
  ['int32', 'INT32'],
  ['int64', 'BIGINT'],
  ['uint64', 'UNSIGNED64_TEXT'],
  ['float32', 'FLOAT32'],
  ['float64', 'REAL'],
  ['decimal', 'DECIMAL_TEXT(12,4)'],
  ['decimal', 'DECIMAL_TEXT'],
  ['text', 'TEXT'],
  ['bytes', 'BLOB'],
  ['uuid', 'UUID_TEXT'],
  ['date', 'DATE_TEXT'],
  ['time', 'TIME_TEXT'],
  ['timestamp', 'TIMESTAMP_TEXT'],
  ['timestamptz', 'TIMESTAMPTZ_TEXT'],
  ['json', 'JSON_TEXT'],
  ['enum', 'ENUM_TEXT'],
];
const samples = [
  '0',
  '1',
  '00000000000000000007',
  '12.3400',
  '-0.5000',
  '1e10',
  '1e99999',
  '-.5e-3',
  'NaN',
  '2024-02-29',
  '0000-01-01',
  '23:59:59.999999',
  '24:00:00.000000',
  '2024-02-29 12:00:00.000000',
  '2024-02-29 12:00:00.000000Z',
  'infinity',
  '{"a":[1]}',
  '00000000-0000-4000-8000-000000000000',
];

/** What SQLite may hold in a column, whatever its declared type: the second byte of an input chooses, the rest is the content. */
function storedValue(input: Buffer): SqlValue {
  const content = input.subarray(2);
  switch ((input[1] ?? 0) % 4) {
    case 0:
      return content.toString('utf8');
    case 1:
      return new Uint8Array(content);
    case 2:
      return content.length >= 8 ? content.readBigInt64LE(0) : BigInt(content.length);
    default:
      return content.length >= 8 ? content.readDoubleLE(0) : content.length / 2;
  }
}

/** Values of a SQLite file, and decimals, which are computed with as texts. The first byte chooses the column's type. */
export const target: FuzzTarget = {
  name: 'sqlite-values',
  words: ['e', '-', '+', '.', '000', '9'.repeat(400), 'Z', ':', 'infinity', ...samples],
  generate: (random) => Buffer.concat([random.bytes(1), Buffer.from([random.pick([0, 0, 1, 1, 2, 3])]), random.chance(80) ? Buffer.from(random.pick(samples)) : random.bytes(8)]),
  open: async () => ({
    run: async (input) => {
      const [kind, nativeType] = types[(input[0] ?? 0) % types.length] ?? ['text', 'TEXT'];
      const column: ColumnSchema = { name: 'c', kind, nullable: true, hasDefault: false, generated: false, nativeType };
      const value = storedValue(input);
      if (typeof value === 'string') decimals(value);
      return await outcomeOf(() => {
        const cell = cellFromValue(column, value);
        const again = read(column, valueFromCell(column, cell));
        must(cellsEqual(again, cell), `${String(value).slice(0, 80)} of ${nativeType} is not read as it is written`);
      });
    },
    [Symbol.asyncDispose]: async () => {},
  }),
};

/** Texts are read as their bytes, as a select gives them. */
function read(column: ColumnSchema, value: SqlValue): Cell {
  const asBytes = typeof value === 'string' && (column.kind === 'text' || column.kind === 'json' || column.kind === 'enum');
  return cellFromValue(column, asBytes ? new Uint8Array(Buffer.from(value)) : value);
}

function decimals(text: string): void {
  const canonical = decimalText(text, null);
  if (canonical === null) return;
  must(decimalText(canonical, null) === canonical, `the text of ${text.slice(0, 80)} has another text`);
  must(decimalOrder(canonical) === decimalOrder(text), `${text.slice(0, 80)} sorts elsewhere than its own text`);
  const sum = decimalSum(canonical, '0');
  must(sum === null || decimalOrder(sum) === decimalOrder(canonical), `${text.slice(0, 80)} + 0 is another value`);
}
