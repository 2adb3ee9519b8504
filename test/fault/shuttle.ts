import { setTimeout as sleep } from 'node:timers/promises';
import { createRpcClient } from '../../client/rpc-client.ts';
import { asSwitchyardError } from '../../control/time-limit.ts';
import type { SideName } from '../../control/move.ts';
import { WorkflowService } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { benchNowMs, movedTables, workflowName } from '../bench/cutover/bench-move.ts';
import type { Cluster } from '../support/cluster/cluster.ts';
import { type KeyspaceName, readSettledState } from '../support/moves/move-state.ts';

const orderLimitMs = 20_000;
const verifyLimitMs = 60_000;
const againMs = 300;
const pauseMs = 100;

export const keyspaceOf = (side: SideName): KeyspaceName => (side === 'source' ? 'old' : 'new');
const otherSide = (side: SideName): SideName => (side === 'source' ? 'target' : 'source');

/** One order, whatever became of it. */
export interface Order {
  readonly to: SideName;
  readonly orderedMs: number;
  readonly answeredMs: number;
  /** Null: done. */
  readonly reason: string | null;
  readonly message: string;
}

/** Orders cutovers to and fro, one after the other, at whichever control process answers, as an operator does who only ever says "again". */
export class Shuttle {
  readonly #cluster: Cluster;
  readonly #orders: Order[] = [];
  readonly #ending = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #to: SideName = 'target';
  #control = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  get orders(): readonly Order[] {
    return this.#orders;
  }

  get done(): number {
    return this.#orders.filter(({ reason }) => reason === null).length;
  }

  start(): void {
    this.#running = this.#run();
    this.#running.catch(() => {}); // `stop` tells
  }

  /** Resolves when the last order has been answered. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  /** The store that serves at the end, by the stores and the rules; waits for the end of what goes on. Null, with the reason, when it does not settle. */
  async settled(limitMs: number): Promise<{ readonly primary: KeyspaceName } | { readonly why: string }> {
    const endsMs = performance.now() + limitMs;
    for (;;) {
      const state = await readSettledState(this.#cluster, movedTables).catch((error: unknown) => ({ kind: 'unsettled' as const, why: String(error) }));
      if (state.kind === 'settled') return { primary: state.primary };
      if (performance.now() > endsMs) return { why: state.why };
      await sleep(100);
    }
  }

  /** One order. Resolves to whether it was carried out. */
  async order(): Promise<boolean> {
    const control = this.#cluster.controls[this.#control % this.#cluster.controls.length];
    const orderedMs = benchNowMs();
    let [reason, message]: [string | null, string] = [null, ''];
    try {
      using workflows = createRpcClient(WorkflowService, control?.address ?? '', { deadlineMs: orderLimitMs });
      await (this.#to === 'target' ? workflows.switchTraffic({ name: workflowName }) : workflows.reverseTraffic({ name: workflowName }));
    } catch (error) {
      ({ reason, message } = asSwitchyardError(error));
    }
    this.#orders.push({ to: this.#to, orderedMs, answeredMs: benchNowMs(), reason, message });
    if (reason === null) this.#to = otherSide(this.#to);
    else this.#control += 1;
    if (reason === 'NOT_VERIFIED' || reason === 'DIFFERENCES_FOUND') await this.#verify();
    return reason === null;
  }

  async #run(): Promise<void> {
    while (!this.#ending.signal.aborted) await sleep((await this.order()) ? pauseMs : againMs);
  }

  async #verify(): Promise<void> {
    const control = this.#cluster.controls[this.#control % this.#cluster.controls.length];
    using workflows = createRpcClient(WorkflowService, control?.address ?? '', { deadlineMs: verifyLimitMs });
    await workflows.verifyWorkflow({ name: workflowName }).catch(() => {}); // the next order tells
  }
}
