import { describe, expect, test } from '@jest/globals';
import type { FenceSession } from '../../backends/backend.ts';
import { attempt } from '../../core/ids.ts';
import { useArmedStores } from './armed-stores.ts';
import { emptyBatch, FORWARD, type MoveStores, never, type RawSession, reasonOf, SOURCE, TARGET } from './move-stores.ts';
import { PostgresPair } from './postgres-move.ts';

/*
 * Every statement of PostgreSQL that changes a row, whoever sends it, whenever its transaction began and however warm its plan is, against a fence that came meanwhile. What keeps it out is the store alone: no gateway is here.
 */

const FENCED = 'SY001';
/** The snapshot is older than the fence's row. */
const OLD_SNAPSHOT = '40001';
const NO_RIGHT = '42501';

/** Ways to write that do not name the table, made by its owner; rows for them; and a login that was given rights beside the gateway. */
const surroundings = `
CREATE TABLE parent (id integer PRIMARY KEY);
INSERT INTO parent VALUES (1), (2), (3);
ALTER TABLE line ADD COLUMN gone_with integer REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, ADD COLUMN emptied_with integer REFERENCES parent ON DELETE SET NULL;
INSERT INTO item (name, amount) VALUES ('a', 1), ('b', 2);
INSERT INTO line (item_id, line, gone_with, emptied_with) SELECT min(id), 1, 1, 2 FROM item;
CREATE VIEW seen_item AS SELECT id, name, amount FROM item;
CREATE FUNCTION add_item(text) RETURNS void LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC INSERT INTO public.item (name) VALUES ($1); END;
CREATE TABLE copied (name text);
CREATE FUNCTION copy_on() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.item (name) VALUES (NEW.name); RETURN NULL; END $$;
CREATE TRIGGER copy_on AFTER INSERT ON copied FOR EACH ROW EXECUTE FUNCTION copy_on();
GRANT SELECT, INSERT, UPDATE, DELETE ON parent, seen_item, copied TO shop_gateway, beside;
GRANT SELECT, INSERT, UPDATE, DELETE ON item, line, line_few TO beside;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO beside;`;

/** Name and text; `n` makes what has to be new new. */
const writes: readonly (readonly [what: string, sql: (n: string) => string])[] = [
  ['INSERT', (n) => `INSERT INTO item (name) VALUES ('${n}')`],
  ['INSERT of no row', () => `INSERT INTO item (name) SELECT 'x' WHERE false`],
  ['INSERT … ON CONFLICT DO NOTHING', () => `INSERT INTO item (name) VALUES ('a') ON CONFLICT DO NOTHING`],
  ['INSERT … ON CONFLICT DO UPDATE', () => `INSERT INTO item (name) VALUES ('a') ON CONFLICT (name) DO UPDATE SET amount = item.amount + 1`],
  ['UPDATE', () => 'UPDATE item SET amount = amount + 1'],
  ['UPDATE of no row', () => 'UPDATE item SET amount = 7 WHERE false'],
  ['DELETE', () => 'DELETE FROM line'],
  ['DELETE of no row', () => 'DELETE FROM item WHERE false'],
  [
    'MERGE',
    (n) =>
      `MERGE INTO item USING (VALUES ('a'), ('${n}')) AS v (name) ON item.name = v.name WHEN MATCHED THEN UPDATE SET amount = 9 WHEN NOT MATCHED THEN INSERT (name) VALUES (v.name)`,
  ],
  ['a writable CTE', (n) => `WITH new AS (INSERT INTO item (name) VALUES ('${n}') RETURNING id) SELECT id FROM new`],
  ['a writable CTE that nobody reads', () => 'WITH gone AS (DELETE FROM line RETURNING item_id) SELECT 1'],
  ['a view', (n) => `INSERT INTO seen_item (name, amount) VALUES ('${n}', 1)`],
  ["a function with its owner's rights", (n) => `SELECT add_item('${n}')`],
  ['a DO block', () => 'DO $$ BEGIN UPDATE item SET amount = 3; END $$'],
  ['a DO block that catches what it can', () => 'DO $$ BEGIN UPDATE item SET amount = 3; EXCEPTION WHEN unique_violation THEN NULL; END $$'],
  ['a trigger of a table beside', (n) => `INSERT INTO copied VALUES ('${n}')`],
  ['ON DELETE CASCADE of a table beside', () => 'DELETE FROM parent WHERE id = 1'],
  ['ON DELETE SET NULL of a table beside', () => 'DELETE FROM parent WHERE id = 2'],
  ['ON UPDATE CASCADE of a table beside', () => 'UPDATE parent SET id = 11 WHERE id = 1'],
];
const byOwners: typeof writes = [
  ['TRUNCATE', () => 'TRUNCATE line'],
  ['TRUNCATE … CASCADE of a table beside', () => 'TRUNCATE parent CASCADE'],
];
/** By the name of a partition, on which the gateway has no right. A statement that changes no row of it is let through. */
const intoPartitions: typeof writes = [
  ['INSERT into a partition', () => 'INSERT INTO line_few (item_id, line) SELECT min(id), 7 FROM item'],
  ['UPDATE of a partition', () => 'UPDATE line_few SET quantity = 8'],
  ['UPDATE that leaves a partition', () => 'UPDATE line SET line = 9 WHERE item_id IN (SELECT item_id FROM line_few)'],
  ['DELETE from a partition', () => 'DELETE FROM line_few'],
  [
    'MERGE into a partition',
    () => 'MERGE INTO line_few USING (VALUES (1)) AS v (id) ON line_few.item_id = v.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (item_id, line) VALUES (1, 11)',
  ],
  ['a writable CTE of a partition', () => 'WITH gone AS (DELETE FROM line_few RETURNING item_id) SELECT 1'],
];
const bySuperusers: typeof writes = [
  ['COPY into a partition', () => `COPY line_few (item_id, line) FROM PROGRAM 'printf "1\\t12\\n"'`],
  ['COPY', (n) => `COPY item (name) FROM PROGRAM 'echo ${n}'`],
];

