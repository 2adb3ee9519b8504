import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { holdSteps } from '../../control/cutover/steps.ts';
import { plansOf } from '../fault/coordinator/coordinator-sweep.ts';
import { CoordinatorCases } from '../fault/coordinator/coordinator-cases.ts';
import type { FaultPlan } from '../support/faults/fault-plan.ts';

/*
 * The control process that runs a cutover is killed or frozen right after a step of it, from the last one before the hold to the first one after it, while clients write and read: traffic flows again through the other control process, nothing is lost, and the
 * frozen one wakes and does no harm. `npm run fault -- --nemesis coordinator --each-step N` does both after every step, in both directions, many times.
 */

const struck: readonly string[] = ['warm-up', ...holdSteps, 'reverse-start'];
const caseLimitMs = 90_000;
/** Where the logs stay, for whoever looks into a failure. */
const logDirectory = process.env.SWITCHYARD_TEST_LOGS;

let cases: CoordinatorCases;

beforeAll(async () => {
  cases = await CoordinatorCases.start({ gateways: 2, seed: Date.now() % 1_000_000, ...(logDirectory === undefined ? {} : { logDirectory }) });
}, 120_000);

afterAll(async () => {
  await cases?.[Symbol.asyncDispose]();
});

test.each(oneOfEach(plansOf(0).filter(({ step }) => struck.includes(step))))(
  '$signal after $step on the way to the $to',
  async (plan) => expect((await cases.run(plan)).violations.slice(0, 10)).toEqual([]),
  caseLimitMs,
);

/** Of the two plans of each step one; both signals come in both directions. */
function oneOfEach(plans: readonly FaultPlan[]): readonly FaultPlan[] {
  return plans.filter((_, i) => i % 2 === Math.floor(i / 4) % 2);
}
