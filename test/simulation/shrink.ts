import type { Plan } from './world/plan.ts';

/** Tries of smaller plans; each runs a whole world. */
const mostTries = 80;

/** A smaller plan of the same seed that still fails: fewer faults, fewer switches, shorter faults. `fails` runs one. */
export async function shrinkPlan(plan: Plan, fails: (smaller: Plan) => Promise<boolean>): Promise<Plan> {
  let best = plan;
  let tries = 0;
  for (let isSmaller = true; isSmaller && tries < mostTries; ) {
    isSmaller = false;
    for (const candidate of candidates(best)) {
      if (tries >= mostTries) break;
      tries += 1;
      if (!(await fails(candidate))) continue;
      best = candidate;
      isSmaller = true;
      break;
    }
  }
  return best;
}

function* candidates(plan: Plan): Generator<Plan> {
  for (const index of plan.faults.keys()) yield { ...plan, faults: plan.faults.toSpliced(index, 1) };
  for (let switches = 0; switches < plan.switches; switches += 1) yield { ...plan, switches };
  if (plan.ends) yield { ...plan, ends: false };
  if (plan.restMs < 200) yield { ...plan, restMs: plan.restMs * 4 };
}
