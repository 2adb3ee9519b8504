import { expect, test } from '@jest/globals';
import { closestName } from './closest-name.ts';

test.each([
  ['nmae', ['name', 'note'], 'name'],
  ['castomer', ['id', 'customer'], 'customer'],
  ['requestID', ['deadlineMs', 'requestId'], 'requestId'],
  ['etg', ['where', 'etag'], 'etag'],
  ['ID', ['id'], 'id'],
])('"%s" of %j is a slip for "%s"', (name, names, closest) => {
  expect(closestName(name, names)).toBe(closest);
});

test.each([
  ['x', ['a', 'b']],
  ['n', ['id', 'no']],
  ['pg_class', ['customer', 'purchase']],
  ['timeoutMs', ['deadlineMs', 'addresses']],
  ['zzzzzzzz', ['name', 'note']],
  ['name', []],
])('"%s" is none of %j', (name, names) => {
  expect(closestName(name, names)).toBeNull();
});
