import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { serialize } from 'node:v8';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { type Cluster, startCluster } from '../../support/cluster/cluster.ts';
import type { Bench, BenchContext, BenchResult } from '../bench.ts';
import { ConnectionCuts, type CutCounts } from '../cuts/connection-cuts.ts';
import { lossesOf, lossProblems } from '../cuts/losses.ts';
import { describeMachine } from '../machine.ts';
import { benchNowMs, type Door, journalled, movedTables, orderedCutover, rpcDoor, startMove, verifyMove } from './bench-move.ts';
import { checkConsulDoor, consulDoor } from './consul-door.ts';
import { type CutoverConfig, cutoverConfig, cutoverOptions } from './cutover-config.ts';
import { type Disturbance, disturbanceOf } from './disturbance.ts';
import { FullLoad, type FullReport, fullTables, prepareFullLoad } from './full-load.ts';
import { judge, type Violation, violationKinds } from './judge.ts';
import { Load } from './load.ts';
import type { LoadRecord } from './load-record.ts';
import { factsOfBoth, servingProblem } from './both-stores.ts';
import { readStoreFacts } from './store-facts.ts';
import { type Direction, type OrderedCutover, summarizeAll, summarizeRuns } from './summary.ts';

const warmUpS = 3;
const afterLastS = 3;
const mostOrders = 10;
const orderPauseMs = 1_000;
const hotAccounts = 500;
/** To each store: more would only take processor time from each other on a machine that has everything on few processors. */
const connectionsPerGateway = 8;

/** What the load saw and what was ordered meanwhile. */
interface Flown {
  readonly record: LoadRecord;
  readonly cutovers: readonly OrderedCutover[];
  /** When all was prepared: figures count from here on, correctness from the beginning. */
  readonly readyMs: number;
  /** Store that serves at the end, going by the orders that were answered. */
  readonly primary: 'old' | 'new';
  /** Null: no connection was to be cut. */
  readonly cuts: CutCounts | null;
  /** Null: only the counted load. */
  readonly full: FullReport | null;
  readonly problems: readonly string[];
}

async function order(cluster: Cluster, door: Door, direction: Direction, disturbance: Disturbance, say: BenchContext['say']): Promise<OrderedCutover> {
  await disturbance.begin();
  const orderedMs = benchNowMs();
  let answeredMs = orderedMs;
  try {
    for (let tries = 1; ; tries += 1) {
      try {
        await door(direction);
        break;
      } catch (error) {
        // An operator who is told "not now" asks again.
        if (tries === mostOrders || !(error instanceof SwitchyardError) || !error.retryable) throw error;
        say(`${direction}: ${error.reason} ${error.message}; ordered again`);
        await sleep(orderPauseMs);
      }
    }
    answeredMs = benchNowMs();
  } finally {
    await disturbance.end();
  }
  const cutover = orderedCutover(direction, orderedMs, answeredMs, await journalled(cluster));
  say(`${direction}: answered after ${Math.round(answeredMs - orderedMs)} ms, hold ${cutover.holdMs} ms, ${cutover.attempts} attempt(s)`);
  return cutover;
}

/** Until the tables are copied and compared. */
async function prepareMove(cluster: Cluster, config: CutoverConfig, load: Load, disturbance: Disturbance, say: BenchContext['say']): Promise<void> {
  say(`the tables are copied: ${JSON.stringify(load.progress)}`);
  const telling = setInterval(() => say(JSON.stringify(load.progress)), 30_000);
  const tables = config.workload === 'full' ? [...movedTables, ...fullTables] : movedTables;
  await startMove(cluster, disturbance.holdBudgetMs, tables).finally(() => clearInterval(telling));
  await disturbance.prepare();
  say(`the copy is done: ${JSON.stringify(load.progress)}`);
  const verified = await verifyMove(cluster);
  say(`verified ${verified.rows} rows in ${verified.seconds} s: ${JSON.stringify(load.progress)}`);
}

async function fly(cluster: Cluster, config: CutoverConfig, disturbance: Disturbance, connectionCuts: ConnectionCuts | null, say: BenchContext['say']): Promise<Flown> {
  await using load = await Load.connect({
    gateways: cluster.gateways.map((gateway) => gateway.address),
    httpGateways: cluster.gateways.flatMap(({ httpAddress }) => (httpAddress === null ? [] : [httpAddress])),
    readOnlyGateways: disturbance.readOnlyGateways,
    writesPerSecond: config.writesPerSecond,
    readsPerSecond: config.readsPerSecond,
    scale: config.scale,
    hotAccounts,
    deadlineMs: config.deadlineMs,
    requestIds: config.requestIds,
    repeats: config.killConnections,
    rampMs: config.rampS * 1_000,
    seed: config.seed,
  });
  const begin = async (): Promise<void> => {
    say(`load begins and grows for ${config.rampS} s`);
    load.run();
    connectionCuts?.start();
    await sleep((config.rampS + config.fullLoadS) * 1_000);
  };
  if (!config.copyFirst) await begin();
  if (config.workload === 'full') await prepareFullLoad(cluster);
  await using full = config.workload === 'full' ? await FullLoad.start(cluster) : null;
  await prepareMove(cluster, config, load, disturbance, say);
  if (config.copyFirst) await begin();
  const readyMs = benchNowMs();
  await sleep(config.secondsBetween * 1_000);

  const door = config.door === 'consul' ? consulDoor(cluster) : rpcDoor(cluster);
  const cutovers: OrderedCutover[] = [];
  const problems: string[] = [];
  let primary: Flown['primary'] = 'old';
  for (let i = 0; i < config.cutovers * 2; i += 1) {
    const direction: Direction = i % 2 === 0 ? 'switch' : 'reverse';
    try {
      cutovers.push(await order(cluster, door, direction, disturbance, say));
      primary = direction === 'switch' ? 'new' : 'old';
      const wrong = await servingProblem(cluster, primary);
      if (wrong !== null) problems.push(`${direction} number ${Math.floor(i / 2) + 1} was answered as done, and ${wrong}`);
    } catch (error) {
      problems.push(`${direction} number ${Math.floor(i / 2) + 1} failed: ${error instanceof Error ? error.message : String(error)}`);
      say(problems.at(-1) ?? '');
      break;
    }
    await sleep(config.secondsBetween * 1_000);
  }
  const cuts = (await connectionCuts?.stop()) ?? null;
  if (cuts !== null) say(`connections cut: ${JSON.stringify(cuts)}`);
  if (config.door === 'consul' && problems.length === 0) problems.push(...(await checkConsulDoor(cluster, say)));
  await sleep(afterLastS * 1_000);
  const fullReport = (await full?.finish(primary)) ?? null;
  const record = await load.finish();
  say(`load ended: ${record.writes.length} writes, ${record.reads.length} reads, ${record.errorCount} errors ${errorsByPhase(record, readyMs)}`);
  if (config.recordFile !== null) await writeFile(config.recordFile, serialize({ record, cutovers, readyMs }));
  return { record, cutovers, readyMs, primary, cuts, full: fullReport, problems: [...problems, ...(fullReport?.violations ?? [])] };
}

