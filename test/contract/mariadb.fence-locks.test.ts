import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import type { FenceSession, OwnerStore } from '../../backends/backend.ts';
import { openOwnerStore } from '../../backends/mariadb/owner/owner-store.ts';
import { attempt } from '../../core/ids.ts';
import type { ServerShard } from '../../core/keyspace.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { FreezableProxy } from '../support/cluster/freezable-proxy.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import type { MariaDbServer } from '../support/servers/mariadb.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { useArmedStores } from './armed-stores.ts';
import { storeOptions } from './data-store-harness.ts';
import { MariaDbPair } from './mariadb-move.ts';
import { emptyBatch, FORWARD, type MoveStores, never, play, type RawSession, reasonOf, SOURCE, type StoreUnderTest, TARGET } from './move-stores.ts';

/* What else holds locks of MariaDB when a fence comes: who keeps it out, who is not in its way, and what it keeps others from meanwhile: nobody's write may fail but by the fence's own answer. */

const FENCED = 'SY001';
const OLD_SNAPSHOT = '40001';
const limitMs = 300;
/** Of a busy machine, beside what the store takes. */
const marginMs = 5_000;

const THREE = `
CREATE TABLE item (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(100) NOT NULL, amount int NOT NULL DEFAULT 0);
CREATE TABLE line (id bigint NOT NULL PRIMARY KEY, item_id bigint, amount int NOT NULL DEFAULT 0);`;

let stores: MoveStores;
let schemas: ReadonlyMap<string, TableSchema>;
let source: FenceSession;
let target: FenceSession;
let stack: AsyncDisposableStack;

useArmedStores(
  async () => {
    const pair = await MariaDbPair.start();
    return { fresh: () => pair.fresh(THREE), [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose]() };
  },
  async (armed, disposed) => {
    ({ stores, schemas } = armed);
    stack = disposed;
    source = stack.use(await stores.source.owner.openFence(SOURCE, never()));
    target = stack.use(await stores.target.owner.openFence(TARGET, never()));
    await stores.source.sql(`INSERT INTO item (name) SELECT concat('i', seq) FROM seq_1_to_40; INSERT INTO line (id) SELECT seq FROM seq_1_to_40`, 'admin');
  },
);

const innards = (store: StoreUnderTest) => store as unknown as { readonly server: MariaDbServer; readonly shard: ServerShard };
const states = async (session = source): Promise<readonly string[]> => (await session.fenceRows(never())).map(({ state }) => state);
const insert = (name: string): string => `INSERT INTO item (name) VALUES ('${name}')`;
async function msOf(work: Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work;
  return performance.now() - begun;
}
async function opened(login: 'gateway' | 'admin' = 'gateway'): Promise<RawSession> {
  const session = await stores.source.session(login);
  stack.defer(() => session.close().catch(() => {}));
  return session;
}
async function holding(...statements: readonly string[]): Promise<RawSession> {
  const session = await opened();
  for (const statement of ['BEGIN', ...statements]) await session.query(statement);
  return session;
}
/** Until this many statements wait for a lock of InnoDB on the source's server, which gathers what it shows of them only when nobody has looked for a tenth of a second. */
const untilWaiting = (count: number): Promise<unknown> =>
  waitUntil(`${count} waiting transactions`, { limitMs: 30_000, everyMs: 150 }, async () => {
    const [row] = await stores.source.sql(`SELECT count(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'`, 'admin');
    return Number(row?.[0]) >= count ? true : undefined;
  });
/** Nobody has a lock on the rows that fence. */
async function expectNothingHeld(): Promise<void> {
  const look = `BEGIN; SELECT workflow FROM switchyard_gate FOR UPDATE NOWAIT; SELECT table_name FROM switchyard_pass FOR UPDATE NOWAIT; SELECT table_name FROM switchyard_fence FOR UPDATE NOWAIT; ROLLBACK`;
  await stores.source.sql(look, 'admin');
}

