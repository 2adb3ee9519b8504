import { expect, test } from '@jest/globals';
import { Pace } from './pace.ts';

test('calls come ever faster until the end of the ramp, and evenly from there on', () => {
  const pace = new Pace(1_000, 2_000, 1);
  expect(pace.timeOf(0)).toBe(0);
  expect(pace.timeOf(250)).toBe(1_000);
  expect(pace.timeOf(1_000)).toBe(2_000);
  expect(pace.timeOf(1_001)).toBe(2_001);
  expect(new Pace(200, 0, 1).timeOf(10)).toBe(50);
});

test('those of a burst come at its end', () => {
  const pace = new Pace(1_000, 0, 10);
  expect([0, 1, 9, 10, 11, 20, 21].map((index) => pace.timeOf(index))).toEqual([0, 10, 10, 10, 20, 20, 30]);
});
