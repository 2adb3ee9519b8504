import { setTimeout as sleep } from 'node:timers/promises';
import { createRpcClient } from '../../client/rpc-client.ts';
import { WorkflowService } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { benchNowMs, workflowName } from '../bench/cutover/bench-move.ts';
import { noExcuse } from './nemeses/nemesis.ts';
import { pass } from './proxy/treatment.ts';
import type { Round } from './schedule.ts';
import type { Shuttle } from './shuttle.ts';
import type { World } from './world.ts';

const awakeMs = 4_000;
const orderLimitMs = 30_000;
const callLimitMs = 60_000;

/** The last switch and the end of the move, while one gateway is frozen and then cannot reach Consul: it wakes with the rules of before, and works off what callers sent it meanwhile. The move is complete and all is whole again when it resolves. */
export async function endBlindly({ cluster, network }: World, shuttle: Shuttle): Promise<Round> {
  const fromMs = benchNowMs();
  const [gateway] = cluster.gateways;
  const link = network.link('gateway-1', 'consul');
  await gateway?.process.pause();
  link.treat({ kind: 'hold', way: 'both' });
  try {
    const giveUpMs = performance.now() + orderLimitMs;
    while (!(await shuttle.order())) if (performance.now() > giveUpMs) throw new Error(`no switch: ${JSON.stringify(shuttle.orders.at(-1))}`);
    using workflows = createRpcClient(WorkflowService, cluster.controls[0]?.address ?? '', { deadlineMs: callLimitMs });
    await workflows.completeWorkflow({ name: workflowName });
  } finally {
    gateway?.process.resume();
  }
  await sleep(awakeMs);
  link.treat(pass);
  const toMs = benchNowMs();
  const what = 'the move ended while gateway-1 was asleep, and Consul could not reach it when it woke';
  return { what, strikes: [{ name: 'blind-ending', fromMs, toMs, flowingMs: toMs, excuses: { ...noExcuse, gateways: [0] } }], flowMs: 0, last: '', slowdown: 1, problems: [] };
}
