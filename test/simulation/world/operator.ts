import { create } from '@bufbuild/protobuf';
import { createWorkflow } from '../../../control/services/create-workflow.ts';
import { requestAndWait } from '../../../control/services/workflow-requests.ts';
import { wantSide } from '../../../control/workflow/claims.ts';
import { hasReason } from '../../../core/switchyard-error.ts';
import { isActive, type WorkflowDocument } from '../../../core/workflow-document.ts';
import { WorkflowSchema } from '../../../gen/switchyard/control/v1/workflows_pb.ts';
import type { Topology } from '../../../topo/topology.ts';
import { Connection } from '../kernel/connection.ts';
import type { Network } from '../kernel/network.ts';
import type { SimProcess } from '../kernel/process.ts';
import type { Scheduler } from '../kernel/scheduler.ts';
import type { ControlNode, ControlSession } from './control-node.ts';
import type { Journal } from './journal.ts';
import { stores } from './plan.ts';
import type { StartedProcess } from './parts.ts';
import { tableNames } from './tables.ts';

export const workflowName = 'move';

export interface OperatorOptions {
  readonly started: StartedProcess;
  readonly controls: readonly ControlNode[];
  readonly network: Network;
  readonly scheduler: Scheduler;
  readonly journal: Journal;
}

const callLimitMs = 20_000;
const pollMs = 200;
const retryMs = 250;
/** How long a switch is waited for before the next one is asked for. */
const patienceMs = 7_000;
/** A control that is back has looked at every workflow by then. */
const calmMs = 20_000;
const note = { by: 'operator', reason: 'simulation' };

/** Somebody who makes the workflow and asks for switches: through a control, or with a Consul client of his own. Tries again whatever fails. */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #process: SimProcess;
  readonly #topology: Topology;

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#process = options.started.process;
    this.#topology = options.started.topology;
  }

  /** Everything up to a workflow that runs and is verified. */
  async setUp(): Promise<void> {
    const credential = (user: string) => ({ user, password: 'env:SECRET' });
    for (const name of stores) {
      const shard = { kind: 'simulated', host: name, port: 1, database: name, gateway: credential('gateway'), player: credential('player'), owner: credential('owner') };
      await this.#persist((signal) => this.#topology.putKeyspace({ name, shards: [shard] }, signal));
    }
    await this.#persist((signal) => this.#topology.initialRules(note, 'old', signal));
    const message = create(WorkflowSchema, { name: workflowName, source: 'old', target: 'new', tables: [...tableNames], limits: { attempts: 3 } });
    await this.#persist((signal) => this.#ask(signal, (session) => createWorkflow(session.context, message, false, session.signal)));
    while ((await this.#document())?.state !== 'running') await this.#process.clock.sleep(pollMs);
    const verify = { name: workflowName, kind: 'verify' as const, keepData: false, repair: false, validateOnly: false };
    await this.#persist((signal) => this.#ask(signal, (session) => requestAndWait(session.context, verify, session.signal)));
  }

  /** Wants the other side, waits until it serves or patience ends, and so on. */
  async switchToAndFro(times: number): Promise<void> {
    const { clock } = this.#process;
    for (let time = 0; time < times; time += 1) {
      const before = await this.#document();
      const to = before?.state === 'switched' ? 'source' : 'target';
      this.#options.journal.note('operator', `wants the ${to}`);
      await this.#persist((signal) => this.#topology.updateRules(note, (rules) => wantSide(rules, workflowName, to), signal));
      const deadline = clock.monotonic() + patienceMs;
      while (clock.monotonic() < deadline) {
        const document = await this.#document();
        if (document !== null && document.state === (to === 'target' ? 'switched' : 'running') && document.cutovers.at(-1)?.outcome !== 'running') break;
        await clock.sleep(pollMs);
      }
    }
  }

  /** Asks once for the end of the workflow, whichever its state allows; whether it comes is for the controls to see to. */
  async end(): Promise<void> {
    const document = await this.#document();
    const kind = document?.state === 'switched' ? ('complete' as const) : ('cancel' as const);
    this.#options.journal.note('operator', `wants to ${kind}`);
    try {
      await this.#ask(this.#limit(patienceMs), (session) =>
        requestAndWait(session.context, { name: workflowName, kind, keepData: false, repair: false, validateOnly: false }, session.signal),
      );
    } catch (error) {
      this.#options.journal.note('operator', 'failed', error);
    }
  }

  /** Ends the workflow again where its message says so: Consul was set back to before its end. Looks until the workflow has ended, or has said no such thing for a while. */
  async endAgain(): Promise<void> {
    const { clock } = this.#process;
    let calmSince = clock.monotonic();
    while (clock.monotonic() - calmSince < calmMs) {
      const document = await this.#document();
      if (document !== null && !isActive(document.state)) return;
      if (document === null || document.message.includes('before Consul was set back')) {
        if (document !== null) await this.end();
        calmSince = clock.monotonic();
      }
      await clock.sleep(pollMs);
    }
  }

  /** Null: Consul does not say. */
  async #document(): Promise<WorkflowDocument | null> {
    try {
      return (await this.#topology.workflow(workflowName, this.#limit(2_000)))?.value ?? null;
    } catch {
      return null;
    }
  }

  async #persist(act: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await act(this.#limit(callLimitMs));
        return;
      } catch (error) {
        if (hasReason(error, 'WORKFLOW_EXISTS')) return;
        this.#options.journal.note('operator', 'failed', error);
        await this.#process.clock.sleep(retryMs);
      }
    }
  }

  #ask<T>(signal: AbortSignal, act: (session: ControlSession) => Promise<T>): Promise<T> {
    const { controls, network, scheduler } = this.#options;
    const control = controls.find(({ process }) => process.isRunning) ?? controls[0];
    if (control === undefined) throw new Error('there is no control');
    return new Connection<ControlSession>(this.#process, control, network, scheduler).send(act, { signal, onAbort: 'leave' });
  }

  #limit(ms: number): AbortSignal {
    const controller = new AbortController();
    this.#process.clock.after(ms, () => controller.abort());
    return controller.signal;
  }
}
