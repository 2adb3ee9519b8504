import type { RowOperation, State } from '../history.ts';
import { nameFault } from './single-fault.ts';
import { search } from './search.ts';
import { recentPart, shrink } from './shrink.ts';
import { stateSeen } from './row-model.ts';
import { fateOf, type Violation, type ViolationKind } from '../violation.ts';
import { showState, showTime } from '../wording.ts';
import { type Conflict, judgeZones } from './zones.ts';

export interface RowVerdict {
  readonly outcome: 'clean' | 'violated' | 'undecided';
  readonly violations: readonly Violation[];
}

/** Conflicts of one row that are told of; one bad write can make hundreds. */
const mostOfOneRow = 10;

function ofConflict(key: string, conflict: Conflict): Violation {
  if (conflict.kind === 'unwritten') {
    const { read, write } = conflict;
    const whose = write === null ? 'which nobody wrote' : write.outcome === 'failed' ? 'whose write had been refused' : 'whose write had not begun';
    return { kind: 'phantom', key, at: read.responded, said: `${showState(stateSeen(read))} was read, ${whose}`, operations: write === null ? [read] : [write, read] };
  }
  const { older, newer } = conflict;
  const [missing, proof] = [older.last as RowOperation, newer.first as RowOperation];
  const kind = fateOf(missing.invoked, newer.lastSeen?.invoked ?? null);
  const ofNewer = newer.write?.kind === 'delete' ? 'the delete' : showState(newer.write === null ? stateSeen(proof) : 'value' in newer.write ? newer.write.value : null);
  const since = { stale: 'and is seen again later', lost: 'and is never seen again', unapplied: 'and was never seen' }[kind];
  const said = `${showState(stateSeen(missing))} was seen though ${ofNewer} had been ${proof === newer.write ? 'acknowledged' : 'seen'} before, ${since}`;
  const witnesses = [older.write, older.first, newer.write, proof, ...(kind === 'unapplied' ? [] : [newer.lastSeen])].filter(
    (operation) => operation !== null && operation !== missing,
  );
  return { kind, key, at: missing.responded, said, operations: [...new Set(witnesses as RowOperation[])].sort((a, b) => a.invoked - b.invoked).concat(missing) };
}

const told: Readonly<Record<ViolationKind, string>> = {
  lost: 'was acknowledged, took effect and is gone',
  unapplied: 'was acknowledged and never took effect',
  doubled: 'took effect twice',
  phantom: 'took effect though it was refused',
  stale: 'did not see what was there when it began',
  torn: 'took effect in part',
  cycle: 'is in no order with the others',
  impossible: 'is in no order with the others',
};

/** Judges the operations on one row. `limit` bounds each search, by configurations. */
export function judgeRow(key: string, operations: readonly RowOperation[], initial: State, limit: number): RowVerdict {
  const zones = judgeZones(operations, initial);
  if (zones !== null && zones.conflicts.length > 0) return { outcome: 'violated', violations: zones.conflicts.slice(0, mostOfOneRow).map((conflict) => ofConflict(key, conflict)) };
  if (zones?.exact) return { outcome: 'clean', violations: [] };
  const result = search(operations, [initial], limit);
  if (result.outcome !== 'violated') return { outcome: result.outcome, violations: [] };
  const perTrial = Math.min(limit, 20_000);
  const recent = recentPart(operations, initial, result.at, result.checkpoints, perTrial);
  const shrunk = shrink(recent.operations, recent.initials, result.at, perTrial);
  const { kind, culprit } = nameFault(operations, initial, recent, shrunk, perTrial);
  const unwritten = kind === 'phantom' && culprit?.outcome !== 'failed';
  const what = culprit === null ? 'these answers' : `the ${culprit.kind} by ${culprit.process} at ${showTime(culprit.invoked)}`;
  const said = unwritten ? `${showState(culprit === null ? undefined : stateSeen(culprit))} was read, which the row cannot have held` : `${what} ${told[kind]}`;
  // Where the history was cut, what was under way then is there as if its answer were not known.
  const asAnswered = (operation: RowOperation) =>
    operations.find(({ process, invoked, kind: done }) => process === operation.process && invoked === operation.invoked && done === operation.kind) ?? operation;
  const witnesses = new Set([...shrunk.context, ...shrunk.claims, ...(culprit === null ? [] : [culprit])].map(asAnswered));
  const ordered = [...witnesses].filter((operation) => operation !== result.at).sort((a, b) => a.invoked - b.invoked);
  const before = recent.initials.length === 1 && recent.initials[0] === initial ? '' : `; before these it held ${recent.initials.slice(0, 3).map(showState).join(' or ')}`;
  return { outcome: 'violated', violations: [{ kind, key, at: result.at.responded, said: `${said}${before}`, operations: [...ordered, result.at] }] };
}
