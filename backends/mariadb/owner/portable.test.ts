import { expect, test } from '@jest/globals';
import type { ScalarKind } from '../../../core/cell.ts';
import type { ColumnSchema, TableSchema } from '../../../core/table-schema.ts';
import { portableStatement } from './portable.ts';

const column = (name: string, kind: ScalarKind | 'array', more: Partial<ColumnSchema> = {}): ColumnSchema => ({
  name,
  kind,
  nullable: true,
  hasDefault: false,
  generated: false,
  nativeType: kind === 'decimal' ? 'numeric(12,4)' : kind,
  ...more,
});
const key = column('id', 'int64', { nullable: false, hasDefault: true });
const table = (columns: readonly ColumnSchema[], uniqueKeys: readonly (readonly string[])[] = []): TableSchema => ({
  name: 'a `table`',
  columns: [key, ...columns],
  primaryKey: ['id'],
  uniqueKeys: uniqueKeys.map((names, at) => ({ name: `key ${at}`, columns: names })),
  fingerprint: '',
});
const sized = (most: number, exactly = false) => ({ limits: { characters: { most, exactly } } });
const statement = (columns: readonly ColumnSchema[], ...uniqueKeys: readonly (readonly string[])[]): string => portableStatement({ schema: table(columns, uniqueKeys), more: [] });

test('texts and bytes have the room that the narrowest of their keys leaves', () => {
  const texts = ['a', 'b', 'c'].map((name) => column(name, 'text'));
  expect(statement(texts)).toContain('`a` longtext NULL');
  expect(statement(texts, ['a'])).toContain('`a` varchar(767) NULL');
  expect(statement(texts, ['a', 'b'], ['a', 'b', 'c'])).toContain('`a` varchar(255) NULL');
  expect(statement([column('raw', 'bytes')], ['raw'])).toContain('`raw` varbinary(3069) NULL');
  expect(statement([column('sized', 'text', sized(84)), column('free', 'text')], ['sized', 'free'])).toMatch(/`sized` varchar\(84\).*`free` varchar\(682\)/s);
  expect(statement([column('sized', 'text', sized(5, true))])).toMatch(/`sized` longtext.*CHECK \(char_length\(`sized`\) = 5\)/s);
});

test('what has no like is refused by table and column', () => {
  for (const [bad, why, unique] of [
    [column('tags', 'array', { elementKind: 'text' }), 'array', []],
    [column('twice', 'int32', { generated: true }), 'generated', []],
    [column('made', 'timestamptz', { hasDefault: true }), 'default', []],
    [column('mood', 'enum'), 'labels', []],
    [column('price', 'decimal', { nativeType: 'numeric' }), 'no precision', []],
    [column('price', 'decimal', { nativeType: 'numeric(66,2)' }), 'larger', []],
    [column('price', 'decimal', { nativeType: 'numeric(60,39)' }), 'larger', []],
    [column('price', 'decimal', { nativeType: 'numeric(3,5)' }), 'larger', []],
    [column('doc', 'json'), 'part of a key', ['doc']],
    [column('long', 'text', sized(1_000)), '3072 bytes', ['long']],
  ] as const) {
    expect(() => statement([bad], ...(unique.length === 0 ? [] : [unique]))).toThrow(
      expect.objectContaining({ reason: 'PRECHECK_FAILED', metadata: { table: 'a `table`', column: bad.name }, message: expect.stringContaining(why) }),
    );
  }
});
