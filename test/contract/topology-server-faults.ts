import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '../../runtime/clock.ts';
import { openConsulTopology } from '../../topo/consul-topology.ts';
import { startTopologyServer } from '../support/servers/start-topology-server.ts';
import type { TopologyServerKind } from '../support/servers/topology-server.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { TopologyCaller } from './topology-server-harness.ts';

const never = new AbortController().signal;
const soon = { limitMs: 15_000, everyMs: 20 };
const note = { by: 'test', reason: '' };

/** Crashes, pauses and cuts. */
export function describeFaults(kind: TopologyServerKind, caller: () => TopologyCaller): void {
  test('killed and started again it has every key, index, session and lock, and a watch goes on with what comes then', async () => {
    await using server = await startTopologyServer(kind, { persistent: true });
    const api = new TopologyCaller(server);
    await using topology = openConsulTopology({ address: server.address, cluster: 'kept', clock: systemClock, newNonce: randomUUID });
    await topology.initialRules(note, 'old', never);
    const versions: number[] = [];
    const indexes: number[] = [];
    const stop = new AbortController();
    const follow = async (): Promise<void> => {
      for await (const state of topology.watchRules(stop.signal)) {
        versions.push(state.kind === 'valid' ? state.document.version : 0);
        indexes.push(state.index);
      }
    };
    const following = follow();
    const session = await api.session({ Behavior: 'delete' });
    await api.put(`locked?acquire=${session}`, 'x');
    await api.put('deleted', 'x');
    await api.delete('deleted');
    const paths = ['kv/?recurse', 'kv/deleted', 'kv/del?recurse', 'session/list'];
    const before = await Promise.all(paths.map((path) => api.get(path)));
    await waitUntil('the first version', soon, async () => (versions.length > 0 ? true : undefined));
    await server.restart();
    const after = await Promise.all(paths.map((path) => api.get(path)));
    expect(after.map(({ status, text, index }) => ({ status, text, index }))).toEqual(before.map(({ status, text, index }) => ({ status, text, index })));
    expect(await api.put('after', 'x')).toBe(true);
    expect((await api.entry('after'))?.ModifyIndex).toBeGreaterThan(Math.max(...before.map(({ index }) => index)));
    expect((await api.call('PUT', `session/renew/${session}`)).status).toBe(200);
    await topology.updateRules(note, (current) => current, never);
    await waitUntil('the version after', soon, async () => (versions.at(-1) === 2 ? true : undefined));
    expect(versions).toEqual([1, 2]);
    expect(indexes[1]).toBeGreaterThan(indexes[0] ?? 0);
    await api.call('PUT', `session/destroy/${session}`);
    expect(await api.entry('locked')).toBeUndefined();
    stop.abort();
    await following;
  }, 60_000);

  describe('a server', () => {
    test('that is paused answers when it goes on, and what was asked meanwhile is done once', async () => {
      const api = caller();
      await api.put('paused', '1');
      const { index } = await api.get('kv/paused');
      await api.server.pause();
      let over = false;
      const write = api.put('paused?cas=0', '2').finally(() => {
        over = true;
      });
      const waiting = api.get(`kv/paused?index=${index}&wait=20s`, 25_000);
      try {
        await sleep(400);
        expect(over).toBe(false);
      } finally {
        api.server.resume();
      }
      expect(await write).toBe(false);
      await api.put('paused', '3');
      expect((await waiting).index).toBeGreaterThan(index);
    });

    test('does nothing of a request whose body was cut off, and goes on', async () => {
      const api = caller();
      const { hostname, port } = new URL(api.server.address);
      const socket = connect(Number(port), hostname);
      const closed = Promise.withResolvers<void>();
      socket.on('error', () => undefined);
      socket.on('close', () => closed.resolve());
      socket.write(`PUT /v1/kv/cut HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(500)}`);
      await sleep(100);
      socket.resetAndDestroy();
      await closed.promise;
      await api.put('whole', 'x');
      expect(await api.entry('cut')).toBeUndefined();
      expect(await api.entry('whole')).toBeDefined();
    });

    test('forgets a blocking query whose client has gone', async () => {
      const api = caller();
      await api.put('left', '1');
      const { index } = await api.get('kv/left');
      const gone = await Promise.allSettled(Array.from({ length: 20 }, () => api.get(`kv/left?index=${index}&wait=60s`, 200)));
      expect(gone.every(({ status }) => status === 'rejected')).toBe(true);
      expect(await api.put('left', '2')).toBe(true);
      expect((await api.get('kv/left')).index).toBeGreaterThan(index);
    });
  });
}
