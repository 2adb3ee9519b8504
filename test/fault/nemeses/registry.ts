import { consulKill, consulLeader, consulPause, consulQuorum } from './consul-servers.ts';
import { cut, delay, halfOpen, oneWay, reset } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { controlKill, controlPause, gatewayKill, gatewayPause } from './processes.ts';
import { storePause, storeRestart } from './stores.ts';

/** All that can strike. */
export const allNemeses: readonly Nemesis[] = [
  gatewayKill,
  gatewayPause,
  controlKill,
  controlPause,
  consulKill,
  consulPause,
  consulLeader,
  consulQuorum,
  storeRestart,
  storePause,
  cut,
  delay,
  reset,
  halfOpen,
  oneWay,
];
