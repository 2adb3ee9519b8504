import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { copyFile, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Readable, Writable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { DataStore, StoreOptions } from '../../backends/backend.ts';
import { sqliteBackend } from '../../backends/sqlite/backend.ts';
import { Connection } from '../../backends/sqlite/connection.ts';
import { migrations } from '../../backends/sqlite/owner/store-sql.ts';
import { fenceTriggers } from '../../backends/sqlite/owner/trigger-sql.ts';
import type { Filter, WriteOperation } from '../../core/operation.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { systemClock } from '../../runtime/clock.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { failure, never, none, reasonOf, rowOf } from './data-store-harness.ts';

/* How the gateway's store shares one file with other processes, and one thread with everything else. */

const tables = `
PRAGMA journal_mode = WAL;
CREATE TABLE counter (id INTEGER PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0, name TEXT UNIQUE, parent BIGINT REFERENCES counter DEFERRABLE INITIALLY DEFERRED);
CREATE TRIGGER no_thirteen BEFORE INSERT ON counter WHEN NEW.id = 13 BEGIN SELECT RAISE(ROLLBACK, 'thirteen'); END;
INSERT INTO counter (id, n) VALUES (1, 0);`;

let directory: string;
let path: string;
let store: DataStore;
let counter: TableSchema;
let children: ChildProcessByStdio<Writable, Readable, null>[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchyard-sqlite-'));
  path = join(directory, 'shared.db');
  sql(tables);
  store = open();
  counter = (await store.describe('counter', never)) as TableSchema;
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children = [];
  await store[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

function open(options: Partial<StoreOptions> = {}): DataStore {
  const shard = { kind: 'sqlite', path };
  return sqliteBackend.openData({
    shard,
    password: '',
    poolSize: 2,
    acquireTimeoutMs: 5_000,
    keyspace: 'shop',
    openedBy: 'a test',
    applicationName: 'test',
    clock: systemClock,
    onBackgroundError: () => {},
    ...options,
  });
}

function sql(text: string, file = path): void {
  using database = new DatabaseSync(file, { timeout: 5_000 });
  database.exec(text);
}

const add = (id: bigint, n = 1n): WriteOperation => ({ kind: 'update', table: 'counter', key: [id], set: none, add: rowOf({ n }), precondition: null, returning: ['n'] });
const insert = (id: bigint, rest: Readonly<Record<string, string | bigint>> = {}): WriteOperation => ({
  kind: 'insert',
  table: 'counter',
  row: rowOf({ id, ...rest }),
  returning: [],
});
const write = (to: DataStore, operation: WriteOperation, signal = never) => to.write(new Map([['counter', counter]]), [operation], signal);
const countOf = async (id: bigint, from = store) => (await from.get(counter, { key: [id], columns: ['n'] }, never))?.cells[0];
const query = async (filter: Filter | null, signal = never, from = store) =>
  (await from.query(counter, { filter, orderBy: [{ column: 'id', descending: false }], columns: ['id'], limit: 1_000, after: null }, signal)).rows;

/** Another process with the file open, which runs `script` with the database as `db` and `line()` for the next line that it is sent; it has begun its work when it has printed something. */
async function otherProcess(script: string): Promise<ChildProcessByStdio<Writable, Readable, null>> {
  const text = `import { DatabaseSync } from 'node:sqlite'; import { createInterface } from 'node:readline';
    const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator](); const line = () => lines.next();
    const db = new DatabaseSync(${JSON.stringify(path)}, { timeout: 10_000 }); ${script}; process.exit(0)`;
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', text], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout, 'data');
  return child;
}

/** How often this thread got to do something else while `work` went on. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  await work().finally(() => clearInterval(timer));
  return turns;
}

test('a lock of another process blocks neither this thread nor reads; writes wait for it and then go on in their order', async () => {
  const holder = await otherProcess(`db.exec('BEGIN IMMEDIATE; UPDATE counter SET n = 100 WHERE id = 1'); console.log('held'); await line(); db.exec('COMMIT')`);
  const done: bigint[] = [];
  const writes = [2n, 3n, 4n].map((id) => write(store, insert(id)).then(() => done.push(id)));
  const added = write(store, add(1n));
  // The lock is not released before this thread has done all this.
  for (let i = 0; i < 50; i += 1) {
    expect(await countOf(1n)).toBe(0n);
    await systemClock.sleep(2);
  }
  expect([done, store.poolStatus().waiting]).toEqual([[], 4]);
  holder.stdin.write('\n');
  expect((await added)[0]?.row?.cells).toEqual([101n]);
  await Promise.all(writes);
  expect([done, store.poolStatus().waiting]).toEqual([[2n, 3n, 4n], 0]);
});

test('the wait ends with its limit, with the signal, with the store; nothing of it is written', async () => {
  await using small = open({ acquireTimeoutMs: 100 });
  await small.warmUp([counter], 1, never);
  const holder = await otherProcess(`db.exec('BEGIN IMMEDIATE'); console.log('held'); await line(); db.exec('COMMIT')`);
  const controller = new AbortController();
  const [limited, aborted] = [reasonOf(write(small, insert(2n))), reasonOf(write(small, insert(3n), controller.signal))];
  controller.abort();
  expect([await aborted, await limited]).toEqual(['CANCELLED', 'STORE_OVERLOADED']);
  const closing = open();
  const [left, kept] = [reasonOf(write(closing, insert(4n))), write(store, insert(5n))];
  await systemClock.sleep(20);
  await closing[Symbol.asyncDispose]();
  expect(await left).toBe('STORE_UNAVAILABLE');
  expect(await reasonOf(closing.listTables(never))).toBe('STORE_UNAVAILABLE');
  holder.stdin.write('\n');
  await kept;
  expect((await query(null)).map((row) => row.cells[0])).toEqual([1n, 5n]);
});

test('a process that is killed in the middle of its transaction leaves nothing but a free lock', async () => {
  const holder = await otherProcess(`db.exec('BEGIN IMMEDIATE; UPDATE counter SET n = 100 WHERE id = 1'); console.log('held'); await line()`);
  const added = write(store, add(1n));
  await systemClock.sleep(20);
  holder.kill('SIGKILL');
  expect((await added)[0]?.row?.cells).toEqual([1n]);
});

test('two processes that write at once lose nothing', async () => {
  const other = await otherProcess(`console.log('go'); for (let i = 0; i < 150; i += 1) db.exec('BEGIN IMMEDIATE; UPDATE counter SET n = n + 1 WHERE id = 1; COMMIT')`);
  const ended = once(other, 'exit');
  for (let round = 0; round < 10; round += 1) await Promise.all(Array.from({ length: 20 }, () => write(store, add(1n))));
  await ended;
  expect(await countOf(1n)).toBe(350n);
});

test('writes that come at once share a commit, and each has its own outcome', async () => {
  sql('PRAGMA wal_checkpoint(TRUNCATE)');
  await Promise.all(Array.from({ length: 200 }, () => write(store, add(1n))));
  expect(await countOf(1n)).toBe(200n);
  const frame = 4_096 + 24;
  expect(statSync(`${path}-wal`).size / frame).toBeLessThan(50);

  const outcomes = await Promise.all(
    [
      insert(2n, { name: 'a' }),
      insert(3n, { name: 'a' }),
      // Undoes the whole transaction, not only itself.
      insert(13n),
      insert(4n),
      // Is found by the commit.
      insert(5n, { parent: 99n }),
      insert(6n, { parent: 2n }),
      add(99n),
    ].map((operation) =>
      write(store, operation).then(
        () => 'done',
        (error: { reason: string }) => error.reason,
      ),
    ),
  );
  expect(outcomes).toEqual(['done', 'UNIQUE_VIOLATION', 'CHECK_VIOLATION', 'done', 'FOREIGN_KEY_VIOLATION', 'done', 'ROW_NOT_FOUND']);
  expect((await query(null)).map((row) => row.cells[0])).toEqual([1n, 2n, 4n, 6n]);
});

test('a long scan does not block this thread, ends with its signal, and its thread serves the next', async () => {
  sql('WITH RECURSIVE c(x) AS (SELECT 2 UNION ALL SELECT x + 1 FROM c WHERE x < 400000) INSERT INTO counter (id) SELECT x FROM c WHERE x <> 13');
  await using one = open({ poolSize: 1 });
  await one.warmUp([counter], 2, never);
  expect(one.poolStatus()).toEqual({ busy: 0, idle: 2, waiting: 0 });
  const nothing: Filter = { kind: 'compare', column: 'n', operator: '<', value: 0n };
  let found = -1;
  const turns = await turnsDuring(async () => {
    found = (await query(nothing, never, one)).length;
  });
  expect([found, turns > 5]).toEqual([0, true]);

  // Some seconds long if nobody stops it: a thousand conditions of every row.
  const slow: Filter = { kind: 'or', filters: Array.from({ length: 1_000 }, () => nothing) };
  for (const waits of [false, true]) {
    const controller = new AbortController();
    const running = reasonOf(query(slow, controller.signal, one));
    const waiting = waits ? query({ kind: 'compare', column: 'id', operator: '=', value: 7n }, never, one) : null;
    await systemClock.sleep(20);
    expect(one.poolStatus()).toEqual({ busy: 1, idle: 1, waiting: waits ? 1 : 0 });
    controller.abort();
    expect(await running).toBe('CANCELLED');
    if (waiting !== null) expect((await waiting).map((row) => row.cells[0])).toEqual([7n]);
    await waitUntil('the end of the statement', { limitMs: 5_000, everyMs: 2 }, async () => (one.poolStatus().busy === 0 ? true : undefined));
    // A thread that did not stop by itself would have been ended.
    expect(one.poolStatus()).toEqual({ busy: 0, idle: 2, waiting: 0 });
  }
});

test('many keys are read in one snapshot and in their order', async () => {
  sql('WITH RECURSIVE c(x) AS (SELECT 14 UNION ALL SELECT x + 1 FROM c WHERE x < 1000) INSERT INTO counter (id, n) SELECT x, x FROM c');
  const keys = Array.from({ length: 1_000 }, (_, i) => [BigInt(1_000 - i)]);
  const rows = await store.batchGet(counter, { keys, columns: ['n'] }, never);
  expect(rows.map((row) => row?.cells[0] ?? null)).toEqual(keys.map(([id = 0n]) => (id === 1n ? 0n : id < 14n ? null : id)));
});

test('a store that is prepared while it is open is fenced from that moment on', async () => {
  const calls = (): readonly Promise<unknown>[] => [countOf(1n), query(null), store.batchGet(counter, { keys: Array.from({ length: 100 }, () => [1n]), columns: ['n'] }, never)];
  expect(await store.fenceRows(['counter'], never)).toEqual([]);
  await Promise.all(calls());
  sql(`CREATE TABLE switchyard_fence (table_name TEXT PRIMARY KEY, state TEXT NOT NULL, attempt INTEGER NOT NULL, peer TEXT NOT NULL, workflow TEXT) WITHOUT ROWID;
INSERT INTO switchyard_fence VALUES ('counter', 'CLOSED', 3, 'new', 'move1')`);
  for (const call of calls()) expect(await failure(call)).toMatchObject({ reason: 'FENCED', metadata: { table: 'counter' } });
  expect(await reasonOf(write(store, add(99n)))).toBe('FENCED');
  expect(await store.fenceRows(['counter', 'line'], never)).toEqual([{ table: 'counter', state: 'CLOSED', attempt: 3, peer: 'new', workflow: 'move1' }]);
  sql(`UPDATE switchyard_fence SET state = 'READABLE'`);
  await Promise.all(calls());
  expect(await reasonOf(write(store, add(1n)))).toBe('FENCED');
  sql(`UPDATE switchyard_fence SET state = 'OPEN', workflow = NULL`);
  await write(store, add(1n));
  sql('DROP TABLE switchyard_fence');
  await Promise.all(calls());
});

test('a write that reaches a fenced table by a cascade is refused by its trigger, and leaves no trace', async () => {
  sql(`CREATE TABLE child (id INTEGER PRIMARY KEY, parent BIGINT NOT NULL REFERENCES counter ON DELETE CASCADE); INSERT INTO child VALUES (7, 1)`);
  sql(migrations.join('\n'));
  for (const trigger of fenceTriggers('child')) sql(trigger.sql);
  sql(`INSERT INTO switchyard_fence VALUES ('child', 'FROZEN', 3, 'new', 'move1')`);
  const remove: WriteOperation = { kind: 'delete', table: 'counter', key: [1n], precondition: null, allowMissing: false };
  expect(await reasonOf(write(store, remove))).toBe('FENCED');
  expect(await countOf(1n)).toBe(0n);
  sql(`UPDATE switchyard_fence SET state = 'OPEN'`);
  await write(store, remove);
  expect(await query(null)).toEqual([]);
});

test('a missing file is never made, and one that was put in its place is read', async () => {
  await write(store, add(1n, 5n));
  expect(await countOf(1n)).toBe(5n);
  sql('PRAGMA wal_checkpoint(TRUNCATE)');
  const copy = join(directory, 'copy.db');
  await copyFile(path, copy);
  sql('UPDATE counter SET n = 6', copy);
  await query(null);
  await rename(path, `${path}.old`);
  expect([await reasonOf(countOf(1n)), await reasonOf(query(null)), await reasonOf(write(store, add(1n)))]).toEqual([
    'STORE_UNAVAILABLE',
    'STORE_UNAVAILABLE',
    'STORE_UNAVAILABLE',
  ]);
  expect(existsSync(path)).toBe(false);
  expect((await failure(countOf(1n))).message).toContain(path);
  await rename(copy, path);
  expect(await countOf(1n)).toBe(6n);
  expect((await write(store, add(1n)))[0]?.row?.cells).toEqual([7n]);
  expect(await query({ kind: 'compare', column: 'n', operator: '=', value: 7n })).toHaveLength(1);
});

test('what is no database is told as unavailable', async () => {
  await using other = open({ shard: { kind: 'sqlite', path: import.meta.filename } });
  expect(await reasonOf(other.listTables(never))).toBe('STORE_UNAVAILABLE');
  expect(await reasonOf(other.warmUp([counter], 2, never))).toBe('STORE_UNAVAILABLE');
});

test('a shard of a server is refused', () => {
  const login = { user: 'x', password: 'env:X' };
  const shard = { kind: 'sqlite', host: 'db', port: 1, database: 'x', gateway: login, player: login, owner: login };
  expect(() => open({ shard })).toThrow(expect.objectContaining({ reason: 'KEYSPACE_INVALID' }));
});

test('keeps a bounded number of statements parsed, and the durable settings', () => {
  using connection = Connection.open({ path });
  for (let i = 0; i < 600; i += 1) expect(connection.all(`SELECT ${i}`)).toEqual([[BigInt(i)]]);
  expect(connection.preparedCount).toBeLessThanOrEqual(256);
  expect(connection.all('SELECT 0')).toEqual([[0n]]);
  const setting = (name: string) => connection.all(`PRAGMA ${name}`)[0]?.[0];
  expect(['journal_mode', 'synchronous', 'foreign_keys', 'busy_timeout'].map(setting)).toEqual(['wal', 2n, 1n, 0n]);
});