const levels = ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'] as const;

/** Who may have a way to the tables. The last three are none of Switchyard's. */
const writers = [
  { who: 'the gateway', login: 'gateway', first: '', more: [] },
  { who: 'the owner', login: 'owner', first: '', more: [...byOwners, ...intoPartitions] },
  { who: 'a login with rights of its own', login: 'admin', first: 'SET SESSION AUTHORIZATION beside', more: intoPartitions },
  { who: 'a superuser', login: 'admin', first: '', more: [...byOwners, ...intoPartitions, ...bySuperusers] },
  { who: 'a superuser whose session skips ordinary triggers', login: 'admin', first: 'SET session_replication_role = replica', more: [...intoPartitions, ...bySuperusers] },
] as const;
/** Nothing of the store's fires for such a session but what is made to fire always: no cascade, no trigger of a user. */
const isSkippedAsReplica = (what: string): boolean => what.includes('a table beside');

let stores: MoveStores;
let source: FenceSession;
let target: FenceSession;

useArmedStores(
  () => PostgresPair.start(),
  async (armed, stack) => {
    stores = armed.stores;
    source = stack.use(await stores.source.owner.openFence(SOURCE, never()));
    target = stack.use(await stores.target.owner.openFence(TARGET, never()));
    await stores.source.sql('DROP ROLE IF EXISTS beside; CREATE ROLE beside LOGIN', 'admin');
    stack.defer(async () => void (await stores.source.sql('DROP OWNED BY beside; DROP ROLE beside', 'admin')));
    await stores.source.sql(surroundings, 'owner');
  },
);

/** All rows, by the one who sees all. */
const rows = async (): Promise<string> =>
  JSON.stringify(await stores.source.sql('SELECT * FROM item ORDER BY id', 'admin')) + JSON.stringify(await stores.source.sql('SELECT * FROM line', 'admin'));

async function openAs({ login, first }: (typeof writers)[number]): Promise<RawSession> {
  const session = await stores.source.session(login);
  if (first !== '') await session.query(first);
  return session;
}

/** What each of the writes is answered with, one after the other on one session, each in a transaction that is rolled back. */
async function answers(session: RawSession, statements: typeof writes, begin = 'BEGIN'): Promise<Readonly<Record<string, string>>> {
  const found: Record<string, string> = {};
  for (const [i, [what, sql]] of statements.entries()) {
    await session.query(begin);
    found[what] = await reasonOf(session.query(sql(`n${i}`)));
    await session.query('ROLLBACK');
  }
  return found;
}
const all = (statements: typeof writes, answer: string): Readonly<Record<string, string>> => Object.fromEntries(statements.map(([what]) => [what, answer]));

