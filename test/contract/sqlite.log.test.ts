import { execFile } from 'node:child_process';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ChangeTransaction } from '../../core/change.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { allRows, arm, catchUp, FORWARD, type MoveStores, type StoreUnderTest } from './move-stores.ts';
import { SqliteFiles } from './sqlite-move.ts';

/*
 * Nothing escapes SQLite's log, whatever a program does: rows that REPLACE deletes (which fires no trigger of theirs), upserts, ignored rows, cascades, keys under a collation, tables without a row number. The statements run on
 * connections with the defaults of any program.
 */

const TABLES_TEXT = `
CREATE TABLE item (
  id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, kind BIGINT NOT NULL DEFAULT 0, slot BIGINT, note TEXT UNIQUE ON CONFLICT REPLACE, ratio REAL, doubled BIGINT GENERATED ALWAYS AS (kind * 2) VIRTUAL,
  parent BIGINT REFERENCES item ON DELETE SET NULL ON UPDATE CASCADE, UNIQUE (kind, slot)
);
CREATE UNIQUE INDEX item_name ON item (name);
CREATE UNIQUE INDEX item_slot ON item (slot) WHERE kind = 3;
CREATE TABLE line (
  item_id BIGINT NOT NULL REFERENCES item ON DELETE CASCADE ON UPDATE CASCADE, code TEXT NOT NULL, quantity BIGINT, PRIMARY KEY (code, item_id), UNIQUE (item_id, quantity)
) WITHOUT ROWID;`;

let files: SqliteFiles;
beforeAll(async () => {
  files = await SqliteFiles.start();
});
afterAll(async () => {
  await files[Symbol.asyncDispose]();
});

const pathOf = (store: StoreUnderTest): string => (store as unknown as { readonly path: string }).path;

interface Armed extends AsyncDisposable {
  readonly stores: MoveStores;
  readonly schemas: ReadonlyMap<string, TableSchema>;
}

async function armed(tables = TABLES_TEXT): Promise<Armed> {
  const stores = await files.fresh(tables);
  return { stores, schemas: await arm(stores), [Symbol.asyncDispose]: () => stores[Symbol.asyncDispose]() };
}

async function expectEqual({ stores, schemas }: Armed): Promise<void> {
  for (const table of schemas.values()) expect(await allRows(stores.target, table)).toEqual(await allRows(stores.source, table));
}

const events = (transactions: readonly ChangeTransaction[]): readonly string[] =>
  transactions.flatMap((each) =>
    each.events.map((event) => (event.kind === 'delete' ? `delete ${event.table} ${event.key.join()}` : 'table' in event ? `${event.kind} ${event.table}` : event.kind)),
  );

const id = fc.integer({ min: 1, max: 5 });
const text = fc.constantFrom('a', 'A', 'b', 'c', 'd');
const small = fc.integer({ min: 0, max: 3 });
const how = fc.constantFrom('', ' OR REPLACE', ' OR REPLACE', ' OR IGNORE', ' OR FAIL');
const orNull = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { freq: 4 });
const sql = (value: string | number | null): string => (value === null ? 'NULL' : typeof value === 'string' ? `'${value}'` : String(value));
const row = fc.tuple(orNull(id), orNull(text), small, orNull(small), orNull(text), orNull(id)).map((cells) => cells.map(sql).join(', '));

const statement = fc.oneof(
  fc.tuple(how, row).map(([or, cells]) => `INSERT${or} INTO item (id, name, kind, slot, note, parent) VALUES (${cells})`),
  fc
    .tuple(row, small)
    .map(([cells, kind]) => `INSERT INTO item (id, name, kind, slot, note, parent) VALUES (${cells}) ON CONFLICT (name) DO UPDATE SET kind = ${kind} ON CONFLICT DO NOTHING`),
  fc.tuple(how, small, orNull(small), id).map(([or, kind, slot, key]) => `UPDATE${or} item SET kind = ${kind}, slot = ${sql(slot)} WHERE id <= ${key}`),
  fc.tuple(how, text, id).map(([or, name, key]) => `UPDATE${or} item SET name = '${name}', note = name WHERE id = ${key}`),
  fc.tuple(how, id, id).map(([or, to, key]) => `UPDATE${or} item SET id = ${to} WHERE id = ${key}`),
  fc.tuple(how, id, text, orNull(small)).map(([or, item, code, quantity]) => `INSERT${or} INTO line VALUES (${item}, '${code}', ${sql(quantity)})`),
  fc.tuple(how, text, orNull(small), id).map(([or, code, quantity, item]) => `UPDATE${or} line SET code = '${code}', quantity = ${sql(quantity)} WHERE item_id = ${item}`),
  id.map((key) => `DELETE FROM item WHERE id = ${key}`),
  fc.constantFrom('DELETE FROM line', 'UPDATE item SET slot = slot + 1', 'UPDATE OR REPLACE item SET kind = 3', 'UPDATE item SET ratio = -0.0'),
);
const program = fc.record({ foreignKeys: fc.boolean(), recursive: fc.boolean(), together: fc.boolean(), statements: fc.array(statement, { minLength: 1, maxLength: 8 }) });

