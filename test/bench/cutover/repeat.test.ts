import { expect, test } from '@jest/globals';
import type { Done, Failure } from './calls.ts';
import { sendUntilAnswered } from './repeat.ts';

const unavailable: Failure = { reason: 'STORE_UNAVAILABLE', message: '', refused: true };

/** Sends a call whose first tries fail; resolves to how it ended and to the limits that its tries had. */
function run(failures: readonly (Failure | null)[], deadlineMs: number): Promise<{ readonly failure: Failure | null; readonly limitsMs: readonly number[] }> {
  const limitsMs: number[] = [];
  const send = (limitMs: number, done: Done): void => {
    limitsMs.push(limitMs);
    setImmediate(done, failures[limitsMs.length - 1] ?? null, []);
  };
  return new Promise((resolve) =>
    sendUntilAnswered(
      deadlineMs,
      send,
      ({ refused }) => refused,
      (failure) => resolve({ failure, limitsMs }),
    ),
  );
}

test('a refused call is sent again within the limit of the whole', async () => {
  const { failure, limitsMs } = await run([unavailable, unavailable, null], 1_000);
  expect(failure).toBeNull();
  expect(limitsMs).toHaveLength(3);
  expect(limitsMs).toEqual(limitsMs.toSorted((a, b) => b - a));
  expect(limitsMs[0]).toBeLessThanOrEqual(1_000);
});

test('what is not to be repeated ends the call, and so does its limit', async () => {
  const failed = { ...unavailable, refused: false };
  expect(await run([failed], 1_000)).toMatchObject({ failure: failed, limitsMs: [expect.anything()] });
  const endless = await run(new Array<Failure>(100).fill(unavailable), 100);
  expect(endless.failure).toBe(unavailable);
  expect(endless.limitsMs.length).toBeGreaterThan(1);
  expect(endless.limitsMs.length).toBeLessThan(10);
});