test('a writer that stays open keeps the fence out for its limit; nothing is changed, and nothing held', async () => {
  const long = await holding(insert('long'));
  const tookMs = await msOf(reasonOf(source.fence(attempt(1), limitMs, never())).then((reason) => expect(reason).toBe('LOCK_TIMEOUT')));
  expect(tookMs).toBeGreaterThan(limitMs - 50);
  expect(tookMs).toBeLessThan(limitMs + marginMs);
  expect(await states()).toEqual(['OPEN', 'OPEN']);
  await stores.source.sql(insert('goes on'));
  await long.query('COMMIT');
  await expectNothingHeld();
  await source.fence(attempt(1), 5_000, never());
  expect(await states()).toEqual(['FROZEN', 'FROZEN']);
  await expectNothingHeld();
});

test('behind a fence that waits for a long transaction reads go on at once, and writes wait no longer than the fence does', async () => {
  const long = await holding(insert('long'));
  const fencing = reasonOf(source.fence(attempt(1), 1_000, never()));
  await untilWaiting(1);
  const [readMs, writeMs] = await Promise.all([msOf(stores.source.sql('SELECT count(*) FROM item')), msOf(stores.source.sql(insert('queued')))]);
  expect(await fencing).toBe('LOCK_TIMEOUT');
  expect(readMs).toBeLessThan(marginMs);
  expect(writeMs).toBeLessThan(1_000 + marginMs);
  await long.query('COMMIT');
});

test.each(['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'])(
  'writers that wait behind a fence when it is set, %s, are turned away by it, and not told of a snapshot',
  async (level) => {
    const long = await holding(insert('long'));
    const fencing = source.fence(attempt(1), 20_000, never());
    await untilWaiting(1);
    const alone = reasonOf(stores.source.sql(insert('alone')));
    const waiting: Promise<string>[] = [];
    for (const sql of [insert('first'), 'UPDATE item SET amount = 1 WHERE id = 3', 'DELETE FROM line WHERE id = 4']) {
      const session = await opened();
      await session.query(`SET TRANSACTION ISOLATION LEVEL ${level}`);
      await session.query('BEGIN');
      waiting.push(reasonOf(session.query(sql)));
    }
    await untilWaiting(5);
    await long.query('COMMIT');
    await fencing;
    expect([await alone, ...(await Promise.all(waiting))]).toEqual(Array(4).fill(FENCED));
    const seen = await play(stores, schemas, (found) => found.some((each) => each.events.some((event) => event.kind === 'marker')));
    expect(seen.at(-1)?.events.map(({ kind }) => kind)).toEqual(['marker']);
  },
);

