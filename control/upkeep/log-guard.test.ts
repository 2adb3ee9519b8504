import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import type { KeptLog } from '../../backends/backend.ts';
import { createMetrics } from '../../runtime/metrics.ts';
import { ControlMetrics } from '../metrics.ts';
import { LogGuard, type LogLimits, logLimits } from './log-guard.ts';

const log = (name: string, bytes: number, followed: boolean | null = false): KeptLog => ({ name, stream: `${name}.forward`, bytes, followed, dropText: `DROP ${name}` });

function guard(limits: LogLimits) {
  const metrics = new ControlMetrics(createMetrics());
  const said: string[] = [];
  const logger = pino({ level: 'info' }, { write: (line) => void said.push(`${JSON.parse(line).level} ${JSON.parse(line).log}`) });
  const kept = async () => (await metrics.logKept.get()).values.map(({ labels, value }) => `${labels.log} ${value}`);
  return { guard: new LogGuard({ keyspace: 'shop', limits, metrics, log: logger }), said, kept };
}

const none = async (): Promise<boolean> => {
  throw new Error('nothing was to be dropped');
};

test('a log is said once while it is large, also when it goes up and down about the limit, and again when it comes back', () => {
  const { guard: logs, said } = guard({ alarmBytes: 100, dropBytes: null });
  for (const bytes of [99, 100, 500, 99, 51, 100]) logs.see([log('a', bytes)]);
  expect(said).toEqual(['40 a']);
  for (const bytes of [49, 100]) logs.see([log('a', bytes)]);
  expect(said).toEqual(['40 a', '40 a']);
  logs.see([]);
  logs.see([log('a', 100)]);
  expect(said).toHaveLength(3);
});

test('the alarm of a stream lasts as long as its log is large, and says what becomes of it', () => {
  const { guard: logs } = guard({ alarmBytes: 2 ** 30, dropBytes: 8 * 2 ** 30 });
  logs.see([log('a', 1.5 * 2 ** 30), log('b', 2 ** 30 - 1)]);
  expect(logs.alarm('a.forward')).toBe(
    'log "a" of stream "a.forward" keeps 1.5 GiB of the store\'s history, and nobody reads it now: when it keeps 8.0 GiB it is dropped, before the disk is full, and its stream ends for good',
  );
  expect(logs.alarm('b.forward')).toBeNull();
  logs.see([log('a', 10)]);
  expect(logs.alarm('a.forward')).toBeNull();
});

test('what is too large is dropped, and stays shown where the store says that it is not so large any more', async () => {
  const { guard: logs, said, kept } = guard({ alarmBytes: 50, dropBytes: 100 });
  logs.see([log('a', 99), log('b', 100), log('c', 200)]);
  const asked: string[] = [];
  await logs.dropTooLarge(async (name, atLeast) => {
    asked.push(`${name} ${atLeast}`);
    return name === 'c';
  });
  expect(asked).toEqual(['b 100', 'c 100']);
  expect(said).toEqual(['40 a', '40 b', '40 c', '50 c']);
  expect(await kept()).toEqual(['a 99', 'b 100']);
  logs.end();
  expect(await kept()).toEqual([]);
});

test('"off" is never', async () => {
  const limits = logLimits({ alarmMiB: null, dropMiB: null });
  expect(limits).toEqual({ alarmBytes: null, dropBytes: null });
  expect(logLimits({ alarmMiB: 64, dropMiB: 128 })).toEqual({ alarmBytes: 64 * 2 ** 20, dropBytes: 128 * 2 ** 20 });
  const { guard: logs, said, kept } = guard(limits);
  logs.see([log('a', Number.MAX_SAFE_INTEGER)]);
  await logs.dropTooLarge(none);
  expect([said, await kept(), logs.alarm('a.forward')]).toEqual([[], [`a ${Number.MAX_SAFE_INTEGER}`], null]);
});
