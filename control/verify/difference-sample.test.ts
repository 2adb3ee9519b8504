import { expect, test } from '@jest/globals';
import { DifferenceSample } from './difference-sample.ts';
import type { RowDifference } from './row-difference.ts';

const differs = (id: number, kind: RowDifference['kind'] = 'cells', columns = 1): RowDifference => ({
  table: 'item',
  key: [BigInt(id)],
  kind,
  columns: Array.from({ length: columns }, (_, index) => ({ column: kind === 'cells' ? `c${index}` : '', fromValue: 'a', toValue: 'b' })),
});
const sampleOf = (differences: readonly RowDifference[], begun = new DifferenceSample([])) => {
  for (const difference of differences) begun.add(difference, 'source', false);
  return begun;
};
const keys = (sample: DifferenceSample): readonly string[] => [...new Set(sample.entries.map(({ key }) => key))];

test('a row is shown whole or not at all', () => {
  const sample = sampleOf([differs(1, 'cells', 8), differs(2, 'cells', 8), differs(3, 'cells', 8), differs(4, 'cells', 4), differs(5)]);
  expect(keys(sample)).toEqual(['1', '2', '4']);
  expect(sample.entries).toHaveLength(20);
});

test('of a row that differs in more columns than there is place for it says how many are left out', () => {
  const { entries } = sampleOf([differs(1, 'cells', 33)]);
  expect(entries.map(({ what }) => what)).toEqual([...Array.from({ length: 9 }, (_, index) => `c${index}`), 'and 24 columns more']);
});

test('there is one of each sort, however late it comes, also where a sample is gone on with', () => {
  const many = Array.from({ length: 40 }, (_, index) => differs(index));
  const first = sampleOf([...many, differs(100, 'missing in to'), differs(101, 'missing in to')]);
  const sample = sampleOf([differs(102, 'missing in from'), differs(103)], new DifferenceSample(first.entries));
  expect(sample.entries).toHaveLength(20);
  expect(sample.entries.slice(-2)).toMatchObject([
    { key: '100', what: 'missing in target' },
    { key: '102', what: 'missing in source' },
  ]);
  const wide = sampleOf([differs(1, 'cells', 10), differs(2, 'cells', 10), differs(3, 'missing in from')]);
  expect(keys(wide)).toEqual(['1', '3']);
});
