import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { RulesDocument } from '../../../core/rules-document.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { openConsulTopology } from '../../../topo/consul-topology.ts';
import type { RulesSnapshot, Topology } from '../../../topo/topology.ts';
import { startConsul } from '../../support/servers/consul.ts';
import { startTopologyServer } from '../../support/servers/start-topology-server.ts';
import { type TopologyServer, topologyServerKinds } from '../../support/servers/topology-server.ts';
import { waitUntil } from '../../support/servers/wait-until.ts';
import { workflowDocument } from '../../support/workflow-document.ts';

const note = { by: 'test', reason: 'because' };
const never = new AbortController().signal;
const soon = { limitMs: 10_000, everyMs: 5 };
const asIs = (current: RulesDocument): RulesDocument => current;
let consul: TopologyServer;
let cluster: string;
let reported: Error[];

beforeEach(() => {
  cluster = `c-${randomUUID()}`;
  reported = [];
});

function open(options: { watchWaitMs?: number } = {}): Topology {
  const onBackgroundError = (error: Error): void => void reported.push(error);
  const timing = { watchWaitMs: 500, requestTimeoutMs: 400, ...options };
  return openConsulTopology({ address: consul.address, cluster, clock: systemClock, newNonce: randomUUID, onBackgroundError, ...timing });
}

