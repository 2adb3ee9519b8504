import { hasReason } from '../../core/switchyard-error.ts';
import type { Lock, TopologySession } from '../../topo/topology.ts';
import { StandingHold } from '../departure/standing-hold.ts';
import { DepartureLeader } from '../departure/departure-leader.ts';
import { Gate } from '../gate.ts';
import type { OpenedMove } from '../stores.ts';
import { type RunnerContext, WorkflowLeader } from './leader.ts';

const tryEveryMs = 1_000;

/**
 * This process's part in one workflow: stands by until it gets the workflow's lock, leads while it holds it, and stands by again when the lock's session is lost. Every process has one for every workflow; the lock
 * decides which of them works.
 */
export class WorkflowRunner {
  readonly #context: RunnerContext;
  readonly #name: string;
  readonly #poke = new Gate();
  #leader: WorkflowLeader | DepartureLeader | null = null;
  #session: string | null = null;

  constructor(context: RunnerContext, name: string) {
    this.#context = context;
    this.#name = name;
  }

  /** Whether this process runs a cutover of the workflow now. */
  get switching(): boolean {
    return this.#leader?.switching ?? false;
  }

  /** Id of the session that it takes the lock with; null while it has none. */
  get session(): string | null {
    return this.#session;
  }

  /** The lock may be free now: do not wait for the next try. */
  tryNow(): void {
    this.#poke.wake();
  }

  /** Runs until the workflow has ended or the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, topology, controlId } = this.#context.deps;
    while (!signal.aborted) {
      try {
        await using session = await topology.openSession(`control ${controlId} workflow ${this.#name}`, signal);
        this.#session = session.id;
        if (await this.#contend(session, AbortSignal.any([signal, session.lost]))) return;
      } catch (error) {
        this.#session = null;
        if (signal.aborted) return;
        log.warn({ err: error, workflow: this.#name }, 'the workflow cannot be run by this process just now; standing by');
        await clock.sleep(tryEveryMs, signal).catch(() => undefined); // only an abort rejects, which ends the loop
      }
    }
  }

  /** Tries the lock until the workflow has ended; rejects when the signal aborts. */
  async #contend(session: TopologySession, signal: AbortSignal): Promise<boolean> {
    const standing = new StandingHold(this.#context.deps, this.#name);
    for (;;) {
      const lock = await this.#tryLock(session, signal);
      if (lock === null) {
        if (await standing.stands(signal)) this.#context.takeOver(this.#name);
        await this.#pause(signal);
      } else {
        await using held = lock;
        await this.#lead(session, AbortSignal.any([signal, held.lost]));
        return true;
      }
    }
  }

  async #tryLock(session: TopologySession, signal: AbortSignal): Promise<Lock | null> {
    const { topology, controlId } = this.#context.deps;
    try {
      return await topology.lock(`workflow/${this.#name}`, session, controlId, signal);
    } catch (error) {
      if (hasReason(error, 'LOCK_TAKEN')) return null;
      throw error;
    }
  }

  async #lead(session: TopologySession, signal: AbortSignal): Promise<void> {
    const { deps, stores, metrics } = this.#context;
    const stored = await deps.topology.workflow(this.#name, signal);
    if (stored === null) return;
    deps.log.info({ workflow: this.#name, state: stored.value.state }, 'this process runs the workflow');
    await using departing = await stores.openDeparture(stored.value, signal);
    await using opened = departing === null ? await stores.openMove(stored.value, signal) : null;
    await using leader =
      departing === null ? new WorkflowLeader(this.#context, (opened as OpenedMove).move, stored.value, session) : new DepartureLeader(this.#context, departing.departure, session);
    metrics.leading.set({ workflow: this.#name }, 1);
    this.#leader = leader;
    try {
      await leader.run(signal);
    } finally {
      this.#leader = null;
      metrics.leading.remove({ workflow: this.#name });
      deps.log.info({ workflow: this.#name }, 'this process no longer runs the workflow');
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const timer = new AbortController();
    const both = AbortSignal.any([signal, timer.signal]);
    try {
      await Promise.race([this.#poke.wait(both), this.#context.deps.clock.sleep(tryEveryMs, both)]);
    } finally {
      timer.abort();
    }
  }
}
