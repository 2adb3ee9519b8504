import { judge } from './judge.ts';
import type { StoreFault } from './store/server.ts';
import type { Note } from './world/journal.ts';
import type { RowOperation } from '../checker/history.ts';
import { Operator } from './world/operator.ts';
import type { Plan } from './world/plan.ts';
import { servingStore, unsettled } from './world/settlement.ts';
import { type Prepared, World } from './world/world.ts';

export interface SeedResult {
  readonly violations: readonly string[];
  readonly notes: readonly Note[];
  readonly history: readonly RowOperation[];
  /** Digest of everything that happened. */
  readonly trace: string;
  readonly steps: number;
  readonly virtualMs: number;
  readonly faults: number;
  /** Rows on which the checker found nothing and came to the end of its search. */
  readonly undecided: number;
}

export interface RunOptions {
  readonly broken: ReadonlySet<StoreFault>;
  readonly isTalkative: boolean;
}

const setUpLimitMs = 60_000;
const chaosLimitMs = 40_000;
/** After the last fault every gateway must take writes again within this. */
const trafficLimitMs = 10_000;
const settleLimitMs = 90_000;
const probeEveryMs = 100;
const quietMs = 500;

let prepared: Promise<Prepared> | null = null;

/** A world in which the workflow has been made without any fault: made once, and always the same. */
async function prepare(): Promise<Prepared> {
  const world = new World({ plan: { seed: 0, faults: [], fromScratch: true, ends: false, switches: 0, restMs: 100 }, broken: new Set(), isTalkative: false, prepared: null });
  if (!(await runUntil(world, operatorOf(world).setUp(), setUpLimitMs)) || world.violations.length > 0)
    throw new Error(`no workflow without any fault: ${world.violations.join('; ')}`);
  return world.remains;
}

/** Runs one world from its beginning to its end and judges it. Whatever is thrown on the way is a violation as well. */
export async function runSeed(plan: Plan, { broken, isTalkative }: RunOptions): Promise<SeedResult> {
  prepared ??= prepare();
  const world = new World({ plan, broken, isTalkative, prepared: plan.fromScratch ? null : await prepared });
  const onUnhandled = (error: unknown): void => world.violate(`a promise was rejected and nobody listened: ${String(error)}`);
  process.on('unhandledRejection', onUnhandled);
  try {
    await live(world, plan);
  } catch (error) {
    world.violate(`it ended with ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  } finally {
    process.off('unhandledRejection', onUnhandled);
  }
  const { scheduler, journal, history, violations, nemesis } = world;
  const judgement = judge(history);
  for (const said of judgement.violations) world.violate(said);
  return {
    undecided: judgement.undecided,
    violations,
    notes: journal.notes,
    history,
    trace: scheduler.trace,
    steps: scheduler.steps,
    virtualMs: scheduler.now,
    faults: nemesis.happened,
  };
}

async function live(world: World, plan: Plan): Promise<void> {
  const { scheduler, nemesis, journal } = world;
  const operator = operatorOf(world);
  world.startClients();
  nemesis.begin();
  const beganAt = scheduler.now;
  if (plan.fromScratch && !(await runUntil(world, operator.setUp(), setUpLimitMs))) return world.violate('the workflow was not set up in time');
  world.consul.backUp();
  await runUntil(world, operator.switchToAndFro(plan.switches), chaosLimitMs);
  if (plan.ends) await runUntil(world, operator.end(), chaosLimitMs);
  await scheduler.run(() => scheduler.now - beganAt >= Math.min(nemesis.lastTimeMs, chaosLimitMs));
  nemesis.end();
  journal.note('world', 'no more faults');
  if (world.violations.length > 0) return;
  await trafficFlows(world);
  // A backup of Consul from before the end brings the workflow back, whose tables nobody owns any more: it says so, and somebody ends it again.
  if (plan.ends) await runUntil(world, operator.endAgain(), settleLimitMs);
  for (const client of world.clients) client.stop();
  if (!(await runUntil(world, Promise.all(world.clients.map(({ done }) => done)), settleLimitMs))) {
    world.violate(`calls did not end: ${world.clients.flatMap(({ name, current }) => (current === null ? [] : [`${name} ${current}`])).join(', ')}`);
  }
  await settles(world);
  world.readFinalRows(servingStore(world));
}

const operatorOf = (world: World): Operator =>
  new Operator({ started: world.startProcess('operator'), controls: world.controls, network: world.network, scheduler: world.scheduler, journal: world.journal });

/** Every gateway takes a write and a read again, soon. */
async function trafficFlows(world: World): Promise<void> {
  const { scheduler } = world;
  const [client] = world.clients;
  if (client === undefined) return;
  const deadline = scheduler.now + trafficLimitMs;
  for (const gateway of world.gateways) {
    let problem: string | null = 'nothing was tried';
    const probing = async (): Promise<void> => {
      while (problem !== null && scheduler.now < deadline) {
        problem = await client.probe(gateway, 1_000);
        if (problem !== null) await client.process.clock.sleep(probeEveryMs);
      }
    };
    await runUntil(world, probing(), trafficLimitMs + 5_000);
    if (problem !== null) world.violate(`${gateway.place} did not take traffic again within ${trafficLimitMs} ms after the last fault: ${problem}`);
  }
}

/** Stores, rules and workflow come to rest, and stay so. */
async function settles(world: World): Promise<void> {
  const { scheduler } = world;
  const deadline = scheduler.now + settleLimitMs;
  let nextLook = scheduler.now;
  let calmSince: number | null = null;
  let problem: string | null = 'nothing was looked at';
  await scheduler.run(() => {
    if (scheduler.now < nextLook) return false;
    nextLook = scheduler.now + 50;
    problem = unsettled(world);
    calmSince = problem === null ? (calmSince ?? scheduler.now) : null;
    return (calmSince !== null && scheduler.now - calmSince >= quietMs) || scheduler.now >= deadline;
  });
  for (const { place, plane } of world.gateways) {
    const { buffered, drained, evicted, waiting } = plane.buffer.counts;
    const accounted = drained + waiting + Object.values(evicted).reduce((sum, count) => sum + count, 0);
    if (buffered !== accounted) world.violate(`${place} has buffered ${buffered} writes and accounts for ${accounted}`);
  }
  if (problem !== null) world.violate(`it did not come to rest within ${settleLimitMs / 1_000} s: ${problem}`);
}

/** Lets the world go on until the promise is settled; false: the time was over before. Rejects with it. */
async function runUntil(world: World, promise: Promise<unknown>, limitMs: number): Promise<boolean> {
  const { scheduler } = world;
  const deadline = scheduler.now + limitMs;
  let ended: { readonly error: unknown } | true | null = null;
  promise.then(
    () => {
      ended = true;
    },
    (error: unknown) => {
      ended = { error };
    },
  );
  await scheduler.run(() => ended !== null || scheduler.now >= deadline || world.violations.length > 0);
  if (ended !== null && ended !== true) throw (ended as { readonly error: unknown }).error;
  return ended === true || world.violations.length > 0;
}
