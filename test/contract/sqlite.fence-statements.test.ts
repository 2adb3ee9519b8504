import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from '@jest/globals';
import type { DataStore, FenceSession } from '../../backends/backend.ts';
import type { Cell } from '../../core/cell.ts';
import { type FenceState, mayRead, mayWrite } from '../../core/fence.ts';
import { attempt } from '../../core/ids.ts';
import type { Row, WriteOperation } from '../../core/operation.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { useArmedStores } from './armed-stores.ts';
import { catchUp, emptyBatch, FORWARD, type MoveStores, never, reasonOf, SOURCE, type StoreUnderTest, TABLES, TARGET } from './move-stores.ts';
import { SqliteFiles } from './sqlite-move.ts';
import { LocalProgram, type Program, RemoteProgram } from './sqlite-program.ts';

/*
 * Every statement of SQLite that changes a row, whoever sends it, however its connection is set, whenever its transaction began and its text was parsed, against every state of the fence. What keeps it out is the file alone:
 * SQLite knows no rights, and no gateway is here but where one is named.
 */

const FENCED = 'FENCED';
/** The snapshot is older than the file. */
const OLD_SNAPSHOT = 'SQLITE_517';

/** Ways to write that do not name the table. The columns are filled as the player fills them, for the file is fenced already where it is the target. */
const surroundings = `
CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
INSERT INTO parent VALUES (1, 'one'), (2, 'two'), (3, 'three');
ALTER TABLE line ADD COLUMN gone_with INTEGER REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE line ADD COLUMN emptied_with INTEGER REFERENCES parent ON DELETE SET NULL;
ALTER TABLE line ADD COLUMN reset_with INTEGER REFERENCES parent ON DELETE SET DEFAULT;
CREATE TABLE twin (item_id INTEGER NOT NULL, line INT32 NOT NULL DEFAULT 0, quantity INT32, gone_with INTEGER, emptied_with INTEGER, reset_with INTEGER, PRIMARY KEY (item_id, line));
INSERT INTO twin SELECT max(id), 7, NULL, NULL, NULL, NULL FROM item;
CREATE VIEW seen_item AS SELECT id, name, amount FROM item;
CREATE TRIGGER seen_insert INSTEAD OF INSERT ON seen_item BEGIN INSERT INTO item (name, amount) VALUES (NEW.name, NEW.amount); END;
CREATE TRIGGER seen_update INSTEAD OF UPDATE ON seen_item BEGIN UPDATE item SET amount = NEW.amount WHERE id = OLD.id; END;
CREATE TRIGGER seen_delete INSTEAD OF DELETE ON seen_item BEGIN DELETE FROM item WHERE id = OLD.id; END;
CREATE TABLE copied (name TEXT);
CREATE TRIGGER copy_on AFTER INSERT ON copied BEGIN INSERT OR IGNORE INTO item (name) VALUES (NEW.name); END;
CREATE TABLE plain (name TEXT);
BEGIN;
UPDATE switchyard_session SET player = 1;
UPDATE line SET gone_with = 1, emptied_with = 2, reset_with = 3;
UPDATE switchyard_session SET player = 0;
COMMIT;`;

type Statements = readonly (readonly [what: string, sql: (n: string) => string])[];

