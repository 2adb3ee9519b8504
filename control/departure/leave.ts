import type { FenceSession } from '../../backends/backend.ts';
import { keyText } from '../../core/cell.ts';
import { type Attempt, attempt as asAttempt } from '../../core/ids.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { CutoverRecord, CutoverStep, WorkflowDocument } from '../../core/workflow-document.ts';
import { precheckError } from '../cutover/finding.ts';
import { Abandoned } from '../cutover/hold-context.ts';
import { CutoverJournal } from '../cutover/journal.ts';
import { withMargin } from '../cutover/prepare.ts';
import { changeNote } from '../cutover/rules-write.ts';
import type { ControlDeps } from '../move.ts';
import { asSwitchyardError, backOffMs } from '../time-limit.ts';
import type { Comparison } from './comparison.ts';
import { type Departure, streamOf, targetScope } from './departure.ts';
import { otherNames } from './checks.ts';
import { gatewayFindings, haveSettled, untilSettled } from './gateways-settled.ts';
import type { DepartureStepName } from './steps.ts';
import { doneRules, heldRules, movedRules, phaseOf, servingRules } from './phases.ts';

export interface LeaveInput {
  readonly departure: Departure;
  readonly document: WorkflowDocument;
  readonly comparison: Comparison;
  readonly deps: ControlDeps;
  /** Before the decision its abort takes the attempt back; after it whoever runs the workflow next goes on. */
  readonly signal: AbortSignal;
}

const firstPauseMs = 500;
const longestPauseMs = 8_000;
/** Longer than any lease, which a gateway counts from before it asked. */
const leasesOverMs = 1_500;
const lookEveryMs = 5;
const journalLimitMs = 5_000;
const takeBackLimitMs = 10_000;
/** Whole comparisons in one hold: the first finds what is new, the next one that nothing is. */
const mostPasses = 4;

type Outcome = 'switched' | 'aborted' | 'running';

/**
 * Switches a departure to its target: attempts with back-off up to the workflow's limit. Resolves to the record, which is in the workflow's document as well: `switched`; `aborted`, the source serving as before; `running` where the topology or the target does
 * not answer: then whoever runs the workflow goes on with what the rules say.
 */
export async function leave(input: LeaveInput): Promise<CutoverRecord> {
  try {
    return await new Leaving(input).run();
  } catch (error) {
    throw error instanceof Abandoned ? error.cause : error;
  }
}

/** Behind the decision, as often as it takes, by anybody: the target is read, nobody reads the source any more, the target takes writes, the rules say so. Safe to repeat and to run twice at once. */
export async function goForward(departure: Departure, made: Attempt, decidedAtMs: number, deps: ControlDeps, step: Step, signal: AbortSignal): Promise<void> {
  const { target, name } = departure;
  const stream = streamOf(departure);
  await using session = await target.owner.openFence(targetScope(departure), signal);
  await step('ready', () => unlessPassed(session, made, () => session.ready(stream, made, signal), signal));
  await step('leases', async () => {
    const rules = await deps.topology.readRules(signal);
    for (;;) {
      if (rules.kind === 'valid' && phaseOf(rules.document, departure).kind === 'moved' && (await haveSettled(deps, rules.document.version, signal)).all) return;
      if (deps.clock.monotonic() >= decidedAtMs + leasesOverMs) return;
      await deps.clock.sleep(lookEveryMs, signal);
    }
  });
  await step('open', () => unlessPassed(session, made, () => session.open(stream, made, signal), signal));
  await step('flip', async () => {
    await deps.topology.updateRules(changeNote(deps, `${name}: attempt ${made} has left the source`), (rules) => doneRules(rules, departure, made), signal);
  });
}

/** The other decision, where none is taken yet. `moved`: it was decided for this attempt; `elsewhere`: for another one, whose coordinator goes on with it. */
export async function takeBack(departure: Departure, made: number, deps: ControlDeps, signal: AbortSignal): Promise<'serving' | 'moved' | 'elsewhere'> {
  const note = changeNote(deps, `${departure.name}: attempt ${made} aborted`);
  const document = await deps.topology.updateRules(note, (rules) => servingRules(rules, departure, made), signal);
  const phase = phaseOf(document, departure);
  if (phase.kind === 'moved' || phase.kind === 'done') return phase.attempt === made ? 'moved' : 'elsewhere';
  return phase.kind === 'torn' ? 'elsewhere' : 'serving';
}

type Step = <T>(name: DepartureStepName, act: () => Promise<T>) => Promise<T>;

