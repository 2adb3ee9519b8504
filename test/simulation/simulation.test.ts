import { describe, expect, test } from '@jest/globals';
import { runParallel } from './run-parallel.ts';
import { runSeed } from './run-seed.ts';
import type { StoreFault } from './store/server.ts';
import { makePlan } from './world/plan.ts';

const whole = { broken: new Set<StoreFault>(), isTalkative: false };

/** The first of so many seeds that fails without a safeguard; null when none does. */
async function firstFailure(fault: StoreFault, seeds: number): Promise<number | null> {
  for (let seed = 1; seed <= seeds; seed += 1) {
    if ((await runSeed(makePlan(seed), { broken: new Set([fault]), isTalkative: false })).violations.length > 0) return seed;
  }
  return null;
}

describe('simulation', () => {
  test('two thousand seeds', async () => {
    const { failed, seeds, faults, operations } = await runParallel(['--seeds', '2000'], 2, 1, 2_000, () => {});
    // `npm run simulate -- --first-seed N --seeds 1` shows what happened.
    expect({ failed, seeds }).toEqual({ failed: null, seeds: 2_000 });
    // A world in which nothing happens would pass as well.
    expect(faults).toBeGreaterThan(2_000);
    expect(operations).toBeGreaterThan(100_000);
  }, 900_000);

  test('a seed is the same every time, and another one is another', async () => {
    const [a, again, other] = [await runSeed(makePlan(7), whole), await runSeed(makePlan(7), whole), await runSeed(makePlan(8), whole)];
    expect([again.trace, again.steps, again.history.length]).toEqual([a.trace, a.steps, a.history.length]);
    expect(other.trace).not.toBe(a.trace);
  });

  test.each(['fence', 'marker'] as const)('without the safeguard "%s" something is found soon', async (fault) => {
    expect(await firstFailure(fault, 100)).not.toBeNull();
  });
});
