import { setTimeout as sleep } from 'node:timers/promises';
import type { KeyspaceName } from '../../support/moves/move-state.ts';
import { durationMs, type Excuses, type Nemesis, oneOf, seconds } from './nemesis.ts';

export const storeNames: readonly KeyspaceName[] = ['old', 'new'];
export const storeDown = (store: KeyspaceName): Excuses => ({ gateways: [], stores: [{ store, gateways: null }] });

export const storeRestart: Nemesis = {
  name: 'store-restart',
  async strike({ cluster }, dice) {
    const [store, forMs] = [oneOf(storeNames, dice), durationMs(dice)];
    await cluster[store].stop('immediate');
    await sleep(forMs);
    await cluster[store].start();
    return { what: `store "${store}" crashed, started after ${seconds(forMs)}`, excuses: storeDown(store) };
  },
};

export const storePause: Nemesis = {
  name: 'store-pause',
  async strike({ cluster }, dice) {
    const [store, forMs] = [oneOf(storeNames, dice), durationMs(dice)];
    await cluster[store].pause();
    await sleep(forMs);
    await cluster[store].resume();
    return { what: `store "${store}" paused for ${seconds(forMs)}`, excuses: storeDown(store) };
  },
};
