import { expect, test } from '@jest/globals';
import { equivalents } from './equivalents.ts';
import { type Fate, judge, onOneLine, type Tried } from './verdict.ts';

const tried = (is: string, fate: Fate, file = 'a.ts'): Tried => ({ file, line: 1, was: 'x < 1', is, fate });
const entry = (is: string) => ({ was: 'x < 1', is, why: 'why' });

test('a survivor is a gap unless it is on the list of its file', () => {
  const all = [tried('x <= 1', 'survived'), tried('true', 'survived'), tried('false', 'killed'), tried('x >= 1', 'left out'), tried('true', 'survived', 'b.ts')];
  const { gaps, stale, counts } = judge(all, { 'a.ts': [entry('true')] });
  expect([gaps, stale]).toEqual([[all[0], all[4]], []]);
  expect([...counts]).toEqual([
    ['a.ts', { killed: 1, equivalent: 1, gaps: 1 }],
    ['b.ts', { killed: 0, equivalent: 0, gaps: 1 }],
  ]);
});

test('an entry that is killed, or that is no mutant, is stale; one of a file that took no part is not', () => {
  const list = { 'a.ts': [entry('true'), entry('x > 1')], 'b.ts': [entry('true')] };
  expect(judge([tried('true', 'killed')], list).stale.map(({ file, entry: { is }, why }) => [file, is, why])).toEqual([
    ['a.ts', 'true', 'a test kills it'],
    ['a.ts', 'x > 1', 'there is no such mutant'],
  ]);
});

test('the list is written as the run writes it, and says why', () => {
  for (const entries of Object.values(equivalents)) {
    for (const { was, is, why } of entries) expect([onOneLine(was), onOneLine(is), why.length > 10]).toEqual([was, is, true]);
    expect(new Set(entries.map(({ was, is }) => `${was}\n${is}`)).size).toBe(entries.length);
  }
});
