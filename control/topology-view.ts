import type { Clock } from '../core/clock.ts';
import type { Keyspace } from '../core/keyspace.ts';
import type { WorkflowDocument } from '../core/workflow-document.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Stored, Topology } from '../topo/topology.ts';
import { Gate } from './gate.ts';

const restartMs = 1_000;

/**
 * The newest workflows and keyspaces that this process has seen, and a wake-up whenever they or the rules change: one watch each for all of its parts. Whoever decides something reads again, consistently.
 */
export class TopologyView {
  readonly #topology: Topology;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #changed = new Gate();
  #workflows: ReadonlyMap<string, Stored<WorkflowDocument>> = new Map();
  #keyspaces: ReadonlyMap<string, Keyspace> = new Map();

  constructor(topology: Topology, clock: Clock, log: Logger) {
    this.#topology = topology;
    this.#clock = clock;
    this.#log = log;
  }

  get workflows(): ReadonlyMap<string, Stored<WorkflowDocument>> {
    return this.#workflows;
  }

  get keyspaces(): ReadonlyMap<string, Keyspace> {
    return this.#keyspaces;
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
    const keyspaces = async (): Promise<void> => {
      for await (const seen of this.#topology.watchKeyspaces(signal, onFault)) {
        this.#keyspaces = new Map(seen.map((keyspace) => [keyspace.name, keyspace]));
        this.#changed.wake();
      }
    };
    const rules = async (): Promise<void> => {
      for await (const _ of this.#topology.watchRules(signal, onFault)) this.#changed.wake();
    };
    await Promise.all([workflows, keyspaces, rules].map((watch) => this.#repeat(watch, signal)));
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

  /** A watch goes on over faults by itself; one that ends all the same begins again. */
  async #repeat(watch: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await watch();
      } catch (error) {
        if (!signal.aborted) this.#log.error({ err: error }, 'a watch of the topology ended; it begins again');
      }
      await this.#clock.sleep(restartMs, signal).catch(() => undefined); // only an abort rejects, which ends the loop
    }
  }
}
