import type { Clock } from '../../core/clock.ts';
import type { Keyspace } from '../../core/keyspace.ts';
import type { RuleProblem } from '../../core/registration.ts';
import { buildRoutingTable, type RoutingTable } from '../../core/routing-table.ts';
import type { Hold, RulesDocument } from '../../core/rules-document.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { RulesSnapshot, Topology } from '../../topo/topology.ts';
import type { Holds } from '../flow/hold.ts';
import type { Stores } from '../stores.ts';
import type { FenceView } from './fence-view.ts';
import type { Routing } from './routing.ts';
import { type Answers, answersOf, fenceProblems, type Questions, questionsOf } from './rules-check.ts';
import type { SavedRulesKeeper } from './saved-rules.ts';

export interface RulesFollowerOptions {
  readonly topology: Topology;
  readonly stores: Stores;
  readonly routing: Routing;
  readonly fenceView: FenceView;
  readonly holds: Holds;
  readonly saved: SavedRulesKeeper;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told at once of every applied version and every change of the problems. */
  readonly onChange: () => void;
}

/** A version is never applied later than this because of stores that do not answer. */
const checkLimitMs = 100;
/** The same for the first version: nobody waits for it, and there are no connections yet. */
const firstCheckLimitMs = 1_000;
/** Between two attempts to finish tables whose stores did not answer. */
const finishEveryMs = 200;
/** Between two comparisons of the rules with the rows. */
const compareEveryMs = 1_000;
/** A gateway that has heard nothing of Consul for so long starts with the rules on its disk. */
const firstRulesMs = 1_500;
const mostProblems = 50;

const nothingAsked: Answers = { pending: new Set(), kept: new Set() };

/** The version being applied, as built from its document, with what its tables still wait for. */
interface Candidate {
  readonly built: RoutingTable;
  readonly previous: RoutingTable | null;
  readonly questions: Questions;
  readonly problems: readonly RuleProblem[];
  answers: Answers;
}

/**
 * Follows rules and keyspaces and applies every newer valid document: its holds at once, at first sight; its tables after the stores of those that change their keyspace have been asked for fence rows, within 100 ms. A table that its rows
 * contradict, or whose stores do not answer in time, goes on as before while the others follow; it is finished later. Documents are taken one at a time; of those that arrive meanwhile only the newest is looked at.
 */
export class RulesFollower {
  readonly #options: RulesFollowerOptions;
  readonly #stop = new AbortController();
  #keyspaces: readonly Keyspace[] | null = null;
  #newest: RulesSnapshot | null = null;
  #candidate: Candidate | null = null;
  /** Why the newest snapshot as a whole is not applied. */
  #refusal: RuleProblem | null = null;
  #working: Promise<void> | null = null;
  #again = false;
  /** Applied since the last report. */
  #swapped = false;

  constructor(options: RulesFollowerOptions) {
    this.#options = options;
  }

