import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import type { DataStore, StoreOptions } from '../../backends/backend.ts';
import { postgresBackend } from '../../backends/postgres/backend.ts';
import type { WriteOperation, WriteResult } from '../../core/operation.ts';
import { type Shard, shardSchema } from '../../core/keyspace.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { systemClock } from '../../runtime/clock.ts';
import { postgresShard } from '../support/cluster/process-config.ts';
import { CuttingProxy, type Piece } from '../support/cutting-proxy.ts';
import { type PostgresServer, startPostgres } from '../support/servers/postgres.ts';
import { createShop, SHOP_LOGINS } from '../support/servers/shop.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { reasonOf, updateItem } from './data-store-harness.ts';
import { never } from './move-stores.ts';
import { insertNamed, type OnceText, writeOnce } from './once.ts';

/* A write with a request id whose connection is lost in the middle of its commit: sent again it is done exactly once, wherever the first has got to. */

let server: PostgresServer;
let admin: pg.Client;
let store: DataStore;
let schemas: ReadonlyMap<string, TableSchema>;

// A commit that changes a row waits for this lock where somebody else has it.
const COMMIT_LOCK = 7;
const tables = `
CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, amount integer NOT NULL);
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(${COMMIT_LOCK}); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER wait AFTER INSERT OR UPDATE ON item DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait();`;

beforeAll(async () => {
  server = await startPostgres({ name: 'once-lost' });
  const { database } = await createShop(server, { tables: false });
  await server.psql(database, tables, { login: SHOP_LOGINS.owner });
  await server.psql(database, postgresBackend.grantScript(shard(), []));
  await using owner = postgresBackend.openOwner({ ...options(), password: SHOP_LOGINS.owner.password });
  await owner.install(never());
  admin = new pg.Client({ connectionString: server.url(database) });
  await admin.connect();
  store = postgresBackend.openData(options());
  schemas = new Map([['item', (await store.describe('item', never())) as TableSchema]]);
});
afterAll(async () => {
  await store?.[Symbol.asyncDispose]();
  await admin?.end();
  await server?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await admin.query('TRUNCATE item, switchyard.request RESTART IDENTITY');
  await store.write(schemas, [insertNamed('counter')], never());
});

function shard(port = server.port): Shard {
  return shardSchema.parse({ ...postgresShard(server, 'shop'), port });
}

const options = (port?: number): StoreOptions => ({
  shard: shard(port),
  password: SHOP_LOGINS.gateway.password,
  poolSize: 3,
  acquireTimeoutMs: 5_000,
  keyspace: 'shop',
  openedBy: 'a test',
  applicationName: 'once-lost',
  clock: systemClock,
  onBackgroundError: () => {},
});

const addOne: readonly WriteOperation[] = [updateItem(1n, {}, { add: { amount: 1 }, returning: ['amount'] })];
const addOnce = (through: DataStore = store): Promise<OnceText> => writeOnce(through, schemas, 'add', addOne);
const amount = async (): Promise<unknown> => (await admin.query('SELECT amount FROM item WHERE id = 1')).rows[0]?.amount;

/** Waits until so many of the gateway's statements wait for this: "advisory", "SyncRep", "transactionid". */
const untilWaiting = (event: string, count = 1): Promise<true> =>
  waitUntil(`${count} waiting for ${event}`, { limitMs: 20_000, everyMs: 5 }, async () => {
    const { rows } = await admin.query(`SELECT count(*)::integer AS n FROM pg_stat_activity WHERE usename = $1 AND state = 'active' AND wait_event = $2`, [
      SHOP_LOGINS.gateway.user,
      event,
    ]);
    return rows[0]?.n === count ? true : undefined;
  });
const killGateway = (): Promise<unknown> => admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [SHOP_LOGINS.gateway.user]);

/** Keeps commits waiting until disposed of. */
async function holdCommits(): Promise<AsyncDisposable> {
  await admin.query('SELECT pg_advisory_lock($1)', [COMMIT_LOCK]);
  return { [Symbol.asyncDispose]: async () => void (await admin.query('SELECT pg_advisory_unlock($1)', [COMMIT_LOCK])) };
}

