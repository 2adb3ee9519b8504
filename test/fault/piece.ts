import { setTimeout as sleep } from 'node:timers/promises';
import { createRpcClient } from '../../client/rpc-client.ts';
import { WorkflowService } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { movedTables, startMove, verifyMove, workflowName } from '../bench/cutover/bench-move.ts';
import { factsOfBoth } from '../bench/cutover/both-stores.ts';
import { judge, type JudgedFacts, type Violation } from '../bench/cutover/judge.ts';
import { Load } from '../bench/cutover/load.ts';
import type { LoadRecord } from '../bench/cutover/load-record.ts';
import { readStoreFacts, type StoreFacts } from '../bench/cutover/store-facts.ts';
import { Dice } from '../bench/cutover/workload.ts';
import { check } from '../checker/check.ts';
import { explainViolation } from '../checker/explain.ts';
import { readSettledState } from '../support/moves/move-state.ts';
import { settleAccounts } from './accounts.ts';
import { historyOf } from './clients-history.ts';
import { endBlindly } from './blind-ending.ts';
import type { SafeguardCast } from './breaks.ts';
import { clientPlan, pgbenchScale } from './clients.ts';
import { differenceFrom, leftOf, logsDifferFrom, stillFootprint } from './leftovers.ts';
import { MachineShare } from './machine-share.ts';
import type { Nemesis } from './nemeses/nemesis.ts';
import { type Round, strikeFor } from './schedule.ts';
import { keyspaceOf, type Order, Shuttle } from './shuttle.ts';
import { World } from './world.ts';

/** Without hands a cutover succeeds again within this after the last healing: Consul may take 20 s to give a dead process's workflow to another one. */
const handsOffLimitMs = 60_000;
const quietMs = 1_000;

export interface PieceOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly nemeses: readonly Nemesis[];
  readonly consulServers: 1 | 3;
  /** A run about one safeguard; left out: about none. */
  readonly safeguard?: SafeguardCast;
  readonly logDirectory?: string;
  readonly say: (line: string) => void;
}

/** What one piece came to. */
export interface Verdict {
  readonly minutes: number;
  readonly cutovers: number;
  readonly operations: number;
  readonly lost: number;
  readonly doubled: number;
  readonly stale: number;
  readonly differing: number;
  readonly unresolved: number;
  readonly longestWithoutFlowMs: number;
  /** Of the machine at worst after a healing: by so much a limit is longer there. */
  readonly slowdown: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
  readonly refusals: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
}

/** A world of its own, struck for some minutes under load and cutovers, healed and judged. */
export async function runPiece(options: PieceOptions): Promise<Verdict> {
  const { seed, minutes, nemeses, safeguard, say } = options;
  const dice = new Dice(seed);
  const needs = (what: 'ownClocks' | 'disks'): boolean => nemeses.some((nemesis) => nemesis.needs?.[what] === true);
  await using world = await World.start({
    seed,
    consulServers: options.consulServers,
    ownClocks: needs('ownClocks'),
    diskMiB: needs('disks') ? 1_024 : null,
    ...(safeguard === undefined ? {} : { processes: safeguard.processes }),
    ...(options.logDirectory === undefined ? {} : { logDirectory: options.logDirectory }),
    say,
  });
  const { cluster } = world;
  await startMove(cluster, safeguard?.holdBudgetMs ?? null);
  await verifyMove(cluster);
  const shuttle = new Shuttle(cluster);
  const expected = { old: [] as readonly string[], new: [] as readonly string[] };
  for (const primary of ['new', 'old'] as const) {
    await untilOrdered(shuttle, 1);
    expected[primary] = await stillFootprint(cluster);
  }

  await using load = await Load.connect(clientPlan(world.gatewayAddresses, seed, safeguard?.readOnlyGateways ?? []));
  load.run();
  if (safeguard?.ends === true) {
    await sleep(3_000);
    const round = await endBlindly(world, shuttle);
    const record = await load.finish();
    const facts = { primary: await readStoreFacts(cluster.stores.new), copy: null };
    return verdictOf({ struckMinutes: 0, rounds: [round], shuttle, record, facts, problems: [] });
  }
  shuttle.start();
  await sleep(2_000);
  await using share = new MachineShare();
  await sleep(1_000);
  const startedMs = performance.now();
  const rounds = await strikeFor(world, { nemeses, minutes, dice, share, say });
  const struckMinutes = (performance.now() - startedMs) / 60_000;

  const problems: string[] = [];
  await shuttle.stop();
  problems.push(...(await logsDifferFrom(cluster, expected)));
  if (!(await untilOrdered(shuttle, 2))) problems.push(`no cutover within ${handsOffLimitMs / 1_000} s after everything was healed: ${JSON.stringify(shuttle.orders.at(-1))}`);
  const record = await load.finish();
  const settled = await shuttle.settled(10_000);
  if ('why' in settled) return verdictOf({ struckMinutes, rounds, shuttle, record, facts: null, problems: [...problems, `not settled at the end: ${settled.why}`] });

  await sleep(quietMs);
  problems.push(...(await differenceFrom(cluster, expected[settled.primary])));
  // What clients know must be enough to find harm; the copy of a store without a safeguard may never become equal, and would be waited for.
  const isWhole = (safeguard?.lacks ?? null) === null;
  const facts = isWhole ? await factsOfBoth(cluster, settled.primary) : { primary: await readStoreFacts(cluster.stores[settled.primary]), copy: null };
  problems.push(...(await endMove(world)));
  return verdictOf({ struckMinutes, rounds, shuttle, record, facts, problems });
}

