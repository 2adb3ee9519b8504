import { expect, test } from '@jest/globals';
import { untilAborted } from './schemas.ts';

test('a failure is heard of even when its caller has left before it began to wait', async () => {
  // One that nobody hears of ends the process, here that of this test: one caller who leaves early could end the gateway.
  await expect(untilAborted(Promise.reject(new Error('no such table')), AbortSignal.abort(new Error('left')))).rejects.toThrow('left');
  await expect(untilAborted(Promise.reject(new Error('no such table')), new AbortController().signal)).rejects.toThrow('no such table');
});
