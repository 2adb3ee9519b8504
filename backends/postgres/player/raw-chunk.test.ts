import { expect, test } from '@jest/globals';
import type { TableSchema } from '../../../core/table-schema.ts';
import { copyLine } from '../copy-text.ts';
import { RawChunk } from './raw-chunk.ts';

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
const texts = ['', 'plain', 'two\nlines', 'a\ttab', 'back\\slash', '\\N', '\\.', '\b\f\v\r', 'ünï \u{1F600}', null];

test('what lines of a COPY say, all of them, the first and the last', () => {
  const rows = texts.map((text, at) => [BigInt(at), text]);
  const lines = texts.map((text, at) => copyLine([String(at), text])).join('');
  const chunk = new RawChunk(table, Buffer.from(lines), rows.length);
  expect(chunk.cells()).toEqual(rows);
  expect([chunk.at(0), chunk.at(-1), chunk.at(3)]).toEqual([rows[0], rows.at(-1), rows[3]]);
  for (const [at, text] of texts.entries()) expect(new RawChunk(table, Buffer.from(copyLine([String(at), text])), 1).at(-1)).toEqual([BigInt(at), text]);
  expect(new RawChunk(table, Buffer.alloc(0), 0).at(-1)).toBeUndefined();
});

test('a value that has no cell names its row', () => {
  const lists: TableSchema = { ...table, columns: table.columns.map((column) => (column.name === 'v' ? { ...column, kind: 'array', elementKind: 'int32' } : column)) };
  expect(() => new RawChunk(lists, Buffer.from('7\t{1}\n8\t{{1},{2}}\n'), 2).cells()).toThrow('table "t", row 8: column "v"');
});
