import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RulesDocument } from '../../../core/rules-document.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { startTopologyServer } from '../../support/servers/start-topology-server.ts';
import { type TopologyServer, topologyServerKinds } from '../../support/servers/topology-server.ts';
import { findConsul } from '../../support/servers/debian.ts';
import { CuttingProxy } from '../../support/cutting-proxy.ts';
import { openConsulTopology } from '../../../topo/consul-topology.ts';
import type { RulesChange, Topology } from '../../../topo/topology.ts';
import { workflowDocument } from '../../support/workflow-document.ts';

const note = { by: 'test', reason: 'because' };
const never = new AbortController().signal;
let consul: TopologyServer;
const faults: Error[] = [];

/** A topology of a cluster of its own, unless told which. */
function open(options: { cluster?: string; address?: string } = {}): { topology: Topology; cluster: string; root: string } {
  const cluster = options.cluster ?? `c-${randomUUID()}`;
  const onBackgroundError = (error: Error): void => void faults.push(error);
  const topology = openConsulTopology({ address: options.address ?? consul.address, cluster, clock: systemClock, newNonce: randomUUID, onBackgroundError });
  return { topology, cluster, root: `switchyard/${cluster}/` };
}

async function openWithRules() {
  const opened = open();
  const first = await opened.topology.initialRules(note, 'old', never);
  return { ...opened, first };
}

/** Counts up in a table's attempt: a lost update shows. */
const countUp = (current: RulesDocument): RulesChange => ({
  ...current,
  tables: { ...current.tables, orders: { primary: 'old', attempt: (current.tables.orders?.attempt ?? 0) + 1, writes: 'open', names: [] } },
});
const asIs = (current: RulesDocument): RulesChange => current;
const putRules = (root: string, document: unknown): Promise<string> => consul.kv('put', `${root}rules`, typeof document === 'string' ? document : JSON.stringify(document));
const versions = async (topology: Topology): Promise<readonly number[]> => (await topology.history(100, null, never)).map((entry) => entry.document.version);

async function modifyIndexes(prefix: string): Promise<ReadonlyMap<string, number>> {
  const items = (await (await fetch(`${consul.address}/v1/kv/${prefix}?recurse`)).json()) as readonly { Key: string; ModifyIndex: number }[];
  return new Map(items.map((item) => [item.Key, item.ModifyIndex]));
}

