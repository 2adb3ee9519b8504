import type { History } from './history.ts';
import { judgeLists } from './lists/judge-lists.ts';
import { judgeRow } from './rows/judge-row.ts';
import type { Violation } from './violation.ts';

/*
 * The way from a run to a verdict: `new History()`, `add` each call as it was answered or given up, `addFinalRows` and `addFinalLists` with what the stores hold once all is quiet, `check`, and `explain` of the verdict. Only `clean` is a pass.
 */

export interface Verdict {
  /** `undecided` where nothing is violated and some row's search came to its limit: that is no pass. */
  readonly outcome: 'clean' | 'violated' | 'undecided';
  /** By time. */
  readonly violations: readonly Violation[];
  /** Rows whose search came to its limit. */
  readonly undecided: readonly string[];
  readonly operations: number;
}

/** Configurations that a row's search looks at, by default: some seconds. */
const usualLimit = 500_000;

/** Judges a history: each row's operations must be linearizable, the transactions of each keyspace strictly serializable. `limit` bounds the search of one row, where one is needed. */
export function check(history: History, limit: number = usualLimit): Verdict {
  const violations: Violation[] = [];
  const undecided: string[] = [];
  for (const [key, operations] of history.rows) {
    const verdict = judgeRow(key, operations, history.initial(key), limit);
    violations.push(...verdict.violations);
    if (verdict.outcome === 'undecided') undecided.push(key);
  }
  for (const [keyspace, transactions] of history.transactions) violations.push(...judgeLists(keyspace, transactions));
  violations.sort((a, b) => a.at - b.at);
  return { outcome: violations.length > 0 ? 'violated' : undecided.length > 0 ? 'undecided' : 'clean', violations, undecided, operations: history.size };
}
