import { otherSide, type SideName } from '../move.ts';
import { isState, type SideView, viewText } from './direction.ts';

/** What a repair has seen, read in this order: rules, then the rows of both stores. */
export interface RepairView {
  readonly source: SideView;
  readonly target: SideView;
  /**
   * Only looked at while a side is FROZEN: whether the other one has recorded the attempt's marker and its sequences are ahead. Null: could not be asked in time.
   */
  readonly caughtUp: boolean | null;
  readonly rules: RulesView;
}

/** Why the rules do not name that side as primary with open writes, null when they do. */
export type RulesView = { readonly kind: 'read'; readonly problems: Readonly<Record<SideName, string | null>> } | { readonly kind: 'unreadable'; readonly message: string };

export type RepairTransition = 'abort' | 'commit' | 'ready' | 'close' | 'open';

/** What to do next for a workflow as a whole. Doing it and looking again leads, step by step, to `nothing` with one side open, unless a store is out of reach. */
export type RepairDecision =
  /** `primary`: the side that is open, null for a workflow whose tables are not claimed. */
  | { readonly kind: 'nothing'; readonly primary: SideName | null }
  /** A transition of the switch that leaves `from`. */
  | { readonly kind: RepairTransition; readonly from: SideName; readonly attempt: number; readonly found: string }
  | { readonly kind: 'rules'; readonly primary: SideName; readonly attempt: number; readonly found: string }
  /** Nobody can do anything before a store, or Consul, answers again. */
  | { readonly kind: 'wait'; readonly found: string }
  /** Rows that no step of the protocol leaves behind: for people. */
  | { readonly kind: 'conflict'; readonly found: string };

/**
 * Who repairs what, from the rows alone: which attempt there is and which way it leads is read from them, never from the rules or the journal. Pure. The side that an attempt leaves is the one that is FROZEN or SEALED,
 * or CLOSED with the higher attempt while the other is READABLE.
 */
export function decideRepair(view: RepairView): RepairDecision {
  for (const side of ['source', 'target'] as const) {
    if (view[side].kind === 'mixed') return { kind: 'conflict', found: `the tables are not in one state: ${viewText(view[side])}` };
  }
  if (view.source.kind === 'missing' || view.target.kind === 'missing') return unclaimed(view);
  for (const side of ['source', 'target'] as const) {
    const decision = leaving(view, side);
    if (decision !== null) return decision;
  }
  return settled(view) ?? { kind: 'conflict', found: `${text(view)}: no step of a cutover leaves this behind` };
}

/** One side has no rows yet or any more: nothing was begun, unless the other one says so. */
function unclaimed(view: RepairView): RepairDecision {
  for (const side of ['source', 'target'] as const) {
    if (isState(view[side], 'FROZEN', 'SEALED', 'READABLE')) return { kind: 'conflict', found: `${text(view)}: a cutover is under way and one side has no rows` };
  }
  return { kind: 'nothing', primary: null };
}

/** What an attempt that leaves `from` needs next; null when none does. */
function leaving(view: RepairView, from: SideName): RepairDecision | null {
  const left = view[from];
  const entered = view[otherSide(from)];
  if (left.kind === 'unreachable') {
    if (!isState(entered, 'READABLE')) return null;
    return {
      kind: 'wait',
      found: `${text(view)}: the side that is left must be closed before the other one may open, and does not answer. Reads go on, writes wait. If it never comes back, see "Forced switch" in docs/operations.md`,
    };
  }
  if (left.kind !== 'rows') return null;
  const step = (kind: RepairTransition): RepairDecision => ({ kind, from, attempt: left.attempt, found: text(view) });
  const enteredLower = entered.kind === 'rows' && entered.attempt < left.attempt;
  if (left.state === 'FROZEN') {
    if (entered.kind === 'unreachable') return step('abort');
    if (!isState(entered, 'CLOSED')) return null;
    return step(view.caughtUp === true && enteredLower ? 'commit' : 'abort');
  }
  if (left.state === 'SEALED' && entered.kind === 'unreachable') {
    return { kind: 'wait', found: `${text(view)}: decided, but the new primary does not answer. Reads go on, writes wait for it` };
  }
  if (!enteredLower) return null;
  if (left.state === 'SEALED' && isState(entered, 'CLOSED')) return step('ready');
  if (left.state === 'SEALED' && isState(entered, 'READABLE')) return step('close');
  if (left.state === 'CLOSED' && left.even && isState(entered, 'READABLE')) return step('open');
  return null;
}

/** No attempt is under way: the rules follow the open side. Null when no side is open though both could be seen. */
function settled(view: RepairView): RepairDecision | null {
  for (const primary of ['source', 'target'] as const) {
    const open = view[primary];
    const other = view[otherSide(primary)];
    if (open.kind !== 'rows' || open.state !== 'OPEN') continue;
    if (other.kind !== 'unreachable' && !isState(other, 'CLOSED')) return null;
    if (view.rules.kind === 'unreadable') return { kind: 'wait', found: `the rules cannot be read: ${view.rules.message}` };
    const problem = view.rules.problems[primary];
    return problem === null ? { kind: 'nothing', primary } : { kind: 'rules', primary, attempt: open.attempt, found: `rules: ${problem}; ${text(view)}` };
  }
  if (view.source.kind === 'unreachable' || view.target.kind === 'unreachable') return { kind: 'wait', found: text(view) };
  return null;
}

const text = (view: RepairView): string => `source ${viewText(view.source)}, target ${viewText(view.target)}`;

/** What stands still, as a text that stays the same while it does: the same wrong state of the same attempt. Null when nothing is wrong. */
export function situationOf(decision: RepairDecision, view: RepairView): string | null {
  switch (decision.kind) {
    case 'nothing':
      return null;
    case 'abort':
    case 'commit':
      return `undecided ${decision.from} ${decision.attempt}`;
    case 'ready':
    case 'close':
    case 'open':
      return `${decision.kind} ${decision.from} ${decision.attempt}`;
    case 'rules':
      return `rules ${decision.primary} ${decision.attempt}`;
    case 'wait':
      return `waiting ${[view.source, view.target].map((side) => side.kind).join(' ')}`;
    case 'conflict':
      return decision.found;
  }
}
