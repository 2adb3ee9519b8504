import { describe, expect, test } from '@jest/globals';
import { readOptions } from './options.ts';
import { breakVerdict } from './report.ts';

test('a run without a safeguard says whether it was found', () => {
  expect(breakVerdict(['fence'], 12, 200)).toBe('found without fence, at seed 12, as it has to be');
  expect(breakVerdict(['token', 'marker'], null, 1)).toBe('NOT NOTICED in 1 seed without token and marker');
});

describe('an option is refused that', () => {
  test.each([
    ['is no whole number', ['--seeds', '2.5'], '--seeds: got "2.5"; must be a whole number'],
    ['is no time', ['--rest', 'long'], '--rest: got "long"; must be a number of milliseconds'],
    ['is no safeguard', ['--break', 'fance'], '--break: got "fance"; must be one of fence,'],
  ])('%s', (_, args, message) => {
    expect(() => readOptions(args).planOf(1)).toThrow(message);
  });
});
