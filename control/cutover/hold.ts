import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import { catchUp, type SequenceReading, startReading } from './catch-up.ts';
import { goForward, takeBack } from './decision.ts';
import { isAt, isState } from './direction.ts';
import { Abandoned, type HoldContext, overBudget } from './hold-context.ts';
import { heldAttempt, heldRules, type RulesGoal } from './rules-change.ts';
import { changeNote, type RulesMark, settleRules } from './rules-write.ts';
import type { Note } from './trace.ts';
import { abortError, asSwitchyardError, within } from '../time-limit.ts';

/** How a hold ended. */
export type HoldResult =
  /** The new primary takes writes. `message` says what is not yet as it should be, such as rules that could not be written. */
  | { readonly kind: 'switched'; readonly message: string | null }
  /** The present primary takes writes again. */
  | { readonly kind: 'aborted'; readonly error: SwitchyardError; readonly message: string | null }
  /** A store that is needed for the next step does not answer: the repair goes on with it. */
  | { readonly kind: 'undecided'; readonly error: SwitchyardError };

const RULES_LIMIT_MS = 50;
const ACK_WAIT_MS = 5;
const SETTLE_LIMIT_MS = 3_000;
const LOCK_TIMEOUT_MS = 100;
const LEAST_LOCK_TIMEOUT_MS = 5;
const VIEW_LIMIT_MS = 500;
const LEAST_COMMIT_LIMIT_MS = 50;
/** Gateways hold longer than the budget: transitions and flip come after it. */
const HOLD_MARGIN_MS = 250;
const LONGEST_HOLD_MS = 1_000;

/** What is known while the decision is open. */
interface Progress {
  readonly deadlineMs: number;
  /** The rules that this hold wrote, null while unknown. */
  held: RulesMark | null;
  /** Whether the fence may have been set, now or soon. */
  fenced: boolean;
}

/**
 * The hold. Until `commit` every failure, the end of the budget and the caller's signal lead to `abort` and `release`; from then on there is only forward. It throws nothing but `Abandoned`.
 */
export async function runHold(hold: HoldContext): Promise<HoldResult> {
  const { clock } = hold.deps;
  hold.trace.beginHold();
  try {
    const progress: Progress = { deadlineMs: clock.monotonic() + hold.limits.holdBudgetMs, held: null, fenced: false };
    try {
      await untilDecision(hold, progress);
    } catch (error) {
      if (error instanceof Abandoned) throw error;
      const failure = hold.signal.aborted ? abortError(hold.signal) : asSwitchyardError(error);
      const decision = progress.fenced ? await hold.trace.step('abort', (note) => takeBack(hold, note)) : 'aborted';
      if (decision === 'unknown') return { kind: 'undecided', error: failure };
      if (decision === 'aborted') return { kind: 'aborted', error: failure, message: await release(hold, progress) };
    }
    const stopped = await goForward(hold);
    if (stopped !== null) return { kind: 'undecided', error: stopped };
    return { kind: 'switched', message: await flip(hold, progress) };
  } finally {
    hold.trace.endHold();
  }
}

async function untilDecision(hold: HoldContext, progress: Progress): Promise<void> {
  const { attempt, direction, links, trace } = hold;
  await trace.step('rules-hold', (note) => holdRules(hold, progress, note));
  let sequences: SequenceReading = Promise.resolve([]);
  await trace.step('fence', (note) => {
    sequences = startReading(hold, 'to', progress.deadlineMs);
    return fence(hold, progress, note);
  });
  await trace.step('catch-up', (note) => catchUp(hold, progress.deadlineMs, sequences, note));
  if (hold.signal.aborted) throw abortError(hold.signal);
  const leftMs = Math.max(LEAST_COMMIT_LIMIT_MS, progress.deadlineMs - hold.deps.clock.monotonic());
  await trace.step('commit', () => links[direction.from.name].use(leftMs, null, (session, signal) => session.commit(attempt, signal)));
}

