import { expect, test } from '@jest/globals';
import type { ColumnSchema, TableSchema } from '../core/table-schema.ts';
import { unlikeness } from './table-shapes.ts';

const column = (name: string, more: Partial<ColumnSchema> = {}): ColumnSchema => ({
  name,
  kind: 'int64',
  nullable: false,
  hasDefault: false,
  generated: false,
  nativeType: 'bigint',
  ...more,
});
const table = (columns: readonly ColumnSchema[], more: Partial<TableSchema> = {}): TableSchema => {
  const shape = { name: 'item', columns, primaryKey: ['id'], uniqueKeys: [], ...more };
  return { fingerprint: JSON.stringify(shape), ...shape };
};
const postgres = { kind: 'postgres' };
const found = (here: TableSchema, there = table([column('id'), column('size'), column('name', { kind: 'text', nativeType: 'text' })])) =>
  unlikeness(postgres, there, postgres, here);

test('every column that is missing, extra or of another type is named', () => {
  expect(found(table([column('id'), column('size'), column('name', { kind: 'text', nativeType: 'text' })]))).toBeNull();
  expect(found(table([column('id'), column('size', { kind: 'int32', nativeType: 'integer' }), column('title', { kind: 'text', nativeType: 'text' })]))).toBe(
    'column "name" is missing; column "title" is extra; column "size" is integer, not bigint',
  );
  expect(found(table([column('size'), column('id'), column('name', { kind: 'text', nativeType: 'text' })]))).toBe('the order of the columns is size, id, name, not id, size, name');
});

test('then keys, nulls, defaults and unique keys', () => {
  const there = table([column('id', { hasDefault: true }), column('size')], { uniqueKeys: [{ name: 'item_size', columns: ['size'] }] });
  const here = table([column('id'), column('size', { nullable: true })], { primaryKey: ['id', 'size'], uniqueKeys: [{ name: 'item_both', columns: ['id', 'size'] }] });
  expect(found(here, there)).toBe(
    'the primary key is (id, size), not (id); column "id" has no default; column "size" may be null; unique key item_size (size) is missing; unique key item_both (id, size) is extra',
  );
});

test('what no word here is for is a difference all the same', () => {
  expect(found({ ...table([column('id')]), fingerprint: 'another' }, table([column('id')]))).toBe('their definitions');
});

test("between two kinds a column's kind counts, not its type's name, and neither defaults nor unique keys", () => {
  const there = table([column('id'), column('size')]);
  const here = (size: Partial<ColumnSchema>) => table([column('id', { nativeType: 'INTEGER', hasDefault: true }), column('size', { nativeType: 'INTEGER', ...size })]);
  expect(unlikeness(postgres, there, { kind: 'sqlite' }, here({}))).toBeNull();
  expect(unlikeness(postgres, there, { kind: 'sqlite' }, here({ kind: 'text', nativeType: 'TEXT' }))).toBe('column "size" is TEXT, not bigint');
  expect(unlikeness(postgres, there, { kind: 'sqlite' }, here({ name: 'width' }))).toBe('column "size" is missing; column "width" is extra');
});
