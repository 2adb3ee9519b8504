import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Backend, DataStore } from '../../backends/backend.ts';
import type { Shard } from '../../core/keyspace.ts';
import type { WriteOperation } from '../../core/operation.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { Dice } from '../bench/cutover/workload.ts';
import { FaultProxy } from '../fault/proxy/fault-proxy.ts';
import { Link } from '../fault/proxy/link.ts';
import { pass } from '../fault/proxy/treatment.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { rowOf, storeOptions } from './data-store-harness.ts';

/** A server with the table `t`: id int as key from 1 to 100, n int. */
export interface SilenceHarness extends AsyncDisposable {
  readonly backend: Backend;
  readonly host: string;
  readonly port: number;
  readonly password: string;
  /** The same store under another port. */
  shard(port: number): Shard;
  /** Keeps whoever reads the table waiting until disposed of. */
  lockTable(): Promise<AsyncDisposable>;
  /** Keeps whoever installs waiting until disposed of. `untilWaitedFor` resolves when somebody does. */
  holdInstallation(): Promise<AsyncDisposable & { untilWaitedFor(): Promise<void> }>;
}

const poolSize = 3;
/** Everything has to flow after 5 s, on a machine that has less time than this one. A connection that is begun in the cut is given up after 1.3 s; whoever waited for its whole limit instead would be late. */
const flowLimitMs = 3_000;

/** Whoever waits for what a dead owner has locked gets it by then, and without a limit of the owner's session never. */
const ownersLimitMs = 25_000;

/**
 * Connections that are dead without a word (the other end is gone, or a network forgot them) must not keep a gateway's pool from a store that is up: no caller's deadline is needed to find them, and no statement that only takes its time is ended.
 */
export function silenceContract(name: string, setup: () => Promise<SilenceHarness>): void {
  describe(`${name}: connections that die without a word`, () => {
    let harness: SilenceHarness;
    let link: Link;
    let proxy: FaultProxy;
    let store: DataStore;
    let table: TableSchema;

    beforeAll(async () => {
      harness = await setup();
    }, 60_000);
    afterAll(async () => {
      await harness?.[Symbol.asyncDispose]();
    });

    beforeEach(async () => {
      link = new Link('gateway', 'store', new Dice(1));
      proxy = await FaultProxy.open({ host: harness.host, port: harness.port, oneParty: true, linkOf: () => link });
      store = harness.backend.openData(
        storeOptions({ shard: harness.shard(proxy.port), password: harness.password, poolSize, acquireTimeoutMs: 20_000, applicationName: 'silence' }),
      );
      const described = await store.describe('t', AbortSignal.timeout(20_000));
      if (described === null) throw new Error('there is no table');
      table = described;
      await store.warmUp([table], poolSize, AbortSignal.timeout(20_000));
    });
    afterEach(async () => {
      await store[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    });

    const read = (id: number) =>
      store.query(table, { filter: null, orderBy: [{ column: 'id', descending: false }], limit: id, columns: ['id'], after: null }, AbortSignal.timeout(30_000));

    test.each(['far', 'near'] as const)(
      'dead connections whose %s end is gone hold nobody up once the store can be reached',
      async (gone) => {
        // One is in use when it dies, the others lie in the pool; and somebody tries to connect meanwhile.
        link.treat({ kind: 'half-open', gone });
        const lost = Promise.allSettled([read(1), read(2), read(3), read(4)]);
        await sleep(500);
        link.treat(pass);
        const startMs = performance.now();
        for (;;) {
          const answers = await Promise.allSettled([read(5), read(6), read(7), read(8)]);
          if (answers.every(({ status }) => status === 'fulfilled')) break;
          expect(performance.now() - startMs).toBeLessThan(3 * flowLimitMs);
        }
        expect(performance.now() - startMs).toBeLessThan(flowLimitMs);
        await lost;
      },
      60_000,
    );

    test('whoever waits for a connection that was begun in the cut gets another soon after it', async () => {
      await using fresh = harness.backend.openData(
        storeOptions({ shard: harness.shard(proxy.port), password: harness.password, poolSize, acquireTimeoutMs: 20_000, applicationName: 'silence' }),
      );
      link.treat({ kind: 'half-open', gone: 'far' });
      const waiting = Promise.all([1, 2, 3, 4].map(() => fresh.describe('t', AbortSignal.timeout(30_000))));
      await sleep(500);
      link.treat(pass);
      const startMs = performance.now();
      expect(await waiting).toHaveLength(4);
      // The limit of a whole login is 4 s.
      expect(performance.now() - startMs).toBeLessThan(flowLimitMs);
    }, 60_000);

    test('no call fails for connections that have died in the pool, once the store can be reached', async () => {
      const schemas = new Map([['t', table]]);
      const update = (id: number): WriteOperation => ({ kind: 'update', table: 't', key: [id], set: rowOf({ n: id }), add: rowOf({}), precondition: null, returning: [] });
      const calls: readonly ((signal: AbortSignal) => Promise<unknown>)[] = [
        () => read(1),
        (signal) => store.get(table, { key: [1], columns: ['n'] }, signal),
        (signal) => store.batchGet(table, { keys: [[1], [2]], columns: ['n'] }, signal),
        (signal) => store.describe('t', signal),
        (signal) => store.write(schemas, [update(1), update(2)], signal),
        async (signal) => {
          await using transaction = await store.begin({ isolation: 'read committed', readOnly: false, once: null }, signal);
          await transaction.get(table, { key: [1], columns: ['n'] }, null, signal);
        },
      ];
      for (const call of calls) {
        await store.warmUp([table], poolSize, AbortSignal.timeout(10_000));
        await waitUntil('a full pool', { limitMs: 10_000, everyMs: 10 }, async () => (store.poolStatus().idle === poolSize ? true : undefined));
        link.treat({ kind: 'half-open', gone: 'far' });
        link.treat(pass);
        // As many at once as there are dead connections.
        await Promise.all(Array.from({ length: poolSize }, () => call(AbortSignal.timeout(30_000))));
      }
    }, 120_000);

    test('a statement that waits for a lock is let alone', async () => {
      const locked = await harness.lockTable();
      const waiting = read(1);
      await sleep(5_000);
      await locked[Symbol.asyncDispose]();
      expect((await waiting).rows).toHaveLength(1);
    }, 60_000);

    test('an owner who dies within a transaction does not keep what it has locked', async () => {
      const ownerOf = (port: number) => harness.backend.openOwner(storeOptions({ shard: harness.shard(port), password: harness.password, applicationName: 'silence' }));
      await using dying = ownerOf(proxy.port);
      await using other = ownerOf(harness.port);
      const held = await harness.holdInstallation();
      const lost = Promise.allSettled([dying.install(AbortSignal.timeout(20_000))]);
      await held.untilWaitedFor();
      link.treat({ kind: 'half-open', gone: 'near' });
      // The server gives the lock to somebody who is no more.
      await held[Symbol.asyncDispose]();
      await other.install(AbortSignal.timeout(ownersLimitMs));
      await lost;
    }, 60_000);
  });
}
