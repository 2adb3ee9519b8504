import { expect, test } from '@jest/globals';
import { partOf, WorkShare } from './work-share.ts';

/** The share of the time that the last of so many equal pieces leaves to the work. */
function shareAfter(work: WorkShare, pieces: number, rows: number, tookMs: number): number {
  let restMs = 0;
  for (let i = 0; i < pieces; i += 1) restMs = work.restMs(rows, tookMs);
  return tookMs / (tookMs + restMs);
}

test('undisturbed work takes all the time in the end, and little in the beginning', () => {
  const work = new WorkShare();
  expect(shareAfter(work, 1, 1_000, 50)).toBeCloseTo(0.05);
  expect(shareAfter(work, 1, 1_000, 50)).toBeCloseTo(0.1);
  expect(shareAfter(work, 6, 1_000, 50)).toBe(1);
});

test('work that becomes slow makes room, and takes it back', () => {
  const work = new WorkShare();
  shareAfter(work, 60, 1_000, 50);
  expect(shareAfter(work, 2, 1_000, 200)).toBe(0.5);
  expect(shareAfter(work, 4, 1_000, 200)).toBeLessThan(0.1);
  expect(shareAfter(work, 60, 1_000, 50)).toBe(1);
});

test('a single slow piece is no competition', () => {
  const work = new WorkShare();
  shareAfter(work, 60, 1_000, 50);
  expect(shareAfter(work, 1, 1_000, 140)).toBe(1);
  for (let i = 0; i < 20; i += 1) expect(shareAfter(work, 1, 1_000, i % 2 === 0 ? 50 : 80)).toBe(1);
});

test('what is slow for good is the new best after a while, and a rest has its limit', () => {
  const work = new WorkShare();
  shareAfter(work, 5, 1_000, 50);
  expect(shareAfter(work, 200, 1_000, 150)).toBe(1);
  expect(new WorkShare().restMs(10, 5_000)).toBe(2_000);
});

test('what an operator bounds it by counts at once, either way', () => {
  const bounds = { leastCopyShare: 5, mostCopyShare: 20 };
  const work = new WorkShare(() => bounds);
  expect(shareAfter(work, 60, 1_000, 50)).toBeCloseTo(0.2);
  bounds.mostCopyShare = 100;
  bounds.leastCopyShare = 100;
  expect(shareAfter(work, 1, 1_000, 500)).toBe(1);
  bounds.leastCopyShare = 5;
  bounds.mostCopyShare = 10;
  expect(shareAfter(work, 1, 1_000, 50)).toBeCloseTo(0.1);
});

test('larger pieces are not slower ones', () => {
  const work = new WorkShare();
  for (let rows = 100; rows < 100_000; rows *= 2) work.restMs(rows, rows / 20);
  expect(shareAfter(work, 60, 1_000, 50)).toBe(1);
});

test('a share is divided among those who work at once, but for all of the time', () => {
  expect(partOf({ leastCopyShare: 6, mostCopyShare: 30 }, 3)).toEqual({ leastCopyShare: 2, mostCopyShare: 10 });
  expect(partOf({ leastCopyShare: 100, mostCopyShare: 100 }, 3)).toEqual({ leastCopyShare: 100, mostCopyShare: 100 });
  expect(partOf({ leastCopyShare: 5, mostCopyShare: 50 }, 0)).toEqual({ leastCopyShare: 5, mostCopyShare: 50 });
});