/** Name and text; `n` makes what has to be new new. */
const changing: Statements = [
  ['INSERT', (n) => `INSERT INTO item (name) VALUES ('${n}')`],
  ['INSERT of several rows', (n) => `INSERT INTO item (name) VALUES ('${n}'), ('${n} too')`],
  ...['ABORT', 'FAIL', 'IGNORE', 'REPLACE', 'ROLLBACK'].map((or) => [`INSERT OR ${or}`, (n: string) => `INSERT OR ${or} INTO item (name) VALUES ('${n}')`] as const),
  ['INSERT … DEFAULT VALUES into a view', (n) => `INSERT INTO seen_item (name, amount) VALUES ('${n}', 1)`],
  ['INSERT … SELECT', (n) => `INSERT INTO item (name) SELECT '${n}' || id FROM item`],
  ['INSERT … SELECT of a whole table of the same shape', () => 'INSERT INTO line SELECT * FROM twin'],
  ['INSERT … RETURNING', (n) => `INSERT INTO item (name) VALUES ('${n}') RETURNING id`],
  ['INSERT behind a CTE', (n) => `WITH new (name) AS (VALUES ('${n}')) INSERT INTO item (name) SELECT name FROM new`],
  ['UPSERT that updates', () => `INSERT INTO item (name) VALUES ('a') ON CONFLICT (name) DO UPDATE SET amount = amount + 1`],
  ['UPSERT that inserts', (n) => `INSERT INTO item (name) VALUES ('${n}') ON CONFLICT DO NOTHING`],
  ['REPLACE of a row by its key', () => `REPLACE INTO item (id, name) VALUES (1, 'other')`],
  ['REPLACE of a row by a unique key', () => `REPLACE INTO item (name, amount) VALUES ('a', 5)`],
  ['REPLACE of two rows by one', () => `REPLACE INTO item (id, name) VALUES (1, 'b')`],
  ['UPDATE', () => 'UPDATE item SET amount = amount + 1'],
  ['UPDATE of the key, which cascades', () => 'UPDATE item SET id = id + 10'],
  ['UPDATE of the row number', () => 'UPDATE item SET rowid = 77 WHERE id = 1'],
  ['UPDATE OR REPLACE', () => `UPDATE OR REPLACE item SET name = 'a' WHERE name = 'b'`],
  ['UPDATE OR IGNORE', () => 'UPDATE OR IGNORE item SET amount = 3'],
  ['UPDATE OR FAIL', () => 'UPDATE OR FAIL item SET amount = 3'],
  ['UPDATE OR ROLLBACK', () => 'UPDATE OR ROLLBACK item SET amount = 3'],
  ['UPDATE … FROM', () => `UPDATE item SET amount = v.amount FROM (SELECT 'a' AS name, 9 AS amount) AS v WHERE item.name = v.name`],
  ['UPDATE … RETURNING', () => 'UPDATE item SET amount = 4 RETURNING id'],
  ['UPDATE of a view', () => 'UPDATE seen_item SET amount = 8'],
  ['DELETE', () => `DELETE FROM item WHERE name = 'a'`],
  ['DELETE of all rows, which looks at none', () => 'DELETE FROM line'],
  ['DELETE … RETURNING', () => 'DELETE FROM line RETURNING item_id'],
  ['DELETE from a view', () => 'DELETE FROM seen_item'],
  ['a trigger of a table beside', (n) => `INSERT INTO copied VALUES ('${n}')`],
  [
    'a trigger of the connection',
    (n) => `DROP TRIGGER IF EXISTS temp.own; CREATE TEMP TRIGGER own AFTER INSERT ON plain BEGIN DELETE FROM line; END; INSERT INTO plain VALUES ('${n}')`,
  ],
  ['ON DELETE CASCADE of a foreign key', () => 'DELETE FROM parent WHERE id = 1'],
  ['ON DELETE SET NULL of a foreign key', () => 'DELETE FROM parent WHERE id = 2'],
  ['ON DELETE SET DEFAULT of a foreign key', () => 'DELETE FROM parent WHERE id = 3'],
  ['ON DELETE CASCADE of a foreign key for all rows', () => 'DELETE FROM parent'],
  ['ON UPDATE CASCADE of a foreign key', () => 'UPDATE parent SET id = 11 WHERE id = 1'],
  ['REPLACE of a row that a foreign key leads to', () => `REPLACE INTO parent VALUES (12, 'one')`],
  ['UPDATE OR REPLACE of a row that a foreign key leads to', () => `UPDATE OR REPLACE parent SET name = 'two' WHERE id = 3`],
  ['DROP TABLE of one that a foreign key leads to', () => 'DROP TABLE parent'],
];

/** They come to a row and leave it as it is. */
const idle: Statements = [
  ['INSERT OR IGNORE of a row that is there', () => `INSERT OR IGNORE INTO item (name) VALUES ('a')`],
  ['UPSERT that does nothing', () => `INSERT INTO item (name) VALUES ('a') ON CONFLICT DO NOTHING`],
  ['UPDATE to the same', () => 'UPDATE item SET amount = amount'],
];

