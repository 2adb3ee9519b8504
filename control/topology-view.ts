import type { Clock } from '../core/clock.ts';
import type { WorkflowDocument } from '../core/workflow-document.ts';
import type { Logger } from '../runtime/logger.ts';
import type { RulesSnapshot, Stored, Topology } from '../topo/topology.ts';
import { Gate } from './gate.ts';

/**
 * The newest workflows and rules that this process has seen, one watch each for all of its parts. To be woken by and to show; whoever decides something reads again, consistently.
 */
export class TopologyView {
  readonly #topology: Topology;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #changed = new Gate();
  #workflows: ReadonlyMap<string, Stored<WorkflowDocument>> = new Map();
  #rules: RulesSnapshot | null = null;

  constructor(topology: Topology, clock: Clock, log: Logger) {
    this.#topology = topology;
    this.#clock = clock;
    this.#log = log;
  }

  get workflows(): ReadonlyMap<string, Stored<WorkflowDocument>> {
    return this.#workflows;
  }

  get rules(): RulesSnapshot | null {
    return this.#rules;
  }

  /** Watches until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const onFault = (error: Error): void => this.#log.warn({ err: error }, 'Consul does not answer a watch; going on with what was seen last');
    const workflows = async (): Promise<void> => {
      for await (const stored of this.#topology.watchWorkflows(signal, onFault)) {
        this.#workflows = new Map(stored.map((entry) => [entry.value.name, entry]));
        this.#changed.wake();
      }
    };
    const rules = async (): Promise<void> => {
      for await (const snapshot of this.#topology.watchRules(signal, onFault)) {
        this.#rules = snapshot;
        this.#changed.wake();
      }
    };
    await Promise.all([workflows(), rules()]);
  }

  /** Resolves at the next change, after `limitMs` at the latest. Rejects when the signal aborts. */
  async changed(limitMs: number, signal: AbortSignal): Promise<void> {
    const timer = new AbortController();
    const both = AbortSignal.any([signal, timer.signal]);
    try {
      await Promise.race([this.#changed.wait(both), this.#clock.sleep(limitMs, both)]);
    } finally {
      timer.abort();
    }
  }
}
