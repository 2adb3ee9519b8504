import { expect, test } from '@jest/globals';
import type { Clock } from '../../core/clock.ts';
import type { ErrorReason } from '../../core/error-catalogue.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { systemClock } from '../../runtime/clock.ts';
import { Repetition } from './repetition.ts';

const failure = (reason: ErrorReason) => new SwitchyardError(reason, reason);
const unknown = failure('OUTCOME_UNKNOWN');

/** Runs a write that fails in these ways and then is done; `call` ends in the rest behind as many tries as `callEndsAfter`. Tells the rests, too. */
async function attempt(
  failures: readonly SwitchyardError[],
  from: 'store' | 'gateway',
  callEndsAfter = Number.POSITIVE_INFINITY,
): Promise<{ end: unknown; rests: readonly number[] }> {
  const [call, rests, left] = [new AbortController(), [] as number[], [...failures]];
  const sleep: Clock['sleep'] = async (ms, signal) => {
    rests.push(ms);
    if (rests.length >= callEndsAfter) call.abort(failure('DEADLINE_EXCEEDED'));
    signal?.throwIfAborted();
  };
  const repetition = new Repetition({ ...systemClock, sleep });
  const send = async (): Promise<string> => {
    const next = left.shift();
    if (next !== undefined) throw next;
    return 'done';
  };
  const write = () => (from === 'store' || left[0]?.reason === 'OUTCOME_UNKNOWN' ? repetition.judged(send()) : send());
  return { end: await repetition.run({ signal: call.signal }, write).catch((error: unknown) => error), rests };
}

test('a failure that says that nothing was written is the caller’s business', async () => {
  for (const reason of ['STORE_UNAVAILABLE', 'SERIALIZATION_FAILURE', 'UNIQUE_VIOLATION', 'HELD_TOO_LONG'] as const) {
    const error = failure(reason);
    expect(await attempt([error], 'store')).toEqual({ end: error, rests: [] });
  }
});

test('once a try was unknown whatever passes by itself is waited out, with ever longer rests', async () => {
  const passing = ['STORE_UNAVAILABLE', 'FENCED', 'HELD_TOO_LONG', 'BUFFER_FULL', 'OUTCOME_UNKNOWN', 'GATEWAY_NOT_READY', 'STORE_OVERLOADED'] as const;
  for (const from of ['store', 'gateway'] as const)
    expect(await attempt([unknown, ...passing.map(failure)], from)).toEqual({ end: 'done', rests: [10, 20, 40, 80, 160, 320, 500, 500] });
});

test('once a try was unknown only a store’s own word tells that nothing was written', async () => {
  const refused = failure('NOT_NULL_VIOLATION');
  expect((await attempt([unknown, refused], 'store')).end).toBe(refused);
  for (const [reason, from] of [
    ['NOT_NULL_VIOLATION', 'gateway'],
    ['STORE_DENIED', 'store'],
    ['TABLE_UNKNOWN', 'store'],
  ] as const)
    expect((await attempt([unknown, failure(reason)], from)).end).toMatchObject({
      reason: 'OUTCOME_UNKNOWN',
      retryAfterMs: 100,
      message: expect.stringContaining(`then: ${reason}. Repeat`),
    });
});

test('the end of the call ends it, and the outcome is still unknown', async () => {
  const { end, rests } = await attempt([unknown, ...Array.from({ length: 100 }, () => failure('STORE_UNAVAILABLE'))], 'store', 3);
  expect(end).toMatchObject({ reason: 'OUTCOME_UNKNOWN', retryAfterMs: 100, message: expect.stringContaining('then: STORE_UNAVAILABLE') });
  expect(rests.length).toBe(3);
});
