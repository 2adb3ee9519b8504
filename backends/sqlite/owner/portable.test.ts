import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ScalarKind } from '../../../core/cell.ts';
import { noExtras } from '../../../core/table-extras.ts';
import type { ColumnSchema, TableSchema } from '../../../core/table-schema.ts';
import type { Described } from '../../portable-table.ts';
import { Connection } from '../connection.ts';
import { describeTable } from '../schema.ts';
import { portableTable } from './portable.ts';

const kinds = 'bool int16 int32 int64 uint64 float32 float64 decimal text bytes uuid date time timestamp timestamptz json enum'.split(' ') as readonly ScalarKind[];
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
const table = (columns: readonly ColumnSchema[], primaryKey = ['id']): TableSchema => ({
  name: 'a "table"',
  columns,
  primaryKey,
  uniqueKeys: [{ name: 'by text', columns: ['of text'] }],
  fingerprint: '',
});

const definition = (schema: TableSchema): Described => ({
  schema,
  extras: { ...noExtras, defaults: new Map([['id', { kind: 'numbered' }]]), labels: new Map([['of enum', ["it's", '']]]) },
  more: [],
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchyard-portable-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

function made(schema: TableSchema): TableSchema | null {
  using connection = Connection.open({ path: join(folder, 'made.db'), create: true });
  for (const statement of portableTable(definition(schema), []).statements) connection.script(statement);
  return describeTable(connection, schema.name);
}

test('a table of every kind becomes one of the same columns, kinds and keys', () => {
  const schema = table([key, ...kinds.map((kind) => column(`of ${kind}`, kind, { nullable: kind !== 'text' }))]);
  const present = made(schema);
  expect(present?.columns.map(({ name, kind, nullable, hasDefault }) => ({ name, kind, nullable, hasDefault }))).toEqual(
    schema.columns.map(({ name, kind, nullable, hasDefault }) => ({ name, kind, nullable, hasDefault })),
  );
  expect(present?.columns.find(({ kind }) => kind === 'decimal')?.nativeType).toBe('DECIMAL_TEXT(12,4)');
  expect(present?.primaryKey).toEqual(['id']);
  expect(present?.uniqueKeys.map(({ columns }) => columns)).toEqual([['of text']]);
});

test('what has no like is refused by name', () => {
  const text = column('of text', 'text');
  for (const [bad, why] of [
    [column('tags', 'array', { elementKind: 'text' }), 'is of kind array, and SQLite has no type for that. The table cannot move there as it is'],
    [column('twice', 'int32', { generated: true }), 'generated'],
    [column('made', 'timestamptz', { hasDefault: true }), 'default'],
  ] as const) {
    expect(() => portableTable(definition(table([key, text, bad])), [])).toThrow(
      expect.objectContaining({ reason: 'PRECHECK_FAILED', metadata: { table: 'a "table"', column: bad.name }, message: expect.stringContaining(why) }),
    );
  }
  expect(() => portableTable(definition(table([key, text], ['of text', 'id'])), [])).toThrow(expect.objectContaining({ reason: 'PRECHECK_FAILED' }));
});
