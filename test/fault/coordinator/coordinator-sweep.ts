import { afterSteps, holdSteps, prepareSteps } from '../../../control/cutover/steps.ts';
import type { FaultPlan } from '../../support/faults/fault-plan.ts';
import { type CaseResult, CoordinatorCases, type CoordinatorOptions, holdBudgetMs } from './coordinator-cases.ts';

export const sweptSteps = [...prepareSteps, ...holdSteps, ...afterSteps];

/** Every step once with each signal; the direction changes from case to case and from sweep to sweep. */
export function plansOf(sweep: number): readonly FaultPlan[] {
  return sweptSteps.flatMap((step, i) => (['SIGKILL', 'SIGSTOP'] as const).map((signal, j): FaultPlan => ({ step, signal, to: (sweep + i + j) % 2 === 0 ? 'target' : 'source' })));
}

export interface SweepResult {
  readonly cases: number;
  readonly operations: number;
  /** Longest time without a write beyond the hold's budget. */
  readonly worstOutageMs: number;
  readonly slowestReadMs: number;
  readonly violations: readonly string[];
}

const nameOf = ({ step, to, signal }: FaultPlan): string => `${signal === 'SIGKILL' ? 'killed' : 'paused'} after ${step} on the way to the ${to}`;

/** One sweep on processes of its own. */
export async function runSweep(sweep: number, options: Omit<CoordinatorOptions, 'seed'>, say: (line: string) => void): Promise<SweepResult> {
  await using cases = await CoordinatorCases.start({ ...options, seed: 1_000 * sweep });
  const results: { readonly plan: FaultPlan; readonly result: CaseResult }[] = [];
  for (const plan of plansOf(sweep)) {
    const result = await cases.run(plan);
    results.push({ plan, result });
    say(
      `${nameOf(plan)}: ${Math.round(result.longestWithoutWriteMs)} ms without a write, slowest read ${Math.round(result.slowestReadMs)} ms${result.violations.map((what) => `; PROBLEM ${what}`).join('')}`,
    );
  }
  const all = results.map(({ result }) => result);
  return {
    cases: all.length,
    operations: all.reduce((sum, { operations }) => sum + operations, 0),
    worstOutageMs: Math.round(Math.max(0, ...all.map(({ longestWithoutWriteMs }) => longestWithoutWriteMs - holdBudgetMs))),
    slowestReadMs: Math.round(Math.max(...all.map(({ slowestReadMs }) => slowestReadMs))),
    violations: results.flatMap(({ plan, result }) => result.violations.map((what) => `${nameOf(plan)}: ${what}`)),
  };
}
