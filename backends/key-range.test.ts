import { expect, test } from '@jest/globals';
import type { ColumnKind } from '../core/cell.ts';
import type { TableSchema } from '../core/table-schema.ts';
import { keyRange } from './key-range.ts';

const table = (...kinds: ColumnKind[]): TableSchema => ({
  name: 't',
  columns: ['v', 'a', 'b'].map((name, i) => ({ name, kind: kinds[i - 1] ?? 'text', nullable: false, hasDefault: false, generated: false, nativeType: '' })),
  primaryKey: ['a', 'b'].slice(0, kinds.length),
  uniqueKeys: [],
  fingerprint: '',
});
const chunk = (contiguous: boolean, ...rows: (string | number | bigint)[][]) => ({ table: 't', rows, contiguous, progress: { lastKey: null, rows: 0, done: false } });

test('a contiguous chunk lies between its first key and its last', () => {
  expect(keyRange(table('int32'), chunk(true, ['x', 3, 0], ['y', 9, 0]))).toEqual({ first: [3], last: [9] });
  expect(keyRange(table('int64', 'uint64'), chunk(true, ['x', 3n, 4n]))).toEqual({ first: [3n, 4n], last: [3n, 4n] });
});

test('no range where other rows may lie between its keys, or where stores may order them otherwise', () => {
  expect(keyRange(table('int32'), chunk(false, ['x', 3, 0], ['y', 9, 0]))).toBeNull();
  expect(keyRange(table('int32'), chunk(true))).toBeNull();
  for (const kind of ['text', 'uuid', 'decimal', 'float64', 'bytes', 'enum'] as const) expect(keyRange(table('int32', kind), chunk(true, ['x', 1, 'a']))).toBeNull();
});
