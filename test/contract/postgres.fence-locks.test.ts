import { describe, expect, test } from '@jest/globals';
import type { FenceSession } from '../../backends/backend.ts';
import { attempt } from '../../core/ids.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { useArmedStores } from './armed-stores.ts';
import { type MoveStores, never, play, type RawSession, reasonOf, SOURCE } from './move-stores.ts';
import { PostgresPair } from './postgres-move.ts';

/* What else holds locks of PostgreSQL when a fence comes: who keeps it out, who is not in its way, and what it keeps others from meanwhile. */

const limitMs = 300;
/** Of a busy machine, beside what the store takes. */
const marginMs = 1_500;

let stores: MoveStores;
let schemas: ReadonlyMap<string, TableSchema>;
let source: FenceSession;

useArmedStores(
  () => PostgresPair.start(),
  async (armed, stack) => {
    stores = armed.stores;
    schemas = armed.schemas;
    source = stack.use(await stores.source.owner.openFence(SOURCE, never()));
    await stores.source.sql(`INSERT INTO item (name) VALUES ('a'), ('b')`);
  },
);

const states = async (): Promise<readonly string[]> => (await source.fenceRows(never())).map(({ state }) => state);
const names = (): Promise<readonly (readonly (string | null)[])[]> => stores.source.sql('SELECT name FROM item ORDER BY name', 'owner');
const insert = (name: string): string => `INSERT INTO item (name) VALUES ('${name}')`;
async function msOf(work: Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work;
  return performance.now() - begun;
}
async function holding(login: 'gateway' | 'admin', sql: string): Promise<RawSession> {
  const session = await stores.source.session(login);
  await session.query(`BEGIN; ${sql}`);
  return session;
}

/** Modes of LOCK TABLE that a writer or a schema change takes, and those that reads take. */
const inTheWay = ['ROW EXCLUSIVE', 'SHARE UPDATE EXCLUSIVE', 'SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE'];
const notInTheWay = ['ACCESS SHARE', 'ROW SHARE'];

test.each(inTheWay)('a table locked in %s mode keeps the fence out for its limit, with nothing changed, and not once it is let go', async (mode) => {
  const holder = await holding('admin', `LOCK TABLE line IN ${mode} MODE`);
  const tookMs = await msOf(reasonOf(source.fence(attempt(1), limitMs, never())).then((reason) => expect(reason).toBe('LOCK_TIMEOUT')));
  expect(tookMs).toBeGreaterThan(limitMs - 50);
  expect(tookMs).toBeLessThan(limitMs + marginMs);
  expect(await states()).toEqual(['OPEN', 'OPEN']);
  // Nothing that the fence had taken on the way is left: the other table takes writes.
  await stores.source.sql(insert('goes on'));
  await holder.close();
  await source.fence(attempt(1), 5_000, never());
  expect(await states()).toEqual(['FROZEN', 'FROZEN']);
});

test.each(notInTheWay)('a table locked in %s mode, as reads lock it, is fenced at once', async (mode) => {
  const holder = await holding('admin', `LOCK TABLE item, line IN ${mode} MODE`);
  await source.fence(attempt(1), limitMs, never());
  expect(await reasonOf(holder.query(insert('late')))).toBe('SY001');
  await holder.close();
});

test('rows locked by SELECT … FOR UPDATE are not waited for, and are not written any more by whoever locked them', async () => {
  const locker = await holding('gateway', 'SELECT * FROM item FOR UPDATE');
  await source.fence(attempt(1), limitMs, never());
  expect(await reasonOf(locker.query('UPDATE item SET amount = 5'))).toBe('SY001');
  await locker.close();
  await source.commit(attempt(1), never());
  await source.close(attempt(1), never());
});

