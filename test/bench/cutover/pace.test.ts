import { expect, test } from '@jest/globals';
import { Pace } from './pace.ts';

test('calls come ever faster until the end of the ramp, and evenly from there on', () => {
  const pace = new Pace(1_000, 2_000);
  expect(pace.timeOf(0)).toBe(0);
  expect(pace.timeOf(250)).toBe(1_000);
  expect(pace.timeOf(1_000)).toBe(2_000);
  expect(pace.timeOf(1_001)).toBe(2_001);
  expect(new Pace(200, 0).timeOf(10)).toBe(50);
});