describe.each(writers)('$who', (writer) => {
  const statements = [...writes, ...writer.more].filter(([what]) => !(writer.first.includes('replica') && isSkippedAsReplica(what)));

  test('may write in every such way while the table is open, and in none once it is fenced, decided or closed', async () => {
    const session = await openAs(writer);
    expect(await answers(session, statements)).toEqual(all(statements, 'none'));
    const before = await rows();
    await source.fence(attempt(1), 500, never());
    for (const level of levels) expect(await answers(session, statements, `BEGIN ISOLATION LEVEL ${level}`)).toEqual(all(statements, FENCED));
    for (const [what, sql] of statements) expect([what, await reasonOf(session.query(sql('alone')))]).toEqual([what, FENCED]);
    await source.commit(attempt(1), never());
    expect(await answers(session, statements)).toEqual(all(statements, FENCED));
    await source.close(attempt(1), never());
    const closed = await answers(session, statements);
    // Without a right on the table the gateway does not come as far as the fence, but by other people's rights.
    for (const answer of Object.values(closed)) expect([FENCED, NO_RIGHT]).toContain(answer);
    expect(await rows()).toBe(before);
    await session.close();
  });

  test('with a plan from before the fence is kept out, and goes on with it after an abort', async () => {
    const session = await openAs(writer);
    const preparable = statements.filter(([what]) => !/DO block|TRUNCATE|COPY/.test(what));
    for (const [i, [, sql]] of preparable.entries()) {
      await session.query(`PREPARE p${i} AS ${sql(`p${i}`)}`);
      // A generic plan from the sixth on.
      for (let time = 0; time < 7; time += 1) await session.query(`BEGIN; EXECUTE p${i}; ROLLBACK`);
    }
    const prepared: typeof writes = preparable.map(([what], i) => [what, () => `EXECUTE p${i}`]);
    await source.fence(attempt(1), 500, never());
    expect(await answers(session, prepared)).toEqual(all(prepared, FENCED));
    await source.abort(attempt(1), never());
    expect(await answers(session, prepared)).toEqual(all(prepared, 'none'));
    await source.fence(attempt(2), 500, never());
    expect(await answers(session, prepared)).toEqual(all(prepared, FENCED));
    await session.close();
  });

  test.each(writer.who === 'the gateway' ? levels : (['REPEATABLE READ'] as const))('in a transaction that has read before the fence, %s, is kept out', async (level) => {
    await using stack = new AsyncDisposableStack();
    // One that fails ends its transaction: one session for each.
    const open = await Promise.all(
      statements.map(async ([what, sql], i) => {
        const session = await openAs(writer);
        stack.defer(() => session.close());
        await session.query(`BEGIN ISOLATION LEVEL ${level}`);
        await session.query('SELECT count(*) FROM item');
        return { what, write: () => session.query(sql(`old ${i}`)) };
      }),
    );
    const before = await rows();
    await source.fence(attempt(1), 500, never());
    for (const { what, write } of open) expect([what, await reasonOf(write())]).toEqual([what, level === 'READ COMMITTED' ? FENCED : OLD_SNAPSHOT]);
    expect(await rows()).toBe(before);
  });
});

test('an old snapshot stays out of a table that has been fenced and opened again meanwhile, where the trigger is still on', async () => {
  const session = await stores.source.session('gateway');
  await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await session.query('SELECT count(*) FROM item');
  await source.fence(attempt(1), 500, never());
  await source.abort(attempt(1), never());
  // It could not see what others have written since; the store says that it has to begin anew.
  expect(await reasonOf(session.query(`INSERT INTO item (name) VALUES ('old')`))).toBe(OLD_SNAPSHOT);
  await session.query(`ROLLBACK; INSERT INTO item (name) VALUES ('new')`);
  await session.close();
});

test('on the target nobody but the player writes before it is open', async () => {
  const sql = `INSERT INTO item (name) VALUES ('early')`;
  const expectKept = async (): Promise<void> => {
    for (const [login, before] of [
      ['owner', ''],
      ['admin', ''],
      ['admin', 'SET session_replication_role = replica; '],
    ] as const) {
      expect(await reasonOf(stores.target.sql(`${before}${sql}`, login))).toBe(FENCED);
      expect(await reasonOf(stores.target.sql(`${before}BEGIN ISOLATION LEVEL SERIALIZABLE; ${sql}`, login))).toBe(FENCED);
    }
    expect(await reasonOf(stores.target.sql(sql))).toBe(NO_RIGHT);
    expect(await reasonOf(stores.target.sql('TRUNCATE item, line', 'owner'))).toBe(FENCED);
  };
  await expectKept();
  await source.fence(attempt(1), 500, never());
  const state = await stores.target.player.takeStream(FORWARD, never());
  await stores.target.player.apply(FORWARD, new Map(), state.token, emptyBatch(state, attempt(1)), never());
  await source.commit(attempt(1), never());
  await target.ready(FORWARD, attempt(1), never());
  await expectKept();
});

test('without its trigger the fence lets the write through: it is the trigger that keeps it out', async () => {
  await source.fence(attempt(1), 500, never());
  await stores.source.sql('ALTER TABLE item DISABLE TRIGGER switchyard_fence_write', 'owner');
  expect(await reasonOf(stores.source.sql(`INSERT INTO item (name) VALUES ('leak')`))).toBe('none');
});

test('a partition that is made or attached behind the fence is fenced, too', async () => {
  await stores.source.sql('CREATE TABLE attached (LIKE line)', 'owner');
  await source.fence(attempt(1), 500, never());
  await stores.source.sql(
    'CREATE TABLE made PARTITION OF line FOR VALUES FROM (1000000) TO (2000000); ALTER TABLE line ATTACH PARTITION attached FOR VALUES FROM (2000000) TO (3000000)',
    'owner',
  );
  for (const [table, id] of [
    ['made', 1_000_001],
    ['attached', 2_000_001],
  ]) {
    expect(await reasonOf(stores.source.sql(`SET session_replication_role = replica; INSERT INTO ${table} (item_id, line) VALUES (${id}, 1)`, 'admin'))).toBe(FENCED);
  }
});
