import { existsSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createRpcClient } from '../../../client/rpc-client.ts';
import { WorkflowService } from '../../../gen/switchyard/control/v1/workflows_pb.ts';
import { readWorkflow } from '../../bench/cutover/consul-rules.ts';
import { type Cluster, type ClusterOptions, untilServing } from '../cluster/cluster.ts';
import type { ClusterProcess } from '../cluster/cluster-process.ts';
import { waitUntil } from '../servers/wait-until.ts';
import { type FaultPlan, firedFile, plannedFile } from './fault-plan.ts';

const main = resolve(import.meta.dirname, 'control-with-fault.ts');
const limitMs = 30_000;

/** Two control processes that kill or freeze themselves after one step of a cutover when they are told to; else the product's own code. `folder` is where they look for it. */
export function faultyControlOptions(folder: string): Pick<ClusterOptions, 'controls' | 'controlMain' | 'controlArguments'> {
  return { controls: 2, controlMain: main, controlArguments: ['--faults', folder] };
}

/** The control processes of a cluster that was started with `faultyControlOptions`. */
export class FaultyControls {
  readonly #cluster: Cluster;
  readonly #folder: string;
  /** The one that was ended last: the workflow names it until another one runs it. */
  #endedSession = '';

  constructor(cluster: Cluster, folder: string) {
    this.#cluster = cluster;
    this.#folder = folder;
  }

  /** Resolves when both control processes serve, one of them runs the workflow, and that one has been told of the fault. */
  async arm(workflow: string, plan: FaultPlan): Promise<ArmedControl> {
    for (const control of this.#cluster.controls) await untilAnswering(control);
    const explain = async (): Promise<string> => (await Promise.all(this.#cluster.controls.map((control) => control.logTail()))).join('\n');
    const runner = await waitUntil(`a control process running ${workflow}`, { limitMs, everyMs: 50, explain }, async () => {
      const named = (await readWorkflow(this.#cluster.consul, workflow)).runner;
      return named === undefined || named.session === this.#endedSession ? undefined : named;
    });
    const armed = this.#cluster.controls.find(({ name }) => name === runner.id);
    const survivor = this.#cluster.controls.find(({ name }) => name !== runner.id);
    if (armed === undefined || survivor === undefined) throw new Error(`"${runner.id}", which runs ${workflow}, is none of the cluster's two control processes`);
    const [planned, fired] = [plannedFile(this.#folder, armed.name), firedFile(this.#folder, armed.name)];
    // Whole or not at all: the process looks for it at every step.
    await writeFile(`${planned}.part`, JSON.stringify(plan));
    await rename(`${planned}.part`, planned);
    const end = async (): Promise<void> => {
      await armed.kill();
      await this.#endSession(runner.session);
      await Promise.all([planned, fired].map((file) => rm(file, { force: true })));
      await armed.start();
    };
    const disarm = async (): Promise<void> => {
      await Promise.all([planned, fired].map((file) => rm(file, { force: true })));
    };
    return new ArmedControl(armed, survivor, fired, { end, disarm });
  }

  /** Consul itself ends the session some 10 to 20 s after the death of its holder: from then on another process may run the workflow. */
  async #endSession(session: string): Promise<void> {
    const response = await fetch(`${this.#cluster.consul.address}/v1/session/destroy/${session}`, { method: 'PUT', signal: AbortSignal.timeout(5_000) });
    if (!response.ok) throw new Error(`Consul answered ${response.status} to the end of a session`);
    this.#endedSession = session;
  }
}

/** The control process that runs the workflow, and has a fault before it. */
export class ArmedControl implements AsyncDisposable {
  readonly process: ClusterProcess;
  readonly survivor: ClusterProcess;
  readonly #firedFile: string;
  readonly #ways: Readonly<Record<'end' | 'disarm', () => Promise<void>>>;
  #ended = false;

  constructor(process: ClusterProcess, survivor: ClusterProcess, firedFile: string, ways: Readonly<Record<'end' | 'disarm', () => Promise<void>>>) {
    this.process = process;
    this.survivor = survivor;
    this.#firedFile = firedFile;
    this.#ways = ways;
  }

  get hasFired(): boolean {
    return existsSync(this.#firedFile);
  }

  async untilFired(): Promise<void> {
    const explain = (): Promise<string> => this.process.logTail();
    await waitUntil(`the fault of ${this.process.name}`, { limitMs, everyMs: 2, explain }, async () => (this.hasFired ? true : undefined));
  }

  /** Ends the process and its session, so that the survivor may run the workflow, and starts it again without a fault; it may not serve yet. Once. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#ways.end();
  }

  /** Takes the fault back, where it has not come, and leaves the process and its session to themselves. Instead of `end`. */
  async disarm(): Promise<void> {
    this.#ended = true;
    await this.#ways.disarm();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

async function untilAnswering(process: ClusterProcess): Promise<void> {
  using client = createRpcClient(WorkflowService, process.address, { deadlineMs: 2_000 });
  await untilServing(process, () => client.listWorkflows({}));
}
