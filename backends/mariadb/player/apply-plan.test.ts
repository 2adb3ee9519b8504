import { expect, test } from '@jest/globals';
import { type RowChange, unchanged } from '../../../core/change.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { CopiedChunk } from '../../backend.ts';
import { planChanges, planCopied, planOneByOne } from './apply-plan.ts';
import { inGroups } from './apply-sql.ts';

const schema = (name: string): TableSchema => ({
  name,
  columns: ['id', 'a', 'b'].map((column) => ({ name: column, kind: 'int32', nullable: true, hasDefault: false, generated: false, nativeType: 'int(11)' })),
  primaryKey: ['id'],
  uniqueKeys: [],
  fingerprint: name,
});
const schemas = new Map(['t', 'u'].map((name) => [name, schema(name)]));
const insert = (id: number, table = 't'): RowChange => ({ kind: 'insert', table, row: [id, id, id] });
const remove = (id: number): RowChange => ({ kind: 'delete', table: 't', key: [id] });
const update = (row: (number | typeof unchanged)[], oldKey: number | null = null): RowChange => ({ kind: 'update', table: 't', row, oldKey: oldKey === null ? null : [oldKey] });

/** "-1,2" deletes, "+1" inserts with the first cells of the rows, "~1" updates, "0" clears. */
const plan = (...changes: RowChange[]): string =>
  planChanges(changes, schemas)
    .map((step) => {
      if (step.kind === 'clear') return `0${step.table}`;
      if (step.kind === 'delete') return `-${step.keys.join()}`;
      if (step.kind === 'insert') return `+${step.rows.map(([id]) => id).join()}`;
      return `~${step.oldKey.join()}→${step.row.map((cell) => (cell === unchanged ? '?' : String(cell))).join('/')}`;
    })
    .join(' ');

test('only what became of a key counts, and every key is free before a row is inserted', () => {
  expect(plan(insert(1), insert(2), remove(1))).toBe('-2,1 +2');
  expect(plan(insert(1), update([1, 5, 5]), update([2, 5, 5], 1), update([1, 6, 6], 2))).toBe('-2,1 +1');
  expect(plan(remove(1), insert(1))).toBe('-1 +1');
  expect(plan(insert(1), insert(1, 'u'))).toBe('-1 +1 -1 +1');
  expect(plan()).toBe('');
});

test('a truncate makes void what was before it, in its table alone', () => {
  expect(plan(insert(1), insert(1, 'u'), { kind: 'truncate', tables: ['t'] }, insert(2))).toBe('0t -1 +1 -2 +2');
});

test('cells that were not sent are those of an earlier change, else of the row in the store', () => {
  expect(plan(insert(1), update([1, unchanged, 9]))).toBe('-1 +1');
  expect(plan(update([1, unchanged, 9]), update([1, unchanged, 7]))).toBe('~1→1/?/7');
  expect(plan(update([1, unchanged, 9]), update([1, 7, unchanged]))).toBe('-1 +1');
  expect(plan(update([1, unchanged, 9]), remove(1))).toBe('-1');
  expect(plan(insert(3), update([2, unchanged, 9], 1), insert(4))).toBe('-3 +3 ~1→2/?/9 -4 +4');
  expect(plan(remove(5), update([1, 2, unchanged]), insert(6))).toBe('-5,6 ~1→1/2/? +6');
});

test('one by one the order is that of the changes', () => {
  expect(planOneByOne([update([1, 5, unchanged]), insert(2), update([3, unchanged, 1], 2)], schemas).map(({ kind }) => kind)).toEqual(['update', 'delete', 'insert', 'update']);
});

test('copied rows replace those with their keys', () => {
  const chunk = (rows: number[][], contiguous: boolean): CopiedChunk => ({ table: 't', rows, contiguous, progress: { lastKey: null, rows: 0, done: false } });
  const pairs = { ...schema('t'), primaryKey: ['id', 'a'] };
  expect(planCopied(schema('t'), chunk([], true))).toEqual([]);
  expect(planCopied(schema('t'), chunk([[1, 2, 3]], false))).toMatchObject([
    { kind: 'delete', keys: [[1]] },
    { kind: 'load', rows: [[1, 2, 3]] },
  ]);
  expect(
    planCopied(
      schema('t'),
      chunk(
        [
          [1, 2, 3],
          [5, 6, 7],
        ],
        true,
      ),
    )[0],
  ).toMatchObject({ kind: 'deleteBetween', range: { first: [1], last: [5] } });
  expect(
    planCopied(
      pairs,
      chunk(
        [
          [1, 2, 3],
          [5, 6, 7],
        ],
        true,
      ),
    )[0],
  ).toMatchObject({
    kind: 'delete',
    keys: [
      [1, 2],
      [5, 6],
    ],
  });
});

test('rows are put into statements of few sizes, within what one can have', () => {
  const sizes = (rows: number, values: number, bytes: number): number[] => inGroups(Array(rows).fill(0), values, () => bytes).map((group) => group.rows.length);
  expect(sizes(300, 3, 10)).toEqual([128, 128, 32, 8, 2, 2]);
  expect(sizes(5, 60_000, 10)).toEqual([1, 1, 1, 1, 1]);
  expect(sizes(9, 1, 1024 * 1024)).toEqual([2, 2, 2, 2, 1]);
  expect(sizes(2, 1, 100 * 1024 * 1024)).toEqual([1, 1]);
  expect(sizes(0, 1, 1)).toEqual([]);
});
