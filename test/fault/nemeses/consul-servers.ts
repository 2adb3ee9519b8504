import { setTimeout as sleep } from 'node:timers/promises';
import type { ConsulServer } from '../../support/servers/consul.ts';
import { durationMs, type Nemesis, noExcuse, oneOf, seconds } from './nemesis.ts';

const withoutQuorumMs = 30_000;

/** Nothing that a caller does needs Consul: no call may fail by any of these. */
async function killed(server: ConsulServer, forMs: number): Promise<void> {
  await server.stop();
  await sleep(forMs);
  await server.start();
}

async function paused(server: ConsulServer, forMs: number): Promise<void> {
  await server.pause();
  await sleep(forMs);
  server.resume();
}

export const consulKill: Nemesis = {
  name: 'consul-kill',
  async strike({ consul }, dice) {
    const forMs = durationMs(dice);
    await killed(oneOf(consul.servers, dice), forMs);
    return { what: `one of ${consul.servers.length} Consul servers killed, started after ${seconds(forMs)}`, excuses: noExcuse };
  },
};

export const consulPause: Nemesis = {
  name: 'consul-pause',
  async strike({ consul }, dice) {
    const forMs = durationMs(dice);
    await paused(oneOf(consul.servers, dice), forMs);
    return { what: `one of ${consul.servers.length} Consul servers paused for ${seconds(forMs)}`, excuses: noExcuse };
  },
};

export const consulLeader: Nemesis = {
  name: 'consul-leader',
  needs: { consulServers: 3 },
  async strike({ consul }, dice) {
    const forMs = durationMs(dice);
    const leader = await consul.leader();
    const isKilled = dice.roll(2) === 0;
    await (isKilled ? killed : paused)(leader, forMs);
    return { what: `Consul's leader ${isKilled ? 'killed' : 'paused'} for ${seconds(forMs)}`, excuses: noExcuse };
  },
};

export const consulQuorum: Nemesis = {
  name: 'consul-quorum',
  needs: { consulServers: 3 },
  async strike({ consul }, dice) {
    const staying = oneOf(consul.servers, dice);
    const leaving = consul.servers.filter((server) => server !== staying);
    await Promise.all(leaving.map((server) => killed(server, withoutQuorumMs)));
    return { what: `two of three Consul servers killed, started after ${seconds(withoutQuorumMs)}`, excuses: noExcuse };
  },
};
