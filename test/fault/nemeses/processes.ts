import { setTimeout as sleep } from 'node:timers/promises';
import type { ClusterProcess } from '../../support/cluster/cluster-process.ts';
import type { World } from '../world.ts';
import { durationMs, type Nemesis, noExcuse, oneOf, seconds } from './nemesis.ts';

async function killed(process: ClusterProcess, forMs: number): Promise<string> {
  await process.kill();
  await sleep(forMs);
  await process.start();
  return `${process.name} killed, started after ${seconds(forMs)}`;
}

async function paused(process: ClusterProcess, forMs: number): Promise<string> {
  await process.pause();
  await sleep(forMs);
  process.resume();
  return `${process.name} paused for ${seconds(forMs)}`;
}

const gatewayOf = (world: World, index: number): ClusterProcess => {
  const gateway = world.cluster.gateways[index];
  if (gateway === undefined) throw new Error(`there is no gateway ${index}`);
  return gateway.process;
};

export const gatewayKill: Nemesis = {
  name: 'gateway-kill',
  async strike(world, dice) {
    const index = dice.roll(world.cluster.gateways.length);
    return { what: await killed(gatewayOf(world, index), durationMs(dice)), excuses: { ...noExcuse, gateways: [index] } };
  },
};

/** Calls wait for it; none may fail. */
export const gatewayPause: Nemesis = {
  name: 'gateway-pause',
  async strike(world, dice) {
    const index = dice.roll(world.cluster.gateways.length);
    return { what: await paused(gatewayOf(world, index), durationMs(dice)), excuses: noExcuse };
  },
};

export const controlKill: Nemesis = {
  name: 'control-kill',
  strike: async (world, dice) => ({ what: await killed(oneOf(world.cluster.controls, dice), durationMs(dice)), excuses: noExcuse }),
};

export const controlPause: Nemesis = {
  name: 'control-pause',
  strike: async (world, dice) => ({ what: await paused(oneOf(world.cluster.controls, dice), durationMs(dice)), excuses: noExcuse }),
};
