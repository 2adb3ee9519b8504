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

test('a timestamp that has no cell names its row before anything is done with it', () => {
  const times: TableSchema = { ...table, columns: table.columns.map((column) => (column.name === 'v' ? { ...column, kind: 'timestamp', nativeType: 'timestamp' } : column)) };
  expect(() => chunkOf('7\t2026-01-01 00:00:00\n8\t294270-01-01 00:00:00\n', 2, times)).toThrow('table "t", row 8: column "v"');
  expect(chunkOf('2942\t2026-01-01 00:00:00\n', 1, times).length).toBe(1);
});

test('arrays and generated columns are not sent so', () => {
  const [id, v] = table.columns as [ColumnSchema, ColumnSchema];
  expect(maySendRaw(table)).toBe(true);
  expect(maySendRaw({ ...table, columns: [id, { ...v, kind: 'array', elementKind: 'text' }] })).toBe(false);
  expect(maySendRaw({ ...table, columns: [id, { ...v, generated: true }] })).toBe(false);
});
