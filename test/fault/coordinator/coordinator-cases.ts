import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRpcClient } from '../../../client/rpc-client.ts';
import type { SideName } from '../../../control/move.ts';
import { hasReason } from '../../../core/switchyard-error.ts';
import { WorkflowService } from '../../../gen/switchyard/control/v1/workflows_pb.ts';
import { benchNowMs, movedTables, startMove, verifyMove, workflowName } from '../../bench/cutover/bench-move.ts';
import { judge } from '../../bench/cutover/judge.ts';
import { Load } from '../../bench/cutover/load.ts';
import type { LoadRecord } from '../../bench/cutover/load-record.ts';
import { readStoreFacts } from '../../bench/cutover/store-facts.ts';
import { type Cluster, startCluster } from '../../support/cluster/cluster.ts';
import type { FaultPlan } from '../../support/faults/fault-plan.ts';
import { FaultyControls, faultyControlOptions } from '../../support/faults/faulty-controls.ts';
import { type KeyspaceName, otherKeyspace, readSettledState } from '../../support/moves/move-state.ts';
import { longestStallMs, longestTimeWithoutWriteMs, readTimesMs } from '../../support/moves/outage.ts';
import { resetCounters, untilRowSetsAreEqual } from '../../support/moves/row-sets.ts';
import { waitUntil } from '../../support/servers/wait-until.ts';
import { keyspaceOf } from '../shuttle.ts';

export const holdBudgetMs = 250;
/** Traffic flows again within this after whatever happened to the coordinator. */
const outageLimitMs = holdBudgetMs + 1_500;
/** A read never waits for a cutover; this is what a busy machine may add: processes end and start beside it. A read that did wait would take the whole outage, a second and more. */
const usualReadLimitMs = 500;
const slowestReadLimitMs = 1_000;
const awakeMs = 1_000;
const orderAgainMs = 20_000;
const leastWrites = 50;

export interface CoordinatorOptions {
  readonly gateways: number;
  readonly seed: number;
  readonly logDirectory?: string;
}

/** What one death or pause of a coordinator came to. Times of the window from half a second before it to a second after its end. */
export interface CaseResult {
  readonly operations: number;
  readonly longestWithoutWriteMs: number;
  readonly slowestReadMs: number;
  /** How late the clients themselves were at worst: so long the machine stood still. */
  readonly stallMs: number;
  readonly violations: readonly string[];
}

/**
 * The control process that runs a cutover is killed, or frozen, right after one step of it, while clients write and read through every gateway: traffic flows again through the other control process, reads never wait, nothing is lost or done twice, and a frozen
 * one wakes and does no harm.
 */
export class CoordinatorCases implements AsyncDisposable {
  readonly #cluster: Cluster;
  readonly #controls: FaultyControls;
  readonly #stack: AsyncDisposableStack;
  #seed: number;

  private constructor(cluster: Cluster, controls: FaultyControls, stack: AsyncDisposableStack, seed: number) {
    this.#cluster = cluster;
    this.#controls = controls;
    this.#stack = stack;
    this.#seed = seed;
  }

  /** Resolves when the tables are copied and compared. */
  static async start({ gateways, seed, logDirectory }: CoordinatorOptions): Promise<CoordinatorCases> {
    await using stack = new AsyncDisposableStack();
    const directory = await mkdtemp(join(tmpdir(), 'switchyard-faults-'));
    stack.defer(() => rm(directory, { recursive: true, force: true }));
    const cluster = stack.use(await startCluster({ gateways, ...faultyControlOptions(directory), ...(logDirectory === undefined ? {} : { logDirectory }) }));
    await startMove(cluster);
    await verifyMove(cluster);
    return new CoordinatorCases(cluster, new FaultyControls(cluster, directory), stack.move(), seed);
  }

