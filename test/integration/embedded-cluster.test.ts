import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { createRpcClient } from '../../client/rpc-client.ts';
import { WorkflowService, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { editRules, getRules } from '../bench/cutover/consul-rules.ts';
import { startCluster } from '../support/cluster/cluster.ts';
import { readSettledState } from '../support/moves/move-state.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/*
 * Control and gateway know nothing of what holds their topology: a whole move on the server that stands in for Consul, calls going on, and that server killed between the two
 * cutovers.
 */

const tables = ['pgbench_tellers', 'pgbench_branches'];
const int64 = (value: number) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });

test('a move to another store and back, by control and gateways that run without Consul', async () => {
  await using cluster = await startCluster({ gateways: 1, controls: 1, topology: 'embedded' });
  expect(cluster.consul.kind).toBe('embedded');
  const workflows = cluster.control(WorkflowService, 60_000);
  const stateOf = async (): Promise<WorkflowState | undefined> => (await workflows.getWorkflow({ name: 'move' })).workflow?.state;
  const untilState = (state: WorkflowState): Promise<unknown> =>
    waitUntil(`the workflow in state ${state}`, { limitMs: 60_000, everyMs: 50 }, async () => ((await stateOf()) === state ? true : undefined));
  await workflows.createWorkflow({ workflow: { name: 'move', source: 'old', target: 'new', tables } });
  await untilState(WorkflowState.RUNNING);

  const clients = cluster.gateways.map(({ address }) => createRpcClient(DataService, address, { deadlineMs: 10_000 }));
  const stop = new AbortController();
  let deposits = 0;
  const load = clients.map(async (client) => {
    while (!stop.signal.aborted) {
      await client.update({ table: 'pgbench_tellers', key: { cells: { tid: int64(1) } }, add: { cells: { tbalance: int64(1) } } });
      deposits += 1;
      await sleep(5);
    }
  });

  await workflows.verifyWorkflow({ name: 'move' });
  expect((await workflows.switchTraffic({ name: 'move' })).workflow?.state).toBe(WorkflowState.SWITCHED);
  expect(await readSettledState(cluster, tables)).toEqual({ kind: 'settled', primary: 'new' });

  const before = await getRules(cluster.consul);
  await cluster.consul.restart();
  expect(await getRules(cluster.consul)).toEqual(before);
  await waitUntil('control at work again', { limitMs: 30_000, everyMs: 100 }, async () => stateOf().catch(() => undefined));
  await editRules(cluster.consul, 'an operator goes back', (document) => {
    document.tables = Object.fromEntries(
      Object.entries(document.tables).map(([table, rule]) => [table, rule.movement === undefined ? rule : { ...rule, movement: { ...rule.movement, want: 'source' as const } }]),
    );
  });
  await untilState(WorkflowState.RUNNING);
  expect(await readSettledState(cluster, tables)).toEqual({ kind: 'settled', primary: 'old' });

  stop.abort();
  await Promise.all(load);
  for (const client of clients) client[Symbol.dispose]();
  expect(deposits).toBeGreaterThan(20);
  expect(await cluster.old.psql(cluster.database, 'SELECT tbalance FROM pgbench_tellers WHERE tid = 1;')).toBe(`${deposits}\n`);
}, 180_000);
