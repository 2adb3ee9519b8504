import { describe, expect, test } from '@jest/globals';
import { WorkflowService } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { rpcDoor, startMove, verifyMove, workflowName } from '../bench/cutover/bench-move.ts';
import { readWorkflow } from '../bench/cutover/consul-rules.ts';
import { type Cluster, startCluster } from '../support/cluster/cluster.ts';
import { clusterName } from '../support/cluster/process-config.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

const answerLimitMs = 15_000;

test('a workflow whose record of a cutover was put back to the middle of it is not waited for for ever', async () => {
  await using cluster = await startCluster({ gateways: 1, controls: 1 });
  await startMove(cluster);
  await verifyMove(cluster);
  const order = rpcDoor(cluster);
  await order('switch');
  const { cutovers, ...workflow } = await waitUntil('the end of the cutover', { limitMs: answerLimitMs, everyMs: 100 }, async () => {
    const document = await readWorkflow(cluster.consul, workflowName);
    return document.cutovers.at(-1)?.outcome === 'switched' ? document : undefined;
  });

  // As a snapshot that was taken in the hold, and put back while the very same process runs the workflow.
  const before = { ...workflow, nonce: 'restored', state: 'running', cutovers: cutovers.map((record) => ({ ...record, outcome: 'running' })) };
  await cluster.consul.kv('put', `switchyard/${clusterName}/workflows/${workflowName}`, JSON.stringify(before));

  const workflows = cluster.control(WorkflowService, answerLimitMs);
  await workflows.switchTraffic({ name: workflowName });
  expect((await readWorkflow(cluster.consul, workflowName)).cutovers.map(({ outcome }) => outcome)).not.toContain('running');
  await workflows.reverseTraffic({ name: workflowName });
  expect(await readWorkflow(cluster.consul, workflowName)).toMatchObject({ state: 'running', cutovers: [{ outcome: 'repaired' }, { outcome: 'switched' }] });
}, 240_000);

/** What Consul held of the workflow, and the way to put it back. */
async function backUp({ consul }: Cluster): Promise<() => Promise<void>> {
  const keys = ['rules', `workflows/${workflowName}`].map((key) => `switchyard/${clusterName}/${key}`);
  const values = await Promise.all(keys.map(async (key) => (await fetch(`${consul.address}/v1/kv/${key}?raw`)).text()));
  return async () => {
    for (const [i, key] of keys.entries()) await consul.kv('put', key, values[i] ?? '');
  };
}

const saysThat = (cluster: Cluster, text: string): Promise<true> =>
  waitUntil(`a message: ${text}`, { limitMs: answerLimitMs, everyMs: 200 }, async () =>
    (await readWorkflow(cluster.consul, workflowName)).message.includes(text) ? true : undefined,
  );

describe('a workflow that was put back to before its end says so, and is ended again', () => {
  test('completed; put back to before the switch even', async () => {
    await using cluster = await startCluster({ gateways: 1, controls: 1 });
    const workflows = cluster.control(WorkflowService, answerLimitMs);
    await startMove(cluster);
    await verifyMove(cluster);
    const patient = cluster.control(WorkflowService, 4 * answerLimitMs);
    const toRunning = await backUp(cluster);
    await rpcDoor(cluster)('switch');
    await waitUntil('the end of the cutover', { limitMs: answerLimitMs, everyMs: 100 }, async () =>
      (await readWorkflow(cluster.consul, workflowName)).cutovers.at(-1)?.outcome === 'switched' ? true : undefined,
    );
    const toSwitched = await backUp(cluster);
    await workflows.completeWorkflow({ name: workflowName });
    for (const restore of [toSwitched, toRunning]) {
      await restore();
      await saysThat(cluster, 'complete it again');
      expect((await readWorkflow(cluster.consul, workflowName)).state).toBe('switched');
      // The release of the rules would point at the side that is closed.
      await expect(workflows.cancelWorkflow({ name: workflowName, keepData: true })).rejects.toThrow('complete it');
      // What the rules that were put back want is not waited for either.
      await expect(patient.reverseTraffic({ name: workflowName })).rejects.toThrow(/movetables status|took back the wish/);
      await workflows.completeWorkflow({ name: workflowName });
      expect((await readWorkflow(cluster.consul, workflowName)).state).toBe('completed');
      const rules = JSON.parse(await (await fetch(`${cluster.consul.address}/v1/kv/switchyard/${clusterName}/rules?raw`)).text());
      expect(Object.values(rules.tables).filter((rule) => (rule as { movement?: unknown }).movement !== undefined)).toEqual([]);
      expect(rules.tables.pgbench_accounts.primary).toBe('new');
    }
  }, 240_000);

  test('cancelled, its tables dropped', async () => {
    await using cluster = await startCluster({ gateways: 1, controls: 1 });
    const workflows = cluster.control(WorkflowService, answerLimitMs);
    await startMove(cluster);
    await verifyMove(cluster);
    const restore = await backUp(cluster);
    await workflows.cancelWorkflow({ name: workflowName, keepData: false });
    await restore();
    await saysThat(cluster, 'cancel it again');
    await workflows.cancelWorkflow({ name: workflowName, keepData: false });
    expect((await readWorkflow(cluster.consul, workflowName)).state).toBe('cancelled');
  }, 240_000);
});
