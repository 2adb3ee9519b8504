import { expect, test } from '@jest/globals';
import { type ErrorReason, reasonGroups } from '../../core/error-catalogue.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { problemAnswer } from './http-error.ts';

test('a status that clients take for an invitation to try again is only that of reasons that say so', () => {
  const callers = reasonGroups.filter((group) => group.of === 'callers').flatMap(({ entries }) => Object.entries(entries));
  const inviting = callers.filter(([reason]) => [429, 503].includes(problemAnswer(new SwitchyardError(reason as ErrorReason, 'why')).status));
  expect(inviting.filter(([, { retryable }]) => !retryable)).toEqual([]);
  expect(inviting.length).toBeGreaterThan(5);
});

test.each([
  ['MESSAGE_TOO_LARGE', 413],
  ['RESULT_TOO_LARGE', 422],
  ['REQUEST_ID_REUSED', 422],
  ['STORE_OVERLOADED', 503],
] as const)('%s is %i', (reason, status) => {
  expect(problemAnswer(new SwitchyardError(reason, 'why')).status).toBe(status);
});