describe('a deadlock that the fence would be part of', () => {
  test('with a writer that comes to the tables in the other order is none: it has the gate already', async () => {
    const writer = await holding('UPDATE line SET amount = 1 WHERE id = 1');
    const fencing = source.fence(attempt(1), 20_000, never());
    await untilWaiting(1);
    await writer.query('UPDATE item SET amount = 1 WHERE id = 1');
    await writer.query('COMMIT');
    await fencing;
  });

  test.each([
    ['a row that another has locked by SELECT … FOR UPDATE', 'SELECT * FROM item WHERE id = 1 FOR UPDATE', 'UPDATE item SET amount = 2 WHERE id = 1'],
    ['a row that another is about to update', 'SELECT * FROM line WHERE id = 1 FOR UPDATE', 'UPDATE line SET amount = 2 WHERE id = 1'],
    ['a gap that another has locked', 'SELECT * FROM line WHERE id > 40 FOR UPDATE', 'INSERT INTO line (id) VALUES (50)'],
  ])('through %s ends the fence’s wait, and nobody else’s', async (_, lock, late) => {
    const second = await holding(lock);
    const first = await holding('UPDATE line SET amount = 1 WHERE id = 2');
    const fencing = reasonOf(source.fence(attempt(1), 20_000, never()));
    await untilWaiting(1);
    const lateWrite = second.query(late);
    await untilWaiting(2);
    // The circle: the fence waits for the first, the first for the second, the second for the fence.
    const closing = first.query(late.replace('(50)', '(51)'));
    await lateWrite;
    await second.query('COMMIT');
    await closing;
    await first.query('COMMIT');
    expect(await fencing).toBe('none');
  });

  test('never fails a writer, however many of them write two or three tables in all orders while fences come and go', async () => {
    const stop = new AbortController();
    const failures: string[] = [];
    let done = 0;
    const writer = async (number: number): Promise<void> => {
      const session = await opened();
      const own = number + 10;
      // A hot row that all take first or at last, rows of its own in both tables, in an order of its own: without a fence there is no deadlock among them.
      const parts = [
        `UPDATE item SET amount = amount + 1 WHERE id = ${own}`,
        `UPDATE line SET amount = amount + 1 WHERE id = ${own}`,
        `INSERT INTO item (name) VALUES ('w${number}')`,
      ];
      for (let round = 0; !stop.signal.aborted; round += 1) {
        const order = [...parts.slice(round % 3), ...parts.slice(0, round % 3)];
        if (number % 2 === 0) order.reverse();
        const hot = number % 3 === 0 ? 'SELECT amount FROM line WHERE id = 1 FOR UPDATE' : 'UPDATE line SET amount = amount + 1 WHERE id = 1';
        const statements = number % 4 === 3 ? order : number % 4 === 2 ? [...order, hot] : [hot, ...order];
        const level = ['READ COMMITTED', 'REPEATABLE READ'][round % 2];
        await session.query(`SET TRANSACTION ISOLATION LEVEL ${level}`);
        await session.query('BEGIN');
        let failed = '';
        for (const statement of statements) {
          failed = await reasonOf(session.query(statement));
          if (failed !== 'none') break;
        }
        await session.query(failed === 'none' ? 'COMMIT' : 'ROLLBACK');
        if (failed === 'none') done += 1;
        else if (failed !== FENCED && failed !== OLD_SNAPSHOT) failures.push(failed);
        else await sleep(5);
      }
    };
    const writers = Array.from({ length: 8 }, (_, number) => writer(number));
    const outcomes = { none: 0, LOCK_TIMEOUT: 0 };
    for (let number = 1; number <= 25; number += 1) {
      const outcome = await reasonOf(source.fence(attempt(number), number % 2 === 0 ? 400 : 60, never()));
      outcomes[outcome as keyof typeof outcomes] += 1;
      if (outcome === 'none') {
        const before = done;
        const sum = `SELECT sum(amount) FROM line`;
        const found = await stores.source.sql(sum, 'owner');
        await sleep(5);
        expect(await stores.source.sql(sum, 'owner')).toEqual(found);
        expect(done - before).toBeLessThanOrEqual(8);
        await source.abort(attempt(number), never());
      }
      await sleep(20);
    }
    stop.abort();
    await Promise.all(writers);
    expect(failures).toEqual([]);
    expect(done).toBeGreaterThan(50);
    expect(outcomes.none).toBeGreaterThan(0);
  });

  test('between two fences of one store, by writers of both their tables, ends one of the fences’ waits', async () => {
    await stores.source.sql('CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1), (2); GRANT SELECT, INSERT, UPDATE, DELETE ON other TO shop_gateway', 'admin');
    const second = { workflow: 'move2', peer: 'new', tables: ['other'] };
    await stores.source.owner.claim(second, 'source', never());
    await using fence = await stores.source.owner.openFence(second, never());
    const a = await holding('UPDATE item SET amount = 1 WHERE id = 1');
    const b = await holding('UPDATE other SET id = 12 WHERE id = 2');
    const fencing = [source.fence(attempt(1), 20_000, never()), fence.fence(attempt(2), 20_000, never())];
    await untilWaiting(2);
    const crossing = a.query('UPDATE other SET id = 11 WHERE id = 1');
    await untilWaiting(3);
    const crossingToo = b.query('UPDATE item SET amount = 1 WHERE id = 2');
    // Where one of the fences has been set meanwhile, that is what the other writer is told.
    const ended = async (session: RawSession, write: Promise<unknown>): Promise<string> => {
      const outcome = await reasonOf(write);
      await session.query(outcome === 'none' ? 'COMMIT' : 'ROLLBACK');
      return outcome;
    };
    for (const outcome of await Promise.all([ended(a, crossing), ended(b, crossingToo)])) expect(['none', FENCED, OLD_SNAPSHOT]).toContain(outcome);
    await Promise.all(fencing);
  });
});

