import { check } from '../checker/check.ts';
import { explainViolation } from '../checker/explain.ts';
import { History, type RowOperation, type State } from '../checker/history.ts';
import { registers } from './world/tables.ts';

/** Configurations that one row's search may look at. */
const searchLimit = 50_000;

/** Registers hold nothing at first, everything else 0. */
const initialState = (key: string): State => (registers.some((id) => key === `item ${id}`) ? null : 0);

export interface Judgement {
  /** What the answers contradict, each with the operations that show it. */
  readonly violations: readonly string[];
  /** Rows of which nothing could be said. */
  readonly undecided: number;
}

/** Judges what the callers were told. */
export function judge(operations: readonly RowOperation[]): Judgement {
  const history = new History(initialState);
  for (const operation of operations) history.add(operation);
  const { violations, undecided } = check(history, searchLimit);
  return { violations: violations.map(explainViolation), undecided: undecided.length };
}
