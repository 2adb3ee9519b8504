import { setTimeout as sleep } from 'node:timers/promises';
import { afterSteps, holdSteps, prepareSteps } from '../../../control/cutover/steps.ts';
import { workflowName } from '../../bench/cutover/bench-move.ts';
import type { FaultPlan } from '../../support/faults/fault-plan.ts';
import { durationMs, type Nemesis, noExcuse, oneOf, seconds } from './nemesis.ts';

const steps = [...prepareSteps, ...holdSteps, ...afterSteps];

/** The control process that runs the cutovers dies or freezes right after one step of one. Reads go on, and writes after the hold's budget and 1.5 s; nobody helps. */
export const coordinator: Nemesis = {
  name: 'coordinator',
  needs: { faultyControls: true },
  alone: true,
  async strike({ faultyControls }, dice) {
    if (faultyControls === null) throw new Error('these control processes cannot be told of a fault');
    const plan: FaultPlan = { step: oneOf(steps, dice), to: oneOf(['source', 'target'] as const, dice), signal: oneOf(['SIGKILL', 'SIGSTOP'] as const, dice) };
    const forMs = durationMs(dice);
    const armed = await faultyControls.arm(workflowName, plan);
    const how = plan.signal === 'SIGKILL' ? 'killed' : 'paused';
    const what = `${armed.process.name} ${how} after ${plan.step} on the way to the ${plan.to}`;
    try {
      await armed.untilFired();
    } catch {
      await armed.disarm();
      return { what: `${what}: not reached`, excuses: noExcuse };
    }
    await sleep(forMs);
    await armed.disarm();
    if (plan.signal === 'SIGSTOP') armed.process.resume();
    else {
      // The fault is told before its process is gone.
      await armed.process.kill();
      await armed.process.start();
    }
    return { what: `${what}, for ${seconds(forMs)}`, excuses: noExcuse };
  },
};
