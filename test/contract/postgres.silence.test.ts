import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import type { DataStore } from '../../backends/backend.ts';
import { openDataStore } from '../../backends/postgres/data/data-store.ts';
import type { WriteOperation } from '../../core/operation.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { systemClock } from '../../runtime/clock.ts';
import { Dice } from '../bench/cutover/workload.ts';
import { FaultProxy } from '../fault/proxy/fault-proxy.ts';
import { Link } from '../fault/proxy/link.ts';
import { pass } from '../fault/proxy/treatment.ts';
import { type PostgresServer, startPostgres } from '../support/servers/postgres.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { rowOf } from './data-store-harness.ts';

/*
 * Connections that are dead without a word (the other end is gone, or a network forgot them) must not keep a gateway's pool from a store that is up: no caller's deadline is needed to find them, and no statement that only takes its time is ended.
 */

const poolSize = 3;
/** Of a machine that has time; everything has to flow after 5 s. */
const flowLimitMs = 4_500;

let server: PostgresServer;
let link: Link;
let proxy: FaultProxy;
let store: DataStore;
let table: TableSchema;

beforeAll(async () => {
  server = await startPostgres({ name: 'silence' });
  await server.psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i;');
}, 60_000);
afterAll(() => server?.[Symbol.asyncDispose]());

beforeEach(async () => {
  link = new Link('gateway', 'store', new Dice(1));
  proxy = await FaultProxy.open({ host: server.host, port: server.port, oneParty: true, linkOf: () => link });
  const credential = { user: server.superuser.user, password: 'env:NONE' };
  store = openDataStore({
    keyspace: 'shop',
    openedBy: 'the test',
    shard: { kind: 'postgres', host: '127.0.0.1', port: proxy.port, database: 'postgres', gateway: credential, player: credential, owner: credential },
    clock: systemClock,
    password: server.superuser.password,
    poolSize,
    acquireTimeoutMs: 20_000,
    applicationName: 'silence',
    onBackgroundError: () => {},
  });
  const described = await store.describe('t', AbortSignal.timeout(5_000));
  if (described === null) throw new Error('there is no table');
  table = described;
  await store.warmUp([table], poolSize, AbortSignal.timeout(10_000));
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
  const holder = new pg.Client({ connectionString: server.url('postgres') });
  await holder.connect();
  await holder.query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
  const waiting = read(1);
  await sleep(5_000);
  await holder.query('COMMIT');
  await holder.end();
  expect((await waiting).rows).toHaveLength(1);
}, 60_000);