/** Follows in the background; `stop` waits for the end, and fails with what the watch threw. */
class Follower<T> implements AsyncDisposable {
  readonly seen: T[] = [];
  readonly faults: Error[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(watch: (signal: AbortSignal, onFault: (error: Error) => void) => AsyncIterable<T>, pauseMs = 0) {
    const follow = async (): Promise<void> => {
      for await (const state of watch(this.#stop.signal, (error) => this.faults.push(error))) {
        this.seen.push(state);
        if (pauseMs > 0) await systemClock.sleep(pauseMs);
      }
    };
    this.#running = follow();
  }

  async until(what: string, accept: (state: T) => boolean): Promise<T> {
    return waitUntil(what, soon, async () => {
      const last = this.seen.at(-1);
      return last !== undefined && accept(last) ? last : undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

const followRules = (topology: Topology, pauseMs?: number): Follower<RulesSnapshot> => new Follower((signal, onFault) => topology.watchRules(signal, onFault), pauseMs);
const versionOf = (state: RulesSnapshot): number => (state.kind === 'valid' ? state.document.version : 0);

describe.each(topologyServerKinds)('on %s:', (kind) => {
  // What waits long by design in the client alone, and needs nothing of the server that the others do not, runs on one kind.
  const testOfClient = kind === 'consul' ? test : test.skip;
  beforeAll(async () => {
    consul = await startTopologyServer(kind);
  });
  afterAll(async () => {
    await consul[Symbol.asyncDispose]();
  });

  describe('the watch of the rules', () => {
    test('brings 200 rapid writes in order, up to the last', async () => {
      await using topology = open();
      await topology.initialRules(note, 'old', never);
      await using watch = followRules(topology);
      for (let i = 0; i < 200; i += 1) await topology.updateRules(note, asIs, never);
      await watch.until('version 201', (state) => versionOf(state) === 201);
      const versions = watch.seen.map(versionOf);
      expect(versions.every((version, i) => i === 0 || version > (versions[i - 1] ?? 0))).toBe(true);
      expect(watch.faults).toEqual([]);
    });

    testOfClient('skips what lies between for a slow consumer', async () => {
      await using topology = open();
      await topology.initialRules(note, 'old', never);
      await using watch = followRules(topology, 100);
      await watch.until('the first', (state) => versionOf(state) === 1);
      for (let i = 0; i < 50; i += 1) await topology.updateRules(note, asIs, never);
      await watch.until('version 51', (state) => versionOf(state) === 51);
      expect(watch.seen.length).toBeLessThan(12);
    });

    test('says that the key is missing, once, and when it comes and goes', async () => {
      await using topology = open();
      await using watch = followRules(topology);
      await watch.until('missing', (state) => state.kind === 'missing');
      for (let i = 0; i < 50; i += 1) await topology.nextAttempt(0, never);
      expect(watch.seen).toHaveLength(1);
      await topology.initialRules(note, 'old', never);
      await watch.until('the first', (state) => versionOf(state) === 1);
      await consul.kv('delete', `switchyard/${cluster}/rules`);
      await watch.until('missing again', (state) => state.kind === 'missing');
      expect(watch.seen).toHaveLength(3);
    });

    test('brings an invalid document as such', async () => {
      await using topology = open();
      const first = await topology.initialRules(note, 'old', never);
      await using watch = followRules(topology);
      await consul.kv('put', `switchyard/${cluster}/rules`, JSON.stringify({ ...first, version: 2, tabels: {} }));
      expect(await watch.until('invalid', (state) => state.kind === 'invalid')).toMatchObject({ version: 2, message: expect.stringContaining('tabels') });
    });

    testOfClient('outlives blocking queries that bring nothing', async () => {
      await using topology = open();
      await topology.initialRules(note, 'old', never);
      await using watch = followRules(topology);
      await systemClock.sleep(1_300);
      expect(watch.seen).toHaveLength(1);
      await topology.updateRules(note, asIs, never);
      await watch.until('version 2', (state) => versionOf(state) === 2);
      expect(watch.faults).toEqual([]);
    });

    testOfClient('ends at once with its signal and with the topology', async () => {
      const topology = open();
      await topology.initialRules(note, 'old', never);
      const startedAtMs = performance.now();
      {
        await using watch = followRules(topology);
        await watch.until('the first', (state) => versionOf(state) === 1);
      }
      const other = followRules(topology);
      await other.until('the first', (state) => versionOf(state) === 1);
      await topology[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
      expect(performance.now() - startedAtMs).toBeLessThan(400);
      expect(other.faults).toEqual([]);
    });
  });

  describe('a Consul agent that goes away', () => {
    test('frozen: calls end in time, the watch says so once and goes on afterwards', async () => {
      await using topology = open();
      await topology.initialRules(note, 'old', never);
      await using watch = followRules(topology);
      await watch.until('the first', (state) => versionOf(state) === 1);
      await consul.pause();
      try {
        const startedAtMs = performance.now();
        await expect(topology.readRules(never)).rejects.toMatchObject({ reason: 'TOPOLOGY_UNAVAILABLE' });
        await expect(topology.updateRules(note, asIs, never)).rejects.toMatchObject({ reason: 'TOPOLOGY_UNAVAILABLE' });
        expect(performance.now() - startedAtMs).toBeLessThan(1_500);
        await waitUntil('the fault', soon, async () => watch.faults[0]);
        await systemClock.sleep(1_000);
      } finally {
        consul.resume();
      }
      await topology.updateRules(note, asIs, never);
      await watch.until('version 2', (state) => versionOf(state) === 2);
      expect(watch.faults).toHaveLength(1);
      expect(watch.faults[0]).toMatchObject({ reason: 'TOPOLOGY_UNAVAILABLE' });
    });

    test('restarted without its data: what is there now counts, lower indexes or not', async () => {
      await using topology = open({ watchWaitMs: 60_000 });
      await topology.initialRules(note, 'old', never);
      for (let i = 0; i < 30; i += 1) await topology.updateRules(note, asIs, never);
      await using watch = followRules(topology);
      const before = await watch.until('version 31', (state) => versionOf(state) === 31);
      await consul.restart();
      await watch.until('missing', (state) => state.kind === 'missing');
      expect(await topology.initialRules(note, 'old', never)).toMatchObject({ version: 1 });
      const after = await watch.until('version 1', (state) => versionOf(state) === 1);
      expect(after.index).toBeLessThan(before.index);
      expect(watch.faults).toHaveLength(1);
    });
  });

  describe('lists', () => {
    const root = (): string => `switchyard/${cluster}/`;

    test('leave out what is invalid, and say so once', async () => {
      await using topology = open();
      await topology.writeWorkflow(workflowDocument('good'), 0, never);
      await consul.kv('put', `${root()}workflows/bad`, JSON.stringify({ ...workflowDocument('bad'), state: 'confused' }));
      await consul.kv('put', `${root()}workflows/misnamed`, JSON.stringify(workflowDocument('other')));
      for (let i = 0; i < 3; i += 1) expect((await topology.workflows(never)).map(({ value }) => value.name)).toEqual(['good']);
      expect(reported.map((error) => error.message)).toEqual([expect.stringMatching(/workflows\/bad .*state/), expect.stringMatching(/workflows\/misnamed .*"other"/)]);
      await expect(topology.workflow('bad', never)).rejects.toMatchObject({ reason: 'TOPOLOGY_INVALID', message: expect.stringContaining('state') });
    });

    test('are watched as they grow and shrink', async () => {
      await using topology = open();
      await using watch = new Follower((signal, onFault) => topology.watchWorkflows(signal, onFault));
      await watch.until('nothing', (state) => state.length === 0);
      const { index } = await topology.writeWorkflow(workflowDocument('one'), 0, never);
      const [first] = await watch.until('one', (state) => state.length === 1);
      expect(first?.index).toBe(index);
      await topology.updateWorkflow('one', (current) => ({ ...current, state: 'copying' }), never);
      await watch.until('copying', ([document]) => document?.value.state === 'copying');
      await consul.kv('delete', `${root()}workflows/one`);
      await watch.until('nothing again', (state) => state.length === 0);
      expect(watch.faults).toEqual([]);
    });

    test('of keyspaces and registrations work alike', async () => {
      await using topology = open();
      const login = { user: 'app', password: 'env:SECRET' };
      const shard = { kind: 'postgres', host: '127.0.0.1', port: 5432, database: 'shop', gateway: login, player: login, owner: login };
      await using keyspaces = new Follower((signal) => topology.watchKeyspaces(signal));
      await topology.putKeyspace({ name: 'old', shards: [shard] }, never);
      expect(await keyspaces.until('one', (state) => state.length === 1)).toEqual([{ name: 'old', shards: [shard] }]);
      expect((await topology.keyspaces(never)).map(({ value }) => value.name)).toEqual(['old']);
      await expect(topology.putKeyspace({ name: 'new', shards: [{ ...shard, port: 0 }] }, never)).rejects.toMatchObject({
        reason: 'KEYSPACE_INVALID',
        message: expect.stringContaining('shards[0].port'),
      });
      await using gateways = new Follower((signal) => topology.watchRegistrations(signal));
      const registration = {
        nonce: 'n',
        id: 'gw1',
        address: '127.0.0.1:1',
        session: 'none',
        appliedVersion: 3,
        settledVersion: 0,
        updatedAt: 'now',
        problems: [],
        storeProblems: [],
      };
      await topology.putRegistration(registration, never);
      expect(await gateways.until('one', (state) => state.length === 1)).toEqual([registration]);
      await topology.removeRegistration('gw1', never);
      await topology.removeRegistration('gw1', never);
      await gateways.until('none', (state) => state.length === 0);
    });
  });

  describe('a workflow document', () => {
    test('changes under compare-and-set', async () => {
      await using topology = open();
      const created = await topology.writeWorkflow(workflowDocument('one'), 0, never);
      await expect(topology.writeWorkflow(workflowDocument('one'), 0, never)).rejects.toMatchObject({ reason: 'TOPOLOGY_CONFLICT' });
      const changed = await topology.writeWorkflow({ ...created.value, message: 'x' }, created.index, never);
      expect(changed.index).toBeGreaterThan(created.index);
      await expect(topology.writeWorkflow({ ...created.value, message: 'x' }, created.index, never)).rejects.toMatchObject({ reason: 'TOPOLOGY_CONFLICT' });
      expect(await topology.workflow('one', never)).toEqual(changed);
      expect(await topology.workflow('two', never)).toBeNull();
      await expect(topology.updateWorkflow('two', (current) => current, never)).rejects.toMatchObject({ reason: 'WORKFLOW_UNKNOWN' });
    });

    test('loses nothing between concurrent updates', async () => {
      await using topology = open();
      await topology.writeWorkflow(workflowDocument('one'), 0, never);
      const addStep = (step: string) => topology.updateWorkflow('one', (current) => ({ ...current, journal: [...current.journal, { step, at: 'now' }] }), never);
      await Promise.all(['a', 'b', 'c', 'd'].map(addStep));
      expect((await topology.workflow('one', never))?.value.journal.map(({ step }) => step).sort()).toEqual(['a', 'b', 'c', 'd']);
    });
  });
});

test('a Consul restored from a snapshot: the watch goes back with it', async () => {
  await using restored = await startConsul();
  consul = restored;
  await using topology = open({ watchWaitMs: 60_000 });
  await topology.initialRules(note, 'old', never);
  const snapshot = await (await fetch(`${consul.address}/v1/snapshot`)).arrayBuffer();
  for (let i = 0; i < 10; i += 1) await topology.updateRules(note, asIs, never);
  await using watch = followRules(topology);
  await watch.until('version 11', (state) => versionOf(state) === 11);
  expect((await fetch(`${consul.address}/v1/snapshot`, { method: 'PUT', body: snapshot })).status).toBe(200);
  await watch.until('version 1', (state) => versionOf(state) === 1);
});