describe('whoever was turned away and keeps the transaction open', () => {
  test.each(['READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ'])('%s, keeps no later transition waiting', async (level) => {
    const session = await opened();
    await session.query(`SET TRANSACTION ISOLATION LEVEL ${level}`);
    await session.query('BEGIN');
    await session.query('SELECT count(*) FROM item');
    await source.fence(attempt(1), 5_000, never());
    expect(await reasonOf(session.query(insert('late')))).not.toBe('none');
    await source.abort(attempt(1), AbortSignal.timeout(10_000));
    await session.query('ROLLBACK');
    await session.query(`SET TRANSACTION ISOLATION LEVEL ${level}`);
    await session.query('BEGIN');
    await session.query('SELECT count(*) FROM item');
    await source.fence(attempt(2), 5_000, never());
    expect(await reasonOf(session.query(insert('late')))).not.toBe('none');
    await source.commit(attempt(2), AbortSignal.timeout(10_000));
    await source.close(attempt(2), AbortSignal.timeout(10_000));
    expect(await states()).toEqual(['CLOSED', 'CLOSED']);
  });

  test('keeps the next fence waiting, until it ends', async () => {
    const session = await opened();
    await session.query('BEGIN');
    await source.fence(attempt(1), 5_000, never());
    expect(await reasonOf(session.query(insert('late')))).toBe(FENCED);
    await source.abort(attempt(1), never());
    expect(await reasonOf(source.fence(attempt(2), limitMs, never()))).toBe('LOCK_TIMEOUT');
    await session.query('ROLLBACK');
    await source.fence(attempt(2), 5_000, never());
  });
});

test('rows locked by SELECT … FOR UPDATE are not waited for, and are not written any more by whoever locked them', async () => {
  const locker = await holding('SELECT * FROM item FOR UPDATE');
  await source.fence(attempt(1), limitMs, never());
  expect(await reasonOf(locker.query('UPDATE item SET amount = 5'))).toMatch(/SY001|40001/);
  await source.commit(attempt(1), never());
  await source.close(attempt(1), never());
});

test('a table that somebody has locked for writing is fenced, and is not written under that lock', async () => {
  const locker = await opened('admin');
  await locker.query('LOCK TABLES item WRITE');
  const outcome = await reasonOf(source.fence(attempt(1), limitMs, never()));
  if (outcome === 'none') expect(await reasonOf(locker.query(insert('under the lock')))).toBe(FENCED);
  else expect(outcome).toBe('LOCK_TIMEOUT');
  await locker.query('UNLOCK TABLES');
  expect(outcome).toBe('none');
});

test('a transaction that a gateway holds open by reading is waited for like a writer', async () => {
  const reader = await holding('SELECT switchyard_hold_open("item")', 'SELECT * FROM item WHERE id = 1 LOCK IN SHARE MODE');
  expect(await reasonOf(source.fence(attempt(1), limitMs, never()))).toBe('LOCK_TIMEOUT');
  await reader.query('COMMIT');
  await source.fence(attempt(1), 5_000, never());
  const late = await opened();
  await late.query('BEGIN');
  expect(await reasonOf(late.query('SELECT switchyard_hold_open("item")'))).toBe(FENCED);
  await source.abort(attempt(1), never());
});

