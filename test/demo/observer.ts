import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowService, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { RulesService } from '../../gen/switchyard/control/v1/rules_pb.ts';
import { movedTables, workflowName } from '../bench/cutover/bench-move.ts';
import type { Load } from '../bench/cutover/load.ts';
import { rowsPerRead, rowsPerWrite } from '../bench/cutover/workload.ts';
import type { Cluster } from '../support/cluster/cluster.ts';
import type { Scene } from './picture.ts';

const everyMs = 500;

/** Asks control and the clients how things stand, and gives each moment to `onScene`, until it is disposed of. What cannot be read just now is shown as it was. */
export class Observer implements AsyncDisposable {
  readonly #cluster: Cluster;
  readonly #load: Load;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #scene: Scene;
  act: string;

  constructor(cluster: Cluster, load: Load, stores: Scene['stores'], act: string, onScene: (scene: Scene) => void) {
    this.#cluster = cluster;
    this.#load = load;
    this.act = act;
    const nothing = { secondsIn: 0, writesPerSecond: 0, readsPerSecond: 0, errors: 0, slowestWriteMs: 0, slowestReadMs: 0, rowsCopied: 0n, rowsTotal: 0n };
    this.#scene = { act, ...nothing, primary: null, held: false, stores, lagMs: null };
    this.#done = this.#run(onScene);
  }

  async #run(onScene: (scene: Scene) => void): Promise<void> {
    const startedMs = performance.now();
    let before = this.#load.progress;
    while (!this.#stop.signal.aborted) {
      await sleep(everyMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      const now = this.#load.progress;
      if (now.atMs === before.atMs) continue;
      const perSecond = (calls: number): number => Math.round((calls * 1_000) / (now.atMs - before.atMs));
      this.#scene = {
        ...this.#scene,
        ...(await this.#asControlSays()),
        act: this.act,
        secondsIn: (performance.now() - startedMs) / 1_000,
        writesPerSecond: perSecond((now.writes - before.writes) * rowsPerWrite),
        readsPerSecond: perSecond((now.reads - before.reads) * rowsPerRead),
        errors: now.errors,
        slowestWriteMs: now.slowestWriteMs,
        slowestReadMs: now.slowestReadMs,
      };
      before = now;
      onScene(this.#scene);
    }
  }

  async #asControlSays(): Promise<Partial<Scene>> {
    using rules = this.#cluster.control(RulesService, everyMs);
    using workflows = this.#cluster.control(WorkflowService, everyMs);
    try {
      const [routing, { workflow }] = await Promise.all([rules.getRules({}), workflows.getWorkflow({ name: workflowName })]);
      const rule = routing.rules?.tables[movedTables[0]];
      const progress = workflow?.progress ?? [];
      const sum = (counts: readonly bigint[]): bigint => counts.reduce((total, count) => total + count, 0n);
      return {
        primary: rule?.primary ?? null,
        held: rule?.hold !== undefined,
        rowsCopied: sum(progress.map(({ rowsCopied }) => rowsCopied)),
        rowsTotal: workflow?.state === WorkflowState.COPYING ? sum(progress.map(({ rowsTotal }) => rowsTotal)) : 0n,
        lagMs: workflow?.lagMs ?? null,
      };
    } catch {
      return {}; // before the workflow exists, and while control is busy
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }
}
