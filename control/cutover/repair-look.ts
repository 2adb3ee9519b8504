import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { RulesSnapshot } from '../../topo/topology.ts';
import { type ArmedMove, type ControlDeps, otherSide, type SideName } from '../move.ts';
import { behind } from './catch-up.ts';
import { directionTo, type SideView } from './direction.ts';
import type { FenceLinks } from './fence-link.ts';
import { decideRepair, type RepairDecision, type RepairView, type RulesView } from './repair-decision.ts';
import { heldAttempt, rulesProblem } from './rules-change.ts';
import type { RulesMark } from './rules-write.ts';
import { asSwitchyardError, within } from '../time-limit.ts';

const ROWS_LIMIT_MS = 400;
const RULES_LIMIT_MS = 1_000;

/** What a repair has seen and would do about it. */
export interface RepairLook {
  readonly view: RepairView;
  readonly decision: RepairDecision;
  /** The rules that the decision is based on; null: none that are valid. */
  readonly base: RulesMark | null;
  /** Attempt that the tables are held for in the rules. */
  readonly held: number | null;
}

/** Whether missing rules of the tables are to be written again: not while the workflow is being made or ended, when its runner gives and takes them. */
export const restores = ({ document }: ArmedMove): boolean =>
  (document.state === 'running' || document.state === 'switched') && document.request?.kind !== 'complete' && document.request?.kind !== 'cancel';

/**
 * Looks at the rows; where they are settled, at the rules and then at the rows again, so that what is decided about rules rests on rows that are newer. The rows come first because traffic waits for them, and Consul may be
 * away.
 */
export async function lookToRepair(armed: ArmedMove, links: FenceLinks, deps: ControlDeps, signal: AbortSignal): Promise<RepairLook> {
  const before = await lookAtRows(links, signal);
  const caughtUp = await hasCaughtUp(armed, links, before, deps, signal);
  const unread: RepairView = { ...before, caughtUp, rules: { kind: 'unreadable', message: 'not asked' } };
  const first = decideRepair(unread);
  if (first.kind !== 'wait' && first.kind !== 'nothing') return { view: unread, decision: first, base: null, held: null };
  const snapshot = await readRules(deps, signal);
  const rows = await lookAtRows(links, signal);
  const view: RepairView = { ...rows, caughtUp: null, rules: rulesView(armed, snapshot) };
  const document = snapshot instanceof SwitchyardError || snapshot.kind !== 'valid' ? null : snapshot.document;
  return { view, decision: decideRepair(view), base: document, held: document === null ? null : heldAttempt(document, armed.move) };
}

export async function lookAtRows(links: FenceLinks, signal: AbortSignal): Promise<Pick<RepairView, 'source' | 'target'>> {
  const [source, target] = await Promise.all([links.source.view(ROWS_LIMIT_MS, signal), links.target.view(ROWS_LIMIT_MS, signal)]);
  return { source, target };
}

export function rulesView(armed: ArmedMove, snapshot: RulesSnapshot | SwitchyardError): RulesView {
  if (snapshot instanceof SwitchyardError) return { kind: 'unreadable', message: snapshot.message };
  if (snapshot.kind === 'missing') return { kind: 'unreadable', message: 'they do not exist; restore them from their history' };
  // An invalid document is replaced on the basis of the last good one.
  if (snapshot.kind === 'invalid') return { kind: 'read', problems: { source: snapshot.message, target: snapshot.message } };
  const problem = (primary: SideName): string | null => rulesProblem(snapshot.document, { move: armed.move, primary, attempt: null, restore: restores(armed) });
  return { kind: 'read', problems: { source: problem('source'), target: problem('target') } };
}

async function readRules(deps: ControlDeps, signal: AbortSignal): Promise<RulesSnapshot | SwitchyardError> {
  const late = (): SwitchyardError => new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'the rules could not be read in time');
  try {
    return await within(deps.clock, RULES_LIMIT_MS, late, signal, (limited) => deps.topology.readRules(limited));
  } catch (error) {
    if (signal.aborted) throw error;
    return asSwitchyardError(error);
  }
}

/** The conditions of a decision, for the side that is FROZEN; null when none is or a store does not answer. */
async function hasCaughtUp(armed: ArmedMove, links: FenceLinks, rows: Pick<RepairView, 'source' | 'target'>, deps: ControlDeps, signal: AbortSignal): Promise<boolean | null> {
  for (const from of ['source', 'target'] as const) {
    const view: SideView = rows[from];
    if (view.kind !== 'rows' || view.state !== 'FROZEN') continue;
    const entered = otherSide(from);
    const { stream } = directionTo(armed.move, entered);
    try {
      const state = await links[entered].use(ROWS_LIMIT_MS, signal, (session, limited) => session.catchUp(stream, limited));
      if (state.marker !== view.attempt || state.fences.some((row) => row.state !== 'CLOSED' || row.attempt >= view.attempt)) return false;
      const [left, right] = await Promise.all([links[from], links[entered]].map((link) => link.use(ROWS_LIMIT_MS, signal, (session, limited) => session.sequences(limited))));
      return left !== undefined && right !== undefined && behind(left, right).length === 0;
    } catch (error) {
      if (signal.aborted) throw error;
      deps.log.debug({ err: error, workflow: armed.move.name }, 'whether the other store has caught up could not be asked');
      return null;
    }
  }
  return null;
}
