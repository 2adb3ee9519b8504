import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { openConsulTopology } from '../../../topo/consul-topology.ts';
import type { Topology } from '../../../topo/topology.ts';
import { CuttingProxy } from '../../support/cutting-proxy.ts';
import { startTopologyServer } from '../../support/servers/start-topology-server.ts';
import { type TopologyServer, topologyServerKinds } from '../../support/servers/topology-server.ts';

const never = new AbortController().signal;
const note = { by: 'test', reason: 'because' };
let consul: TopologyServer;
let proxy: CuttingProxy;

async function openThroughProxy(): Promise<Topology> {
  proxy.treat = () => 'pass';
  const topology = openConsulTopology({ address: proxy.address, cluster: 'transport', clock: systemClock, newNonce: randomUUID, requestTimeoutMs: 500 });
  await topology.initialRules(note, 'old', never);
  return topology;
}

async function timed<T>(act: Promise<T>): Promise<{ readonly result: PromiseSettledResult<T>; readonly afterMs: number }> {
  const startedAtMs = performance.now();
  const [result] = await Promise.allSettled([act]);
  return { result, afterMs: performance.now() - startedAtMs };
}

describe.each(topologyServerKinds)('on %s:', (kind) => {
  beforeAll(async () => {
    consul = await startTopologyServer(kind);
    proxy = await CuttingProxy.open(consul.address);
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await consul[Symbol.asyncDispose]();
  });

  test('a body that is cut in its middle rejects at once', async () => {
    await using topology = await openThroughProxy();
    proxy.treat = ({ direction, bytes }) => (direction === 'answer' ? { cutAfter: bytes.length - 10 } : 'pass');
    const { result, afterMs } = await timed(topology.readRules(never));
    expect(result).toMatchObject({ status: 'rejected', reason: { reason: 'TOPOLOGY_UNAVAILABLE' } });
    expect(afterMs).toBeLessThan(400);
    proxy.treat = () => 'pass';
    expect(await topology.readRules(never)).toMatchObject({ kind: 'valid' });
  });

  test('an answer that never comes ends with the limit', async () => {
    await using topology = await openThroughProxy();
    proxy.treat = ({ direction }) => (direction === 'answer' ? 'hold' : 'pass');
    const { result, afterMs } = await timed(topology.readRules(never));
    expect(result).toMatchObject({ status: 'rejected', reason: { reason: 'TOPOLOGY_UNAVAILABLE' } });
    expect(afterMs).toBeGreaterThan(450);
    expect(afterMs).toBeLessThan(900);
  });

  test('an abort ends a call with the reason that is ours, else as cancelled', async () => {
    await using topology = await openThroughProxy();
    proxy.treat = ({ direction }) => (direction === 'answer' ? 'hold' : 'pass');
    const ours = new AbortController();
    systemClock.after(50, () => ours.abort(new SwitchyardError('HOLD_BUDGET', 'too long')));
    const first = await timed(topology.readRules(ours.signal));
    expect(first.result).toMatchObject({ status: 'rejected', reason: { reason: 'HOLD_BUDGET' } });
    expect(first.afterMs).toBeLessThan(300);
    expect((await timed(topology.readRules(AbortSignal.timeout(50)))).result).toMatchObject({ reason: { reason: 'CANCELLED' } });
    expect((await timed(topology.readRules(AbortSignal.abort()))).result).toMatchObject({ reason: { reason: 'CANCELLED' } });
  });

  test('nobody listening is unavailable, not missing', async () => {
    await using topology = openConsulTopology({ address: 'http://127.0.0.1:1', cluster: 'transport', clock: systemClock, newNonce: randomUUID });
    await expect(topology.readRules(never)).rejects.toMatchObject({ reason: 'TOPOLOGY_UNAVAILABLE' });
    await expect(topology.workflows(never)).rejects.toMatchObject({ reason: 'TOPOLOGY_UNAVAILABLE' });
  });

  test('calls after the end are refused', async () => {
    const topology = await openThroughProxy();
    await topology[Symbol.asyncDispose]();
    await expect(topology.readRules(never)).rejects.toMatchObject({ reason: 'TOPOLOGY_UNAVAILABLE' });
  });
});
