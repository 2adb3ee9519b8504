import { expect, test } from '@jest/globals';
import { parseConfig } from '../runtime/config-file.ts';
import { controlConfigSchema } from './config.ts';

const logsOf = (logs: unknown) => parseConfig(controlConfigSchema, logs === undefined ? {} : { logs }, 'control.yaml').logs;

test('what logs may keep has defaults, and each limit may be off', () => {
  expect(logsOf(undefined)).toEqual({ alarmMiB: 4_096, dropMiB: 32_768 });
  expect(logsOf({ alarmMiB: 'off' })).toEqual({ alarmMiB: null, dropMiB: 32_768 });
  expect(logsOf({ alarmMiB: 100_000, dropMiB: 'off' })).toEqual({ alarmMiB: 100_000, dropMiB: null });
  expect(logsOf({ alarmMiB: 64, dropMiB: 65 })).toEqual({ alarmMiB: 64, dropMiB: 65 });
});

test.each([
  [{ alarmMiB: 32_768 }, /must be less than logs\.dropMiB.*lower it, raise logs\.dropMiB, or turn one of them "off"\n\s*→ at logs\.alarmMiB/],
  [{ dropMiB: 1_000 }, /must be less than logs\.dropMiB/],
  [{ dropMiB: 0 }, /must be a whole number of MiB from 64 to 1073741824, or "off"\n\s*→ at logs\.dropMiB/],
  [{ alarmMiB: '4 GiB' }, /must be a whole number of MiB from 64 to 1073741824, or "off"\n\s*→ at logs\.alarmMiB/],
  [{ alarmMiB: 100.5 }, /must be a whole number/],
  [{ drop: 100 }, /Unrecognized key: "drop"\n\s*→ at logs/],
])('%j is refused, naming the field and what helps', (logs, message) => {
  expect(() => logsOf(logs)).toThrow(message);
});
