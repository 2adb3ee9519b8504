import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createRpcClient } from '../../client/rpc-client.ts';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { startMove } from '../bench/cutover/bench-move.ts';
import { type Cluster, startCluster } from '../support/cluster/cluster.ts';

/* A process that is told to stop ends soon, whatever it has done before: nothing that it opened keeps it alive. */

const stopLimitMs = 8_000;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({ gateways: 1, controls: 2 });
  await startMove(cluster);
}, 120_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

test('control processes and gateways end soon after SIGTERM, having copied tables, stood by and served, also one whose caller takes nothing of a stream', async () => {
  using client = createRpcClient(DataService, cluster.gateways[0]?.address ?? '');
  await client.streamQuery({ table: 'pgbench_accounts' })[Symbol.asyncIterator]().next();
  const processes = [...cluster.controls, ...cluster.gateways.map(({ process }) => process)];
  const tookMs = await Promise.all(
    processes.map(async (process) => {
      const begun = performance.now();
      await process.terminate();
      return performance.now() - begun;
    }),
  );
  for (const [i, { name }] of processes.entries()) expect({ name, inTime: (tookMs[i] ?? 0) < stopLimitMs }).toEqual({ name, inTime: true });
}, 60_000);
