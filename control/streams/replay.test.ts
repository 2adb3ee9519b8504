import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Cell, keyText } from '../../core/cell.ts';
import { type ChangedCell, type RowChange, unchanged } from '../../core/change.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { replay } from './replay.ts';

const column = (name: string, kind: 'int32' | 'text'): TableSchema['columns'][number] => ({ name, kind, nullable: true, hasDefault: false, generated: false, nativeType: kind });
const table: TableSchema = { name: 't', columns: [column('id', 'int32'), column('n', 'int32'), column('big', 'text')], primaryKey: ['id'], uniqueKeys: [], fingerprint: 'f' };

type Row = readonly [id: number, n: number, big: string];
const insert = (...row: Row): RowChange => ({ kind: 'insert', table: 't', row });
const update = (row: readonly ChangedCell[], oldKey: number | null = null): RowChange => ({ kind: 'update', table: 't', row, oldKey: oldKey === null ? null : [oldKey] });
const remove = (id: number): RowChange => ({ kind: 'delete', table: 't', key: [id] });
const rowsAfter = (rows: readonly Row[], changes: readonly RowChange[]): readonly (readonly Cell[])[] =>
  [...replay(table, rows, changes).values()].toSorted((a, b) => Number(a[0]) - Number(b[0]));

describe('replay', () => {
  test('leaves rows alone that no change names', () => {
    expect(
      rowsAfter(
        [
          [1, 1, 'a'],
          [2, 2, 'b'],
        ],
        [],
      ),
    ).toEqual([
      [1, 1, 'a'],
      [2, 2, 'b'],
    ]);
  });

  test('lays known cells over the row that was read, and keeps its unchanged ones', () => {
    expect(rowsAfter([[1, 1, 'a']], [update([1, 5, unchanged]), update([1, 6, unchanged])])).toEqual([[1, 6, 'a']]);
  });

  test('leaves deleted rows out, and has those that came back', () => {
    expect(
      rowsAfter(
        [
          [1, 1, 'a'],
          [2, 2, 'b'],
        ],
        [remove(1), remove(2), insert(2, 9, 'z')],
      ),
    ).toEqual([[2, 9, 'z']]);
  });

  test('moves a row whose key changed with its unchanged cells', () => {
    expect(rowsAfter([[1, 1, 'a']], [update([7, 1, unchanged], 1)])).toEqual([[7, 1, 'a']]);
  });

  test('takes the unchanged cells of a moved row that was read after it had moved', () => {
    expect(rowsAfter([[7, 1, 'a']], [update([7, 1, unchanged], 1)])).toEqual([[7, 1, 'a']]);
  });

  test('drops what an update names that was never read', () => {
    expect(rowsAfter([], [update([1, 5, unchanged])])).toEqual([]);
    expect(rowsAfter([], [update([1, 5, 'whole'])])).toEqual([[1, 5, 'whole']]);
  });

  test('a truncate empties the window, what follows it counts', () => {
    expect(rowsAfter([[1, 1, 'a']], [{ kind: 'truncate', tables: ['t', 'u'] }, insert(3, 3, 'c')])).toEqual([[3, 3, 'c']]);
  });

  type Step = { readonly kind: 'put' | 'touch' | 'remove'; readonly id: number; readonly n: number; readonly big: string };
  const step: fc.Arbitrary<Step> = fc.record({
    kind: fc.constantFrom('put', 'touch', 'remove'),
    id: fc.integer({ min: 1, max: 4 }),
    n: fc.integer({ min: 0, max: 9 }),
    big: fc.constantFrom('a', 'b'),
  });

  /** What the source does with a step, and what its log says about it. */
  function run(state: Map<string, Row>, { kind, id, n, big }: Step): RowChange | null {
    const key = keyText([id]);
    const before = state.get(key);
    if (kind === 'remove' && before !== undefined) {
      state.delete(key);
      return remove(id);
    }
    if (kind === 'touch' && before !== undefined) {
      state.set(key, [id, n, before[2]]);
      return update([id, n, unchanged]);
    }
    if (kind !== 'put') return null;
    state.set(key, [id, n, big]);
    return before === undefined ? insert(id, n, big) : update([id, n, big]);
  }

  test('gives the state at the end, at whatever moment of the window the rows were read', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.array(step, { maxLength: 12 }), fc.nat({ max: 12 }), (history, window, readAt) => {
        const state = new Map<string, Row>();
        for (const each of history) run(state, each);
        const changes: RowChange[] = [];
        let read: readonly Row[] = [...state.values()];
        for (const [index, each] of window.entries()) {
          const change = run(state, each);
          if (change !== null) changes.push(change);
          if (index < readAt) read = [...state.values()];
        }
        expect(new Map(replay(table, read, changes))).toEqual(state);
      }),
      { numRuns: 2_000 },
    );
  });
});
