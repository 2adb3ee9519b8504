import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { RulesSnapshot } from '../../topo/topology.ts';
import type { ArmedMove, ControlDeps, SideName } from '../move.ts';
import { type FenceLinks, fenceLinks } from './fence-link.ts';
import { decideRepair, type RepairDecision, type RepairView, situationOf } from './repair-decision.ts';
import { repairWith } from './repair.ts';
import { lookAtRows, rulesView } from './repair-look.ts';
import { backOffMs } from '../time-limit.ts';

export interface RepairWatchOptions {
  readonly deps: ControlDeps;
  /** The workflows to watch, with both ends opened: every active one whose tables are claimed, whoever runs it. Asked at each look. */
  readonly moves: () => readonly ArmedMove[];
  /** Whether a cutover of the workflow runs in this very process: it needs no repair. */
  readonly isSwitching: (workflow: string) => boolean;
  /** Told that a coordinator's work was finished or undone: whoever ran the workflow is dead or paused, and its streams need a living runner. Must not throw. */
  readonly takeOver: (workflow: string) => void;
}

/** How a watched workflow looks now; for metrics and health. */
export interface WatchedState {
  /** What stands still and is not as it should be, null when all is well. */
  readonly situation: string | null;
  /** For how long. */
  readonly standsMs: number;
  readonly unreachable: readonly SideName[];
}

const LOOK_MS = 200;
const STANDS_MS = 1_000;
const SAY_AGAIN_MS = 30_000;

/**
 * Watches the fence rows of all active workflows, and the rules, and repairs what has stood wrong and unchanged for a second on this process's own clock. No coordinator that lives needs that long for any step between its
 * fence and its flip. Every control process runs one; two that act at once do no harm.
 */
export class RepairWatch implements AsyncDisposable {
  readonly #options: RepairWatchOptions;
  readonly #end = new AbortController();
  readonly #watched = new Map<string, WatchedMove>();
  #rules: RulesSnapshot | SwitchyardError = new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'not read yet');
  #running: readonly Promise<void>[] = [];

  constructor(options: RepairWatchOptions) {
    this.#options = options;
  }

  /** Begins to watch; once. */
  start(): void {
    this.#running = [this.#followRules(), this.#look()];
  }

  /** By workflow. */
  state(): ReadonlyMap<string, WatchedState> {
    return new Map([...this.#watched].map(([name, watched]) => [name, watched.state()]));
  }

  /** Stops; a transition under way ends first or is cancelled in the store. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort(new SwitchyardError('CANCELLED', 'the repair watch has ended'));
    await Promise.all(this.#running);
    for (const watched of this.#watched.values()) await watched[Symbol.asyncDispose]();
    this.#watched.clear();
  }

  async #followRules(): Promise<void> {
    const { clock, log, topology } = this.#options.deps;
    const signal = this.#end.signal;
    while (!signal.aborted) {
      try {
        for await (const snapshot of topology.watchRules(signal)) this.#rules = snapshot;
      } catch (error) {
        if (!signal.aborted) log.warn({ err: error }, 'the watch of the rules ended; it begins again');
      }
      if (!signal.aborted) await clock.sleep(LOOK_MS, signal).catch(() => undefined); // only an abort rejects, which ends the loop
    }
  }

  async #look(): Promise<void> {
    const { clock, log } = this.#options.deps;
    const signal = this.#end.signal;
    while (!signal.aborted) {
      let pauseMs = LOOK_MS;
      try {
        pauseMs = Math.min(LOOK_MS, ...this.#armed().map((watched) => watched.look(this.#rules, signal)));
      } catch (error) {
        // Whatever it is: a watch that has ended is worse.
        log.error({ err: error }, 'a look at the workflows failed');
      }
      await clock.sleep(Math.max(1, pauseMs), signal).catch(() => undefined); // only an abort rejects, which ends the loop
    }
    await Promise.all([...this.#watched.values()].map((watched) => watched.idle()));
  }

  #armed(): readonly WatchedMove[] {
    const moves = new Map(this.#options.moves().map((armed) => [armed.move.name, armed]));
    for (const [name, watched] of this.#watched) {
      // A workflow whose stores were opened anew is another one to the connections.
      if (moves.get(name)?.move === watched.armed.move) continue;
      this.#watched.delete(name);
      void watched[Symbol.asyncDispose]();
    }
    return [...moves].map(([name, armed]) => {
      const watched = this.#watched.get(name) ?? new WatchedMove(armed, this.#options);
      watched.armed = armed;
      this.#watched.set(name, watched);
      return watched;
    });
  }
}

class WatchedMove implements AsyncDisposable {
  armed: ArmedMove;
  readonly #options: RepairWatchOptions;
  readonly #links: FenceLinks;
  #busy: Promise<void> | null = null;
  #situation: string | null = null;
  #sinceMs = 0;
  #nextTryMs = 0;
  #tries = 0;
  #said: { readonly text: string; readonly atMs: number } | null = null;
  #unreachable: readonly SideName[] = [];

  constructor(armed: ArmedMove, options: RepairWatchOptions) {
    this.armed = armed;
    this.#options = options;
    this.#links = fenceLinks(armed.move, options.deps);
  }

  /** Begins a look unless one is under way, and returns how long the next one may wait. */
  look(rules: RulesSnapshot | SwitchyardError, signal: AbortSignal): number {
    const nowMs = this.#options.deps.clock.monotonic();
    this.#busy ??= this.#lookAndAct(rules, signal).finally(() => {
      this.#busy = null;
    });
    return this.#situation === null ? LOOK_MS : Math.max(20, this.#dueMs() - nowMs);
  }

