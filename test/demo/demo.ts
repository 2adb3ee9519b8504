import { setTimeout as sleep } from 'node:timers/promises';
import { duration, thousands } from '../../cli/render/figures.ts';
import { holdSteps } from '../../control/cutover/steps.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { WorkflowService } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { benchNowMs, journalled, orderedCutover, rpcDoor, startMove, verifyMove, workflowName } from '../bench/cutover/bench-move.ts';
import { factsOfBoth, servingProblem } from '../bench/cutover/both-stores.ts';
import { judge } from '../bench/cutover/judge.ts';
import { Load } from '../bench/cutover/load.ts';
import { type Direction, type OrderedCutover, summarizeAll, summarizeRuns } from '../bench/cutover/summary.ts';
import { type Cluster, startCluster } from '../support/cluster/cluster.ts';
import type { StoreKind } from '../support/cluster/store.ts';
import type { TopologyServerKind } from '../support/servers/topology-server.ts';
import { Observer } from './observer.ts';
import { lineOf, pictureOf } from './picture.ts';
import type { Outcome } from './report.ts';
import type { Screen } from './screen.ts';

/** Rows a second: enough to meet every moment of a cutover, little enough for a laptop that runs everything. */
const rate = 150;
/** Calls under way at once: a second of them, more than wait during a hold. A machine that is busy with other things slows the services down instead of burying itself in their calls. */
const mostPending = 100;
/** Without a terminal, how long nothing may be said. */
const silenceMs = 10_000;
/** Waits as long as the services do: on a machine that has just started all of this, a thread for scans may take seconds. */
const gatewaySettings = { pool: { size: 6, acquireTimeoutMs: 10_000 } };
const rampMs = 4_000;
const betweenMs = 3_000;
const mostOrders = 5;
const orderPauseMs = 1_000;
const scale = 1;

const story: readonly { readonly direction: Direction; readonly title: string; readonly after: string }[] = [
  { direction: 'switch', title: 'switch: the new store takes over', after: 'The tables are served by the new store; the old one is kept current, for the way back.' },
  { direction: 'reverse', title: 'reverse: back to the old store', after: 'The way back is a cutover too, and lost nothing: the old store had every write.' },
  { direction: 'switch', title: 'switch again', after: 'And forth again, with the same workflow.' },
];

/** What the demo is played on. */
export interface Stage {
  readonly old: StoreKind;
  readonly new: StoreKind;
  readonly topology: TopologyServerKind;
}

