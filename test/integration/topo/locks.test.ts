import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Clock } from '../../../core/clock.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { openConsulTopology } from '../../../topo/consul-topology.ts';
import type { Topology } from '../../../topo/topology.ts';
import { startConsul } from '../../support/servers/consul.ts';
import { startTopologyServer } from '../../support/servers/start-topology-server.ts';
import { type TopologyServer, topologyServerKinds } from '../../support/servers/topology-server.ts';
import { waitUntil } from '../../support/servers/wait-until.ts';

const never = new AbortController().signal;
const soon = { limitMs: 10_000, everyMs: 5 };
let consul: TopologyServer;

function open(options: { cluster?: string; clock?: Clock } = {}): Topology {
  return openConsulTopology({ address: consul.address, cluster: options.cluster ?? 'locks', clock: options.clock ?? systemClock, newNonce: randomUUID });
}

/** Time that runs `factor` times as fast, for what waits long by design. */
const fasterClock = (factor: number): Clock => ({
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic() * factor,
  sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
  after: (ms, act) => systemClock.after(ms / factor, act),
  endOfTurn: systemClock.endOfTurn,
});

describe.each(topologyServerKinds)('on %s:', (kind) => {
  // What waits long by design in the client alone, and needs nothing of the server that the others do not, runs on one kind.
  const testOfClient = kind === 'consul' ? test : test.skip;
  beforeAll(async () => {
    consul = await startTopologyServer(kind);
  });
  afterAll(async () => {
    await consul[Symbol.asyncDispose]();
  });

  describe('a lock', () => {
    test('has one holder at a time, by name', async () => {
      await using topology = open();
      await using one = await topology.openSession('one', never);
      await using other = await topology.openSession('other', never);
      const lock = await topology.lock('workflow/a', one, 'control 1', never);
      expect(lock).toMatchObject({ key: 'workflow/a', session: one.id });
      await expect(topology.lock('workflow/a', other, 'control 2', never)).rejects.toMatchObject({ reason: 'LOCK_TAKEN', metadata: { holder: 'control 1', session: one.id } });
      await expect(topology.lock('workflow/a', one, 'control 1 again', never)).rejects.toMatchObject({ reason: 'LOCK_TAKEN' });
      await (await topology.lock('workflow/b', other, 'control 2', never))[Symbol.asyncDispose]();
      await lock[Symbol.asyncDispose]();
      await using next = await topology.lock('workflow/a', other, 'control 2', never);
      expect(next.lost.aborted).toBe(false);
      await lock[Symbol.asyncDispose]();
      await expect(topology.lock('workflow/a', one, 'control 1', never)).rejects.toMatchObject({ metadata: { holder: 'control 2' } });
    });

    test('is given by Consul to one of many that ask together', async () => {
      await using topology = open();
      const sessions = await Promise.all(Array.from({ length: 8 }, (_unused, i) => topology.openSession(`s${i}`, never)));
      const results = await Promise.allSettled(sessions.map((session, i) => topology.lock('race', session, `holder ${i}`, never)));
      expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
    });

    test('goes with a session that ends', async () => {
      await using topology = open();
      const session = await topology.openSession('short', never);
      await topology.lock('brief', session, 'one', never);
      await session[Symbol.asyncDispose]();
      await using other = await topology.openSession('other', never);
      await using _lock = await topology.lock('brief', other, 'two', never);
      await expect(topology.lock('elsewhere', session, 'one', never)).rejects.toMatchObject({ reason: 'LOCK_TAKEN' });
    });

    testOfClient('is taken over by destroying its session, and the holder learns of it', async () => {
      await using first = open();
      await using second = open();
      const session = await first.openSession('first', never);
      const lock = await first.lock('takeover', session, 'first', never);
      await second.destroySession(session.id, never);
      await second.destroySession(session.id, never);
      await using successor = await second.openSession('second', never);
      await using _lock = await second.lock('takeover', successor, 'second', never);
      const reason = await waitUntil('the loss', soon, async () => (lock.lost.aborted ? lock.lost.reason : undefined));
      expect(reason).toMatchObject({ reason: 'LOCK_TAKEN' });
      expect(session.lost.aborted).toBe(true);
      await expect(first.lock('another', session, 'first', never)).rejects.toMatchObject({ reason: 'LOCK_TAKEN' });
    });

    testOfClient('counts as lost when its session could not be renewed for the TTL, and not before', async () => {
      await using topology = open({ clock: fasterClock(10) });
      const session = await topology.openSession('frozen out', never);
      const lock = await topology.lock('frozen', session, 'me', never);
      await systemClock.sleep(1_500);
      expect(lock.lost.aborted).toBe(false);
      const pausedAtMs = performance.now();
      await consul.pause();
      try {
        await waitUntil('the loss', soon, async () => (lock.lost.aborted ? true : undefined));
      } finally {
        consul.resume();
      }
      const afterMs = performance.now() - pausedAtMs;
      expect(afterMs).toBeGreaterThan(600);
      expect(afterMs).toBeLessThan(1_400);
    });
  });

  test('a registration is silent when its session is gone', async () => {
    await using topology = open({ cluster: 'silent' });
    const session = await topology.openSession('gw1', never);
    const registration = {
      nonce: 'n',
      id: 'gw1',
      address: '127.0.0.1:1',
      session: session.id,
      appliedVersion: 1,
      settledVersion: 0,
      updatedAt: 'now',
      problems: [],
      storeProblems: [],
    };
    await topology.putRegistration(registration, never);
    expect(await topology.registrations(never)).toEqual([{ ...registration, silent: false }]);
    await session[Symbol.asyncDispose]();
    expect(await topology.registrations(never)).toEqual([{ ...registration, silent: true }]);
  });

  test('attempts are never handed out twice', async () => {
    await using topology = open({ cluster: 'attempts' });
    const together = await Promise.all([0, 5, 0, 2].map((floor) => topology.nextAttempt(floor, never)));
    expect(new Set(together).size).toBe(4);
    const next = await topology.nextAttempt(0, never);
    expect(next).toBeGreaterThan(Math.max(5, ...together));
    expect(await topology.nextAttempt(100, never)).toBe(101);
    await consul.kv('put', 'switchyard/attempts/attempt', 'many');
    await expect(topology.nextAttempt(0, never)).rejects.toMatchObject({ reason: 'TOPOLOGY_INVALID' });
  });
});

test('without rights every call says so instead of finding nothing', async () => {
  await using guarded = await startConsul({ settings: { acl: { enabled: true, default_policy: 'deny' } } });
  await using topology = openConsulTopology({ address: guarded.address, cluster: 'denied', clock: systemClock, newNonce: randomUUID });
  const denied = { reason: 'TOPOLOGY_DENIED' };
  await expect(topology.readRules(never)).rejects.toMatchObject(denied);
  await expect(topology.keyspaces(never)).rejects.toMatchObject(denied);
  await expect(topology.initialRules({ by: 'test', reason: '' }, 'old', never)).rejects.toMatchObject(denied);
  await expect(topology.nextAttempt(0, never)).rejects.toMatchObject(denied);
  await expect(topology.openSession('x', never)).rejects.toMatchObject(denied);
});