/** They come to no row: no trigger fires, and nothing is written whatever the state is. */
const rowless: Statements = [
  ['INSERT of no row', () => `INSERT INTO item (name) SELECT 'x' WHERE 0`],
  ['UPDATE of no row', () => 'UPDATE item SET amount = 7 WHERE 0'],
  ['DELETE of no row', () => 'DELETE FROM item WHERE 0'],
];

const touching: Statements = [...changing, ...idle];
const pragmas = 'PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = OFF;';

/** Tables of the connection's own that say that everything is open, and that the player is at work. */
const decoys = ['main', 'temp']
  .map(
    (schema) => `
CREATE TABLE ${schema}.switchyard_fence (table_name, state); INSERT INTO ${schema}.switchyard_fence VALUES ('item', 'OPEN'), ('line', 'OPEN');
CREATE TABLE ${schema}.switchyard_session (player); INSERT INTO ${schema}.switchyard_session VALUES (1);`,
  )
  .join('');

const writers: readonly { readonly who: string; readonly open: (path: string) => Program; readonly foreignKeys?: false }[] = [
  { who: 'a program', open: (path) => new LocalProgram(path, pragmas) },
  { who: 'a program with recursive triggers', open: (path) => new LocalProgram(path, `${pragmas} PRAGMA recursive_triggers = ON`) },
  {
    who: 'a program that looks at no foreign keys and trusts no schema',
    open: (path) => new LocalProgram(path, 'PRAGMA foreign_keys = OFF; PRAGMA trusted_schema = OFF'),
    foreignKeys: false,
  },
  { who: 'a program that has the file attached to one of its own', open: (path) => new LocalProgram(':memory:', `${pragmas} ${decoys} ATTACH '${path}' AS shop`) },
  { who: 'another process', open: (path) => new RemoteProgram(path, pragmas) },
];
const withoutForeignKeys = (statements: Statements): Statements => statements.filter(([what]) => !what.includes('foreign key'));

let stores: MoveStores;
let schemas: ReadonlyMap<string, TableSchema>;
let source: FenceSession;
let target: FenceSession;
let stack: AsyncDisposableStack;

useArmedStores(
  () => SqliteFiles.start(),
  async (armed, disposed) => {
    ({ stores, schemas } = armed);
    stack = disposed;
    source = stack.use(await stores.source.owner.openFence(SOURCE, never()));
    target = stack.use(await stores.target.owner.openFence(TARGET, never()));
    await stores.source.sql(`INSERT INTO item (name, amount) VALUES ('a', 1), ('b', 2); INSERT INTO line (item_id, line) SELECT min(id), 1 FROM item`);
    await catchUp(stores, schemas, 1);
    for (const store of [stores.source, stores.target]) await store.sql(surroundings);
  },
);

const pathOf = (store: StoreUnderTest): string => (store as unknown as { readonly path: string }).path;
const open = (writer: (typeof writers)[number], store: StoreUnderTest): Program => stack.use(writer.open(pathOf(store)));

/** All rows of the moved tables, as the connection sees them. */
const rowsIn = (database: DatabaseSync): string => JSON.stringify(TABLES.map((table) => database.prepare(`SELECT * FROM ${table} ORDER BY 1, 2`).all()));

function rows(store: StoreUnderTest): string {
  using database = new DatabaseSync(pathOf(store));
  return rowsIn(database);
}

/** What each of the statements is answered with, one after the other, each in a transaction that is rolled back. */
async function answers(program: Program, statements: Statements, begin = 'BEGIN'): Promise<Readonly<Record<string, string>>> {
  const found: Record<string, string> = {};
  for (const [i, [what, sql]] of statements.entries()) {
    await program.do({ exec: begin });
    found[what] = await program.do({ exec: sql(`n${i}`) });
    await program.do({ exec: 'ROLLBACK' });
  }
  return found;
}
const all = (statements: Statements, answer: string): Readonly<Record<string, string>> => Object.fromEntries(statements.map(([what]) => [what, answer]));

async function applyMarker(number: number): Promise<void> {
  const state = await stores.target.player.takeStream(FORWARD, never());
  await stores.target.player.apply(FORWARD, schemas, state.token, emptyBatch(state, attempt(number)), never());
}

