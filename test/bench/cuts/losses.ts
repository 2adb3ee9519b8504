import type { LoadRecord } from '../cutover/load-record.ts';
import type { CutCounts } from './connection-cuts.ts';

/** What the clients noticed of the connections that were cut. */
export interface Losses {
  /** Answers that said OUTCOME_UNKNOWN. */
  readonly unknown: number;
  /** Writes of which the clients know at the end neither that they were done nor that they were not. */
  readonly unresolved: number;
  /** Calls that were sent more than once. */
  readonly retried: number;
  readonly cuts: CutCounts;
}

export function lossesOf({ writes, reads }: LoadRecord, cuts: CutCounts): Losses {
  let [unknown, unresolved, retried] = [0, 0, 0];
  for (let i = 0; i < writes.length; i += 1) {
    unknown += writes.unknown[i] ?? 0;
    if (writes.outcome[i] !== 1 && writes.outcome[i] !== 3) unresolved += 1;
  }
  for (const { length, tries } of [writes, reads]) for (let i = 0; i < length; i += 1) if ((tries[i] ?? 0) > 1) retried += 1;
  return { unknown, unresolved, retried, cuts };
}

/** What is wrong with these numbers; none: nothing. Whether the stores hold what they must is the judge's business. */
export function lossProblems({ unknown, unresolved, cuts }: Losses, requestIds: boolean): readonly string[] {
  const problems: string[] = [];
  if (cuts.committed === 0) problems.push(`${cuts.inCommit} connections were cut in COMMIT, none where the store had committed: the run has tested nothing`);
  if (requestIds && unresolved > 0) problems.push(`${unresolved} writes have request ids and no answer`);
  if (!requestIds && unknown < cuts.inCommit) problems.push(`${cuts.inCommit} connections were cut in COMMIT, and only ${unknown} answers told an unknown outcome`);
  return problems;
}
