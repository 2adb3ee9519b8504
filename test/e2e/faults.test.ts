import { expect, test } from '@jest/globals';
import { plainNemeses } from '../fault/nemeses/registry.ts';
import { runPiece } from '../fault/piece.ts';

/*
 * Real processes, servers and connections are struck for three minutes under load while tables move to and fro: nothing may be lost, doubled or stale, no call may fail that nothing explains, and everything flows again by itself. `npm run fault` has all strikes,
 * for as long as one likes, and with `--break` shows that such a run would notice; the judge of its stores is the bench's, which safeguards.test.ts holds to that.
 */

const minutes = 3;
const strikesLimitMs = 600_000;
const seed = Date.now() % 1_000_000;
const say = (): void => {};
const logs = process.env.SWITCHYARD_TEST_LOGS === undefined ? {} : { logDirectory: process.env.SWITCHYARD_TEST_LOGS };

test(
  'three minutes of real faults do no harm',
  async () => {
    const { violations, cutovers, faults } = await runPiece({ seed, minutes, nemeses: plainNemeses, consulServers: 3, say, ...logs });
    expect({ seed, violations: violations.slice(0, 10) }).toEqual({ seed, violations: [] });
    expect(cutovers).toBeGreaterThan(3);
    expect(Object.keys(faults).length).toBeGreaterThan(3);
  },
  strikesLimitMs,
);
