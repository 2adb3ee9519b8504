import { expect, test } from '@jest/globals';
import { type Losses, lossProblems } from './losses.ts';

const fine: Losses = { unknown: 9, unresolved: 0, retried: 12, cuts: { inCommit: 8, committed: 5, late: 2, random: 4, terminated: 1 } };

test('a run in which no commit was cut has tested nothing', () => {
  expect(lossProblems(fine, true)).toEqual([]);
  expect(lossProblems({ ...fine, cuts: { ...fine.cuts, committed: 0 } }, true)).toEqual([expect.stringContaining('tested nothing')]);
});

test('with request ids every write has an answer; without them every commit that was cut is told', () => {
  const open = { ...fine, unresolved: 3 };
  expect(lossProblems(open, true)).toEqual([expect.stringContaining('3 writes have request ids and no answer')]);
  expect(lossProblems(open, false)).toEqual([]);
  expect(lossProblems({ ...open, unknown: 7 }, false)).toEqual([expect.stringContaining('only 7 answers')]);
});