/** The full load's figures as the result has them: numbers by name. */
function fullTotals(full: FullReport | null): Readonly<Record<string, number>> {
  if (full === null) return {};
  const totals: Record<string, number> = { watchedChanges: full.watchedChanges };
  for (const [name, { calls, slowestMs, errors }] of Object.entries(full.kinds)) {
    totals[`${name} calls`] = calls;
    totals[`${name} slowest ms`] = slowestMs;
    totals[`${name} errors`] = Object.values(errors).reduce((sum, count) => sum + count, 0);
  }
  for (const [reason, count] of Object.entries(full.retriedTransactions)) totals[`transactions retried for ${reason}`] = count;
  return totals;
}

/** "DEADLINE_EXCEEDED while preparing 12, FENCED afterwards 1": where to look. */
function errorsByPhase(record: LoadRecord, readyMs: number): string {
  const counts = new Map<string, number>();
  for (const { reason, endedMs } of record.errors) {
    const name = `${reason} ${endedMs < readyMs ? 'while preparing' : 'afterwards'}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => `${name} ${count}`).join(', ');
}

async function judgeFlown(cluster: Cluster, config: CutoverConfig, flown: Flown, say: BenchContext['say']): Promise<readonly Violation[]> {
  say(`judging: ${flown.primary} is primary`);
  // The copy of a store that lacks a safeguard may never become equal, and would be waited for: what the clients know must be enough there.
  const facts = config.broken === null ? await factsOfBoth(cluster, flown.primary) : { primary: await readStoreFacts(cluster.stores[flown.primary]), copy: null };
  return judge(flown.record, { ...facts, scale: config.scale });
}

function resultOf(config: CutoverConfig, flown: Flown, violations: readonly Violation[]): BenchResult {
  const { record, cutovers, readyMs, cuts, full, problems } = flown;
  const warmUpMs = readyMs - record.startedMs + warmUpS * 1_000;
  const totals = summarizeAll(record, violations, cutovers, warmUpMs);
  const losses = cuts === null ? null : lossesOf(record, cuts);
  const ratio = (a: number, b: number): number => Math.round((a / Math.max(b, 0.01)) * 100) / 100;
  return {
    name: 'cutover',
    machine: describeMachine(),
    config: { ...config, hotAccounts },
    totals: { ...totals, ...losses, ...fullTotals(full) },
    ratios: { slowestWriteOverUsual: ratio(totals.slowestWriteMs, totals.usualWriteMs), slowestReadOverUsual: ratio(totals.slowestReadMs, totals.usualReadMs) },
    runs: summarizeRuns(record, violations, cutovers, warmUpMs),
    violations: [
      ...problems,
      ...(losses === null ? [] : lossProblems(losses, config.requestIds)),
      ...violationKinds.flatMap((kind) => violations.filter((violation) => violation.kind === kind).map(({ what }) => `${kind}: ${what}`)),
    ],
  };
}

async function run({ options, say }: BenchContext): Promise<BenchResult> {
  const config = cutoverConfig(options);
  await using disturbance = disturbanceOf(config);
  await using connectionCuts = config.killConnections ? new ConnectionCuts(config.seed) : null;
  await using cluster = await startCluster({
    gateways: config.gateways,
    controls: config.controls,
    stores: { old: config.source, new: config.target },
    topology: config.topology,
    http: config.http,
    scale: config.scale,
    durable: config.durable,
    consulProxies: disturbance.needsConsulProxies,
    gatewaySettings: { pool: { size: connectionsPerGateway, acquireTimeoutMs: config.deadlineMs } },
    ...(connectionCuts === null ? {} : { shardOf: (store) => connectionCuts.shardOf(store) }),
    ...disturbance.processes,
    ...(config.logDirectory === null ? {} : { logDirectory: config.logDirectory }),
    say,
  });
  disturbance.attach(cluster);
  const flown = await fly(cluster, config, disturbance, connectionCuts, say);
  return resultOf(config, flown, await judgeFlown(cluster, config, flown, say));
}

/** Live tables moved to and fro under load, judged by the clients' own records and by SQL. */
export const cutoverBench: Bench = {
  name: 'cutover',
  summary: 'switches and reverses of four live tables under load, judged by the clients and by SQL',
  options: cutoverOptions,
  run,
};
