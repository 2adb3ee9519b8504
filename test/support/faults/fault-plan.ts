import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type DepartureStepName, departureSteps } from '../../../control/departure/steps.ts';
import { type CutoverStepName, cutoverSteps } from '../../../control/cutover/steps.ts';

const stepNames = [...new Set([...Object.keys(cutoverSteps), ...Object.keys(departureSteps)])] as (CutoverStepName | DepartureStepName)[];

export const faultPlanSchema = z.strictObject({
  /** The step after which it happens. */
  step: z.enum(stepNames),
  /** The direction of the cutover in which it happens. */
  to: z.enum(['source', 'target']),
  /** What the control process does to itself: SIGKILL is its death, SIGSTOP freezes it until somebody sends SIGCONT. */
  signal: z.enum(['SIGKILL', 'SIGSTOP']),
});

/** One fault of a control process, as JSON in its `plannedFile`. */
export type FaultPlan = z.infer<typeof faultPlanSchema>;

export const plannedFile = (folder: string, controlId: string): string => join(folder, `${controlId}.planned.json`);
/** What the planned file is called from right before the signal on: it happens once. */
export const firedFile = (folder: string, controlId: string): string => join(folder, `${controlId}.fired.json`);

/** The `onStep` of a control process that carries out the plan that is there when a step has ended. `sendSignal` is given the signal and returns once it has been delivered. */
export function faultOnStep(folder: string, controlId: string, sendSignal: (signal: FaultPlan['signal']) => void): (workflow: string, to: string, step: string) => Promise<void> {
  const planned = plannedFile(folder, controlId);
  return async (_, to, step) => {
    if (!existsSync(planned)) return;
    const plan = faultPlanSchema.parse(JSON.parse(readFileSync(planned, 'utf8')));
    if (step !== plan.step || to !== plan.to) return;
    renameSync(planned, firedFile(folder, controlId));
    sendSignal(plan.signal);
  };
}