/** The target's life: from the move's beginning over the cutover to the next one, which it is the source of. */
const life: readonly (readonly [state: FenceState, next: () => Promise<void>])[] = [
  ['CLOSED', async () => {}],
  [
    'READABLE',
    async () => {
      await source.fence(attempt(1), 500, never());
      await applyMarker(1);
      await source.commit(attempt(1), never());
      await target.ready(FORWARD, attempt(1), never());
    },
  ],
  [
    'OPEN',
    async () => {
      await source.close(attempt(1), never());
      // With the triggers of its log, as it is from now on.
      await stores.target.owner.createLog({ ...FORWARD, id: 'move1.reverse' }, attempt(0), never());
      await target.open(FORWARD, attempt(1), never());
    },
  ],
  ['FROZEN', () => target.fence(attempt(2), 500, never())],
  ['SEALED', () => target.commit(attempt(2), never())],
  ['CLOSED', () => target.close(attempt(2), never())],
];

/** Goes through the target's life, and asks `look` in each of its states. */
async function throughLife(look: (state: FenceState) => Promise<void>): Promise<void> {
  for (const [state, next] of life) {
    await next();
    expect((await target.fenceRows(never())).map((row) => row.state)).toEqual([state, state]);
    await look(state);
  }
}

test('every one of these statements changes rows of an open table, or comes to one, or to none', () => {
  const path = pathOf(stores.source);
  using database = new DatabaseSync(path);
  database.exec(pragmas);
  const before = rowsIn(database);
  const found = (statements: Statements): readonly string[] =>
    statements.flatMap(([what, sql], i) => {
      database.exec('BEGIN');
      database.exec(sql(`n${i}`));
      const changed = rowsIn(database) !== before;
      database.exec('ROLLBACK');
      return changed ? [what] : [];
    });
  expect(found(changing)).toEqual(changing.map(([what]) => what));
  expect(found([...idle, ...rowless])).toEqual([]);
});

describe.each(writers)('$who', (writer) => {
  const { foreignKeys = true } = writer;
  const statements = foreignKeys ? touching : withoutForeignKeys(touching);

  test('writes in every such way while the table is open, and in none in every other state', async () => {
    const program = open(writer, stores.target);
    await throughLife(async (state) => {
      const expected = mayWrite(state) ? 'none' : FENCED;
      for (const begin of ['BEGIN', 'BEGIN IMMEDIATE', 'SAVEPOINT a'])
        expect([state, begin, await answers(program, statements, begin)]).toEqual([state, begin, all(statements, expected)]);
      expect(await answers(program, rowless)).toEqual(all(rowless, 'none'));
      if (mayWrite(state)) return;
      const before = rows(stores.target);
      for (const [what, sql] of statements) expect([what, await program.do({ exec: sql('alone') })]).toEqual([what, FENCED]);
      for (const [what, sql] of rowless) expect([what, await program.do({ exec: sql('alone') })]).toEqual([what, 'none']);
      expect(rows(stores.target)).toBe(before);
    });
  });

  test('with statements from before the fence is kept out, and goes on with them after an abort', async () => {
    const program = open(writer, stores.source);
    const preparable = statements.filter(([, sql]) => !sql('').includes(';'));
    await program.do({ prepare: preparable.map(([, sql], i) => sql(`p${i}`)) });
    const run = async (): Promise<Readonly<Record<string, string>>> => {
      const found: Record<string, string> = {};
      for (const [i, [what]] of preparable.entries()) {
        await program.do({ exec: 'BEGIN' });
        found[what] = await program.do({ execute: i });
        await program.do({ exec: 'ROLLBACK' });
      }
      return found;
    };
    expect(await run()).toEqual(all(preparable, 'none'));
    const before = rows(stores.source);
    await source.fence(attempt(1), 500, never());
    expect(await run()).toEqual(all(preparable, FENCED));
    for (const [i, [what]] of preparable.entries()) expect([what, await program.do({ execute: i })]).toEqual([what, FENCED]);
    await source.abort(attempt(1), never());
    expect(await run()).toEqual(all(preparable, 'none'));
    await source.fence(attempt(2), 500, never());
    expect(await run()).toEqual(all(preparable, FENCED));
    expect(rows(stores.source)).toBe(before);
  });

  test('in a transaction that has read before the fence is kept out, also when the table is open again', async () => {
    const program = open(writer, stores.source);
    const before = rows(stores.source);
    await program.do({ exec: 'BEGIN; SELECT count(*) FROM item' });
    await source.fence(attempt(1), 500, never());
    const tried = [...statements, ...rowless];
    const found = async (): Promise<readonly (readonly string[])[]> => {
      const list: string[][] = [];
      // A statement that is refused so leaves the transaction, and its snapshot, as they were.
      for (const [i, [what, sql]] of tried.entries()) list.push([what, await program.do({ exec: sql(`old ${i}`) })]);
      return list;
    };
    const refused = tried.map(([what]) => [what, OLD_SNAPSHOT]);
    expect(await found()).toEqual(refused);
    await source.abort(attempt(1), never());
    // It could not see what others have written since; the store says that it has to begin anew.
    expect(await found()).toEqual(refused);
    expect(await program.do({ exec: 'COMMIT' })).toBe('none');
    expect(rows(stores.source)).toBe(before);
    expect(await program.do({ exec: `BEGIN; INSERT INTO item (name) VALUES ('anew'); COMMIT` })).toBe('none');
  });

  test('in a transaction that was begun before the fence, and has done nothing yet, is kept out', async () => {
    const program = open(writer, stores.source);
    await program.do({ exec: 'BEGIN' });
    await source.fence(attempt(1), 500, never());
    for (const [i, [what, sql]] of statements.entries()) expect([what, await program.do({ exec: sql(`late ${i}`) })]).toEqual([what, FENCED]);
    const before = rows(stores.source);
    expect(await program.do({ exec: 'COMMIT' })).toBe('none');
    expect(rows(stores.source)).toBe(before);
  });
});

