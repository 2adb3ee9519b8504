import { existsSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { type CutoverStepName, cutoverSteps } from '../../../control/cutover/steps.ts';

const stepNames = Object.keys(cutoverSteps) as CutoverStepName[];

export const faultPlanSchema = z.strictObject({
  /** The step after which it happens. */
  step: z.enum(stepNames),
  /** The direction of the cutover in which it happens. */
  to: z.enum(['source', 'target']),
  /** What the control process does to itself: SIGKILL is its death, SIGSTOP freezes it until somebody sends SIGCONT. */
  signal: z.enum(['SIGKILL', 'SIGSTOP']),
  /** Written right before the signal. It happens once: not when the file is there. */
  firedFile: z.string(),
});

/** One fault of a control process, handed over as the JSON after `--fault`. */
export type FaultPlan = z.infer<typeof faultPlanSchema>;

/** The `onStep` of a control process that carries the plan out. `sendSignal` is given the signal and returns once it has been delivered. */
export function faultOnStep(plan: FaultPlan, sendSignal: (signal: FaultPlan['signal']) => void): (workflow: string, to: string, step: string) => Promise<void> {
  return async (_, to, step) => {
    if (step !== plan.step || to !== plan.to || existsSync(plan.firedFile)) return;
    writeFileSync(plan.firedFile, String(Date.now()));
    sendSignal(plan.signal);
  };
}
