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

describe('two entries of one subject', () => {
  const [earlier, later] = ['2026-01-01T00:00:00.000Z', '2026-01-02T00:00:00.000Z'];
  const figuresOf = (kind: Entry['kind'], first: Entry['figures'], second: Entry['figures']): unknown =>
    // The order of the lines is not that of the times: branches are merged.
    sumUp([
      { ...entry({ figures: second }), kind, at: later },
      { ...entry({ figures: first }), kind, at: earlier },
    ]).map(({ figures }) => figures);

  test('of a model show the newest search', () => {
    expect(figuresOf('model', { states: 500, depth: 9, seconds: 3 }, { states: 400, depth: 12, seconds: 2 })).toEqual([{ states: 400, depth: 12, seconds: 2 }]);
  });

  test('of the simulation are added up', () => {
    expect(figuresOf('simulation', { operations: 500, faults: 2 }, { operations: 400, faults: 3 })).toEqual([{ operations: 900, faults: 5 }]);
  });

  test('of real faults are added up but for times and the slowness of the machine, which count at their worst', () => {
    const first = { cutovers: 10, longestWithoutFlowMs: 2_000, slowdown: 1.5, 'fault cut': 2, worstOutageMs: 700, slowestReadMs: 30 };
    const second = { cutovers: 5, longestWithoutFlowMs: 900, slowdown: 3, 'fault cut': 1, worstOutageMs: 400, slowestReadMs: 90 };
    expect(figuresOf('fault', first, second)).toEqual([{ cutovers: 15, longestWithoutFlowMs: 2_000, slowdown: 3, 'fault cut': 3, worstOutageMs: 700, slowestReadMs: 90 }]);
  });
});
