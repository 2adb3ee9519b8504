import { clockJump } from './clock-jump.ts';
import { consulKill, consulLeader, consulPause, consulQuorum } from './consul-servers.ts';
import { coordinator } from './coordinator.ts';
import { diskFull } from './disk-full.ts';
import { cut, delay, halfOpen, oneWay, reset } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { partition } from './partition.ts';
import { controlKill, controlPause, gatewayKill, gatewayPause } from './processes.ts';
import { keyDeleted, rulesOverwritten, snapshotRestored } from './rules.ts';
import { bypassWriter, lockHolder, longTransaction } from './sessions.ts';
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
  partition,
  coordinator,
  keyDeleted,
  rulesOverwritten,
  snapshotRestored,
  longTransaction,
  lockHolder,
  bypassWriter,
  clockJump,
  diskFull,
];

/** Those that need no rights on the machine, and no half minute each. */
export const plainNemeses: readonly Nemesis[] = allNemeses.filter((nemesis) => nemesis.needs?.unavailable === undefined && nemesis !== consulQuorum);