test('whatever statements a program runs, the target has the same rows afterwards', async () => {
  let watermark = 0;
  await using here = await armed();
  await here.stores.source.sql("INSERT INTO item (id, name) VALUES (1, 'first')");
  await fc.assert(
    fc.asyncProperty(fc.array(program, { minLength: 1, maxLength: 4 }), async (programs) => {
      await here.stores.source.sql('DELETE FROM line; DELETE FROM item');
      for (const { foreignKeys, recursive, together, statements } of programs) {
        using database = new DatabaseSync(pathOf(here.stores.source), { enableForeignKeyConstraints: foreignKeys });
        database.exec(`PRAGMA synchronous = OFF; PRAGMA recursive_triggers = ${recursive}`);
        if (together) database.exec('BEGIN');
        for (const each of statements) {
          try {
            database.exec(each);
          } catch (error) {
            // A constraint of the tables; what a statement did before it may stay (OR FAIL).
            expect(String(error)).toMatch(/constraint failed/);
          }
        }
        if (together) database.exec('COMMIT');
      }
      watermark += 1;
      await catchUp(here.stores, here.schemas, watermark);
      await expectEqual(here);
    }),
    { numRuns: 60, interruptAfterTimeLimit: 15_000, markInterruptAsFailure: false },
  );
  expect(watermark).toBeGreaterThan(10);
}, 60_000);

test('a replaced row is a delete in front of its replacement; an ignored or updated one is not', async () => {
  await using here = await armed();
  using database = new DatabaseSync(pathOf(here.stores.source));
  database.exec("INSERT INTO item (id, name, kind, slot) VALUES (1, 'a', 1, 1), (2, 'b', 2, 2); INSERT INTO line VALUES (1, 'x', 1)");
  await catchUp(here.stores, here.schemas, 1);
  database.exec("INSERT OR IGNORE INTO item (id, name) VALUES (3, 'A'); INSERT INTO item (id, name) VALUES (3, 'A') ON CONFLICT (name) DO UPDATE SET slot = 7");
  database.exec("INSERT OR REPLACE INTO item (id, name, kind, slot) VALUES (4, 'A', 2, 2)");
  expect(events(await catchUp(here.stores, here.schemas, 2))).toEqual(['update item', 'delete line x,1', 'delete item 1', 'delete item 2', 'insert item', 'watermark']);
  await expectEqual(here);
});

test('a row that an action of a foreign key changes before it is replaced is logged as deleted', async () => {
  await using here = await armed();
  using database = new DatabaseSync(pathOf(here.stores.source));
  // The second row has the name of the one that comes, and the first row, which goes, as its parent; with kind 3 its slot counts too.
  database.exec("INSERT INTO item (id, name, kind, slot) VALUES (1, 'x', 3, 7); INSERT INTO item (id, name, kind, slot, parent) VALUES (2, 'A', 1, 8, 1)");
  await catchUp(here.stores, here.schemas, 1);
  database.exec("INSERT OR REPLACE INTO item (id, name, kind, slot) VALUES (1, 'a', 3, 9)");
  expect(events(await catchUp(here.stores, here.schemas, 2))).toEqual(['update item', 'delete item 2', 'insert item', 'watermark']);
  await expectEqual(here);
  database.exec("INSERT INTO item (id, name, kind, slot, parent) VALUES (3, 'y', 3, 8, 1), (4, 'z', 2, 2, 3)");
  database.exec('UPDATE OR REPLACE item SET id = 3, slot = 8 WHERE id = 1');
  database.exec("UPDATE OR REPLACE item SET name = 'Z' WHERE id = 3");
  await catchUp(here.stores, here.schemas, 3);
  await expectEqual(here);
});

