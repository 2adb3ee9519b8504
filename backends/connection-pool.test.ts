import { expect, test } from '@jest/globals';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { systemClock } from '../runtime/clock.ts';
import { ConnectionPool, type PooledSession } from './connection-pool.ts';

const never = new AbortController().signal;

const login = { keyspace: 'shop', openedBy: 'the test', identity: 'gateway', place: 'db:5432/shop', user: 'shop_gateway', secret: 'env:NONE' } as const;

const fakeSession = (): PooledSession => ({ usable: true, drop: () => {}, close: async () => {} });
const connectError = (): SwitchyardError => new SwitchyardError('STORE_UNAVAILABLE', 'refused');

test('a pool that has lost everything asks for few connections at once, and gets all that it needs', async () => {
  let [opening, mostOpening, opened] = [0, 0, 0];
  await using pool = new ConnectionPool({
    login,
    size: 8,
    acquireTimeoutMs: 5_000,
    clock: systemClock,
    connectError,
    onBackgroundError: () => {},
    open: async () => {
      opening += 1;
      mostOpening = Math.max(mostOpening, opening);
      await systemClock.sleep(5, never);
      opening -= 1;
      opened += 1;
      return fakeSession();
    },
  });
  const sessions = await Promise.all(Array.from({ length: 8 }, () => pool.acquire(never)));
  expect(new Set(sessions).size).toBe(8);
  expect({ opened, mostOpening }).toEqual({ opened: 8, mostOpening: 2 });
});

test('a connection that cannot be opened keeps nobody from opening the next', async () => {
  let tries = 0;
  await using pool = new ConnectionPool({
    login,
    size: 4,
    acquireTimeoutMs: 5_000,
    clock: systemClock,
    connectError,
    onBackgroundError: () => {},
    open: async () => {
      tries += 1;
      const isBad = tries <= 3;
      await systemClock.sleep(2, never);
      if (isBad) throw new Error('refused');
      return fakeSession();
    },
  });
  const answers = await Promise.allSettled(Array.from({ length: 7 }, () => pool.acquire(never)));
  expect(answers.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected', 'rejected']);
});
