import { expect, test } from '@jest/globals';
import { visibilityFromText } from './visibility.ts';

const ended = (text: string, ids: readonly number[]): readonly number[] => ids.filter(visibilityFromText(text).hasEnded);

test('what is below the next number and not listed has ended', () => {
  expect(ended('10:14:10,12', [9, 10, 11, 12, 13, 14, 15])).toEqual([9, 11, 13]);
  expect(visibilityFromText('10:14:10,12').running).toEqual([10, 12]);
  expect(visibilityFromText('14:14:').running).toEqual([]);
});

test('numbers of the log go round, those of a snapshot do not', () => {
  const round = 2n ** 32n;
  const text = `${3n * round - 2n}:${3n * round + 2n}:${3n * round - 2n}`;
  expect(ended(text, [2 ** 32 - 3, 2 ** 32 - 2, 2 ** 32 - 1, 0, 1, 2])).toEqual([2 ** 32 - 3, 2 ** 32 - 1, 0, 1]);
});

test('anything else is refused', () => {
  for (const text of ['', '1:2', '1:2:3,', 'a:2:']) expect(() => visibilityFromText(text)).toThrow('for a snapshot');
});
