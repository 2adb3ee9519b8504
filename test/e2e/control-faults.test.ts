import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { plansOf } from '../fault/coordinator/coordinator-sweep.ts';
import { CoordinatorCases } from '../fault/coordinator/coordinator-cases.ts';

/*
 * The control process that runs a cutover is killed, and in other runs frozen, after each step, while clients write and read: traffic flows again through the other control process, nothing is lost, and the frozen one wakes and does no harm. One direction of each
 * here; `npm run fault -- --nemesis coordinator --each-step N` has both, many times.
 */

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

describe.each([
  ['killed', 'SIGKILL'],
  ['frozen', 'SIGSTOP'],
] as const)('the coordinator is %s', (_, signal) => {
  test.each(plansOf(0).filter((plan) => plan.signal === signal))(
    'after $step on the way to the $to',
    async (plan) => expect((await cases.run(plan)).violations.slice(0, 10)).toEqual([]),
    caseLimitMs,
  );
});
