import { expect, test } from '@jest/globals';
import type { ColumnSchema, TableSchema } from '../../../core/table-schema.ts';
import { copyLine } from '../copy-text.ts';
import { maySendRaw, RawChunk } from './raw-chunk.ts';

const table: TableSchema = {
  name: 't',
  columns: [
    { name: 'id', kind: 'int64', nullable: false, hasDefault: false, generated: false, nativeType: 'bigint' },
    { name: 'v', kind: 'text', nullable: true, hasDefault: false, generated: false, nativeType: 'text' },
  ],
  primaryKey: ['id'],
  uniqueKeys: [],
  fingerprint: '',
};
const chunkOf = (lines: string, count: number, of = table): RawChunk => new RawChunk(of, { bytes: Buffer.from(lines), count, cut: false });
const texts = ['', 'plain', 'two\nlines', 'a\ttab', 'back\\slash', '\\N', '\\.', '\b\f\v\r', 'ünï \u{1F600}', null];

test('what lines of a COPY say, all of them, the first and the last', () => {
  const rows = texts.map((text, at) => [BigInt(at), text]);
  const lines = texts.map((text, at) => copyLine([String(at), text])).join('');
  const chunk = chunkOf(lines, rows.length);
  expect(chunk.cells()).toEqual(rows);
  expect([chunk.at(0), chunk.at(-1), chunk.at(3)]).toEqual([rows[0], rows.at(-1), rows[3]]);
  for (const [at, text] of texts.entries()) expect(chunkOf(copyLine([String(at), text]), 1).at(-1)).toEqual([BigInt(at), text]);
  expect(chunkOf('', 0).at(-1)).toBeUndefined();
});

const withV = (column: Partial<ColumnSchema>): TableSchema => ({ ...table, columns: table.columns.map((each) => (each.name === 'v' ? { ...each, ...column } : each)) });

test.each<[Partial<ColumnSchema>, string, string]>([
  [{ kind: 'timestamp', nativeType: 'timestamp' }, '2026-01-01 00:00:00', '294270-01-01 00:00:00'],
  [{ kind: 'timestamptz', nativeType: 'timestamptz' }, '2942-01-01 00:00:00+00', '294276-12-31 23:59:59+00'],
  [{ kind: 'array', elementKind: 'int32', nativeType: 'integer[]' }, '{1,NULL}', '{{1},{2}}'],
  [{ kind: 'array', elementKind: 'text', nativeType: 'text[]' }, '{"{{","]={"}', '[0:1]={a,b}'],
])('a value that has no cell names its row before anything is done with it: %j', (column, good, bad) => {
  expect(chunkOf(`7\t${good}\n`, 1, withV(column)).length).toBe(1);
  expect(() => chunkOf(`7\t${good}\n8\t${bad}\n9\t${good}\n`, 3, withV(column))).toThrow('table "t", row 8: column "v"');
});

test('tables with a generated column are not sent so', () => {
  expect([maySendRaw(table), maySendRaw(withV({ generated: true }))]).toEqual([true, false]);
});