test('a statement that has not returned all its rows yet is waited for', async () => {
  const program = new LocalProgram(pathOf(stores.source), pragmas);
  stack.use(program);
  const returned = program.database.prepare('UPDATE item SET amount = amount + 1 RETURNING id').iterate();
  expect(returned.next().done).toBe(false);
  expect(await reasonOf(source.fence(attempt(1), 150, never()))).toBe('LOCK_TIMEOUT');
  while (returned.next().done !== true);
  await source.fence(attempt(1), 500, never());
  expect(program.database.prepare('SELECT sum(amount) AS sum FROM item').get()).toEqual({ sum: 5 });
});

test('a table that is given another name takes its fence along', async () => {
  const program = stack.use(new LocalProgram(pathOf(stores.source), pragmas));
  await source.fence(attempt(1), 500, never());
  await program.do({ exec: 'ALTER TABLE item RENAME TO thing' });
  for (const sql of [`INSERT INTO thing (name) VALUES ('x')`, 'UPDATE thing SET amount = 2', 'DELETE FROM thing'])
    expect([sql, await program.do({ exec: sql })]).toEqual([sql, FENCED]);
});

test('a player that dies within its transaction leaves the fence shut', async () => {
  {
    await using player = new RemoteProgram(pathOf(stores.target), pragmas);
    expect(await player.do({ exec: `BEGIN IMMEDIATE; UPDATE switchyard_session SET player = 1; INSERT INTO item (name) VALUES ('half')` })).toBe('none');
  }
  const program = stack.use(new LocalProgram(pathOf(stores.target), pragmas));
  expect(await program.do({ exec: `INSERT INTO item (name) VALUES ('x')` })).toBe(FENCED);
  expect(rows(stores.target)).not.toContain('half');
});