describe('a transaction prepared for two-phase commit', () => {
  const marker = async (): Promise<string | null | undefined> => (await stores.source.sql('SELECT attempt FROM switchyard_marker', 'owner'))[0]?.[0];

  test('that has written keeps the fence out until somebody ends it, although it holds no shared lock any more, and the checks name it', async () => {
    const session = await opened('admin');
    for (const sql of [`XA START 'doubt'`, insert('in doubt'), `XA END 'doubt'`]) await session.query(sql);
    expect(await reasonOf(source.fence(attempt(1), limitMs, never()))).toBe('LOCK_TIMEOUT');
    await session.query(`XA PREPARE 'doubt'`);
    expect(await reasonOf(source.fence(attempt(1), limitMs, never()))).toBe('LOCK_TIMEOUT');
    await session.close();
    expect(await reasonOf(source.fence(attempt(1), limitMs, never()))).toBe('LOCK_TIMEOUT');
    expect(await states()).toEqual(['OPEN', 'OPEN']);
    expect(await stores.source.owner.checkQuiet(['item', 'line'], 30, never())).toContainEqual(expect.objectContaining({ fix: expect.stringContaining("XA ROLLBACK 'doubt'") }));
    await stores.source.sql(insert('goes on'));
    const fencing = source.fence(attempt(2), 20_000, never());
    await sleep(50);
    expect(await marker()).toBeUndefined();
    await stores.source.sql(`XA COMMIT 'doubt'`, 'admin');
    await fencing;
    expect(await marker()).toBe('2');
  });

  test('while a fence waits for it ends before the marker, or opens the tables again', async () => {
    for (const [number, ends] of [true, false].entries()) {
      const session = await opened('admin');
      for (const sql of [`XA START 'late'`, insert(`prepared ${number}`), `XA END 'late'`]) await session.query(sql);
      const fencing = reasonOf(source.fence(attempt(number + 1), 3_000, never()));
      await untilWaiting(1);
      await session.query(`XA PREPARE 'late'`);
      if (ends) {
        await sleep(100);
        // The tables are FROZEN, and no history has ended.
        expect([await states(), await marker()]).toEqual([['FROZEN', 'FROZEN'], undefined]);
        await session.query(`XA COMMIT 'late'`);
      }
      expect(await fencing).toBe(ends ? 'none' : 'LOCK_TIMEOUT');
      expect(await states()).toEqual(Array(2).fill(ends ? 'FROZEN' : 'OPEN'));
      if (!ends) await session.query(`XA ROLLBACK 'late'`);
      else {
        expect(await marker()).toBe(String(number + 1));
        await source.abort(attempt(number + 1), never());
      }
    }
  });

  test('cannot write behind the fence', async () => {
    await source.fence(attempt(1), 5_000, never());
    const session = await opened('admin');
    await session.query(`XA START 'late'`);
    expect(await reasonOf(session.query(insert('late')))).toBe(FENCED);
    await session.query(`XA END 'late'`);
    await session.query(`XA ROLLBACK 'late'`);
  });
});

