import { type Cell, cellsEqual, type ScalarKind } from '../../../core/cell.ts';
import type { ColumnSchema } from '../../../core/table-schema.ts';
import { cellFromText, cellToText } from '../../../backends/postgres/cells.ts';
import { elementsFromText, textFromElements } from '../../../backends/postgres/array-text.ts';
import { fits } from '../inputs/fitting-cell.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const kinds: readonly ScalarKind[] = [
  'bool',
  'int16',
  'int32',
  'int64',
  'uint64',
  'float32',
  'float64',
  'decimal',
  'text',
  'bytes',
  'uuid',
  'date',
  'time',
  'timestamp',
  'timestamptz',
  'json',
  'enum',
];
const samples = [
  't',
  '32767',
  '-2147483648',
  '9223372036854775807',
  '1.5',
  'NaN',
  '-Infinity',
  '\\xdeadbeef',
  '2024-02-29',
  '0044-03-15 BC',
  '24:00:00',
  '12:34:56.789',
  '2024-01-01 12:00:00.5',
  '2024-01-01 12:00:00+05:30:15',
  '4713-01-01 00:00:00+00 BC',
  'infinity',
  '{1,NULL,"a\\"b"}',
  '{}',
  '[2:3]={1,2}',
  '{{1,2},{3,4}}',
  '{"a","b\\\\c",}',
  '00000000-0000-4000-8000-000000000000',
];

function columnOf(byte: number): ColumnSchema {
  const scalar = kinds[byte % kinds.length] ?? 'text';
  const common = { name: 'c', nullable: true, hasDefault: false, generated: false, nativeType: scalar };
  return byte >= 128 ? { ...common, kind: 'array', elementKind: scalar } : { ...common, kind: scalar };
}

/** Texts of PostgreSQL's values. The first byte chooses the kind, from 128 on of an array's elements. A cell's own text means the same cell. */
export const target: FuzzTarget = {
  name: 'postgres-text',
  words: ['{', '}', '"', '\\', ',', 'NULL', ' BC', '+00', '-', ':', '.', 'infinity', '\\x', ...samples],
  generate: (random) => Buffer.concat([random.bytes(1), Buffer.from(random.pick(samples))]),
  open: async () => ({
    run: async (input) => {
      const column = columnOf(input[0] ?? 0);
      const text = input.subarray(1).toString('utf8');
      const elements = elementsFromText(text);
      if (elements !== null && elements !== undefined)
        must(JSON.stringify(elementsFromText(textFromElements(elements))) === JSON.stringify(elements), 'an array is not read as it is written');
      // STORE_FAILED is what the store's own fault is called.
      return await outcomeOf(
        () => {
          const cell = cellFromText(column, text);
          const kind = column.elementKind ?? (column.kind as ScalarKind);
          for (const one of Array.isArray(cell) ? (cell as readonly Cell[]) : [cell])
            must(one === null || fits(kind, one), `${JSON.stringify(text.slice(0, 80))} became ${String(one)} of kind ${kind}`);
          if (text.includes('\0') || !text.isWellFormed()) return;
          must(
            cellsEqual(cellFromText(column, cellToText(column, cell)), cell),
            `${JSON.stringify(text.slice(0, 80))} of kind ${kind} is not read as it is written: ${cellToText(column, cell)}`,
          );
        },
        [],
        ['STORE_FAILED'],
      );
    },
    [Symbol.asyncDispose]: async () => {},
  }),
};
