import { expect, test } from '@jest/globals';
import { type RowChange, unchanged } from '../../../core/change.ts';
import type { ColumnSchema, TableSchema } from '../../../core/table-schema.ts';
import { finalRows } from './final-rows.ts';

const column = (name: string): ColumnSchema => ({ name, kind: 'int64', nullable: true, hasDefault: false, generated: false, nativeType: 'BIGINT' });
const table: TableSchema = { name: 't', columns: [column('id'), column('n')], primaryKey: ['id'], uniqueKeys: [{ name: 'n', columns: ['n'] }], fingerprint: '' };
const schemas = new Map([['t', table]]);
const insert = (id: bigint, n: bigint): RowChange => ({ kind: 'insert', table: 't', row: [id, n] });
const update = (id: bigint, n: bigint, from = id): RowChange => ({ kind: 'update', table: 't', row: [id, n], oldKey: from === id ? null : [from] });
const gone = (id: bigint): RowChange => ({ kind: 'delete', table: 't', key: [id] });

const shown = (changes: readonly RowChange[]): string | null => {
  const final = finalRows(changes, schemas);
  return final === null ? null : `${final.gone.map(({ key }) => key.join()).join(' ')} | ${final.made.map(({ row }) => row.join()).join(' ')}`;
};

test('rows that swap a unique value come to their last cells, whatever was in between', () => {
  expect(shown([update(1n, 20n), update(2n, 10n), update(1n, 21n)])).toBe('1 2 | 1,21 2,10');
  expect(shown([insert(1n, 5n), gone(1n)])).toBe('1 | ');
  expect(shown([gone(1n), insert(1n, 6n)])).toBe('1 | 1,6');
});

test('a changed key leaves nothing behind, also where the key is taken again', () => {
  expect(shown([update(2n, 5n, 1n), insert(1n, 7n)])).toBe('1 2 | 1,7 2,5');
  expect(shown([update(9n, 5n, 1n), update(1n, 6n, 2n), update(2n, 5n, 9n)])).toBe('1 9 2 | 1,6 2,5');
});

test('what the changes alone do not tell is left to others', () => {
  expect(shown([{ kind: 'update', table: 't', row: [1n, unchanged], oldKey: null }])).toBeNull();
  expect(shown([{ kind: 'truncate', tables: ['t'] }])).toBeNull();
});
