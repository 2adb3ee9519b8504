import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { OwnerStore } from '../../backends/backend.ts';
import { arm, type MoveStores, never, reasonOf, SOURCE, TABLES, TARGET } from './move-stores.ts';
import { SqliteFiles } from './sqlite-move.ts';

/* What the owner's part of SQLite must leave alone: whatever in the file is not the move's. */

let files: SqliteFiles;
beforeAll(async () => {
  files = await SqliteFiles.start();
});
afterAll(async () => {
  await files[Symbol.asyncDispose]();
});

const problemsOf = async ({ target }: MoveStores, tables = TABLES): Promise<string> =>
  (await target.owner.checkTables(tables, 'target', never())).map(({ message }) => message).join('; ');

test.each([
  ['table', 'CREATE TABLE "Item" (id INTEGER PRIMARY KEY, theirs TEXT)', `INSERT INTO "Item" VALUES (1, 'kept')`],
  ['view', `CREATE VIEW "Item" AS SELECT 1 AS id, 'kept' AS theirs`, 'SELECT 1'],
])('a %s whose name differs only in case is refused by name, and never dropped', async (type, made, filled) => {
  await using stores = await files.fresh();
  const { target } = stores;
  await target.sql(made);
  await target.sql(filled);
  await target.owner.install(never());
  expect(await problemsOf(stores)).toContain(`${type} "Item"`);
  await expect(target.owner.claim(TARGET, 'target', never())).rejects.toMatchObject({
    reason: 'PRECHECK_FAILED',
    message: expect.stringContaining(`${type} "Item"`),
    metadata: { table: 'item' },
  });
  expect(await target.owner.fenceRows(null, never())).toEqual([]);
});

test('a table of another spelling that came after the claim is not dropped with the move', async () => {
  await using stores = await files.fresh();
  const { target } = stores;
  await arm(stores);
  await target.sql(
    `DROP TABLE line; DROP TABLE item; CREATE TABLE "Item" (id INTEGER PRIMARY KEY, theirs TEXT); INSERT INTO "Item" VALUES (1, 'kept'); CREATE VIEW line AS SELECT 1 AS id`,
  );
  await target.owner.dropTables(TARGET, never());
  expect(await target.sql('SELECT theirs FROM "Item"')).toEqual([['kept']]);
  expect(await target.owner.fenceRows(TABLES, never())).toHaveLength(2);
});

test('two tables that have one name to SQLite do not move into one file', async () => {
  await using stores = await files.fresh();
  const tables = ['item', 'Item'];
  await stores.target.owner.install(never());
  expect(await problemsOf(stores, tables)).toContain('table "Item" of the same move');
  expect(await reasonOf(stores.target.owner.claim({ ...TARGET, tables }, 'target', never()))).toBe('PRECHECK_FAILED');
  expect(await reasonOf(stores.source.owner.claim({ ...SOURCE, tables }, 'source', never()))).not.toBe('none');
});

test('only installing makes a missing file', async () => {
  await using stores = await files.fresh();
  const { owner, path } = stores.target as unknown as { readonly owner: OwnerStore; readonly path: string };
  const calls: readonly (() => Promise<unknown>)[] = [
    () => owner.sequences(TABLES, never()),
    () => owner.gatewayRights(TABLES, never()),
    () => owner.define(TABLES, never()),
    () => owner.checkTables(TABLES, 'source', never()),
    () => owner.checkQuiet(TABLES, 30, never()),
    () => owner.openFence(TARGET, never()),
    () => owner.claim(TARGET, 'target', never()),
    () => owner.dropTables(TARGET, never()),
  ];
  for (const call of calls) expect([String(call), await reasonOf(call())]).toEqual([String(call), 'STORE_UNAVAILABLE']);
  expect(await owner.checkTables(TABLES, 'target', never())).toEqual([]);
  expect(await owner.fenceRows(null, never())).toEqual([]);
  expect(existsSync(path)).toBe(false);
  await owner.install(never());
  expect(existsSync(path)).toBe(true);
  expect(await owner.fenceRows(null, never())).toEqual([]);
  await owner.claim(TARGET, 'target', never());
  await rm(path);
  expect(await reasonOf(owner.disown(TARGET, 'CLOSED', never()))).toBe('STORE_UNAVAILABLE');
  expect(existsSync(path)).toBe(false);
});
