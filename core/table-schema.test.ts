import { expect, test } from '@jest/globals';
import { type ColumnSchema, ownWayOf, shapeDifference, shapeDifferenceBetweenKinds, type TableSchema } from './table-schema.ts';

const column = (more: Partial<ColumnSchema>): ColumnSchema => ({ name: 'doc', kind: 'json', nullable: true, hasDefault: false, generated: false, nativeType: 'json', ...more });
const table = (more: Partial<ColumnSchema> = {}): TableSchema => ({
  name: 'item',
  columns: [column({ name: 'id', kind: 'int64', nullable: false, nativeType: 'bigint' }), column(more)],
  primaryKey: ['id'],
  uniqueKeys: [],
  fingerprint: '',
});

test("a column of a store's own way keeps two kinds apart, whichever side has it, and stores of one kind not", () => {
  const own = table({ nativeType: 'jsonb', ownWay: 'writes its values anew: use json' });
  for (const [source, target] of [
    [own, table()],
    [table(), own],
  ] as const) {
    expect(shapeDifferenceBetweenKinds(source, target)).toBe('column doc (jsonb) writes its values anew: use json');
    expect(shapeDifference(source, target)).toBeNull();
  }
  expect(ownWayOf(table())).toBeNull();
});

test('between two kinds names, order, kinds and keys count as ever', () => {
  expect(shapeDifferenceBetweenKinds(table(), table({ nativeType: 'JSON_TEXT' }))).toBeNull();
  expect(shapeDifferenceBetweenKinds(table(), table({ kind: 'text', nativeType: 'TEXT' }))).toBe('column doc is json against TEXT');
  expect(shapeDifferenceBetweenKinds(table(), table({ name: 'docs' }))).toBe('column 2 is doc against docs');
});
