import { expect, test } from '@jest/globals';
import { GtidPosition } from './gtid-position.ts';

const parse = (text: string): GtidPosition => GtidPosition.parse(text);

test('is written in order of domains, and moves on in one of them', () => {
  const position = parse('7-2-3, 0-1-15');
  expect(position.format()).toBe('0-1-15,7-2-3');
  position.pass({ domain: 7, server: 9, sequence: 18_446_744_073_709_551_615n });
  position.pass({ domain: 3, server: 1, sequence: 1n });
  expect(position.format()).toBe('0-1-15,3-1-1,7-9-18446744073709551615');
  expect(parse('').format()).toBe('');
});

test('is behind another one when every domain of that one is', () => {
  expect(parse('0-1-15').isAtOrBehind(parse('0-2-15'))).toBe(true);
  expect(parse('0-1-15,7-1-1').isAtOrBehind(parse('0-1-15'))).toBe(true);
  expect(parse('0-1-15').isAtOrBehind(parse('0-1-15,7-1-1'))).toBe(false);
  expect(parse('0-1-14,7-1-9').isAtOrBehind(parse('0-1-15,7-1-1'))).toBe(false);
  expect(parse('0-1-1').isAtOrBehind(parse(''))).toBe(true);
  expect(parse('').isAtOrBehind(parse('0-1-1'))).toBe(false);
});

test.each(['0-1', '0-1-2-3', 'x', '0-1-', '0/1', "0-1-1'"])('is none: %s', (text) => {
  expect(() => parse(text)).toThrow(expect.objectContaining({ reason: 'STREAM_FAILED', metadata: { problem: 'POSITION' } }));
});
