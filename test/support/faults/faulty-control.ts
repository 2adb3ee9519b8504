import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createRpcClient } from '../../../client/rpc-client.ts';
import { WorkflowService } from '../../../gen/switchyard/control/v1/workflows_pb.ts';
import { readWorkflow } from '../../bench/cutover/consul-rules.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { ClusterProcess } from '../cluster/cluster-process.ts';
import { controlConfig, processEnv } from '../cluster/process-config.ts';
import { findFreePorts } from '../servers/free-port.ts';
import { waitUntil } from '../servers/wait-until.ts';
import type { FaultPlan } from './fault-plan.ts';

const main = resolve(import.meta.dirname, 'control-with-fault.ts');
const limitMs = 30_000;

/** A control process of a test cluster that kills or freezes itself after one step of a cutover; else the product's own code. */
export class FaultyControl implements AsyncDisposable {
  readonly process: ClusterProcess;
  readonly #plan: FaultPlan;
  readonly #cluster: Cluster;
  #session = '';

  private constructor(cluster: Cluster, process: ClusterProcess, plan: FaultPlan) {
    this.#cluster = cluster;
    this.process = process;
    this.#plan = plan;
  }

  /** `directory` takes the file that tells of the fault, `logDirectory` the process's log where it is to stay. It is not the runner yet. */
  static async start(cluster: Cluster, fault: Omit<FaultPlan, 'firedFile'>, directory: string, logDirectory?: string): Promise<FaultyControl> {
    const name = `faulty-${fault.signal.toLowerCase()}-${fault.step}-${fault.to}`;
    const plan: FaultPlan = { ...fault, firedFile: join(directory, name) };
    const [port = 0] = await findFreePorts(1);
    const address = `127.0.0.1:${port}`;
    const config = controlConfig(name, address, cluster.consul.address);
    const process = await ClusterProcess.start({
      name,
      main,
      config,
      address,
      moreArguments: ['--fault', JSON.stringify(plan)],
      env: processEnv('control'),
      ...(logDirectory === undefined ? {} : { logFile: join(logDirectory, `${name}.log`) }),
    });
    const faulty = new FaultyControl(cluster, process, plan);
    await untilServing(process);
    return faulty;
  }

  get hasFired(): boolean {
    return existsSync(this.#plan.firedFile);
  }

  /** Ends the present runner, waits until this one runs the workflow, and starts the other again as the standby. */
  async becomeRunner(standby: ClusterProcess, workflow: string): Promise<void> {
    await standby.terminate();
    const explain = (): Promise<string> => this.process.logTail();
    this.#session = await waitUntil(`${this.process.name} running the workflow`, { limitMs, everyMs: 50, explain }, async () => {
      await this.process.assertRunning();
      const { runner } = await readWorkflow(this.#cluster.consul, workflow);
      return runner?.id === this.process.name ? runner.session : undefined;
    });
    await standby.start();
    await untilServing(standby);
  }

  async untilFired(): Promise<void> {
    const explain = (): Promise<string> => this.process.logTail();
    await waitUntil(`the fault of ${this.process.name}`, { limitMs, everyMs: 2, explain }, async () => (this.hasFired ? true : undefined));
  }

  /** Ends its session in Consul, which Consul itself does some 10 to 20 s after the death of its holder: from then on another process may run the workflow. */
  async endSession(): Promise<void> {
    const response = await fetch(`${this.#cluster.consul.address}/v1/session/destroy/${this.#session}`, { method: 'PUT', signal: AbortSignal.timeout(5_000) });
    if (!response.ok) throw new Error(`Consul answered ${response.status} to the end of a session`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
  }
}

/** Resolves when the control process answers. */
export async function untilServing(process: ClusterProcess): Promise<void> {
  using client = createRpcClient(WorkflowService, process.address, { deadlineMs: 2_000 });
  let last: unknown;
  await waitUntil(`${process.name} serving`, { limitMs, everyMs: 50, explain: async () => `${String(last)}\n${await process.logTail()}` }, async () => {
    await process.assertRunning();
    try {
      return await client.listWorkflows({});
    } catch (error) {
      last = error;
      return undefined;
    }
  });
}
