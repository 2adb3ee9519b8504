import { expect, test } from '@jest/globals';
import type { ScalarKind } from '../../../core/cell.ts';
import { noExtras, type TableExtras } from '../../../core/table-extras.ts';
import type { ColumnSchema, TableSchema } from '../../../core/table-schema.ts';
import { portableTable } from './portable.ts';

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
const extras: TableExtras = { ...noExtras, defaults: new Map([['id', { kind: 'numbered' }]]) };
const made = (columns: readonly ColumnSchema[], uniqueKeys: readonly (readonly string[])[], more: Partial<TableExtras> = {}) =>
  portableTable({ schema: table(columns, uniqueKeys), extras: { ...extras, ...more }, more: [] }, []);
const statement = (columns: readonly ColumnSchema[], ...uniqueKeys: readonly (readonly string[])[]): string => made(columns, uniqueKeys).statements.join(';\n');

test('texts and bytes have the room that the narrowest of their keys leaves', () => {
  const texts = ['a', 'b', 'c'].map((name) => column(name, 'text'));
  expect(statement(texts)).toContain('`a` longtext NULL');
  expect(statement(texts, ['a'])).toContain('`a` varchar(767) NULL');
  expect(statement(texts, ['a', 'b'], ['a', 'b', 'c'])).toContain('`a` varchar(255) NULL');
  expect(statement([column('raw', 'bytes')], ['raw'])).toContain('`raw` varbinary(3069) NULL');
  expect(statement([column('sized', 'text', sized(84)), column('free', 'text')], ['sized', 'free'])).toMatch(/`sized` varchar\(84\).*`free` varchar\(682\)/s);
  expect(statement([column('sized', 'text', sized(5, true))])).toMatch(/`sized` longtext.*CHECK \(char_length\(`sized`\) = 5\)/s);
});

test('an index has as much of a text as is usual, and as there is room for', () => {
  const index = (...names: readonly string[]) => [{ name: 'by', columns: names.map((name) => ({ name, descending: name === 'n' })) }];
  const texts = ['a', 'b', 'c', 'd', 'e'].map((name) => column(name, 'text'));
  const indexed = (columns: readonly ColumnSchema[], ...names: readonly string[]) => made(columns, [], { indexes: index(...names) }).later;
  expect(indexed(texts, 'a')).toEqual([{ name: 'by', rest: '(`a`(191))' }]);
  expect(indexed(texts, 'a', 'b', 'c', 'd', 'e')).toEqual([{ name: 'by', rest: '(`a`(152), `b`(152), `c`(152), `d`(152), `e`(152))' }]);
  expect(indexed([column('sized', 'text', sized(84)), column('n', 'int32'), column('raw', 'bytes')], 'sized', 'n', 'raw')).toEqual([
    { name: 'by', rest: '(`sized`(84), `n` DESC, `raw`(764))' },
  ]);
  expect(made([column('k', 'text')], [['k']], { indexes: index('k') }).later).toEqual([{ name: 'by', rest: '(`k`)' }]);
  // A name that MariaDB does not have is one that it finds itself.
  for (const name of ['x'.repeat(65), '🚂', 'Primary', 'KEY 0'])
    expect(made(texts, [['a']], { indexes: [{ name, columns: [{ name: 'b', descending: false }] }] }).statements.join()).toContain('  KEY (`b`(191))');
});

test('an index comes with the table where its numbers or a foreign key need it at once, or it could not be known again', () => {
  const columns = ['a', 'b'].map((name) => column(name, 'int64'));
  const index = (name: string, ...names: readonly string[]) => ({ name, columns: names.map((each) => ({ name: each, descending: false })) });
  const indexes = [index('numbers', 'id', 'a'), index('leads', 'a', 'b'), index('A_2', 'b'), index('plain', 'b', 'a'), index('PLAIN', 'b')];
  const parent = { ...table([], []), name: 'parent' };
  const foreignKeys = [{ name: 'up', columns: ['a'], references: 'parent', referencedColumns: ['id'] }];
  const { statements, later } = portableTable({ schema: table(columns, []), extras: { ...extras, indexes, foreignKeys }, more: [] }, [parent]);
  expect(later).toEqual([{ name: 'plain', rest: '(`b`, `a`)' }]);
  for (const key of ['KEY `numbers` (`id`, `a`)', 'KEY `leads` (`a`, `b`)', 'KEY `A_2` (`b`)', '  KEY (`b`)']) expect(statements.join()).toContain(key);
});

test('a timestamp that must have a value gets none by itself, whatever the server is set to', () => {
  expect(statement([column('at', 'timestamptz', { nullable: false })])).toMatch(/^SET STATEMENT explicit_defaults_for_timestamp = 1 FOR CREATE TABLE/);
  expect(statement([column('at', 'timestamptz')])).toMatch(/^CREATE TABLE/);
});

test('every column that has no like is named', () => {
  const bad = [column('tags', 'array', { elementKind: 'text' }), column('mood', 'enum')];
  expect(() => statement(bad)).toThrow(expect.objectContaining({ reason: 'PRECHECK_FAILED', message: expect.stringMatching(/"tags".*\n.*"mood"/), metadata: { problems: '2' } }));
});

test('what has no like is refused by table and column', () => {
  for (const [bad, why, unique] of [
    [column('tags', 'array', { elementKind: 'text' }), 'is of kind array, and MariaDB has no type for that. The table cannot move there as it is', []],
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
