import { expect, test } from '@jest/globals';
import { castFor } from '../fault/breaks.ts';
import { plainNemeses } from '../fault/nemeses/registry.ts';
import { runPiece } from '../fault/piece.ts';

/*
 * Real processes, servers and connections are struck for three minutes under load while tables move to and fro: nothing may be lost, doubled or stale, no call may fail that nothing explains, and everything flows again by itself. `npm run fault` has all strikes,
 * for as long as one likes. And whether such a run would notice: without what a finished move leaves behind, a gateway that slept through the move does harm.
 */

const minutes = 3;
const strikesLimitMs = 600_000;
const endingLimitMs = 240_000;
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

test(
  'a gateway that sleeps through the end of a move does harm without the tombstone',
  async () => {
    const safeguard = castFor('tombstone', true);
    const { lost, doubled, stale, differing } = await runPiece({ seed, minutes, nemeses: safeguard.nemeses, consulServers: 1, safeguard, say });
    expect(lost + doubled + stale + differing).toBeGreaterThan(0);
  },
  endingLimitMs,
);
