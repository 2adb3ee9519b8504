import { setTimeout as sleep } from 'node:timers/promises';
import { findFaketime } from '../clocks.ts';
import { durationMs, type Nemesis, noExcuse, oneOf, seconds } from './nemesis.ts';

const jumpsS = [-86_400, -3_600, -30, -2, 2, 30, 3_600, 86_400];
/** Until a process sees its new time. */
const seenMs = 1_000;

/** The wall clock of one process jumps, and jumps back. */
export const clockJump: Nemesis = {
  name: 'clock-jump',
  needs: { ownClocks: true, unavailable: async () => ((await findFaketime()) === null ? 'there is no libfaketime on this machine, and none can be had' : null) },
  async strike({ cluster, clocks }, dice) {
    const { name } = oneOf([...cluster.gateways.map(({ process }) => process), ...cluster.controls], dice);
    const [jumpS, forMs] = [oneOf(jumpsS, dice), seenMs + durationMs(dice)];
    await clocks?.set(name, jumpS);
    await sleep(forMs);
    await clocks?.set(name, 0);
    await sleep(seenMs);
    return { what: `the clock of ${name} wrong by ${jumpS} s for ${seconds(forMs)}`, excuses: noExcuse };
  },
};
