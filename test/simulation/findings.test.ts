import { describe, expect, test } from '@jest/globals';
import { runSeed } from './run-seed.ts';
import type { Fault, Plan } from './world/plan.ts';

/* Faults of the product that the simulation has found, each as the smallest plan that showed it. */

const findings: readonly (readonly [what: string, plan: Partial<Plan> & Pick<Plan, 'seed'> & { readonly faults: readonly Fault[] }])[] = [
  [
    'an invalid rules document is replaced also where the last good one was right',
    { seed: 1031, faults: [{ when: { kind: 'time', atMs: 300 }, action: { kind: 'rules', how: 'garbage' }, forMs: 0 }] },
  ],
  [
    'a cancelled workflow ends also where Consul was away after its tables had been given back',
    { seed: 9013, ends: true, faults: [{ when: { kind: 'fence', state: 'OPEN', nth: 1, delayMs: 0 }, action: { kind: 'no-leader' }, forMs: 400 }] },
  ],
];

describe('what the simulation has found is mended', () => {
  test.each(findings)('%s', async (_, plan) => {
    const { violations } = await runSeed({ fromScratch: false, switches: 0, ends: false, restMs: 100, ...plan }, { broken: new Set(), isTalkative: false });
    expect(violations).toEqual([]);
  });
});
