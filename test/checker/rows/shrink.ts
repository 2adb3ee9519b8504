import type { RowOperation, State } from '../history.ts';
import { stateSeen, stateSet } from './row-model.ts';
import { type Checkpoint, search } from './search.ts';

/*
 * The smallest part of a row's history that no order explains, by delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002). To leave out a write would make the reads of its value
 * inexplicable, and a smaller history "violated" that is not; so what is taken away from an operation is what it claims: a read goes, and a write may as well not have been acknowledged. Only what was explained already can
 * be explained after that.
 */

/** A history that claims less: of the answers only those in `claims` hold. */
export function claimOnly(operations: readonly RowOperation[], claims: ReadonlySet<RowOperation>): RowOperation[] {
  return operations.flatMap((operation) => {
    if (operation.outcome !== 'ok' || claims.has(operation)) return [operation];
    return operation.kind === 'read' || (operation.kind === 'swap' && operation.swapped === false) ? [] : [withUnknownOutcome(operation)];
  });
}

export function withUnknownOutcome(operation: RowOperation): RowOperation {
  return { ...operation, outcome: 'unknown' };
}

export interface Shrunk {
  /** Answers that cannot all be true, by the time of their calls; each is needed, unless the trials came to their end. */
  readonly claims: readonly RowOperation[];
  /** Writes, acknowledged or not, that the claims are about: without them it would not be clear why they cannot be true. */
  readonly context: readonly RowOperation[];
  /** All that might explain the claims, with nothing else claimed. */
  readonly weakened: readonly RowOperation[];
}

/** A part of a row's history around what no order explains. */
export interface Recent {
  readonly operations: readonly RowOperation[];
  /** What the row can have held before. */
  readonly initials: readonly State[];
}

/** Answers after the one that cannot be explained that are looked at besides: they tell what was lost from what was only not seen. */
const answersAfter = 200;

/** From a checkpoint on: what was answered before it is in the states; what was under way then may have been done before, or may be done since. */
function between(operations: readonly RowOperation[], { time, states }: Checkpoint, until: number): Recent {
  const lasting = operations.filter((operation) => operation.invoked <= until && (operation.outcome !== 'ok' || operation.responded >= time));
  return { operations: claimOnly(lasting, new Set(lasting.filter(({ invoked, responded }) => invoked > time && responded <= until))), initials: states };
}

/** The newest part of a violated history that is violated too: to look at a long one many times would take too long. */
export function recentPart(operations: readonly RowOperation[], initial: State, at: RowOperation, checkpoints: readonly Checkpoint[], limit: number): Recent {
  const later = operations.filter(({ outcome, responded }) => outcome === 'ok' && responded > at.responded).map(({ responded }) => responded);
  const until = later.sort((a, b) => a - b)[answersAfter] ?? Number.POSITIVE_INFINITY;
  for (let back = 2; back <= checkpoints.length; back *= 2) {
    const recent = between(operations, checkpoints[checkpoints.length - back] as Checkpoint, until);
    const result = search(recent.operations, recent.initials, limit);
    if (result.outcome === 'violated' && result.at.responded <= at.responded) return recent;
  }
  return between(operations, { time: Number.NEGATIVE_INFINITY, states: [initial] }, until);
}

/** The trials that a history is worth: each is a search. */
const mostTrials = 400;

/** For a row whose history is violated at the end of `at`. A trial that comes to the limit leaves its claims in. */
export function shrink(operations: readonly RowOperation[], initials: readonly State[], at: RowOperation, limit: number): Shrunk {
  const begun = operations.filter((operation) => operation.invoked <= at.responded);
  let trials = 0;
  const violates = (claims: readonly RowOperation[]): boolean => {
    trials += 1;
    return search(claimOnly(begun, new Set(claims)), initials, limit).outcome === 'violated';
  };
  // What was answered last before the contradiction is the likeliest part of it, so the oldest go first.
  let claims = begun.filter(({ outcome, responded }) => outcome === 'ok' && responded <= at.responded).sort((a, b) => a.responded - b.responded);
  for (let size = claims.length >> 1; size >= 1 && trials < mostTrials; size >>= 1) {
    for (let start = 0; start < claims.length && trials < mostTrials; ) {
      const without = [...claims.slice(0, start), ...claims.slice(start + size)];
      if (without.length > 0 && violates(without)) claims = without;
      else start += size;
    }
  }
  claims.sort((a, b) => a.invoked - b.invoked);
  return {
    claims,
    context: contextOf(claims, begun),
    weakened: claimOnly(begun, new Set(claims)),
  };
}

/** For each value that a claim saw, the last write of it before that was answered; all increments where it is a sum. */
function contextOf(claims: readonly RowOperation[], begun: readonly RowOperation[]): RowOperation[] {
  const context = new Set<RowOperation>();
  for (const claim of claims) {
    const seen = stateSeen(claim);
    if (seen === undefined && claim.kind !== 'increment') continue;
    const before = begun.filter((operation) => operation !== claim && operation.invoked <= claim.responded);
    const write = before
      .filter((operation) => seen !== undefined && stateSet(operation) === seen)
      .reduce<RowOperation | null>((last, other) => (last === null || other.invoked > last.invoked ? other : last), null);
    if (write !== null) context.add(write);
    for (const operation of before) if (operation.kind === 'increment') context.add(operation);
  }
  return [...context].filter((operation) => !claims.includes(operation));
}
