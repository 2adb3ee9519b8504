import type { Options } from './options.ts';
import { runSeed, type SeedResult } from './run-seed.ts';
import type { Plan } from './world/plan.ts';

/** What came of some seeds in a row. */
export interface RangeResult {
  /** The first that failed, after which none was run; null: all are well. */
  readonly failed: number | null;
  readonly seeds: number;
  readonly operations: number;
  readonly faults: number;
  readonly steps: number;
  /** Rows of which the checker could say nothing. */
  readonly undecided: number;
}

export const nothingRun: RangeResult = { failed: null, seeds: 0, operations: 0, faults: 0, steps: 0, undecided: 0 };

export function add(a: RangeResult, b: RangeResult): RangeResult {
  const failed = a.failed === null || (b.failed !== null && b.failed < a.failed) ? b.failed : a.failed;
  return {
    failed,
    seeds: a.seeds + b.seeds,
    operations: a.operations + b.operations,
    faults: a.faults + b.faults,
    steps: a.steps + b.steps,
    undecided: a.undecided + b.undecided,
  };
}

export const runPlan = (plan: Plan, { broken, isTalkative }: Options): Promise<SeedResult> => runSeed(plan, { broken: new Set(broken), isTalkative });

/** Runs seeds one after the other until one fails. Throws where a seed is not the same twice. */
export async function runRange(options: Options, first: number, count: number): Promise<RangeResult> {
  let sum = nothingRun;
  for (let seed = first; seed < first + count && sum.failed === null; seed += 1) {
    const plan = options.planOf(seed);
    const result = await runPlan(plan, options);
    if (options.checksDeterminism) compareRuns(seed, result, await runPlan(plan, options));
    const { faults, steps, undecided, history, violations } = result;
    sum = add(sum, { failed: violations.length > 0 ? seed : null, seeds: 1, operations: history.length, faults, steps, undecided });
  }
  return sum;
}

function compareRuns(seed: number, a: SeedResult, b: SeedResult): void {
  if (a.trace !== b.trace || a.steps !== b.steps) throw new Error(`seed ${seed} is not the same twice: ${a.steps} steps with trace ${a.trace}, ${b.steps} with ${b.trace}`);
}
