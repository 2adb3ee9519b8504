import type { RowOperation, State } from '../history.ts';
import { observes, stateSeen, stateSet } from './row-model.ts';
import { search } from './search.ts';
import { type Recent, type Shrunk, withUnknownOutcome } from './shrink.ts';
import { fateOf, type ViolationKind } from '../violation.ts';

/*
 * What went wrong on a row whose history no order explains, found by supposing it: the one fault with which the history would be in order. First all of the history is tried, and where one fault does not explain all of it, the
 * smallest part of it that is violated.
 */

export interface Fault {
  readonly kind: ViolationKind;
  /** What was lost, done twice, refused and done all the same, or saw what it should not. */
  readonly culprit: RowOperation | null;
}

interface Supposition extends Fault {
  readonly history: RowOperation[];
}

const replaced = (history: readonly RowOperation[], old: RowOperation, ...by: RowOperation[]): RowOperation[] =>
  history.flatMap((operation) => (operation === old ? by : [operation]));

/** An effect of which nobody was told, at any time after `since`. */
function unseenEffect(
  like: RowOperation,
  since: number,
  action: { readonly kind: 'increment'; readonly by: number } | { readonly kind: 'write'; readonly value: State },
): RowOperation {
  return { process: like.process, key: like.key, invoked: since, responded: Number.POSITIVE_INFINITY, outcome: 'unknown', ...action };
}

/** What may have gone wrong, the likeliest first; culprits are sought among `suspects`, the newest first. */
function* suppositions(history: readonly RowOperation[], suspects: readonly RowOperation[]): IterableIterator<Supposition> {
  for (const refused of history.toReversed())
    if (refused.outcome === 'failed' && refused.kind !== 'read') yield { kind: 'phantom', culprit: refused, history: replaced(history, refused, withUnknownOutcome(refused)) };
  for (const culprit of suspects)
    if (culprit.kind === 'increment' && culprit.outcome !== 'failed')
      yield { kind: 'doubled', culprit, history: [...history, unseenEffect(culprit, culprit.invoked, { kind: 'increment', by: culprit.by })] };
  const acknowledged = suspects.filter((operation) => operation.outcome === 'ok' && !observes(operation));
  for (const culprit of acknowledged) yield { kind: 'unapplied', culprit, history: replaced(history, culprit) };
  const states = new Set<State>(suspects.map(stateSeen).filter((seen) => seen !== undefined));
  for (const culprit of acknowledged) {
    if (culprit.kind === 'increment') yield { kind: 'lost', culprit, history: [...history, unseenEffect(culprit, culprit.responded, { kind: 'increment', by: -culprit.by })] };
    else for (const value of states) yield { kind: 'lost', culprit, history: [...history, unseenEffect(culprit, culprit.responded, { kind: 'write', value })] };
  }
  // What is stale would have been right some time before.
  for (const culprit of suspects) {
    if (culprit.outcome !== 'ok') continue;
    const earlier = { ...culprit, invoked: Number.NEGATIVE_INFINITY };
    if (observes(culprit)) yield { kind: 'stale', culprit, history: replaced(history, culprit, earlier) };
    else if (culprit.kind === 'swap') {
      const { process, key, invoked, responded, outcome, expected, value } = culprit;
      const call = { process, key, invoked, responded, outcome };
      yield { kind: 'stale', culprit, history: replaced(history, culprit, { ...call, invoked: earlier.invoked, kind: 'read', saw: expected }, { ...call, kind: 'write', value }) };
    }
  }
  for (const culprit of suspects) if (culprit.kind === 'read') yield { kind: 'phantom', culprit, history: replaced(history, culprit) };
}

/** More suppositions than this of one kind are not tried on one history. */
const mostOfOneKind = 60;

function explaining(history: readonly RowOperation[], suspects: readonly RowOperation[], initials: readonly State[], limit: number): Fault | null {
  const tried = new Map<ViolationKind, number>();
  for (const { kind, culprit, history: supposed } of suppositions(history, suspects)) {
    const count = (tried.get(kind) ?? 0) + 1;
    tried.set(kind, count);
    if (count <= mostOfOneKind && search(supposed, initials, limit).outcome === 'clean') return { kind, culprit };
  }
  return null;
}

/** A value read that no operation can have left there, if there are no increments to make it up. */
function unwritten(operations: readonly RowOperation[], claims: readonly RowOperation[], initial: State): Fault | null {
  if (operations.some(({ kind }) => kind === 'increment')) return null;
  const written = new Set<State | undefined>([initial, ...operations.filter(({ outcome }) => outcome !== 'failed').map(stateSet)]);
  const culprit = claims.find((claim) => stateSeen(claim) !== undefined && !written.has(stateSeen(claim)));
  return culprit === undefined
    ? null
    : { kind: 'phantom', culprit: operations.find((operation) => operation.outcome === 'failed' && stateSet(operation) === stateSeen(culprit)) ?? culprit };
}

/** Names what went wrong in `operations`, the recent part of which is violated, by what is left of it in `shrunk`. */
export function nameFault(operations: readonly RowOperation[], initial: State, recent: Recent, shrunk: Shrunk, limit: number): Fault {
  const suspects = [...shrunk.claims, ...shrunk.context].sort((a, b) => b.invoked - a.invoked);
  const fault = unwritten(operations, shrunk.claims, initial) ??
    explaining(recent.operations, suspects, recent.initials, limit) ??
    explaining(shrunk.weakened, suspects, recent.initials, limit) ?? { kind: 'impossible', culprit: null };
  if (fault.culprit === null || fault.kind !== 'unapplied') return fault;
  // A value that was written tells besides whether anybody ever saw it.
  const { culprit } = fault;
  const value = stateSet(culprit);
  if (culprit.kind === 'increment' || value === undefined || value === null || operations.some((other) => other !== culprit && stateSet(other) === value)) return fault;
  const lastSeen = operations.reduce<number | null>((last, other) => (stateSeen(other) === value ? Math.max(last ?? other.invoked, other.invoked) : last), null);
  const missedAt = Math.max(...shrunk.claims.map(({ invoked }) => invoked));
  return { kind: fateOf(missedAt, lastSeen), culprit };
}
