import type { RulesDocument } from '../../core/rules-document.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ChangeNote } from '../../topo/topology.ts';
import type { ControlDeps } from '../move.ts';
import { openRules, type RulesGoal, rulesProblem } from './rules-change.ts';
import { asSwitchyardError, backOffMs, within } from '../time-limit.ts';

/** One document among all that ever were current. */
export type RulesMark = Pick<RulesDocument, 'version' | 'nonce'>;

export interface SettleOptions {
  readonly reason: string;
  /** The document that the caller wrote itself and that is to be replaced; null when it knows of none. */
  readonly replaces: RulesMark | null;
  /** Asks the store, after the rules were read, whether the goal's side is open still. */
  readonly confirm: (signal: AbortSignal) => Promise<boolean>;
  /** After this the last failure is thrown. */
  readonly limitMs: number;
  readonly signal: AbortSignal | null;
}

/** `superseded`: the goal's side is not open (any more); the rules were left alone. */
export type Settled = 'written' | 'right' | 'superseded';

const TRY_LIMIT_MS = 1_000;
const late = (): SwitchyardError => new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'writing the rules took too long');

/**
 * Makes the rules say what the goal says: reads rules, then rows, then compares and sets exactly those rules, with back-off until it takes. Rules that the caller wrote itself need no look at
 * the rows: whoever decided otherwise meanwhile has changed them. Other tables are not touched.
 */
export async function settleRules(deps: ControlDeps, goal: RulesGoal, options: SettleOptions): Promise<Settled> {
  const { clock } = deps;
  const deadline = clock.monotonic() + options.limitMs;
  let replaces = options.replaces;
  for (let round = 0; ; round += 1) {
    let failure: SwitchyardError | null = null;
    try {
      const limitMs = Math.min(TRY_LIMIT_MS, Math.max(1, deadline - clock.monotonic()));
      const result = await within(clock, limitMs, late, options.signal, (signal) => settleOnce(deps, goal, options, replaces, signal));
      if (result !== 'stale') return result;
    } catch (error) {
      failure = asSwitchyardError(error);
      if (!failure.retryable) throw failure;
    }
    replaces = null;
    const pauseMs = backOffMs(round, 5, 500);
    if (clock.monotonic() + pauseMs > deadline) throw failure ?? new SwitchyardError('TOPOLOGY_CONFLICT', 'the rules were changed by somebody else again and again');
    await clock.sleep(pauseMs, options.signal ?? undefined);
  }
}

async function settleOnce(deps: ControlDeps, goal: RulesGoal, options: SettleOptions, replaces: RulesMark | null, signal: AbortSignal): Promise<Settled | 'stale'> {
  const { topology } = deps;
  let base = replaces;
  let isInvalid = false;
  if (base === null) {
    const snapshot = await topology.readRules(signal);
    if (!(await options.confirm(signal))) return 'superseded';
    isInvalid = snapshot.kind === 'invalid';
    if (snapshot.kind === 'valid') base = snapshot.document;
    // A document that cannot be read gives way to the last good one, also where that one was right.
    else if (isInvalid) base = (await topology.history(1, null, signal))[0]?.document ?? null;
  }
  let result: Settled | 'stale' = 'stale';
  await topology.updateRules(
    changeNote(deps, options.reason),
    (current) => {
      if (current.version !== base?.version || current.nonce !== base.nonce) {
        result = 'stale';
        return null;
      }
      result = rulesProblem(current, goal) === null && !isInvalid ? 'right' : 'written';
      return result === 'right' ? null : openRules(current, goal);
    },
    signal,
  );
  return result;
}

export const changeNote = (deps: ControlDeps, reason: string): ChangeNote => ({ by: `control ${deps.controlId}`, reason });