test('a row whose key an action of a foreign key changes before it is replaced is logged as deleted under that', async () => {
  await using here = await armed(`
CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE line (parent BIGINT NOT NULL, n BIGINT NOT NULL, code BIGINT NOT NULL UNIQUE, name TEXT UNIQUE, PRIMARY KEY (parent, n), FOREIGN KEY (parent) REFERENCES line (code) ON UPDATE CASCADE ON DELETE SET DEFAULT);`);
  using database = new DatabaseSync(pathOf(here.stores.source));
  database.exec("INSERT INTO line VALUES (10, 1, 10, 'a'), (10, 2, 20, 'b'), (20, 3, 30, 'c')");
  await catchUp(here.stores, here.schemas, 1);
  // Row a takes code 21 and the name of c, whose parent b is replaced by the code.
  database.exec('UPDATE line SET code = 21 WHERE code = 20');
  database.exec("UPDATE OR REPLACE line SET name = 'c' WHERE code = 21");
  await catchUp(here.stores, here.schemas, 2);
  await expectEqual(here);
});

test('writes that are ignored leave little behind, and nothing that others stumble over', async () => {
  await using here = await armed();
  using database = new DatabaseSync(pathOf(here.stores.source));
  database.exec("INSERT INTO item (id, name) VALUES (1, 'a')");
  database.exec("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) INSERT OR IGNORE INTO item (id, name) SELECT 1 + i, 'A' FROM n");
  const [left] = database.prepare('SELECT count(*) AS count FROM switchyard_candidate').all() as { count: number }[];
  expect(left?.count).toBeLessThanOrEqual(20_003);
  database.exec("INSERT OR REPLACE INTO item (id, name) VALUES (7, 'A')");
  expect(events(await catchUp(here.stores, here.schemas, 1))).toEqual(['insert item', 'delete item 1', 'insert item', 'watermark']);
  await expectEqual(here);
});

test('the shell of another version fires the triggers too, and is refused by them while the table is fenced', async () => {
  await using here = await armed();
  const shell = async (text: string): Promise<string> => (await promisify(execFile)('sqlite3', [pathOf(here.stores.source), text])).stdout;
  try {
    await shell('SELECT 1');
  } catch (error) {
    // No shell on this machine: nothing to try.
    expect(error).toMatchObject({ code: 'ENOENT' });
    return;
  }
  await shell("INSERT INTO item (id, name) VALUES (1, 'a'), (2, 'b'); REPLACE INTO item (id, name) VALUES (3, 'a')");
  expect(events(await catchUp(here.stores, here.schemas, 1))).toEqual(['insert item', 'insert item', 'delete item 1', 'insert item', 'watermark']);
  await expectEqual(here);
  await shell("UPDATE switchyard_fence SET state = 'FROZEN'");
  await expect(shell("REPLACE INTO item (id, name) VALUES (4, 'a')")).rejects.toThrow('switchyard: fenced');
});

test('a table that was made anew under its old name stops the stream, and is fenced all the same', async () => {
  await using here = await armed();
  using database = new DatabaseSync(pathOf(here.stores.source));
  const [item = ''] = TABLES_TEXT.split(';');
  database.exec(`PRAGMA foreign_keys = OFF; DROP TABLE item; ${item}; CREATE UNIQUE INDEX item_name ON item (name); CREATE UNIQUE INDEX item_slot ON item (slot) WHERE kind = 3`);
  await expect(catchUp(here.stores, here.schemas, 1)).rejects.toMatchObject({ reason: 'STREAM_FAILED', metadata: { problem: 'SCHEMA_CHANGED', table: 'item' } });
  await using fence = await here.stores.source.owner.openFence({ workflow: 'move1', peer: 'new', tables: ['item', 'line'] }, AbortSignal.timeout(5_000));
  await fence.fence(1 as never, 500, AbortSignal.timeout(5_000));
  expect(() => database.exec("INSERT INTO item (name) VALUES ('x')")).toThrow('switchyard: fenced');
});

