import { describe, expect, test } from '@jest/globals';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { DataClient, Turn } from './gateways.ts';
import { pause } from './pause.ts';
import { resumed, type ResumedOptions } from './resumed.ts';

const gateway: Turn['gateway'] = { client: {} as DataClient, served: () => {}, failed: () => {} };
const gateways = { turn: (signal = new AbortController().signal): Turn => ({ gateway, options: { signal } }), waitMs: () => 1 };

/** Three numbers, each after so long, and then whatever the signal ends. */
async function* slow(ms: number, signal: AbortSignal | undefined): AsyncGenerator<number> {
  for (let number = 1; number <= 3; number += 1) {
    await pause(ms, signal);
    yield number;
  }
  await pause(60_000, signal);
}

async function taken(options: ResumedOptions, ms: number, takesMs = 0): Promise<readonly unknown[]> {
  const seen: unknown[] = [];
  try {
    for await (const each of resumed(gateways, (_, { signal }) => slow(ms, signal), options)) {
      seen.push(each);
      await pause(takesMs);
    }
  } catch (error) {
    seen.push(error instanceof SwitchyardError ? error.reason : error);
  }
  return seen;
}

describe('a resumed stream', () => {
  test('is waited for as long as patience lasts, whatever its reader takes', async () => {
    expect(await taken({ patienceMs: 100 }, 1, 150)).toEqual([1, 2, 3, 'DEADLINE_EXCEEDED']);
    expect(await taken({ patienceMs: 100 }, 1_000)).toEqual(['DEADLINE_EXCEEDED']);
  });

  test('has no other limit than its deadline where it has one', async () => {
    expect(await taken({ patienceMs: 10, deadlineMs: 1_000 }, 50)).toEqual([1, 2, 3, 'DEADLINE_EXCEEDED']);
    expect(await taken({ deadlineMs: 450 }, 300)).toEqual([1, 'DEADLINE_EXCEEDED']);
  });

  test('without a limit outlasts any number of failures, and tells each', async () => {
    let tries = 0;
    const told: string[] = [];
    async function* failing(): AsyncGenerator<number> {
      tries += 1;
      if (tries <= 50) throw new SwitchyardError(tries % 2 === 0 ? 'STORE_UNAVAILABLE' : 'PEER_UNREACHABLE', 'gone');
      yield tries;
    }
    const first = await resumed(gateways, failing, { onRetry: ({ reason }) => told.push(reason) }).next();
    expect([first.value, told.length]).toEqual([51, 50]);
  });

  test('that fails until its patience is over rejects with that failure', async () => {
    let tries = 0;
    async function* failing(): AsyncGenerator<number> {
      tries += 1;
      if (tries > 0) throw new SwitchyardError('STORE_UNAVAILABLE', 'gone');
      yield tries;
    }
    await expect(resumed(gateways, failing, { patienceMs: 100 }).next()).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
    expect(tries).toBeGreaterThan(3);
  });
});
