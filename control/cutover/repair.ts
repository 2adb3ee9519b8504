import { assertNever } from '../../core/assert-never.ts';
import { attempt as asAttempt } from '../../core/ids.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import { type ArmedMove, type ControlDeps, otherSide } from '../move.ts';
import { directionTo, isAt, isState } from './direction.ts';
import { type FenceLinks, fenceLinks } from './fence-link.ts';
import type { RepairDecision, RepairTransition } from './repair-decision.ts';
import { lookToRepair, type RepairLook, restores } from './repair-look.ts';
import { recordRepair } from './repair-record.ts';
import { settleRules } from './rules-write.ts';
import { asSwitchyardError, backOffMs, within } from '../time-limit.ts';

export interface RepairReport {
  /** What was found and done, one line each, for people. */
  readonly lines: readonly string[];
  /** Whether anything was done. */
  readonly acted: boolean;
  /** Whether what was done was a coordinator's work, which it should have done long ago; not so when only rules were put right that somebody else had changed. */
  readonly coordinatorGone: boolean;
  /** What is still to be done: `nothing` when all is well. */
  readonly left: RepairDecision;
}

const TRANSITION_LIMIT_MS = 1_000;
const REPAIR_LIMIT_MS = 8_000;
const RECORD_LIMIT_MS = 3_000;

/**
 * Finishes or undoes what a dead coordinator left, by what both stores' rows say, step by step until nothing is left to do or somebody must wait for a store. Safe at any time, from any process, any number of times, also while
 * the coordinator lives: every step is conditional on the rows. Takes at most about 10 s; rejects only by its signal.
 */
export async function repairOnce(armed: ArmedMove, deps: ControlDeps, signal: AbortSignal): Promise<RepairReport> {
  await using links = fenceLinks(armed.move, deps);
  return await repairWith(armed, links, deps, signal);
}

/** As `repairOnce`, over connections that the caller keeps warm. */
export async function repairWith(armed: ArmedMove, links: FenceLinks, deps: ControlDeps, signal: AbortSignal): Promise<RepairReport> {
  const { clock, log } = deps;
  const lines: string[] = [];
  const settledAttempts = new Set<number>();
  const deadlineMs = clock.monotonic() + REPAIR_LIMIT_MS;
  let acted = false;
  let coordinatorGone = false;
  for (let failures = 0; ; ) {
    const look = await lookToRepair(armed, links, deps, signal);
    const { decision } = look;
    if (look.held !== null) settledAttempts.add(look.held);
    if (decision.kind === 'nothing' || decision.kind === 'wait' || decision.kind === 'conflict') {
      lines.push(summary(armed, decision));
      if (acted && decision.kind === 'nothing') await closeRecord(armed, look, settledAttempts, deps, lines, signal);
      return { lines, acted, coordinatorGone, left: decision };
    }
    try {
      lines.push(`found ${decision.found}`);
      lines.push(await act(armed, links, look, decision, deps, signal));
      log.warn({ workflow: armed.move.name, action: decision.kind, attempt: decision.attempt, found: decision.found }, 'repaired a step of a cutover');
      settledAttempts.add(decision.attempt);
      acted = true;
      coordinatorGone ||= decision.kind !== 'rules' || (look.held !== null && armed.document.cutovers.at(-1)?.outcome === 'running');
      failures = 0;
    } catch (error) {
      if (signal.aborted) throw error;
      lines.push(`${decision.kind}: ${asSwitchyardError(error).message}`);
      const pauseMs = backOffMs(failures, 5, 500);
      failures += 1;
      if (clock.monotonic() + pauseMs > deadlineMs || (failures > 4 && hasReason(error, 'FENCE_CONFLICT'))) return { lines, acted, coordinatorGone, left: decision };
      await clock.sleep(pauseMs, signal);
    }
  }
}

type Action = Extract<RepairDecision, { readonly kind: RepairTransition | 'rules' }>;

