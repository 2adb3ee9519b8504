import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createRpcClient } from '../../client/rpc-client.ts';
import { holdSteps } from '../../control/cutover/steps.ts';
import type { SideName } from '../../control/move.ts';
import { hasReason } from '../../core/switchyard-error.ts';
import { WorkflowService } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { benchNowMs, movedTables, startMove, verifyMove, workflowName } from '../bench/cutover/bench-move.ts';
import { judge } from '../bench/cutover/judge.ts';
import { Load } from '../bench/cutover/load.ts';
import type { LoadRecord } from '../bench/cutover/load-record.ts';
import { readStoreFacts } from '../bench/cutover/store-facts.ts';
import { type Cluster, startCluster } from '../support/cluster/cluster.ts';
import type { FaultPlan } from '../support/faults/fault-plan.ts';
import { FaultyControls, faultyControlOptions } from '../support/faults/faulty-controls.ts';
import { type KeyspaceName, otherKeyspace, readSettledState } from '../support/moves/move-state.ts';
import { longestStallMs, longestTimeWithoutWriteMs, readTimesMs } from '../support/moves/outage.ts';
import { resetCounters, untilRowSetsAreEqual } from '../support/moves/row-sets.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/*
 * The control process that runs a cutover is killed, and in other runs frozen, after each step of the hold, once a step and direction, while clients write and read: traffic flows again through the other control process,
 * nothing is lost, and the frozen one wakes and does no harm.
 */

const holdBudgetMs = 250;
/** Traffic flows again within this after whatever happened to the coordinator. */
const outageLimitMs = holdBudgetMs + 1_500;
/** A read never waits for a cutover; this is what a busy machine may add: processes end and start in these tests. A read that did wait would take the whole outage, a second and more. */
const usualReadLimitMs = 500;
const slowestReadLimitMs = 1_000;
const awakeMs = 1_000;
const caseLimitMs = 90_000;
const orderAgainMs = 20_000;

const keyspaceOf = (side: SideName): KeyspaceName => (side === 'source' ? 'old' : 'new');

/** Where the logs stay, for whoever looks into a failure. */
const logDirectory = process.env.SWITCHYARD_TEST_LOGS;

let cluster: Cluster;
let controls: FaultyControls;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchyard-faults-'));
  cluster = await startCluster({ gateways: 2, ...faultyControlOptions(directory), ...(logDirectory === undefined ? {} : { logDirectory }) });
  controls = new FaultyControls(cluster, directory);
  await startMove(cluster);
  await verifyMove(cluster);
}, 120_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

/** Orders the cutover at a control process that outlives it, and resolves to why it was not done, null when it was. What is refused because a new runner's stream has only begun to run is ordered again, as a person would. */
async function order(to: SideName, address: string): Promise<string | null> {
  using workflows = createRpcClient(WorkflowService, address, { deadlineMs: 60_000 });
  const giveUpMs = benchNowMs() + orderAgainMs;
  for (;;) {
    try {
      await (to === 'target' ? workflows.switchTraffic({ name: workflowName }) : workflows.reverseTraffic({ name: workflowName }));
      return null;
    } catch (error) {
      if (!hasReason(error, 'LAG_TOO_HIGH', 'STREAM_FAILED') || benchNowMs() > giveUpMs) return String(error);
      await sleep(300);
    }
  }
}

/** Waits until exactly one store is open and the rules name it. */
async function untilSettled(limitMs: number): Promise<KeyspaceName> {
  let why = '';
  return waitUntil('a settled state', { limitMs, everyMs: 100, explain: () => why }, async () => {
    const state = await readSettledState(cluster, movedTables);
    if (state.kind === 'unsettled') why = state.why;
    return state.kind === 'settled' ? state.primary : undefined;
  });
}

async function ensurePrimary(side: SideName, address: string): Promise<void> {
  if ((await untilSettled(10_000)) === keyspaceOf(side)) return;
  expect(await order(side, address)).toBeNull();
  expect(await untilSettled(5_000)).toBe(keyspaceOf(side));
}

/** Nothing missing, doubled, different, stale, no error, no lost connection; and once all is quiet, both stores hold the same rows. */
async function expectNothingLost(record: LoadRecord, primary: KeyspaceName): Promise<void> {
  await untilRowSetsAreEqual(cluster, movedTables);
  const [own, copy] = await Promise.all([readStoreFacts(cluster.stores[primary]), readStoreFacts(cluster.stores[otherKeyspace(primary)])]);
  const violations = judge(record, { primary: own, copy, scale: 1 });
  expect(violations.slice(0, 10).map(({ kind, what }) => `${kind}: ${what}`)).toEqual([]);
  expect(record.writes.length).toBeGreaterThan(50);
}

async function connectLoad(): Promise<Load> {
  const gateways = cluster.gateways.map(({ address }) => address);
  return Load.connect({ gateways, readOnlyGateways: [], writesPerSecond: 60, readsPerSecond: 100, scale: 1, hotAccounts: 200, deadlineMs: 5_000, seed: Date.now() });
}

async function runCase(fault: FaultPlan): Promise<void> {
  const { to, signal } = fault;
  const from: SideName = to === 'target' ? 'source' : 'target';
  await using armed = await controls.arm(workflowName, fault);
  const { process: doomed, survivor } = armed;
  await ensurePrimary(from, survivor.address);
  await resetCounters(cluster, keyspaceOf(from));

  await using load = await connectLoad();
  load.run();
  await sleep(1_000);
  const ordered = order(to, survivor.address);
  await Promise.race([armed.untilFired(), ordered.then((why) => (why === null ? undefined : Promise.reject(new Error(`the cutover was not made: ${why}`))))]);
  expect(armed.hasFired).toBe(true);
  const firedMs = benchNowMs();
  await untilSettled(outageLimitMs + 1_000);

  if (signal === 'SIGSTOP') {
    doomed.resume();
    await sleep(awakeMs);
    await untilSettled(1_000);
  }
  const endMs = benchNowMs();
  await armed.end();

  // The order may have been answered with an abort; the next one has to be carried out.
  await ordered;
  await ensurePrimary(to, survivor.address);
  await sleep(300);
  const record = await load.finish();
  const window = { fromMs: firedMs - 500, toMs: endMs };
  const stallMs = longestStallMs(record, window);
  const reads = readTimesMs(record, window);
  expect(longestTimeWithoutWriteMs(record, window)).toBeLessThan(outageLimitMs + stallMs);
  expect(reads.usual).toBeLessThan(usualReadLimitMs + stallMs);
  expect(reads.slowest).toBeLessThan(slowestReadLimitMs + stallMs);
  await expectNothingLost(record, keyspaceOf(to));
}

describe.each([
  ['killed', 'SIGKILL'],
  ['frozen', 'SIGSTOP'],
] as const)('the coordinator is %s', (_, signal) => {
  const cases = holdSteps.flatMap((step) => [{ step, to: 'target' } as const, { step, to: 'source' } as const]);
  test.each(cases)('after $step on the way to the $to', async ({ step, to }) => runCase({ step, to, signal }), caseLimitMs);
});
