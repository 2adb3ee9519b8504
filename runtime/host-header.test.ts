import { expect, test } from '@jest/globals';
import { isOwnHost } from './host-header.ts';

test.each([undefined, '127.0.0.1', '127.0.0.1:7111', '10.1.2.3:80', '[::1]:7111', '[fe80::1]', 'localhost', 'LOCALHOST:7111', 'gateway.internal', 'Gateway.Internal.:7111'])(
  '%s is ours',
  (header) => {
    expect(isOwnHost(header, ['gateway.internal'])).toBe(true);
  },
);

test.each([
  '',
  'evil.example',
  'evil.example:7111',
  'localhost.evil.example',
  '127.0.0.1.evil.example',
  '[evil]:80',
  '1',
  'localhost:80:80',
  'gateway.internal@evil.example',
  'sub.gateway.internal',
])('%s is not', (header) => {
  expect(isOwnHost(header, ['gateway.internal'])).toBe(false);
});