/** Resolves to whether so many orders were carried out within the time. */
async function untilOrdered(shuttle: Shuttle, count: number): Promise<boolean> {
  const endsMs = performance.now() + handsOffLimitMs;
  for (let done = 0; done < count; ) {
    if (await shuttle.order()) done += 1;
    else if (performance.now() > endsMs) return false;
    else await sleep(300);
  }
  return true;
}

/** Completes the move, or cancels it where the source serves, and tells what is left of it. */
async function endMove({ cluster }: World): Promise<readonly string[]> {
  const state = await readSettledState(cluster, movedTables);
  const isSwitched = state.kind === 'settled' && state.primary === keyspaceOf('target');
  using workflows = createRpcClient(WorkflowService, cluster.controls[0]?.address ?? '', { deadlineMs: 60_000 });
  try {
    await (isSwitched ? workflows.completeWorkflow({ name: workflowName }) : workflows.cancelWorkflow({ name: workflowName, keepData: true }));
  } catch (error) {
    return [`the move could not be ended: ${String(error)}`];
  }
  return leftOf(cluster);
}

interface Found {
  readonly struckMinutes: number;
  readonly rounds: readonly Round[];
  readonly shuttle: Shuttle;
  readonly record: LoadRecord;
  /** Null: the stores did not come to rest. */
  readonly facts: Pick<JudgedFacts, 'primary' | 'copy'> | null;
  readonly problems: readonly string[];
}

/** Beside the bench's own judge: each row's calls in some order that their times allow. */
function notLinearizable(record: LoadRecord, primary: StoreFacts): readonly string[] {
  const { violations, undecided } = check(historyOf(record, primary));
  return [
    ...violations.map((violation) => `not linearizable: ${explainViolation(violation)}`),
    ...undecided.map((key) => `whether the calls on ${key} are linearizable could not be decided`),
  ];
}

function counted(names: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

const refusedOrders = (orders: readonly Order[]): readonly string[] => orders.flatMap(({ reason }) => (reason === null ? [] : [reason]));

function verdictOf({ struckMinutes, rounds, shuttle, record, facts, problems }: Found): Verdict {
  const violations = facts === null ? [] : judge(record, { ...facts, scale: pgbenchScale });
  const strikes = rounds.flatMap((round) => round.strikes);
  const accounts = settleAccounts(record.failedTries, strikes, shuttle.orders);
  // Broken connections are what some strikes are for; failed tries are judged one by one above.
  const harm = violations.filter(({ kind }) => kind !== 'reconnect');
  const count = (kind: Violation['kind']): number => harm.filter((violation) => violation.kind === kind).length;
  const unresolved = record.writes.outcome.reduce((sum, outcome) => sum + (outcome === 1 || outcome === 3 ? 0 : 1), 0);
  const startMs = strikes[0]?.fromMs ?? record.startedMs;
  const unexplained = accounts.unexplained.map(
    ({ call, gateway, reason, message, issuedMs, endedMs }) =>
      `error: a ${call} through gateway-${gateway + 1} failed ${((issuedMs - startMs) / 1_000).toFixed(2)} to ${((endedMs - startMs) / 1_000).toFixed(2)} s after the first strike, and nothing explains it: ${reason} ${message}`,
  );
  return {
    minutes: struckMinutes,
    cutovers: shuttle.done,
    operations: record.writes.length + record.reads.length,
    lost: count('missing'),
    doubled: count('doubled'),
    stale: count('stale'),
    differing: count('different'),
    unresolved,
    longestWithoutFlowMs: Math.round(Math.max(0, ...rounds.map(({ flowMs }) => flowMs))),
    slowdown: Math.round(Math.max(1, ...rounds.map((round) => round.slowdown)) * 10) / 10,
    faults: counted(strikes.map(({ name }) => name)),
    errors: accounts.byReason,
    refusals: counted(refusedOrders(shuttle.orders)),
    violations: [
      ...problems,
      ...rounds.flatMap((round) => round.problems),
      ...harm.map(({ kind, what }) => `${kind}: ${what}`),
      ...unexplained,
      ...(facts === null ? [] : notLinearizable(record, facts.primary)),
      ...(unresolved === 0 ? [] : [`${unresolved} writes with request ids have no outcome`]),
    ],
  };
}
