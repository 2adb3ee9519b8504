import { expect, test } from '@jest/globals';
import { WorkflowService } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { rpcDoor, startMove, verifyMove, workflowName } from '../bench/cutover/bench-move.ts';
import { readWorkflow } from '../bench/cutover/consul-rules.ts';
import { startCluster } from '../support/cluster/cluster.ts';
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