/** Runs the whole story and resolves to what came of it. Rejects when a part of the set-up fails; everything that it started has ended then. */
export async function runDemo(screen: Screen, stage: Stage): Promise<Outcome> {
  const startedMs = performance.now();
  let saidMs = startedMs;
  const say = (text: string): void => {
    saidMs = performance.now();
    screen.say(`${((saidMs - startedMs) / 1_000).toFixed(1).padStart(6)} s  ${text}`);
  };
  say(`starting two stores (${stage.old}, ${stage.new}), the topology (${stage.topology}), two gateways and two control processes, all on this machine`);
  await using cluster = await startCluster({ gateways: 2, controls: 2, scale, stores: { old: stage.old, new: stage.new }, topology: stage.topology, http: true, gatewaySettings });
  await using load = await Load.connect({
    gateways: cluster.gateways.map(({ address }) => address),
    httpGateways: cluster.gateways.flatMap(({ httpAddress }) => (httpAddress === null ? [] : [httpAddress])),
    readOnlyGateways: [],
    writesPerSecond: rate,
    readsPerSecond: rate,
    scale,
    hotAccounts: 200,
    deadlineMs: 30_000,
    mostPending,
    rampMs,
    seed: Date.now(),
  });
  load.run();
  say(`services run now: they write ${rate} and read ${rate} rows a second through the gateways, over gRPC and over HTTP, and remember everything`);
  const stores = Object.entries(cluster.stores).map(([name, { title }]) => ({ name, kind: title }));
  await using observer = new Observer(cluster, load, stores, 'traffic', (scene) => {
    screen.draw(pictureOf(scene));
    if (!screen.isTerminal && performance.now() - saidMs > silenceMs) say(lineOf(scene));
  });
  await sleep(rampMs);
  const warmUpMs = benchNowMs();

  observer.act = 'copy: every row goes to the new store, and every change follows';
  await startMove(cluster);
  say('copied: four tables are in both stores, and every further write follows');
  observer.act = 'verify: every row of both stores is compared, while both change';
  const verified = await verifyMove(cluster);
  say(`verified: ${thousands(verified.rows)} rows compared, all alike`);

  const cutovers: OrderedCutover[] = [];
  const problems: string[] = [];
  for (const { direction, title, after } of story) {
    await sleep(betweenMs);
    observer.act = title;
    try {
      const cutover = await order(cluster, direction, say);
      cutovers.push(cutover);
      const wrong = await servingProblem(cluster, direction === 'switch' ? 'new' : 'old');
      if (wrong !== null) problems.push(`${title}: answered as done, and ${wrong}`);
      say(`${title}: ${stepsOf(cutover)}`);
      say(after);
    } catch (error) {
      problems.push(`${title}: ${error instanceof Error ? error.message : String(error)}`);
      say(problems.at(-1) ?? '');
      break;
    }
  }
  await sleep(betweenMs);
  observer.act = 'the services stop, and their record is held against both stores';
  const record = await load.finish();
  const primary = cutovers.at(-1)?.direction === 'switch' ? 'new' : 'old';
  const violations = judge(record, { ...(await factsOfBoth(cluster, primary)), scale });
  say('the services stop: every write of their record is looked for, and every column of every row compared with the other store');
  if (problems.length === 0) {
    observer.act = 'complete';
    await cluster.control(WorkflowService, 60_000).completeWorkflow({ name: workflowName });
    say('complete: the move is over; the old tables stay closed for ever, so that nobody writes there by mistake');
  }
  await observer[Symbol.asyncDispose]();
  screen.clear();
  const skippedMs = warmUpMs - record.startedMs;
  return {
    writes: record.writes.length,
    reads: record.reads.length,
    totals: summarizeAll(record, violations, cutovers, skippedMs),
    runs: summarizeRuns(record, violations, cutovers, skippedMs),
    rowsCompared: verified.rows,
    violations,
    problems,
  };
}

const holds: readonly string[] = holdSteps;
const indent = ' '.repeat(10);

/** What the cutover did and how long it took: before, while writes waited, and after. */
function stepsOf({ holdMs, stepsMs }: OrderedCutover): string {
  const steps = Object.entries(stepsMs);
  const list = (part: typeof steps): string => part.map(([step, ms]) => `${step} ${duration(ms)}`).join(', ');
  const first = steps.findIndex(([step]) => holds.includes(step));
  const afterHold = steps.findLastIndex(([step]) => holds.includes(step)) + 1;
  return [
    `writes waited ${duration(holdMs)}`,
    `${indent}before:  ${list(steps.slice(0, first))}`,
    `${indent}waiting: ${list(steps.slice(first, afterHold))}`,
    `${indent}after:   ${list(steps.slice(afterHold))}`,
  ].join('\n');
}

/** Orders the cutover as a person would: told "not now", again a moment later. */
async function order(cluster: Cluster, direction: Direction, say: (text: string) => void): Promise<OrderedCutover> {
  const door = rpcDoor(cluster);
  const orderedMs = benchNowMs();
  for (let tries = 1; ; tries += 1) {
    try {
      await door(direction);
      return orderedCutover(direction, orderedMs, benchNowMs(), await journalled(cluster));
    } catch (error) {
      if (tries === mostOrders || !(error instanceof SwitchyardError) || !error.retryable) throw error;
      say(`not now (${error.reason}): ${error.message}; ordered again`);
      await sleep(orderPauseMs);
    }
  }
}