  async idle(): Promise<void> {
    await this.#busy;
  }

  state(): WatchedState {
    const standsMs = this.#situation === null ? 0 : this.#options.deps.clock.monotonic() - this.#sinceMs;
    return { situation: this.#situation, standsMs, unreachable: this.#unreachable };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#busy;
    await this.#links[Symbol.asyncDispose]();
  }

  #dueMs(): number {
    return Math.max(this.#sinceMs + STANDS_MS, this.#nextTryMs);
  }

  async #lookAndAct(rules: RulesSnapshot | SwitchyardError, signal: AbortSignal): Promise<void> {
    const { deps, isSwitching } = this.#options;
    try {
      const rows = await lookAtRows(this.#links, signal);
      const view: RepairView = { ...rows, caughtUp: null, rules: rulesView(this.armed, rules) };
      this.#unreachable = (['source', 'target'] as const).filter((side) => rows[side].kind === 'unreachable');
      const decision = decideRepair(view);
      if (isSwitching(this.armed.move.name)) this.#note(null);
      // What cannot be seen just now is not known to have changed: the clock of what was seen before goes on.
      else if (decision.kind !== 'wait') this.#note(situationOf(decision, view));
      this.#say(decision, view);
      const nowMs = deps.clock.monotonic();
      if (this.#situation === null || nowMs < this.#dueMs() || decision.kind === 'wait' || decision.kind === 'conflict') return;
      await this.#repair(signal);
    } catch (error) {
      if (!signal.aborted) deps.log.error({ err: error, workflow: this.armed.move.name }, 'a look at the fences failed');
    }
  }

  #note(situation: string | null): void {
    if (situation === this.#situation) return;
    this.#situation = situation;
    this.#sinceMs = this.#options.deps.clock.monotonic();
    this.#nextTryMs = 0;
    this.#tries = 0;
  }

  async #repair(signal: AbortSignal): Promise<void> {
    const { deps, takeOver } = this.#options;
    const workflow = this.armed.move.name;
    const report = await repairWith(this.armed, this.#links, deps, signal);
    this.#nextTryMs = deps.clock.monotonic() + backOffMs(this.#tries, 200, 5_000);
    this.#tries += 1;
    deps.log.warn({ workflow, lines: report.lines, left: report.left.kind }, 'repair');
    if (report.coordinatorGone) takeOver(workflow);
  }

  /** What only time or a person can mend is said once, and again from time to time. */
  #say(decision: RepairDecision, view: RepairView): void {
    const { clock, log } = this.#options.deps;
    const out = this.#unreachable.map((side) => `"${this.armed.move[side].keyspace}" cannot be reached`).join(', ');
    const text = decision.kind === 'wait' || decision.kind === 'conflict' ? decision.found : out;
    if (text === '') {
      this.#said = null;
      return;
    }
    const kind = `${decision.kind} ${out} ${decision.kind === 'conflict' ? situationOf(decision, view) : ''}`;
    if (this.#said?.text === kind && clock.monotonic() - this.#said.atMs < SAY_AGAIN_MS) return;
    this.#said = { text: kind, atMs: clock.monotonic() };
    log.error({ workflow: this.armed.move.name, found: text }, decision.kind === 'conflict' ? 'the fences need a person' : 'a store or the rules cannot be seen');
  }
}
