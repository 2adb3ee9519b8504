import { describe, expect, test } from '@jest/globals';
import type { Entry, Finding } from './entry.ts';
import { nextSeed, rangesOf, sumUp } from './sums.ts';

const entry = (finding: Partial<Finding>): Entry => ({
  kind: 'simulation',
  at: '2026-01-01T00:00:00.000Z',
  commit: 'c',
  dirty: false,
  code: { paths: ['core'], fingerprint: 'f' },
  machine: {},
  subject: 'pairs',
  outcome: 'passed',
  figures: {},
  ...finding,
});
const seeds = (first: number, count: number): Entry => entry({ seeds: { first, count } });

test('a seed that was run twice counts once', () => {
  expect(rangesOf([seeds(10, 5), seeds(0, 4), seeds(12, 1), seeds(4, 2), seeds(14, 6)])).toEqual([
    { first: 0, count: 6 },
    { first: 10, count: 10 },
  ]);
});

describe('the next seed', () => {
  test.each([
    ['the first of all when nothing was run', [], 0, 0],
    ['behind what was run', [seeds(0, 5), seeds(5, 5)], 0, 10],
    ['in a gap', [seeds(0, 5), seeds(8, 5)], 0, 5],
    ['the asked one when it was not run', [seeds(0, 5)], 7, 7],
    ['behind the range that the asked one is in', [seeds(0, 5), seeds(6, 5)], 6, 11],
  ])('is %s', (_, entries, from, expected) => expect(nextSeed(entries, from)).toBe(expected));
});

test('failed pieces are counted as such and add nothing', () => {
  const sums = sumUp([
    entry({ seeds: { first: 0, count: 100 }, minutes: 2, figures: { states: 5, note: 'text' } }),
    entry({ seeds: { first: 100, count: 7 }, minutes: 1, outcome: 'failed', figures: { states: 100 } }),
    entry({ subject: 'lone', minutes: 0.5, figures: { states: 1 } }),
  ]);
  expect(sums).toEqual([
    { subject: 'lone', runs: 1, failed: 0, seeds: 0, minutes: 0.5, figures: { states: 1 }, latest: '2026-01-01T00:00:00.000Z' },
    { subject: 'pairs', runs: 2, failed: 1, seeds: 100, minutes: 2, figures: { states: 5 }, latest: '2026-01-01T00:00:00.000Z' },
  ]);
});