test('the player writes while the table is closed, with the stream’s present token only', async () => {
  const item = schemas.get('item');
  const [first] = item === undefined ? [] : await stores.target.player.readChunk(item, null, 1, never());
  if (item === undefined || first === undefined) throw new Error('there is no row to make another from');
  let stale = (await stores.target.player.takeStream(FORWARD, never())).token;
  let number = 100n;
  await throughLife(async (state) => {
    const stream = await stores.target.player.takeStream(FORWARD, never());
    number += 1n;
    const named: Readonly<Record<string, Cell>> = { id: number, name: `by the player ${number}` };
    const row = item.columns.map(({ name }, i) => named[name] ?? first[i] ?? null);
    const batch = { ...emptyBatch(stream), changes: [{ kind: 'insert', table: 'item', row } as const] };
    const before = rows(stores.target);
    const apply = (token: typeof stale): Promise<string> => reasonOf(stores.target.player.apply(FORWARD, schemas, token, batch, never()));
    expect([state, await apply(stale)]).toEqual([state, 'STREAM_TAKEN']);
    expect(rows(stores.target)).toBe(before);
    expect([state, await apply(stream.token)]).toEqual([state, state === 'CLOSED' ? 'none' : 'STREAM_TAKEN']);
    expect([state, rows(stores.target) !== before]).toEqual([state, state === 'CLOSED']);
    stale = stream.token;
  });
});

test('a gateway reads and writes as the state says, whatever snapshots there are', async () => {
  // It keeps the file's older states readable for whoever asks for one.
  const reader = stack.use(new LocalProgram(pathOf(stores.target), 'BEGIN; SELECT count(*) FROM item'));
  const old = stack.use(stores.target.openData());
  const table = await old.describe('item', never());
  if (table === null) throw new Error('there is no table "item"');
  const tables = new Map([['item', table]]);
  const keys = (count: number): readonly (readonly Cell[])[] => Array.from({ length: count }, (_, i) => [BigInt(i + 1)]);
  const cells = (given: Readonly<Record<string, Cell>>): Row => ({ columns: Object.keys(given), cells: Object.values(given) });
  const read = (store: DataStore): readonly Promise<unknown>[] => [
    store.get(table, { key: [1n], columns: ['name'] }, never()),
    store.get(table, { key: [404n], columns: ['name'] }, never()),
    store.batchGet(table, { keys: keys(3), columns: ['name'] }, never()),
    // So many are read on another thread, and so is a query.
    store.batchGet(table, { keys: keys(100), columns: ['name'] }, never()),
    store.query(table, { filter: null, orderBy: [{ column: 'id', descending: false }], columns: ['id'], limit: 10, after: null }, never()),
    store.aggregate(table, { filter: null, aggregations: [{ kind: 'count' }], groupBy: null, limit: 1 }, never()),
  ];
  const operations = (name: string): readonly WriteOperation[] => [
    { kind: 'insert', table: 'item', row: cells({ name }), returning: [] },
    { kind: 'upsert', table: 'item', row: cells({ id: 1n, name: 'a' }), precondition: null, returning: [] },
    { kind: 'update', table: 'item', key: [1n], set: cells({ amount: 7 }), add: cells({}), precondition: null, returning: ['amount'] },
    { kind: 'delete', table: 'item', key: [404n], precondition: null, allowMissing: true },
  ];
  await throughLife(async (state) => {
    await using fresh = stores.target.openData();
    for (const [store, name] of [
      [old, 'by the old one'],
      [fresh, 'by the fresh one'],
    ] as const) {
      const answered = await Promise.all(read(store).map(reasonOf));
      expect([state, answered]).toEqual([state, answered.map(() => (mayRead(state) ? 'none' : FENCED))]);
      const before = rows(stores.target);
      // One after the other: what is refused takes nothing along.
      const written: string[] = [];
      for (const operation of operations(name)) written.push(await reasonOf(store.write(tables, [operation], never())));
      expect([state, written]).toEqual([state, written.map(() => (mayWrite(state) ? 'none' : FENCED))]);
      expect([state, rows(stores.target) !== before]).toEqual([state, mayWrite(state)]);
    }
  });
  expect(rowsIn(reader.database)).toContain('"a"');
  expect(await reader.do({ exec: 'COMMIT' })).toBe('none');
});

test('without its trigger the fence lets the write through: it is the trigger that keeps it out', async () => {
  const program = stack.use(new LocalProgram(pathOf(stores.source), pragmas));
  await source.fence(attempt(1), 500, never());
  expect(await program.do({ exec: 'DROP TRIGGER switchyard_fence_insert_item' })).toBe('none');
  expect(await program.do({ exec: `INSERT INTO item (name) VALUES ('leak')` })).toBe('none');
});