  /** Begins to follow. Resolves when the first rules are applied, or when it is known that there are none to apply yet. */
  async start(): Promise<void> {
    const { topology, clock, log } = this.#options;
    const { signal } = this.#stop;
    const lost = (what: string) => (error: Error) => log.warn({ err: error }, `the watch on ${what} has lost Consul; the last good rules stay in force`);
    const heard = Promise.withResolvers<void>();
    this.#follow(
      'keyspaces',
      topology.watchKeyspaces(signal, lost('keyspaces')),
      (keyspaces) => {
        this.#keyspaces = keyspaces;
      },
      heard.resolve,
    );
    this.#follow(
      'rules',
      topology.watchRules(signal, lost('rules')),
      (snapshot) => {
        this.#newest = snapshot;
      },
      heard.resolve,
    );
    const cancel = clock.after(firstRulesMs, () => heard.resolve());
    await heard.promise;
    cancel();
    await this.#working;
    if (this.#options.routing.table === null && this.#hasNoRules) await this.#startFromDisk();
    void this.#repeat(finishEveryMs, () => this.#finish());
    void this.#repeat(compareEveryMs, () => this.#compare());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#working;
    await this.#options.saved.flush();
  }

  #follow<T>(what: string, watch: AsyncIterable<T>, take: (value: T) => void, heardBoth: () => void): void {
    const { log } = this.#options;
    const run = async (): Promise<void> => {
      try {
        for await (const value of watch) {
          take(value);
          const work = this.#work();
          if (this.#newest !== null && this.#keyspaces !== null) void work.then(heardBoth);
        }
      } catch (error) {
        if (!this.#stop.signal.aborted) log.error({ err: error }, `the watch on ${what} has ended; this gateway follows no more rules`);
      }
    };
    void run();
  }

  /** Looks at the newest state; a call during the work makes it look once more. */
  #work(): Promise<void> {
    if (this.#working !== null) {
      this.#again = true;
      return this.#working;
    }
    const run = async (): Promise<void> => {
      do {
        this.#again = false;
        await this.#take();
      } while (this.#again && !this.#stop.signal.aborted);
    };
    this.#working = run()
      .catch((error: unknown) => {
        if (!this.#stop.signal.aborted) this.#options.log.error({ err: error }, 'applying rules failed');
      })
      .finally(() => {
        this.#working = null;
      });
    return this.#working;
  }

  async #take(): Promise<void> {
    const grown = this.#keyspaces !== null && (await this.#options.stores.apply(this.#keyspaces));
    // The tables of a new keyspace can be named from now on, and those that the rules bring to it are right: without a newer document.
    if (grown && this.#candidate !== null) await this.#apply(this.#candidate.built.document, this.#candidate.previous);
    const snapshot = this.#newest;
    if (snapshot === null || this.#keyspaces === null) return;
    const { appliedVersion } = this.#options.routing;
    this.#refusal = null;
    if (snapshot.kind === 'missing') this.#refuse(appliedVersion, 'RULES_MISSING', 'the rules key does not exist; the last good rules stay in force');
    else if (snapshot.kind === 'invalid') this.#refuse(snapshot.version, 'RULES_INVALID', snapshot.message);
    else await this.#takeDocument(snapshot.document);
    this.#report();
  }

  async #takeDocument(document: RulesDocument): Promise<void> {
    const applied = this.#options.routing.table;
    if (applied !== null && document.version === applied.version && document.nonce === applied.document.nonce) return;
    if (applied !== null && document.version <= applied.version) {
      this.#refuse(document.version, 'RULES_STALE', `version ${document.version} is not higher than ${applied.version}, which is applied; write the change with a higher version`);
      return;
    }
    await this.#apply(document, applied);
  }

  async #apply(document: RulesDocument, previous: RoutingTable | null): Promise<void> {
    const { stores, holds, fenceView, log, saved } = this.#options;
    const built = buildRoutingTable(document, stores.known(), previous);
    if (built.routing === null) {
      this.#refusal = built.problems[0] ?? null;
      return;
    }
    const held = holdsOf(built.routing);
    holds.beginHolds(held);
    const questions = questionsOf(built.routing, previous);
    const candidate: Candidate = { built: built.routing, previous, questions, problems: built.problems, answers: nothingAsked };
    const asked = [...questions.changed, ...questions.dropped];
    const look = asked.length === 0 ? null : await fenceView.look(fenceView.subjectOf(asked), 'write', previous === null ? firstCheckLimitMs : checkLimitMs, this.#stop.signal);
    candidate.answers = this.#withoutFollowed(candidate, answersOf(questions, look, fenceView));
    this.#candidate = candidate;
    this.#swap(candidate);
    holds.rowsLearned();
    holds.endOthers(held);
    log.info({ version: document.version, by: document.changedBy, reason: document.reason, asked: asked.length }, 'rules applied');
    saved.keep({ rules: document, keyspaces: [...(this.#keyspaces ?? [])] });
  }

  /** A table that follows this very document already does not go back because a store is slow to say so again. */
  #withoutFollowed({ built }: Candidate, answers: Answers): Answers {
    const inForce = this.#options.routing.table;
    if (inForce === null || inForce.document.nonce !== built.document.nonce || inForce.version !== built.version) return answers;
    return { ...answers, pending: new Set([...answers.pending].filter((key) => inForce.ref(key)?.keyspace !== built.ref(key)?.keyspace)) };
  }

  /** Puts the candidate in force, as far as its answers go. */
  #swap({ built, previous, answers }: Candidate): void {
    const unchanged = new Set([...answers.pending, ...answers.kept]);
    this.#options.routing.swap(previous === null ? built : built.keeping(unchanged, previous));
    this.#swapped = true;
  }

  /** Asks again for tables whose stores did not answer in time. */
  async #finish(): Promise<void> {
    const candidate = this.#candidate;
    if (candidate === null || candidate.answers.pending.size === 0) return;
    const { fenceView } = this.#options;
    const changed = candidate.questions.changed.filter((ref) => candidate.answers.pending.has(ref.key));
    const look = await fenceView.look(fenceView.subjectOf(changed), 'all', finishEveryMs * 10, this.#stop.signal);
    if (this.#candidate !== candidate || this.#working !== null) return;
    const { pending } = answersOf({ changed, dropped: [] }, look, fenceView);
    if (pending.size === candidate.answers.pending.size) return;
    candidate.answers = { ...candidate.answers, pending };
    this.#swap(candidate);
    this.#report();
  }

  /** What the rows contradict is looked at anew: a store that could not be asked when the rules came may be there again. */
  async #compare(): Promise<void> {
    const { fenceView, holds } = this.#options;
    const contradicted = [...(this.#candidate?.built.refs() ?? [])].filter((ref) => fenceView.homeOf(ref) !== ref.keyspace);
    if (contradicted.length > 0) {
      await fenceView.look(fenceView.subjectOf(contradicted), 'all', compareEveryMs, this.#stop.signal);
      holds.rowsLearned();
    }
    this.#report();
  }

  #report(): void {
    const { routing, fenceView, onChange, log } = this.#options;
    const problems: RuleProblem[] = this.#refusal === null ? [] : [this.#refusal];
    const candidate = this.#candidate;
    if (candidate !== null) problems.push(...candidate.problems, ...fenceProblems(candidate.built, candidate.questions, candidate.answers, fenceView));
    const changed = routing.report(problems.slice(0, mostProblems));
    if (changed) for (const problem of problems) log.error(problem, 'rules refused');
    if (changed || this.#swapped) onChange();
    this.#swapped = false;
  }

  #refuse(version: number, reason: RuleProblem['reason'], message: string): void {
    this.#refusal = { version, table: null, reason, message };
  }

  /** Nothing has come, or a document that nobody can read: then the last good one is the best there is. A missing key may be a cluster without rules yet. */
  get #hasNoRules(): boolean {
    return this.#newest === null || this.#newest.kind === 'invalid';
  }

  async #startFromDisk(): Promise<void> {
    const { saved: keeper, stores, log } = this.#options;
    try {
      const saved = await keeper.load();
      if (saved === null || !this.#hasNoRules) return;
      log.warn({ version: saved.rules.version }, 'Consul does not answer, or its rules cannot be read: starting with the last good rules from disk');
      this.#keyspaces ??= saved.keyspaces;
      await stores.apply(saved.keyspaces);
      await this.#apply(saved.rules, null);
      this.#report();
    } catch (error) {
      log.error({ err: error }, 'the last good rules on disk cannot be used');
    }
  }

  async #repeat(everyMs: number, act: () => Promise<void>): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await clock.sleep(everyMs, signal);
        await act();
      } catch (error) {
        if (!signal.aborted) log.error({ err: error }, 'comparing rules and fence rows failed');
      }
    }
  }
}

function holdsOf(table: RoutingTable): ReadonlyMap<string, Hold> {
  const holds = new Map<string, Hold>();
  for (const { group, rule } of table.refs()) if (group !== null && rule?.hold !== undefined) holds.set(group, rule.hold);
  return holds;
}
