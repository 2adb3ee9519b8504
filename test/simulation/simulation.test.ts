import { describe, expect, test } from '@jest/globals';
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
  test('some seeds, whole', async () => {
    let [faults, operations] = [0, 0];
    for (let seed = 1; seed <= 25; seed += 1) {
      const result = await runSeed(makePlan(seed), whole);
      expect({ seed, violations: result.violations }).toEqual({ seed, violations: [] });
      faults += result.faults;
      operations += result.history.length;
    }
    // A world in which nothing happens would pass as well.
    expect(faults).toBeGreaterThan(25);
    expect(operations).toBeGreaterThan(1_000);
  });

  test('a seed is the same every time, and another one is another', async () => {
    const [a, again, other] = [await runSeed(makePlan(7), whole), await runSeed(makePlan(7), whole), await runSeed(makePlan(8), whole)];
    expect([again.trace, again.steps, again.history.length]).toEqual([a.trace, a.steps, a.history.length]);
    expect(other.trace).not.toBe(a.trace);
  });

  test.each(['fence'] as const)('without the safeguard "%s" something is found soon', async (fault) => {
    expect(await firstFailure(fault, 40)).not.toBeNull();
  });
});