describe('a transaction prepared for two-phase commit', () => {
  test('that has written keeps the fence out until somebody ends it, and its rows come before the marker', async () => {
    await stores.source.sql(`BEGIN; ${insert('in doubt')}; PREPARE TRANSACTION 'fence-locks'`, 'owner');
    expect(await reasonOf(source.fence(attempt(1), limitMs, never()))).toBe('LOCK_TIMEOUT');
    expect(await states()).toEqual(['OPEN', 'OPEN']);
    await stores.source.sql(insert('goes on'));
    await stores.source.sql(`COMMIT PREPARED 'fence-locks'`, 'owner');
    await source.fence(attempt(2), limitMs, never());
    const seen = await play(stores, schemas, (all) => all.some((each) => each.events.some((event) => event.kind === 'marker')));
    expect(seen.at(-1)?.events.map(({ kind }) => kind)).toEqual(['marker']);
    expect(await stores.target.sql('SELECT name FROM item ORDER BY name', 'owner')).toEqual(await names());
  });

  test('of another table is not in the way', async () => {
    await stores.source.sql(`CREATE TABLE beside (id integer); BEGIN; INSERT INTO beside VALUES (1); PREPARE TRANSACTION 'fence-beside'`, 'owner');
    await source.fence(attempt(1), limitMs, never());
    await stores.source.sql(`ROLLBACK PREPARED 'fence-beside'`, 'owner');
  });

  test('cannot be prepared behind the fence', async () => {
    await source.fence(attempt(1), limitMs, never());
    expect(await reasonOf(stores.source.sql(`BEGIN; ${insert('late')}; PREPARE TRANSACTION 'fence-late'`, 'owner'))).toBe('SY001');
    expect(await stores.source.sql('SELECT count(*) FROM pg_prepared_xacts', 'admin')).toEqual([['0']]);
  });
});

test('behind a fence that waits for a long transaction reads go on at once, and writes wait no longer than the fence does', async () => {
  const long = await holding('gateway', insert('long'));
  const fencing = msOf(reasonOf(source.fence(attempt(1), limitMs, never())).then((reason) => expect(reason).toBe('LOCK_TIMEOUT')));
  const untilQueued = async (): Promise<void> => {
    while ((await stores.source.sql(`SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'`, 'admin'))[0]?.[0] === '0');
  };
  await untilQueued();
  const [readMs, writeMs] = await Promise.all([msOf(stores.source.sql('SELECT count(*) FROM item')), msOf(stores.source.sql(insert('queued')))]);
  await fencing;
  expect(readMs).toBeLessThan(limitMs + marginMs);
  expect(writeMs).toBeLessThan(limitMs + marginMs);
  // The long one still has its lock, and takes its time.
  await long.query('COMMIT');
  await long.close();
  expect(await names()).toEqual([['a'], ['b'], ['long'], ['queued']]);
});

describe('a right that is taken away by the read fence', () => {
  const close = async (): Promise<void> => {
    await source.fence(attempt(1), limitMs, never());
    await source.commit(attempt(1), never());
    await source.close(attempt(1), never());
  };

  test('does not wait for a read that runs, lets it end, and is gone at its next statement', async () => {
    const reader = await stores.source.session('gateway');
    const running = reader.query('SELECT name FROM item, pg_sleep(3) ORDER BY name');
    await close();
    // It began before the right was taken away, and its three seconds are not over.
    expect(await Promise.race([running, 'still running'])).toBe('still running');
    expect(await running).toEqual([['a'], ['b']]);
    expect(await reasonOf(reader.query('SELECT name FROM item'))).toBe('42501');
    await reader.close();
  });

  test('is gone for a statement of its own with a warm plan, which is how a gateway reads', async () => {
    const reader = await stores.source.session('gateway');
    await reader.query('PREPARE look AS SELECT name FROM item');
    for (let time = 0; time < 7; time += 1) await reader.query('EXECUTE look');
    await close();
    expect(await reasonOf(reader.query('EXECUTE look'))).toBe('42501');
    await reader.close();
  });

  test.each(['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'])(
    'in a transaction that has read before, %s, is gone for what is parsed anew; a prepared statement keeps it until the transaction ends',
    async (level) => {
      const reader = await stores.source.session('gateway');
      await reader.query('PREPARE look AS SELECT name FROM item');
      await reader.query(`BEGIN ISOLATION LEVEL ${level}`);
      for (let time = 0; time < 7; time += 1) await reader.query('EXECUTE look');
      await close();
      // PostgreSQL learns of changed rights when it parses, takes a lock or begins a transaction; this one has its lock already. No gateway reads in a transaction without writing, which the other fence has waited for.
      expect(await reasonOf(reader.query('EXECUTE look'))).toBe('none');
      expect(await reasonOf(reader.query('SELECT name FROM item'))).toBe('42501');
      await reader.query('ROLLBACK');
      expect(await reasonOf(reader.query('EXECUTE look'))).toBe('42501');
      await reader.close();
    },
  );

  test('does not reach a cursor that is open: what it still gives is its snapshot, older than the switch', async () => {
    const reader = await stores.source.session('gateway');
    await reader.query('BEGIN; DECLARE rows CURSOR FOR SELECT name FROM item ORDER BY name');
    await close();
    expect(await reader.query('FETCH ALL FROM rows')).toEqual([['a'], ['b']]);
    await reader.close();
  });
});
