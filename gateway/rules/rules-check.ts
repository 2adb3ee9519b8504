import type { RuleProblem } from '../../core/registration.ts';
import type { RoutingTable, TableRef } from '../../core/routing-table.ts';
import { type FenceView, isAway, type Look } from './fence-view.ts';

/** Tables of a new version whose stores have to be asked before they follow it. */
export interface Questions {
  /** As the new rules have them: another keyspace than before, or no predecessor at all. */
  readonly changed: readonly TableRef[];
  /** As the old rules had them: the new ones no longer name these. */
  readonly dropped: readonly TableRef[];
}

/** Finds what a new version changes for tables that may have fence rows. `previous` null: the gateway has just started and asks about every table. */
export function questionsOf(next: RoutingTable, previous: RoutingTable | null): Questions {
  const changed = [...next.refs()].filter((ref) => previous === null || keyspaceBefore(previous, ref) !== ref.keyspace);
  const dropped = previous === null ? [] : [...previous.refs()].filter((ref) => next.document.tables[ref.key] === undefined);
  return { changed, dropped };
}

function keyspaceBefore(previous: RoutingTable, ref: TableRef): string | null {
  const known = previous.ref(ref.key);
  if (known !== null) return known.keyspace;
  // A table that gets its first rule was served without one until now, unless its keyspace was unknown then.
  if (previous.document.tables[ref.key] !== undefined) return null;
  try {
    return previous.resolve(ref.key).keyspace;
  } catch {
    return null; // not served by any name before
  }
}

/** What became of the questions. */
export interface Answers {
  /** Keys of tables whose stores have not answered yet: they go on as before and are asked again. */
  readonly pending: ReadonlySet<string>;
  /** Keys that the rules dropped although fence rows exist: they go on as before. */
  readonly kept: ReadonlySet<string>;
}

/** Judges the questions by a look at the rows; `look` null: nothing had to be asked. */
export function answersOf(questions: Questions, look: Look | null, fenceView: FenceView): Answers {
  const pending = new Set<string>();
  const kept = new Set<string>();
  for (const ref of questions.changed) if (isPending(ref, look, fenceView)) pending.add(ref.key);
  for (const ref of questions.dropped) if (fenceView.find(ref) !== null) kept.add(ref.key);
  return { pending, kept };
}

/**
 * A table without remembered rows follows its new rule when the store that the rule names has answered, and every other end has answered or is away: a store that is away must not stop an unmanaged table from being sent elsewhere by hand.
 * Under a workflow every end must have answered.
 */
function isPending(ref: TableRef, look: Look | null, fenceView: FenceView): boolean {
  if (fenceView.find(ref) !== null || look === null) return false;
  // What was decided behind a barrier is in the rules alone, and to go on as before would be to go on in a store that is left.
  if (ref.rule?.movement?.barrier === true && ref.keyspace === ref.rule.movement.target) return false;
  if (!look.answered.has(ref.keyspace)) return true;
  const others = fenceView.subjectOf([ref]).keyspaces.filter((keyspace) => keyspace !== ref.keyspace && !look.answered.has(keyspace));
  return others.some((keyspace) => ref.rule?.movement !== undefined || !isAway(look.failed.get(keyspace)));
}

/** Everything that the rows, as far as they are known, have against the rules. */
export function fenceProblems(next: RoutingTable, questions: Questions, answers: Answers, fenceView: FenceView): readonly RuleProblem[] {
  const problems: RuleProblem[] = [];
  const refuse = (table: string, message: string): number => problems.push({ version: next.version, table, reason: 'RULE_FENCED', message });
  for (const ref of questions.dropped) {
    if (answers.kept.has(ref.key)) refuse(ref.key, `the rules no longer name table "${ref.key}", but its fence rows exist: it goes on in keyspace "${fenceView.homeOf(ref)}"`);
  }
  for (const ref of next.refs()) {
    const fenced = fenceView.find(ref);
    if (answers.pending.has(ref.key))
      refuse(ref.key, `the fence rows of table "${ref.key}" have not been read yet, because a store does not answer: it goes on where it was until they are`);
    else if (fenced !== null && fenceView.homeOf(ref) !== ref.keyspace) {
      const row = fenced.row(ref.keyspace);
      const there = row === null || row === undefined ? 'has no fence row of it' : `has it ${row.state} at attempt ${row.attempt}`;
      refuse(
        ref.key,
        `the rule sends table "${ref.key}" to keyspace "${ref.keyspace}", whose store ${there}: it is served by keyspace "${fenced.home}", as the fence rows say (attempt ${fenced.attempt})`,
      );
    }
  }
  return problems;
}