async function unlessPassed(session: FenceSession, made: Attempt, transition: () => Promise<void>, signal: AbortSignal): Promise<void> {
  try {
    await transition();
  } catch (error) {
    if (!hasReason(error, 'FENCE_CONFLICT')) throw error;
    const rows = await session.fenceRows(signal);
    if (!rows.every(({ state, attempt }) => state === 'OPEN' && attempt >= made)) throw error;
  }
}

class Leaving {
  readonly #input: LeaveInput;
  readonly #journal: CutoverJournal;
  readonly #startedAt: string;
  readonly #startMs: number;
  readonly #steps: CutoverStep[] = [];
  readonly #aborted: { attempt: number; reason: string; message: string }[] = [];
  #attempt: Attempt = asAttempt(0);
  #attempts = 0;
  #holdMs = 0;

  constructor(input: LeaveInput) {
    const { deps, departure } = input;
    this.#input = input;
    this.#journal = new CutoverJournal(deps, departure.name);
    this.#startMs = deps.clock.monotonic();
    this.#startedAt = new Date(deps.clock.now()).toISOString();
  }

  async run(): Promise<CutoverRecord> {
    const { deps, document, signal } = this.#input;
    for (;;) {
      this.#attempts += 1;
      this.#steps.length = 0;
      const { outcome, error } = await this.#runAttempt();
      const isOver = outcome !== 'aborted' || error === null || !error.retryable || this.#attempts >= document.limits.attempts || signal.aborted;
      if (isOver) return await this.#conclude(outcome, error);
      this.#aborted.push({ attempt: this.#attempt, reason: error.reason, message: error.message.slice(0, 300) });
      deps.log.info({ workflow: document.name, attempt: this.#attempts, reason: error.reason, detail: error.message }, 'attempt aborted; it is tried again');
      await deps.clock.sleep(backOffMs(this.#attempts - 1, firstPauseMs, longestPauseMs), signal).catch(() => {}); // an abort shows in the next attempt
    }
  }

  async #runAttempt(): Promise<{ readonly outcome: Outcome; readonly error: SwitchyardError | null }> {
    const { departure, deps, document, signal } = this.#input;
    let heldAt: number | null = null;
    let decidedAt: number | null = null;
    try {
      await this.#step('precheck', () => this.#precheck());
      await this.#step('catch-up', () => this.#catchUp());
      await this.#step('begin', () => this.#begin());
      const hold = { attempt: this.#attempt };
      heldAt = deps.clock.monotonic();
      const deadline = heldAt + document.limits.holdBudgetMs;
      const note = changeNote(deps, `${departure.name}: writes held, attempt ${this.#attempt}`);
      const held = await this.#step('rules-hold', () => deps.topology.updateRules(note, (rules) => heldRules(rules, departure, hold), signal));
      await this.#step('barrier', () => untilSettled(deps, held.version, deadline, signal));
      await this.#step('compare', () => this.#compare(deadline));
      await this.#step('sequences', () => this.#raiseSequences());
      await this.#step('decide', async () => {
        const decided = changeNote(deps, `${departure.name}: attempt ${this.#attempt} leaves the source`);
        await deps.topology.updateRules(decided, (rules) => movedRules(rules, departure, this.#attempt), signal);
      });
      decidedAt = deps.clock.monotonic();
    } catch (caught) {
      if (caught instanceof Abandoned) throw caught;
      const error = asSwitchyardError(caught);
      if (heldAt === null) return { outcome: 'aborted', error };
      const decision = await this.#step('release', () => this.#takeBack());
      this.#holdMs = deps.clock.monotonic() - heldAt;
      if (decision !== 'moved') return { outcome: decision === 'serving' ? 'aborted' : 'running', error };
      decidedAt = deps.clock.monotonic();
    }
    try {
      await goForward(departure, this.#attempt, decidedAt, deps, (name, act) => this.#step(name, act), signal);
      return { outcome: 'switched', error: null };
    } catch (error) {
      if (error instanceof Abandoned) throw error;
      return { outcome: 'running', error: asSwitchyardError(error) };
    } finally {
      this.#holdMs = deps.clock.monotonic() - heldAt;
    }
  }

  async #precheck(): Promise<void> {
    const { departure, deps, signal } = this.#input;
    const findings = [...gatewayFindings(await deps.topology.everyRegistration(signal)), ...otherNames(departure, await deps.topology.keyspaces(signal))];
    if (findings.length > 0) throw precheckError(findings);
  }

  /** What differs by now is mended while nobody waits, and it is seen how long somebody would. */
  async #catchUp(): Promise<void> {
    const { comparison, departure, deps, document, signal } = this.#input;
    const { holdBudgetMs } = document.limits;
    const begunAt = deps.clock.monotonic();
    for (const table of departure.tables) await comparison.pass(table, signal);
    const tookMs = deps.clock.monotonic() - begunAt;
    if (tookMs <= holdBudgetMs) return;
    const message = `writes would wait while every row is compared, which took ${Math.round(tookMs)} ms just now: more than the hold's budget of ${holdBudgetMs} ms`;
    throw new SwitchyardError('HOLD_BUDGET', message);
  }

  /** A number above every one that the target or the topology knows, and the journal's word that it begins. */
  async #begin(): Promise<void> {
    const { departure, deps, signal } = this.#input;
    await using session = await departure.target.owner.openFence(targetScope(departure), signal);
    this.#attempt = asAttempt(await deps.topology.nextAttempt(await session.highestAttempt(signal), signal));
    await this.#journal.write(this.#record('running', null), signal);
  }

  /** Compares until a whole pass finds nothing, and marks the target with the attempt. */
  async #compare(deadline: number): Promise<void> {
    const { comparison, departure, deps, document, signal } = this.#input;
    const withinBudget = (): void => {
      if (deps.clock.monotonic() >= deadline)
        throw new SwitchyardError('HOLD_BUDGET', `the comparison would have exceeded the hold's budget of ${document.limits.holdBudgetMs} ms`);
    };
    for (const table of departure.tables) {
      for (let passes = 1; ; passes += 1) {
        const { different, first } = await comparison.pass(table, signal, withinBudget);
        if (different === 0) break;
        if (passes < mostPasses) continue;
        const message = `table ${table}: row ${keyText(first ?? [])} differs although it was written a moment ago and writes are held: its value is not kept alike by both stores, or somebody writes to ${departure.source.keyspace} past the gateways`;
        throw new SwitchyardError('PRECHECK_FAILED', message, { metadata: { table } });
      }
    }
    await comparison.mark(this.#attempt, signal);
  }

  /** The rows are all there: what numbers them goes on behind the highest. */
  async #raiseSequences(): Promise<void> {
    const { comparison, departure, signal } = this.#input;
    const { owner } = departure.target;
    const present = await owner.sequences(departure.tables, signal);
    const highest = present.map(({ table, column, value }) => withMargin({ table, column, value: comparison.highest(table, column) ?? value }));
    await owner.raiseSequences(highest, signal);
  }

  /** As often as it takes, with a limit of its own: the caller's signal may be what ended the attempt. */
  async #takeBack(): Promise<'serving' | 'moved' | 'elsewhere' | 'unknown'> {
    const { departure, deps } = this.#input;
    const deadline = deps.clock.monotonic() + takeBackLimitMs;
    const { signal } = new AbortController();
    for (let round = 0; ; round += 1) {
      try {
        return await takeBack(departure, this.#attempt, deps, signal);
      } catch (error) {
        deps.log.warn({ err: error, workflow: departure.name, attempt: this.#attempt }, 'an attempt could not be aborted yet');
      }
      if (deps.clock.monotonic() > deadline) return 'unknown';
      await deps.clock.sleep(backOffMs(round, 5, 500));
    }
  }

  async #conclude(outcome: Outcome, error: SwitchyardError | null): Promise<CutoverRecord> {
    const { deps, departure } = this.#input;
    const record = this.#record(outcome, error);
    await this.#journal.finish(record, journalLimitMs);
    deps.log.info(
      { workflow: departure.name, to: 'target', outcome, reason: record.reason, detail: record.message, attempt: record.attempt, holdMs: record.holdMs },
      'cutover ended',
    );
    return record;
  }

  async #step<T>(name: DepartureStepName, act: () => Promise<T>): Promise<T> {
    const { deps, departure } = this.#input;
    const startMs = deps.clock.monotonic();
    let result: T;
    try {
      result = await act();
    } finally {
      this.#steps.push({ name, startMs: startMs - this.#startMs, durationMs: deps.clock.monotonic() - startMs });
    }
    try {
      await deps.onStep?.(departure.name, 'target', name);
    } catch (error) {
      throw new Abandoned(error);
    }
    return result;
  }

  #record(outcome: Outcome, error: SwitchyardError | null): CutoverRecord {
    return {
      attempt: this.#attempt,
      to: 'target',
      outcome,
      ...(error === null ? {} : { reason: error.reason, message: error.message }),
      startedAt: this.#startedAt,
      attempts: this.#attempts,
      ...(this.#aborted.length === 0 ? {} : { aborted: [...this.#aborted] }),
      holdMs: Math.round(this.#holdMs * 1_000) / 1_000,
      steps: [...this.#steps],
    };
  }
}