describe('a coordinator', () => {
  /** Whether it is a statement in text, or executes one that was prepared: whose text the server knows, and the values are all that tells. */
  const executes = (request: string, statement: string): boolean => (statement === 'switchyard_end_history' ? ended(request) : request.includes(statement));
  /** The first prepared statement with the scope's values that is executed in a fence is the end of history. */
  const ended = (request: string): boolean => request.includes('move1') && request.includes('["item","line"]') && !request.includes('SELECT');

  /** The source's store of an owner whose connections go another way. */
  const ownerBy = (port: number): OwnerStore => {
    const { shard } = innards(stores.source);
    return openOwnerStore(storeOptions({ shard: { ...shard, port }, password: 'owner-demo' }));
  };

  test('that stands still while its fence waits keeps no writer waiting longer than its limit', async () => {
    await using proxy = await FreezableProxy.start(innards(stores.source).shard);
    const owner = stack.use(ownerBy(proxy.port));
    const session = stack.use(await owner.openFence(SOURCE, never()));
    const long = await holding(insert('long'));
    const fencing = reasonOf(session.fence(attempt(1), limitMs, AbortSignal.timeout(20_000)));
    await untilWaiting(1);
    proxy.freeze();
    const waitedMs = await msOf(stores.source.sql(insert('behind')));
    expect(waitedMs).toBeLessThan(limitMs + marginMs);
    await long.query('COMMIT');
    // Nor one whose fence was just being set.
    proxy.thaw();
    await fencing;
    await expectNothingHeld();
  });

  test.each([
    ['fence', 'switchyard_fence('],
    ['fence', 'switchyard_end_history'],
    ['abort', 'move1'],
    ['commit', 'move1'],
  ] as const)('whose connection is lost when an answer to %s (%s) was about to come does it again', async (name, statement) => {
    await using proxy = await CuttingProxy.open(`http://127.0.0.1:${innards(stores.source).shard.port}`);
    const owner = stack.use(ownerBy(Number(new URL(proxy.address).port)));
    const session = stack.use(await owner.openFence(SOURCE, never()));
    if (name !== 'fence') await session.fence(attempt(1), 5_000, never());
    const act = (): Promise<void> => (name === 'fence' ? session.fence(attempt(1), 5_000, never()) : session[name](attempt(1), never()));
    let cuts = 0;
    proxy.treat = ({ direction, request }) => {
      // The statement has been executed, and its answer does not arrive.
      if (direction !== 'answer' || cuts > 0 || !executes(request, statement)) return 'pass';
      cuts += 1;
      return { cutAfter: 0 };
    };
    expect(await reasonOf(act())).toMatch(/OUTCOME_UNKNOWN|STORE_UNAVAILABLE/);
    expect(cuts).toBe(1);
    await act();
    expect(await states()).toEqual(Array(2).fill({ fence: 'FROZEN', abort: 'OPEN', commit: 'SEALED' }[name]));
    await expectNothingHeld();
  });

  test('whose connection ends in the middle of a transition has changed nothing, and the next one does it', async () => {
    await source.fence(attempt(1), 5_000, never());
    const state = await stores.target.player.takeStream(FORWARD, never());
    await stores.target.player.apply(FORWARD, schemas, state.token, emptyBatch(state, attempt(1)), never());
    await source.commit(attempt(1), never());
    const blocker = await stores.target.session('admin');
    stack.defer(() => blocker.close());
    // Behind the stream's row, which is locked, the fence rows are not reached; behind a fence row, half of the work is done.
    for (const [at, lock] of [`SELECT * FROM switchyard_stream FOR UPDATE`, `SELECT * FROM switchyard_fence WHERE table_name = 'line' FOR UPDATE`].entries()) {
      await blocker.query('BEGIN');
      await blocker.query(lock);
      const session = at === 0 ? target : stack.use(await stores.target.owner.openFence(TARGET, never()));
      const readying = reasonOf(session.ready(FORWARD, attempt(1), never()));
      const id = await waitUntil('the transition', { limitMs: 20_000, everyMs: 10 }, async () => {
        const [row] = await stores.target.sql(`SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'shop_owner' AND COMMAND = 'Execute' AND TIME_MS > 20`, 'admin');
        return row?.[0] ?? undefined;
      });
      await stores.target.sql(`KILL ${id}`, 'admin');
      expect(await readying).toMatch(/OUTCOME_UNKNOWN|STORE_UNAVAILABLE/);
      await blocker.query('ROLLBACK');
      expect(await states(target)).toEqual(['CLOSED', 'CLOSED']);
    }
    await target.ready(FORWARD, attempt(1), never());
    expect(await states(target)).toEqual(['READABLE', 'READABLE']);
  });
});