  async run(plan: FaultPlan): Promise<CaseResult> {
    const { to, signal } = plan;
    const from: SideName = to === 'target' ? 'source' : 'target';
    await using armed = await this.#controls.arm(workflowName, plan);
    const { process: doomed, survivor } = armed;
    await this.#ensurePrimary(from, survivor.address);
    await resetCounters(this.#cluster, keyspaceOf(from));

    await using load = await this.#connectLoad();
    load.run();
    await sleep(1_000);
    const ordered = order(to, survivor.address);
    const fired = armed.untilFired();
    // The order is answered once the end is written down, and one step comes after that.
    await Promise.race([fired, ordered.then((why) => (why === null ? fired : Promise.reject(new Error(`the cutover was not made: ${why}`))))]);
    const firedMs = benchNowMs();
    await this.#untilSettled(outageLimitMs + 1_000);

    if (signal === 'SIGSTOP') {
      doomed.resume();
      await sleep(awakeMs);
      await this.#untilSettled(1_000);
    }
    const endMs = benchNowMs();
    await armed.end();

    // The order may have been answered with an abort; the next one has to be carried out.
    await ordered;
    await this.#ensurePrimary(to, survivor.address);
    await sleep(300);
    const record = await load.finish();
    const harm = await this.#harm(record, keyspaceOf(to));
    return resultOf(record, { fromMs: firedMs - 500, toMs: endMs }, harm);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** Waits until exactly one store is open and the rules name it. */
  async #untilSettled(limitMs: number): Promise<KeyspaceName> {
    let why = '';
    return waitUntil('a settled state', { limitMs, everyMs: 100, explain: () => why }, async () => {
      const state = await readSettledState(this.#cluster, movedTables);
      if (state.kind === 'unsettled') why = state.why;
      return state.kind === 'settled' ? state.primary : undefined;
    });
  }

  async #ensurePrimary(side: SideName, address: string): Promise<void> {
    if ((await this.#untilSettled(10_000)) === keyspaceOf(side)) return;
    const why = await order(side, address);
    if (why !== null) throw new Error(`the ${side} could not be made primary: ${why}`);
    const primary = await this.#untilSettled(5_000);
    if (primary !== keyspaceOf(side)) throw new Error(`the ${side} was made primary, and "${primary}" is open`);
  }

  /** Nothing missing, doubled, different, stale, no error, no lost connection; and once all is quiet, both stores hold the same rows. */
  async #harm(record: LoadRecord, primary: KeyspaceName): Promise<readonly string[]> {
    const { stores } = this.#cluster;
    await untilRowSetsAreEqual(this.#cluster, movedTables);
    const [own, copy] = await Promise.all([readStoreFacts(stores[primary]), readStoreFacts(stores[otherKeyspace(primary)])]);
    return judge(record, { primary: own, copy, scale: 1 }).map(({ kind, what }) => `${kind}: ${what}`);
  }

  async #connectLoad(): Promise<Load> {
    const gateways = this.#cluster.gateways.map(({ address }) => address);
    this.#seed += 1;
    return Load.connect({ gateways, readOnlyGateways: [], writesPerSecond: 60, readsPerSecond: 100, scale: 1, hotAccounts: 200, deadlineMs: 5_000, seed: this.#seed });
  }
}

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

function resultOf(record: LoadRecord, window: { readonly fromMs: number; readonly toMs: number }, harm: readonly string[]): CaseResult {
  const stallMs = longestStallMs(record, window);
  const reads = readTimesMs(record, window);
  const longestWithoutWriteMs = longestTimeWithoutWriteMs(record, window);
  const violations = [...harm];
  const keeps = (what: string, ms: number, limitMs: number): void => {
    if (ms >= limitMs + stallMs)
      violations.push(`${what} took ${Math.round(ms)} ms, at most ${limitMs} are allowed (the clients themselves were late by ${Math.round(stallMs)} ms)`);
  };
  keeps('the time without a write', longestWithoutWriteMs, outageLimitMs);
  keeps('the 95th of 100 reads', reads.usual, usualReadLimitMs);
  keeps('the slowest read', reads.slowest, slowestReadLimitMs);
  if (record.writes.length <= leastWrites) violations.push(`only ${record.writes.length} writes: the case has tested nothing`);
  return { operations: record.writes.length + record.reads.length, longestWithoutWriteMs, slowestReadMs: reads.slowest, stallMs, violations };
}