describe.each(topologyServerKinds)('on %s:', (kind) => {
  beforeAll(async () => {
    consul = await startTopologyServer(kind);
  });
  afterAll(async () => {
    await consul[Symbol.asyncDispose]();
  });

  describe('the first document', () => {
    test('is written once', async () => {
      await using topology = open().topology;
      expect((await topology.readRules(never)).kind).toBe('missing');
      const first = await topology.initialRules(note, 'old', never);
      expect(first).toMatchObject({ version: 1, changedBy: 'test', defaultKeyspace: 'old', tables: {} });
      expect(await topology.initialRules(note, 'other', never)).toEqual(first);
      expect(await topology.readRules(never)).toMatchObject({ kind: 'valid', document: first });
    });

    test('is needed before a change', async () => {
      await using topology = open().topology;
      await expect(topology.updateRules(note, asIs, never)).rejects.toMatchObject({ reason: 'RULES_MISSING' });
    });

    test('comes back from the history when the key was deleted', async () => {
      const { topology, root } = await openWithRules();
      await using _ = topology;
      const last = await topology.updateRules(note, countUp, never);
      await consul.kv('delete', `${root}rules`);
      const restored = await topology.initialRules(note, 'other', never);
      expect(restored).toMatchObject({ version: 3, defaultKeyspace: 'old', tables: last.tables });
      expect(restored.reason).toContain('version 2 restored');
    });

    test('is restored without one who knows a keyspace, and only when it is missing', async () => {
      const { topology, root } = await openWithRules();
      await using _ = topology;
      const last = await topology.updateRules(note, countUp, never);
      expect(await topology.restoreRules(note, never)).toEqual(last);
      await consul.kv('delete', `${root}rules`);
      expect(await topology.restoreRules(note, never)).toMatchObject({ version: 3, defaultKeyspace: 'old', tables: last.tables });
      await using empty = open().topology;
      expect(await empty.restoreRules(note, never)).toBeNull();
    });
  });

  describe('a change', () => {
    test('loses nothing beside other writers', async () => {
      const { topology, cluster } = await openWithRules();
      await using one = topology;
      await using other = open({ cluster }).topology;
      const writes = [one, other].map(async (writer) => {
        const written: RulesDocument[] = [];
        for (let i = 0; i < 20; i += 1) written.push(await writer.updateRules(note, countUp, never));
        return written;
      });
      const written = (await Promise.all(writes)).flat();
      expect(new Set(written.map((document) => document.version)).size).toBe(40);
      const now = await topology.readRules(never);
      expect(now).toMatchObject({ kind: 'valid', document: { version: 41, tables: { orders: { attempt: 40 } } } });
      expect(await versions(topology)).toEqual(Array.from({ length: 41 }, (_, i) => 41 - i));
    });

    test('loses nothing beside somebody with another client', async () => {
      const { topology, root, first } = await openWithRules();
      await using _ = topology;
      const binary = await findConsul();
      let tries = 0;
      const whileOthersWrite = (current: RulesDocument): RulesChange => {
        tries += 1;
        const foreign = JSON.stringify({ ...first, version: 8, nonce: 'by hand', defaultKeyspace: 'elsewhere' });
        if (tries === 1) execFileSync(binary, ['kv', 'put', `${root}rules`, foreign], { env: { CONSUL_HTTP_ADDR: consul.address } });
        return countUp(current);
      };
      expect(await topology.updateRules(note, whileOthersWrite, never)).toMatchObject({ version: 9, defaultKeyspace: 'elsewhere', tables: { orders: { attempt: 1 } } });
      expect(tries).toBe(2);
      expect(await versions(topology)).toEqual([9, 8, 1]);
    });

    test('of identical content is two changes', async () => {
      const { topology, cluster } = await openWithRules();
      await using one = topology;
      await using other = open({ cluster }).topology;
      const [a, b] = await Promise.all([one.updateRules(note, asIs, never), other.updateRules(note, asIs, never)]);
      expect([a.version, b.version].sort()).toEqual([2, 3]);
      expect(a.nonce).not.toBe(b.nonce);
    });

    test('and its history entry share one transaction', async () => {
      const { topology, root } = await openWithRules();
      await using _ = topology;
      await topology.updateRules(note, countUp, never);
      const indexes = await modifyIndexes(root);
      const entry = [...indexes.keys()].find((key) => key.startsWith(`${root}history/0000000000000002-`)) ?? '';
      expect(indexes.get(entry)).toBe(indexes.get(`${root}rules`));
    });

    test('of nothing writes nothing', async () => {
      const { topology, first } = await openWithRules();
      await using _ = topology;
      expect(await topology.updateRules(note, () => null, never)).toEqual(first);
      expect(await versions(topology)).toEqual([1]);
    });

    test('fails with what the caller throws', async () => {
      const { topology } = await openWithRules();
      await using _ = topology;
      const refuse = (): never => {
        throw new Error('not like this');
      };
      await expect(topology.updateRules(note, refuse, never)).rejects.toThrow('not like this');
    });

    test('that is not valid is refused by field', async () => {
      const { topology } = await openWithRules();
      await using _ = topology;
      const wrong = (current: RulesDocument): RulesChange => ({ ...current, tables: { 'shop.orders': { primary: 'no spaces please', attempt: 0, writes: 'open', names: [] } } });
      await expect(topology.updateRules(note, wrong, never)).rejects.toMatchObject({ reason: 'RULES_INVALID', message: expect.stringContaining('tables["shop.orders"].primary') });
    });

    test('that is too large is refused before it is sent', async () => {
      const { topology, first } = await openWithRules();
      await using _ = topology;
      const tables = Object.fromEntries(
        Array.from({ length: 6_000 }, (_unused, i) => [`table_${i}_${'x'.repeat(90)}`, { primary: 'old', attempt: 0, writes: 'open' as const, names: [] }]),
      );
      await expect(topology.updateRules(note, (current) => ({ ...current, tables }), never)).rejects.toMatchObject({ reason: 'TOPOLOGY_TOO_LARGE' });
      expect(await topology.readRules(never)).toMatchObject({ document: first });
    });

    test('goes above what a gateway says it applies', async () => {
      const { topology } = await openWithRules();
      await using _ = topology;
      await topology.putRegistration(
        { nonce: 'n', id: 'gw1', address: '127.0.0.1:1', session: 's', appliedVersion: 70, settledVersion: 0, updatedAt: 'now', problems: [], storeProblems: [] },
        never,
      );
      expect((await topology.updateRules(note, asIs, never)).version).toBe(71);
    });

    test('ends when its signal aborts', async () => {
      const { topology } = await openWithRules();
      await using _ = topology;
      await expect(topology.updateRules(note, asIs, AbortSignal.abort())).rejects.toMatchObject({ reason: 'CANCELLED' });
    });
  });

  describe('a workflow document that comes with a change', () => {
    test('is written with it, under a new nonce', async () => {
      const { topology } = await openWithRules();
      await using _ = topology;
      const document = workflowDocument('move1');
      await topology.updateRules(note, countUp, never, [{ document, index: 0 }]);
      const stored = await topology.workflow('move1', never);
      expect({ ...stored?.value, nonce: '' }).toEqual({ ...document, nonce: '' });
      expect(stored?.value.nonce).not.toBe(document.nonce);
      expect((await topology.readRules(never)).index).toBe(stored?.index);
    });

    test('stops it when somebody else changed that', async () => {
      const { topology, first } = await openWithRules();
      await using _ = topology;
      const { index } = await topology.writeWorkflow(workflowDocument('move1'), 0, never);
      const write = { document: workflowDocument('move1'), index: index - 1 };
      await expect(topology.updateRules(note, countUp, never, [write])).rejects.toMatchObject({ reason: 'TOPOLOGY_CONFLICT' });
      expect(await topology.readRules(never)).toMatchObject({ document: first });
    });
  });

  describe('a document that somebody else wrote', () => {
    test('is recorded once, marked external', async () => {
      const { topology, root, first } = await openWithRules();
      await using _ = topology;
      const foreign = { ...first, version: 9, nonce: 'by hand' };
      await putRules(root, foreign);
      await topology.recordExternal(foreign, never);
      await topology.recordExternal(foreign, never);
      await topology.recordExternal(first, never);
      expect((await topology.history(10, null, never)).map(({ document, external }) => [document.version, external])).toEqual([[9, true], [1, false]]); // biome-ignore format: pairs
      expect((await topology.history(10, 9, never)).map((entry) => entry.document.version)).toEqual([1]);
    });

    test('is recorded by the next change, and beaten by it', async () => {
      const { topology, root, first } = await openWithRules();
      await using _ = topology;
      await putRules(root, { ...first, version: 9, nonce: 'by hand' });
      await putRules(root, { ...first, version: 5, nonce: 'back again' });
      await topology.recordExternal({ ...first, version: 9, nonce: 'by hand' }, never);
      expect((await topology.updateRules(note, countUp, never)).version).toBe(10);
      expect(await versions(topology)).toEqual([10, 9, 5, 1]);
    });

    test('does not hide one of the same version', async () => {
      const { topology, root, first } = await openWithRules();
      await using _ = topology;
      await putRules(root, { ...first, defaultKeyspace: 'other' });
      await topology.updateRules(note, asIs, never);
      const entries = await topology.history(10, null, never);
      expect(entries.map((entry) => entry.document.version)).toEqual([2, 1, 1]);
      expect(new Set(entries.slice(1).map((entry) => entry.document.defaultKeyspace))).toEqual(new Set(['old', 'other']));
    });
  });

  describe('an invalid document', () => {
    test('reads as invalid, by field, with its version', async () => {
      const { topology, root, first } = await openWithRules();
      await using _ = topology;
      await putRules(root, { ...first, version: 7, tables: { orders: { primary: 'old', writes: 'shut' } } });
      expect(await topology.readRules(never)).toMatchObject({ kind: 'invalid', version: 7, message: expect.stringContaining('tables.orders.writes') });
      await putRules(root, '{ "version": 8,');
      expect(await topology.readRules(never)).toMatchObject({ kind: 'invalid', version: 0, message: expect.stringContaining('JSON') });
    });

    test('is replaced on the basis of the last good one, with a higher version', async () => {
      const { topology, root } = await openWithRules();
      await using _ = topology;
      const good = await topology.updateRules(note, countUp, never);
      await putRules(root, { version: 30, oops: true });
      const replaced = await topology.updateRules(note, countUp, never);
      expect(replaced).toMatchObject({ version: 31, defaultKeyspace: 'old', tables: { orders: { attempt: (good.tables.orders?.attempt ?? 0) + 1 } } });
    });
  });

  describe('a write that is not answered', () => {
    const isWrite = (request: string): boolean => request.startsWith('PUT /v1/txn') && request.includes('"cas"');

    test.each([
      ['answer', 'done'],
      ['answer in its middle', 'done'],
      ['request', 'not done'],
    ])('because the %s was cut (%s) is resolved', async (where) => {
      const { topology, cluster, first } = await openWithRules();
      await using _ = topology;
      await using proxy = await CuttingProxy.open(consul.address);
      await using shaky = open({ cluster, address: proxy.address }).topology;
      await shaky.readRules(never);
      let cuts = 1;
      proxy.treat = ({ direction, bytes, request }) => {
        if (cuts === 0 || !isWrite(request) || (direction === 'request') !== (where === 'request')) return 'pass';
        cuts -= 1;
        return { cutAfter: where === 'answer in its middle' ? bytes.length - 20 : 0 };
      };
      const written = await shaky.updateRules(note, countUp, never);
      expect(cuts).toBe(0);
      expect(written).toMatchObject({ version: 2, tables: { orders: { attempt: 1 } } });
      expect(await topology.readRules(never)).toMatchObject({ document: written });
      expect(await versions(topology)).toEqual([2, first.version]);
    });

    test('and cannot be asked about says that its outcome is unknown', async () => {
      const { topology, cluster } = await openWithRules();
      await using _ = topology;
      await using proxy = await CuttingProxy.open(consul.address);
      await using shaky = open({ cluster, address: proxy.address }).topology;
      let broken = false;
      proxy.treat = ({ direction, request }) => {
        broken ||= direction === 'answer' && isWrite(request);
        return broken ? { cutAfter: 0 } : 'pass';
      };
      const limit = AbortSignal.timeout(500);
      await expect(shaky.updateRules(note, countUp, limit)).rejects.toMatchObject({ reason: 'CANCELLED', metadata: { outcome: 'unknown' } });
      expect(await topology.readRules(never)).toMatchObject({ document: { version: 2 } });
    });
  });

  test('nothing was reported behind the back of the callers', () => expect(faults).toEqual([]));
});
