import { describe, expect, test } from '@jest/globals';
import type { FailedTry } from '../bench/cutover/load-record.ts';
import { settleAccounts, type Strike } from './accounts.ts';
import { type Excuses, noExcuse } from './nemeses/nemesis.ts';
import type { Order } from './shuttle.ts';

const failed = (given: Partial<FailedTry>): FailedTry => ({ call: 'write', gateway: 0, issuedMs: 10_500, endedMs: 10_600, reason: 'PEER_UNREACHABLE', message: '', ...given });
/** From 10 to 11 s, flowing again after 12 s. */
const strike = (excuses: Partial<Excuses>): Strike => ({ name: 'a strike', fromMs: 10_000, toMs: 11_000, flowingMs: 12_000, excuses: { ...noExcuse, ...excuses } });
const done = (to: Order['to'], orderedMs: number, answeredMs: number): Order => ({ to, orderedMs, answeredMs, reason: null, message: '' });
const isExplained = (one: FailedTry, strikes: readonly Strike[], orders: readonly Order[] = []): boolean => settleAccounts([one], strikes, orders).unexplained.length === 0;

describe('a connection that failed', () => {
  const killed = strike({ gateways: [1] });

  test.each([
    ['to the gateway that was struck', failed({ gateway: 1 }), true],
    ['to another gateway', failed({ gateway: 0 }), false],
    ['before the strike', failed({ gateway: 1, issuedMs: 9_000, endedMs: 9_900 }), false],
    ['while it heals', failed({ gateway: 1, issuedMs: 15_900, endedMs: 16_000 }), true],
    ['when everything has to flow', failed({ gateway: 1, issuedMs: 16_100, endedMs: 16_200 }), false],
    ['with a reason that the store gave', failed({ gateway: 1, reason: 'STORE_UNAVAILABLE' }), false],
  ])('%s', (_, one, explained) => expect(isExplained(one, [killed])).toBe(explained));

  test('is not explained by a strike that excuses nothing', () => expect(isExplained(failed({}), [strike({})])).toBe(false));

  test('may be noticed late where clients have to find out by themselves', () => {
    const late = failed({ gateway: 1, issuedMs: 20_000, endedMs: 24_000 });
    expect(isExplained(late, [strike({ gateways: [1], lingersMs: 13_000 })])).toBe(true);
    expect(isExplained(late, [killed])).toBe(false);
  });
});

describe('what a store refused', () => {
  const refused = failed({ reason: 'STORE_UNAVAILABLE' });
  const oldDown = strike({ stores: [{ store: 'old', gateways: null }] });
  const newDown = strike({ stores: [{ store: 'new', gateways: null }] });

  test.each([
    ['the store that serves is down', oldDown, [], true],
    ['the other one is down', newDown, [], false],
    ['the other one is down, and a cutover to it is under way', newDown, [done('target', 10_400, 11_000)], true],
    ['the old one is down, and was left before', oldDown, [done('target', 8_000, 9_000)], false],
    ['the new one is down, and serves since', newDown, [done('target', 8_000, 9_000)], true],
    ['nobody knows how the last order ended', newDown, [{ ...done('target', 8_000, 9_000), reason: 'PEER_UNREACHABLE' }], true],
  ] as const)('while %s', (_, struck, orders, explained) => expect(isExplained(refused, [struck], orders)).toBe(explained));

  test('through another gateway than the one that is cut off', () => {
    const cut = strike({ stores: [{ store: 'old', gateways: [2] }] });
    expect(isExplained(refused, [cut])).toBe(false);
    expect(isExplained(failed({ gateway: 2, reason: 'STORE_UNAVAILABLE' }), [cut])).toBe(true);
  });

  test.each(['INTERNAL', 'STORE_DENIED', 'STORE_FAILED', 'VALUE_INVALID', 'ROWS_MISSING'])('for good (%s)', (reason) =>
    expect(isExplained(failed({ reason }), [oldDown])).toBe(false),
  );
  test.each(['OUTCOME_UNKNOWN', 'DEADLINE_EXCEEDED', 'STORE_OVERLOADED', 'HELD_TOO_LONG'])('for now (%s)', (reason) =>
    expect(isExplained(failed({ reason }), [oldDown])).toBe(true),
  );
});

test('every failure is counted by its reason, explained or not', () =>
  expect(settleAccounts([failed({}), failed({}), failed({ reason: 'FENCED' })], [], []).byReason).toEqual({ PEER_UNREACHABLE: 2, FENCED: 1 }));
