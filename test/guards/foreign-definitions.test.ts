import { expect, test } from '@jest/globals';
import type { TableDefinition } from '../../backends/backend.ts';
import * as mariadb from '../../backends/mariadb/owner/definition.ts';
import * as postgres from '../../backends/postgres/owner/definition.ts';
import * as sqlite from '../../backends/sqlite/owner/tables.ts';
import { noExtras } from '../../core/table-extras.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';

const id: ColumnSchema = { name: 'id', kind: 'int64', nullable: false, hasDefault: false, generated: false, nativeType: 'bigint' };
const definition = (more: Partial<ColumnSchema>, kind = 'other', detail: unknown = {}): TableDefinition => ({
  schema: { name: 'item', columns: [id, { ...id, name: 'c', ...more }], primaryKey: ['id'], uniqueKeys: [], fingerprint: 'f' },
  extras: noExtras,
  more: [],
  native: { kind, detail },
});
const makers: readonly (readonly [string, (each: TableDefinition) => readonly string[]])[] = [
  ['postgres', (each) => postgres.tableStatements(each)],
  ['mariadb', (each) => mariadb.tableStatements(each, [each])],
  ['sqlite', (each) => sqlite.planTables([each])],
];
const all = makers.flatMap(([kind, make]) =>
  [
    { limits: { least: '0) OR (SELECT 1' } },
    { kind: 'date' as const, limits: { most: "2024-01-01' OR '" } },
    { kind: 'timestamp' as const, limits: { least: '2024-01-01' } },
    { kind: 'text' as const, limits: { characters: { most: Number.NaN, exactly: false } } },
  ].map((more) => [kind, more, make] as const),
);

// A definition comes from another store, perhaps of another Switchyard, and its bounds stand in a CHECK as they are.
test.each(all)('%s makes no table of a column with %j', (_, more, make) => {
  expect(() => make(definition(more))).toThrow(expect.objectContaining({ reason: 'PRECHECK_FAILED', message: expect.stringContaining('limits') }));
});

test.each(makers)('%s takes bounds that are some', (_, make) => {
  expect(make(definition({ limits: { least: '-128', most: '127' } })).join()).toContain('-128');
});

test.each(makers)('%s says what is wrong with a definition of its own kind', (kind, make) => {
  for (const detail of [null, {}, [], 'x', { statements: [1], elements: null, columns: {} }])
    expect(() => make(definition({}, kind, detail))).toThrow(expect.objectContaining({ reason: 'ARGUMENT_INVALID' }));
});

test('a label of an enum ends no quotes', () => {
  const detail = {
    enums: [{ name: 'mood', labels: ["$enum$; DROP TABLE canary; --'"] }],
    sequences: [],
    columns: [],
    constraints: [],
    indexes: [],
    options: [],
    partitionBy: null,
    partitions: [],
  };
  const [statement] = postgres.tableStatements(definition({}, 'postgres', detail));
  expect(statement).not.toContain('DO $');
  expect(statement).toMatch(/^DO\s+E?'(?:[^']|'')*';$/);
});