/** Gateways buffer from here on instead of bouncing. Consul may fail here: the fence does the same, only less smoothly. */
async function holdRules(hold: HoldContext, progress: Progress, note: Note): Promise<void> {
  const { attempt, deps, direction, gateways, limits, trace } = hold;
  const holdMs = Math.min(LONGEST_HOLD_MS, limits.holdBudgetMs + HOLD_MARGIN_MS);
  const traceparent = trace.traceparent;
  const wanted = { holdMs, attempt, ...(traceparent === undefined ? {} : { traceparent }) };
  const { move, from } = direction;
  const late = (): SwitchyardError => new SwitchyardError('TOPOLOGY_UNAVAILABLE', `the rules could not be written within ${RULES_LIMIT_MS} ms`);
  try {
    const document = await within(deps.clock, RULES_LIMIT_MS, late, hold.signal, (signal) =>
      deps.topology.updateRules(changeNote(deps, `${move.name}: writes held, attempt ${attempt}`), (current) => heldRules(current, move, from.name, wanted), signal),
    );
    if (heldAttempt(document, move) !== attempt) {
      note('not held, gateways learn of it from the fence: no rule names the workflow');
      return;
    }
    progress.held = document;
    const reached = await gateways.reached(document.version, ACK_WAIT_MS);
    note(`version ${document.version}, applied by ${reached} of ${gateways.expected} gateways`);
  } catch (error) {
    if (hold.signal.aborted || !hasReason(error, 'TOPOLOGY_UNAVAILABLE', 'TOPOLOGY_CONFLICT')) throw error;
    note(`not held, gateways learn of it from the fence: ${error.message}`);
  }
}

async function fence(hold: HoldContext, progress: Progress, note: Note): Promise<void> {
  const { attempt, deps, direction, limits, links } = hold;
  const reserveMs = Math.min(20, limits.holdBudgetMs / 5);
  let failure: SwitchyardError = overBudget(hold);
  for (let round = 1; ; round += 1) {
    const leftMs = progress.deadlineMs - deps.clock.monotonic();
    const lockTimeoutMs = Math.floor(Math.min(LOCK_TIMEOUT_MS, leftMs - reserveMs));
    if (lockTimeoutMs < LEAST_LOCK_TIMEOUT_MS) throw failure;
    progress.fenced = true;
    try {
      await links[direction.from.name].use(
        leftMs,
        hold.signal,
        (session, signal) => session.fence(attempt, lockTimeoutMs, signal),
        () => overBudget(hold),
      );
      if (round > 1) note(`${round} tries`);
      return;
    } catch (error) {
      if (!hasReason(error, 'LOCK_TIMEOUT', 'LOCK_TAKEN')) throw error;
      // Neither has changed anything.
      progress.fenced = false;
      if (error.reason === 'LOCK_TAKEN') throw error;
      failure = error;
    }
    // The writers that queued behind the lock go first: one of them may be what the others wait for.
    await deps.clock.sleep(2, hold.signal);
  }
}

async function flip(hold: HoldContext, progress: Progress): Promise<string | null> {
  const { attempt, direction, links } = hold;
  const to = direction.to;
  const goal = { move: direction.move, primary: to.name, attempt, restore: true };
  const reason = `${direction.move.name}: switched to ${to.keyspace}, attempt ${attempt}`;
  const confirm = async (signal: AbortSignal): Promise<boolean> => isAt(await links[to.name].view(VIEW_LIMIT_MS, signal), 'OPEN', attempt);
  return hold.trace.step('flip', (note) => settle(hold, goal, reason, progress.held, confirm, note));
}

async function release(hold: HoldContext, progress: Progress): Promise<string | null> {
  const { attempt, direction, links } = hold;
  const goal = { move: direction.move, primary: direction.from.name, attempt: null, restore: true };
  const confirm = async (signal: AbortSignal): Promise<boolean> => isState(await links[direction.from.name].view(VIEW_LIMIT_MS, signal), 'OPEN');
  return hold.trace.step('release', (note) => settle(hold, goal, `${direction.move.name}: attempt ${attempt} aborted`, progress.held, confirm, note));
}

/** Never fails: gateways follow the fence rows whatever the rules say, and the repair writes the rules as soon as Consul takes them. */
async function settle(
  hold: HoldContext,
  goal: RulesGoal,
  reason: string,
  replaces: RulesMark | null,
  confirm: (signal: AbortSignal) => Promise<boolean>,
  note: Note,
): Promise<string | null> {
  try {
    const result = await settleRules(hold.deps, goal, { reason, replaces, confirm, limitMs: SETTLE_LIMIT_MS, signal: null });
    if (result === 'written') return null;
    note(result === 'right' ? 'the rules said so already' : 'somebody else has gone on since; the rules were left alone');
    return null;
  } catch (error) {
    const message = `the rules are not written yet: ${asSwitchyardError(error).message}`;
    hold.deps.log.error({ err: error, workflow: goal.move.name, attempt: hold.attempt }, 'the rules could not be written after the decision; the repair goes on with it');
    note(message);
    return message;
  }
}