test('a value that its column does not allow for stops the stream and is named', async () => {
  await using here = await armed();
  using database = new DatabaseSync(pathOf(here.stores.source));
  database.exec("INSERT INTO item (name, kind) VALUES ('a', 'seven')");
  await expect(catchUp(here.stores, here.schemas, 1)).rejects.toMatchObject({ reason: 'STREAM_FAILED', metadata: { problem: 'VALUE_UNSUPPORTED', table: 'item', column: 'kind' } });
});

test('what no stream wants any more leaves the file', async () => {
  await using here = await armed();
  const { stores } = here;
  await stores.source.sql("INSERT INTO item (name) VALUES ('a'); INSERT OR IGNORE INTO item (name) VALUES ('a')");
  await catchUp(stores, here.schemas, 1);
  await stores.source.owner.dropLog({ id: 'move1.forward', workflow: 'move1', tables: ['item', 'line'] }, null, AbortSignal.timeout(5_000));
  await stores.source.sql("INSERT INTO item (name) VALUES ('b')");
  for (const own of ['change', 'candidate', 'log']) expect(await stores.source.sql(`SELECT count(*) FROM switchyard_${own}`)).toEqual([['0']]);
});

test('a program that empties sqlite_sequence does not make the ids begin again', async () => {
  await using here = await armed();
  using database = new DatabaseSync(pathOf(here.stores.source));
  for (let round = 1; round <= 3; round += 1) {
    database.exec('DELETE FROM sqlite_sequence');
    await here.stores.source.sql(`INSERT INTO item (name) VALUES ('of round ${round}')`);
    await catchUp(here.stores, here.schemas, round);
    // Everything is confirmed, and what is confirmed leaves the file.
    database.exec('UPDATE switchyard_log SET confirmed = (SELECT max(id) FROM switchyard_change)');
    await here.stores.source.owner.dropLog({ id: 'another', workflow: 'another', tables: [] }, null, AbortSignal.timeout(5_000));
    expect(await here.stores.source.sql('SELECT count(*) FROM switchyard_change')).toEqual([['1']]);
  }
  await expectEqual(here);
});

test('a log whose ids have begun again all the same stops the stream', async () => {
  await using here = await armed();
  using database = new DatabaseSync(pathOf(here.stores.source));
  database.exec("INSERT INTO item (name) VALUES ('a'), ('b'), ('c')");
  const { position } = await here.stores.target.player.takeStream(FORWARD, AbortSignal.timeout(5_000));
  await using feed = here.stores.source.player.follow(FORWARD, here.schemas, position, AbortSignal.timeout(10_000));
  const read = async (): Promise<void> => {
    for await (const transactions of feed) {
      if (transactions.length > 0) database.exec("DELETE FROM switchyard_change; DELETE FROM sqlite_sequence; INSERT INTO item (name) VALUES ('d')");
    }
  };
  await expect(read()).rejects.toMatchObject({ reason: 'STREAM_FAILED', metadata: { problem: 'LOG_LOST' } });
});

test.each([
  ['a generated column', 'CREATE UNIQUE INDEX by_sum ON item (sum)', 'UPDATE OR REPLACE item SET base = 10 WHERE id = 1'],
  ['a part of the rows', 'CREATE UNIQUE INDEX of_some ON item (name) WHERE base = 10', 'UPDATE OR REPLACE item SET base = 10 WHERE id = 1'],
])('rows that an update replaces by a unique index on %s are logged as deleted', async (_, index, update) => {
  const tables = `CREATE TABLE item (id INTEGER PRIMARY KEY, base BIGINT NOT NULL, name TEXT, sum BIGINT GENERATED ALWAYS AS (base + 1) VIRTUAL); ${index};
CREATE TABLE line (id INTEGER PRIMARY KEY, name TEXT UNIQUE, other TEXT)`;
  await using here = await armed(tables);
  using database = new DatabaseSync(pathOf(here.stores.source));
  database.exec("INSERT INTO item (id, base, name) VALUES (1, 1, 'a'), (2, 10, 'a'), (3, 3, 'b')");
  await catchUp(here.stores, here.schemas, 1);
  database.exec(update);
  expect(events(await catchUp(here.stores, here.schemas, 2))).toEqual(['delete item 2', 'update item', 'watermark']);
  await expectEqual(here);
  // Only where it must: an update of other columns of a plain key notes nothing.
  expect(await here.stores.source.sql("SELECT sql LIKE '%UPDATE OF \"name\"%' FROM sqlite_schema WHERE name = 'switchyard_log_before_update_line'")).toEqual([['1']]);
});