async function act(armed: ArmedMove, links: FenceLinks, look: RepairLook, decision: Action, deps: ControlDeps, signal: AbortSignal): Promise<string> {
  if (decision.kind === 'rules') return await setRules(armed, links, look, decision, deps, signal);
  await transition(armed, links, decision, signal);
  return `${decision.kind} of attempt ${decision.attempt}, leaving "${armed.move[decision.from].keyspace}"`;
}

async function transition(armed: ArmedMove, links: FenceLinks, decision: Extract<RepairDecision, { readonly kind: RepairTransition }>, signal: AbortSignal): Promise<void> {
  const { from } = decision;
  const to = otherSide(from);
  const { stream } = directionTo(armed.move, to);
  const attempt = asAttempt(decision.attempt);
  switch (decision.kind) {
    case 'abort':
      return links[from].use(TRANSITION_LIMIT_MS, signal, (session, limited) => session.abort(attempt, limited));
    case 'commit':
      return links[from].use(TRANSITION_LIMIT_MS, signal, (session, limited) => session.commit(attempt, limited));
    case 'ready':
      return links[to].use(TRANSITION_LIMIT_MS, signal, (session, limited) => session.ready(stream, attempt, limited));
    case 'close':
      return links[from].use(TRANSITION_LIMIT_MS, signal, (session, limited) => session.close(attempt, limited));
    case 'open':
      return links[to].use(TRANSITION_LIMIT_MS, signal, (session, limited) => session.open(stream, attempt, limited));
    default:
      return assertNever(decision.kind);
  }
}

async function setRules(
  armed: ArmedMove,
  links: FenceLinks,
  look: RepairLook,
  decision: Action & { readonly kind: 'rules' },
  deps: ControlDeps,
  signal: AbortSignal,
): Promise<string> {
  const { primary, attempt } = decision;
  const { move } = armed;
  // Both stores hold the attempt of a switch; that of an aborted one only the side that was not left.
  const switched = isAt(look.view[otherSide(primary)], 'CLOSED', attempt);
  const result = await settleRules(
    deps,
    { move, primary, attempt: switched ? attempt : null, restore: restores(armed) },
    {
      reason: `${move.name}: repaired, ${move[primary].keyspace} is open`,
      replaces: look.base,
      confirm: async (limited) => isState(await links[primary].view(TRANSITION_LIMIT_MS, limited), 'OPEN'),
      limitMs: REPAIR_LIMIT_MS / 2,
      signal,
    },
  );
  return result === 'superseded' ? 'the rules were left alone: a cutover is under way' : `rules: "${move[primary].keyspace}", writes open`;
}

function summary(armed: ArmedMove, decision: Extract<RepairDecision, { readonly kind: 'nothing' | 'wait' | 'conflict' }>): string {
  switch (decision.kind) {
    case 'nothing':
      return decision.primary === null ? 'the tables are not claimed: nothing to repair' : `"${armed.move[decision.primary].keyspace}" is open and the rules say so`;
    case 'wait':
      return `cannot go on yet: ${decision.found}`;
    case 'conflict':
      return `needs a person: ${decision.found}`;
    default:
      return assertNever(decision);
  }
}

/** The journal is for people: what flows, flows without it. */
async function closeRecord(armed: ArmedMove, look: RepairLook, settled: ReadonlySet<number>, deps: ControlDeps, lines: string[], signal: AbortSignal): Promise<void> {
  if (look.decision.kind !== 'nothing' || look.decision.primary === null) return;
  const repaired = { primary: look.decision.primary, attempts: [...settled], message: `repaired by control ${deps.controlId}` };
  const late = (): SwitchyardError => new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'it took too long');
  try {
    await within(deps.clock, RECORD_LIMIT_MS, late, signal, (limited) => recordRepair(deps, armed.move.name, repaired, limited));
  } catch (error) {
    if (signal.aborted) throw error;
    lines.push(`the workflow's record could not be written: ${asSwitchyardError(error).message}`);
    deps.log.warn({ err: error, workflow: armed.move.name }, 'the record of a repaired cutover could not be written');
  }
}
