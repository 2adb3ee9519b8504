import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { waitUntil } from '../support/servers/wait-until.ts';
import { arm, type MoveStores, never, reasonOf, TABLES, TARGET } from './move-stores.ts';
import { PostgresPair } from './postgres-move.ts';

/* Plain indexes of a table that a move makes come when it has its rows, beside whoever writes it. */

let pair: PostgresPair;

beforeAll(async () => {
  pair = await PostgresPair.start();
}, 120_000);
afterAll(() => pair?.[Symbol.asyncDispose]());

const SCOPE = { ...TARGET, tables: ['item'] };
const indexes = async ({ target }: MoveStores): Promise<readonly string[]> =>
  (
    await target.sql(
      `SELECT c.relname || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
       WHERE i.indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND NOT relispartition) ORDER BY 1`,
      'owner',
    )
  ).map(([name]) => name ?? '');
const ALL = ['item_amount', 'item_name_key', 'item_pkey', 'line_pkey', 'line_quantity'];
const WITHOUT = ALL.filter((name) => name !== 'item_amount');

/** Until the build waits for a transaction that has written the table. */
const untilBuildWaits = ({ target }: MoveStores): Promise<unknown> =>
  waitUntil('the build to wait', { limitMs: 20_000, everyMs: 20 }, async () => {
    const rows = await target.sql(
      `SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock' AND datname = current_database()`,
      'admin',
    );
    return rows.length > 0 ? true : undefined;
  });

test('they come later, once, and those of a partitioned table with it', async () => {
  await using stores = await pair.fresh();
  await arm(stores);
  const definitions = await stores.source.owner.define(TABLES, never());
  expect(await indexes(stores)).toEqual(WITHOUT);
  const plan = await stores.target.owner.planTables(definitions, never());
  expect(plan.slice(plan.indexOf('-- after the copy:'))).toEqual([
    '-- after the copy:',
    'CREATE INDEX CONCURRENTLY item_amount ON public.item USING btree (amount) WHERE (amount > 0);',
  ]);
  expect(await reasonOf(stores.target.owner.createIndexes({ ...SCOPE, workflow: 'other' }, definitions, never()))).toBe('FENCE_CONFLICT');
  await stores.target.owner.createIndexes({ ...SCOPE, tables: ['line'] }, definitions, never());
  expect(await indexes(stores)).toEqual(WITHOUT);
  for (let time = 0; time < 2; time += 1) {
    await stores.target.owner.createIndexes(TARGET, definitions, never());
    expect(await indexes(stores)).toEqual(ALL);
  }
  const again = await stores.target.owner.planTables(await stores.target.owner.define(TABLES, never()), never());
  expect(again).toEqual(plan);
});

test('they keep no writer waiting, and a second caller makes none twice', async () => {
  await using stores = await pair.fresh();
  await arm(stores);
  const definitions = await stores.source.owner.define(TABLES, never());
  const writer = await stores.target.session('player');
  await using _ = { [Symbol.asyncDispose]: () => writer.close() };
  await writer.query('BEGIN');
  await writer.query('LOCK TABLE item IN ROW EXCLUSIVE MODE');
  const building = Promise.all([stores.target.owner.createIndexes(SCOPE, definitions, never()), stores.target.owner.createIndexes(SCOPE, definitions, never())]);
  await Promise.race([untilBuildWaits(stores), building]);
  await stores.target.sql(`BEGIN; SET LOCAL lock_timeout = '5s'; INSERT INTO item (id, name, amount) OVERRIDING SYSTEM VALUE VALUES (1, 'meanwhile', 2); COMMIT`, 'player');
  expect(await indexes(stores)).toEqual(ALL.map((name) => (name === 'item_amount' ? 'item_amount (invalid)' : name)));
  await writer.query('COMMIT');
  await building;
  expect(await indexes(stores)).toEqual(ALL);
});

test('what a build that was cut off has left is replaced', async () => {
  await using stores = await pair.fresh();
  await arm(stores);
  const definitions = await stores.source.owner.define(TABLES, never());
  const writer = await stores.target.session('player');
  await using _ = { [Symbol.asyncDispose]: () => writer.close() };
  await writer.query('BEGIN');
  await writer.query('LOCK TABLE item IN ROW EXCLUSIVE MODE');
  const cut = new AbortController();
  const building = reasonOf(stores.target.owner.createIndexes(SCOPE, definitions, cut.signal));
  await Promise.race([untilBuildWaits(stores), building]);
  cut.abort();
  expect(await building).toBe('CANCELLED');
  await writer.query('COMMIT');
  expect(await indexes(stores)).toContain('item_amount (invalid)');
  await stores.target.owner.createIndexes(SCOPE, definitions, never());
  expect(await indexes(stores)).toEqual(ALL);
  await stores.target.owner.dropTables(TARGET, never());
});

test('one that the server cannot make is found before the copy', async () => {
  await using stores = await pair.fresh();
  await stores.target.sql('CREATE TABLE beside (id int PRIMARY KEY); CREATE INDEX item_amount ON beside (id)', 'owner');
  await expect(arm(stores)).rejects.toMatchObject({ reason: 'PRECHECK_FAILED', message: expect.stringContaining('item_amount') });
  await stores.target.sql('DROP INDEX item_amount', 'owner');
  await arm(stores);
  await stores.target.sql('CREATE INDEX item_amount ON beside (id)', 'owner');
  const definitions = await stores.source.owner.define(TABLES, never());
  await expect(stores.target.owner.createIndexes(SCOPE, definitions, never())).rejects.toMatchObject({
    reason: 'PRECHECK_FAILED',
    message: expect.stringMatching(/^index "item_amount" of table "item" cannot be made in the target: .*already exists/),
    metadata: { table: 'item' },
  });
});
