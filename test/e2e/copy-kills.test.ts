import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createRpcClient } from '../../client/rpc-client.ts';
import { WorkflowService, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { movedTables } from '../bench/cutover/bench-move.ts';
import { factsOfBoth } from '../bench/cutover/both-stores.ts';
import { type Cluster, startCluster } from '../support/cluster/cluster.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/*
 * Control processes, source and target are killed at random moments while a table is copied and followed and services write all the time. `SWITCHYARD_KILLS` says how often: `SWITCHYARD_KILLS=100 npm run jest -- e2e/copy-kills` takes
 * some minutes.
 */

const kills = Number(process.env.SWITCHYARD_KILLS ?? 12);
const killEveryMs = 2_000;
const settleLimitMs = 180_000;
const writers = 8;
const accounts = 100_000;
const name = 'kills';
const int = (value: number) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });

let cluster: Cluster;
let isOver = false;

beforeAll(async () => {
  cluster = await startCluster({ gateways: 1, controls: 2 });
}, 120_000);
afterAll(async () => {
  isOver = true;
  await cluster?.[Symbol.asyncDispose]();
});

/** Inserts, updates and deletes rows until it is stopped. A write that fails is one of a store that is away; only what the stores hold counts. */
async function write(writer: number): Promise<number> {
  using client = createRpcClient(DataService, cluster.gateways[0]?.address ?? '', { deadlineMs: 5_000 });
  let done = 0;
  const attempted = async (act: () => Promise<unknown>): Promise<void> => {
    try {
      await act();
      done += 1;
    } catch {
      await sleep(50);
    }
  };
  for (let i = 1; !isOver; i += 1) {
    const aid = 1 + Math.floor(Math.random() * accounts);
    const key = { cells: { aid: int(aid) } };
    const row = { cells: { ...key.cells, bid: int(1), abalance: int(i) } };
    if (i % 10 === 0) await attempted(() => client.delete({ table: 'pgbench_accounts', key, allowMissing: true }));
    else if (i % 5 === 0) await attempted(() => client.upsert({ table: 'pgbench_accounts', row }));
    else await attempted(() => client.update({ table: 'pgbench_accounts', key, add: { cells: { abalance: int(1) } } }));
    if (i % 20 === writer) await attempted(() => client.update({ table: 'pgbench_branches', key: { cells: { bid: int(1) } }, add: { cells: { bbalance: int(1) } } }));
    await sleep(2);
  }
  return done;
}

const victims = {
  'control-1': async () => restart(0),
  'control-2': async () => restart(1),
  source: async () => {
    await cluster.old.stop('immediate');
    await cluster.old.start();
  },
  target: async () => {
    await cluster.new.stop('immediate');
    await cluster.new.start();
  },
};

async function restart(index: number): Promise<void> {
  await cluster.controls[index]?.kill();
  await cluster.controls[index]?.start();
}

test(
  `${kills} kills of control, source and target leave the copy equal row for row`,
  async () => {
    const writing = Array.from({ length: writers }, (_, writer) => write(writer));
    await cluster.control(WorkflowService, 60_000).createWorkflow({ workflow: { name, source: 'old', target: 'new', tables: [...movedTables] } });
    const names = Object.keys(victims) as (keyof typeof victims)[];
    for (let kill = 0; kill < kills; kill += 1) {
      const victim = names[kill % names.length];
      if (victim !== undefined) await victims[victim]();
      await sleep(Math.random() * killEveryMs);
    }
    const workflows = cluster.control(WorkflowService, settleLimitMs);
    const state = async () => (await workflows.getWorkflow({ name }).catch(() => null))?.workflow;
    await waitUntil(
      'the end of the copy',
      { limitMs: settleLimitMs, everyMs: 200, explain: async () => JSON.stringify(await state(), (_, value) => (typeof value === 'bigint' ? String(value) : value)) },
      async () => {
        const workflow = await state();
        expect(workflow?.state).not.toBe(WorkflowState.FAILED);
        return workflow?.state === WorkflowState.RUNNING && workflow.lagMs !== undefined && workflow.lagMs < 1_000 ? true : undefined;
      },
    );
    isOver = true;
    const done = (await Promise.all(writing)).reduce((sum, each) => sum + each, 0);
    expect(done).toBeGreaterThan(kills);
    const verified = await workflows.verifyWorkflow({ name });
    expect(verified.workflow?.verification).toMatchObject({ differences: 0n, error: '' });
    const { primary, copy } = await factsOfBoth(cluster, 'old');
    expect(copy).toEqual(primary);
  },
  300_000 + kills * 15_000,
);