/** A way to the store through a proxy, connected already. */
async function openThrough(treat: CuttingProxy['treat']): Promise<{ readonly through: DataStore } & AsyncDisposable> {
  const proxy = await CuttingProxy.open(`http://${server.host}:${server.port}`);
  const through = postgresBackend.openData(options(Number(new URL(proxy.address).port)));
  await through.warmUp([], 1, never());
  proxy.treat = treat;
  return {
    through,
    [Symbol.asyncDispose]: async () => {
      await through[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    },
  };
}
const isCommit = ({ direction, request }: Piece, of: Piece['direction']): boolean => direction === of && request.includes('COMMIT');

test('killed by the store while the commit is under way, it has not been done, and is done when it is sent again', async () => {
  {
    await using _held = await holdCommits();
    const lost = reasonOf(addOnce());
    await untilWaiting('advisory');
    await killGateway();
    expect(await lost).toBe('OUTCOME_UNKNOWN');
  }
  expect(await addOnce()).toEqual({ result: 'true:1', repeated: false });
  expect(await amount()).toBe(1);
});

test('killed by the store when the commit is durable but not confirmed, it has been done, and is answered when it is sent again', async () => {
  await admin.query(`ALTER SYSTEM SET synchronous_commit = 'local'`);
  await admin.query(`ALTER ROLE ${SHOP_LOGINS.gateway.user} SET synchronous_commit = 'on'`);
  await admin.query(`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`);
  await admin.query('SELECT pg_reload_conf()');
  try {
    await using waiting = postgresBackend.openData(options());
    const lost = reasonOf(addOnce(waiting));
    await untilWaiting('SyncRep');
    await killGateway();
    expect(await lost).toBe('OUTCOME_UNKNOWN');
  } finally {
    await admin.query('ALTER SYSTEM RESET synchronous_standby_names');
    await admin.query('ALTER SYSTEM RESET synchronous_commit');
    await admin.query('SELECT pg_reload_conf()');
  }
  await using again = postgresBackend.openData(options());
  expect(await addOnce(again)).toEqual({ result: 'true:1', repeated: true });
  expect(await amount()).toBe(1);
});

test('cut off before its commit arrives, it is done when it is sent again', async () => {
  await using way = await openThrough((piece) => (isCommit(piece, 'request') ? { cutAfter: 20 } : 'pass'));
  expect(await reasonOf(addOnce(way.through))).toBe('OUTCOME_UNKNOWN');
  expect(await addOnce()).toEqual({ result: 'true:1', repeated: false });
  expect(await amount()).toBe(1);
});

test('cut off before the answer to its commit arrives, it is answered when it is sent again', async () => {
  await using way = await openThrough((piece) => (isCommit(piece, 'answer') ? { cutAfter: 20 } : 'pass'));
  expect(await reasonOf(addOnce(way.through))).toBe('OUTCOME_UNKNOWN');
  expect(await addOnce()).toEqual({ result: 'true:1', repeated: true });
  expect(await amount()).toBe(1);
});

test('sent again while the commit of the first is still under way, whose answer never comes, it waits for that and is done once', async () => {
  let cut = false;
  await using way = await openThrough((piece) => {
    // The commit arrives; the client never hears of it.
    if (isCommit(piece, 'request')) cut = true;
    return cut && piece.direction === 'answer' ? 'hold' : 'pass';
  });
  const controller = new AbortController();
  let lost: Promise<string>;
  let again: Promise<OnceText>;
  {
    await using _held = await holdCommits();
    lost = reasonOf(writeOnce(way.through, schemas, 'add', addOne, {}, controller.signal));
    await untilWaiting('advisory');
    again = addOnce();
    await untilWaiting('transactionid');
  }
  expect(await again).toEqual({ result: 'true:1', repeated: true });
  controller.abort();
  expect(await lost).toBe('OUTCOME_UNKNOWN');
  expect(await amount()).toBe(1);
});

test('one that waits for the record of the first ends with its signal or its connection, and leaves nothing', async () => {
  // Each writes a row of its own: nothing but the record is in the way.
  const insert = (name: string, signal = never()): Promise<OnceText> => writeOnce(store, schemas, 'insert', [insertNamed(name)], { digest: 'same' }, signal);
  const controller = new AbortController();
  let first: Promise<OnceText>;
  {
    await using _held = await holdCommits();
    first = insert('first');
    await untilWaiting('advisory');
    const second = reasonOf(insert('second', controller.signal));
    await untilWaiting('transactionid');
    controller.abort();
    expect(await second).toBe('CANCELLED');
    expect(store.poolStatus().busy).toBe(1);
    const third = reasonOf(insert('third'));
    await untilWaiting('transactionid');
    await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND wait_event = 'transactionid'`, [SHOP_LOGINS.gateway.user]);
    // Before its commit: definitely not applied.
    expect(await third).toBe('STORE_UNAVAILABLE');
  }
  const { result } = await first;
  expect(await insert('fourth')).toEqual({ result, repeated: true });
  expect((await admin.query('SELECT name FROM item ORDER BY id')).rows.map(({ name }) => name)).toEqual(['counter', 'first']);
});

test('sent again where it fails by now, and cut off or given up before the record could be looked for, it is not told that failure', async () => {
  const insert = (through: DataStore, signal = never()): Promise<OnceText> => writeOnce(through, schemas, 'insert', [insertNamed('once')], {}, signal);
  const first = await insert(store);
  const isRollback = ({ direction, request }: Piece): boolean => direction === 'request' && request.includes('ROLLBACK');
  {
    await using way = await openThrough((piece) => (isRollback(piece) ? { cutAfter: 0 } : 'pass'));
    expect(await reasonOf(insert(way.through))).toBe('STORE_UNAVAILABLE');
  }
  {
    const controller = new AbortController();
    await using way = await openThrough((piece) => {
      if (isRollback(piece)) controller.abort();
      return 'pass';
    });
    expect(await reasonOf(insert(way.through, controller.signal))).toBe('CANCELLED');
  }
  expect(await insert(store)).toEqual({ ...first, repeated: true });
});

test('is refused where the gateway may not keep records, and nothing is written', async () => {
  await admin.query(`REVOKE INSERT ON switchyard.request FROM ${SHOP_LOGINS.gateway.user}`);
  expect(await reasonOf(addOnce())).toBe('REQUEST_IDS_NOT_KEPT');
  expect(await amount()).toBe(0);
  await admin.query(`GRANT INSERT ON switchyard.request TO ${SHOP_LOGINS.gateway.user}`);
  expect((await addOnce()).repeated).toBe(false);
});

test('asleep between its two round trips for longer than the store lets a transaction stand still, it is done once', async () => {
  let encoded = 0;
  const encode = (results: readonly WriteResult[]): Uint8Array => {
    encoded += 1;
    // The whole process, as a signal or the machine's host would stop it.
    if (encoded === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5_500);
    return Buffer.from(String(results.length));
  };
  const request = { caller: 'a caller', id: 'asleep', table: 'item', digest: 'same', encode, answer: { form: 'mutate' as const, maxBytes: 1_000 } };
  expect(await store.writeOnce(schemas, addOne, request, never())).toEqual({ result: Buffer.from('1'), repeated: false });
  expect(encoded).toBe(2);
  expect(await amount()).toBe(1);
}, 30_000);

test('takes two round trips', async () => {
  const sent: string[] = [];
  await using way = await openThrough(({ direction, bytes }) => {
    if (direction === 'request') sent.push(bytes.toString('latin1'));
    return 'pass';
  });
  await addOnce(way.through);
  expect(sent).toHaveLength(2);
  expect(sent[0]).toContain('UPDATE');
  expect(sent[1]).toContain('COMMIT');
});
