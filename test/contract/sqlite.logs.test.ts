import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { attempt } from '../../core/ids.ts';
import { keptLogsContract, MIB } from './kept-logs.ts';
import { arm, FORWARD, type MoveStores, never, type StoreUnderTest } from './move-stores.ts';
import { SqliteFiles } from './sqlite-move.ts';

let rows = 0;
const series = (count: number): string => `(WITH RECURSIVE series (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < ${count}) SELECT i FROM series)`;
const grow = (store: StoreUnderTest) => {
  rows += 1;
  return store.sql(`INSERT INTO item (name, big) SELECT 'grown ${rows} ' || i, printf('%.*c', ${MIB / 100}, 'x') FROM ${series(500)}`);
};

keptLogsContract({ name: 'SQLite', grow, settle: async () => {} }, () => SqliteFiles.start());

let files: SqliteFiles;
beforeAll(async () => {
  files = await SqliteFiles.start();
});
afterAll(async () => {
  await files[Symbol.asyncDispose]();
});

const one = async ({ source }: MoveStores, text: string): Promise<number> => Number((await source.sql(text))[0]?.[0]);
const left = (stores: MoveStores): Promise<number> => one(stores, 'SELECT count(*) FROM switchyard_change');
const logTriggers = (stores: MoveStores): Promise<number> => one(stores, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'switchyard_log_insert_%'");

test('a reader whose log is dropped and removed while it rests does not go on behind what it has not read', async () => {
  await using stores = await files.fresh();
  const schemas = await arm(stores);
  const { owner } = stores.source;
  // Of the same tables: they are logged on, and what only the first stream had still to read is removed.
  const other = { ...FORWARD, id: 'other.forward', workflow: 'other' };
  await owner.createLog(other, attempt(0), never());
  await stores.source.sql("INSERT INTO item (name) VALUES ('first')");
  const { position } = await stores.target.player.takeStream(FORWARD, never());
  await using feed = stores.source.player.follow(FORWARD, schemas, position, never());
  let seen = 0;
  const read = async (): Promise<void> => {
    for await (const transactions of feed) {
      seen += transactions.flatMap(({ events }) => events).length;
      if (transactions.length === 0) continue;
      await stores.source.sql(`INSERT INTO item (name) SELECT 'missed ' || i FROM ${series(1_500)}`);
      await stores.source.sql("UPDATE switchyard_log SET confirmed = (SELECT max(id) - 10 FROM switchyard_change) WHERE stream = 'other.forward'");
      expect(await owner.dropKeptLog(FORWARD.id, 1_000, never())).toBe(true);
      while ((await owner.trimLogs(1_000, never())) === 1_000);
      expect(await left(stores)).toBeLessThan(20);
    }
  };
  await expect(read()).rejects.toMatchObject({ reason: 'STREAM_FAILED', metadata: { problem: 'LOG_LOST' } });
  expect(seen).toBe(1);
});

test('what several logs keep counts for each, and stays while one of them wants it', async () => {
  await using stores = await files.fresh();
  await arm(stores);
  const { owner } = stores.source;
  await grow(stores.source);
  await owner.createLog({ ...FORWARD, id: 'later.forward', workflow: 'later' }, attempt(0), never());
  await grow(stores.source);
  const [later, first] = await owner.keptLogs(never());
  expect(later?.name).toBe('later.forward');
  expect((first?.bytes ?? 0) / (later?.bytes ?? 0)).toBeCloseTo(2, 1);
  expect(await owner.dropKeptLog(FORWARD.id, 8 * MIB, never())).toBe(true);
  while ((await owner.trimLogs(100, never())) === 100);
  expect(await left(stores)).toBe(501);
  expect(await logTriggers(stores)).toBe(2);
});

test('after the last log nothing is left of it, also where it was dropped by hand', async () => {
  await using stores = await files.fresh();
  await arm(stores);
  const { owner } = stores.source;
  await grow(stores.source);
  const [log] = await owner.keptLogs(never());
  await stores.source.sql(log?.dropText ?? '');
  expect(await logTriggers(stores)).toBe(2);
  expect(await owner.trimLogs(300, never())).toBe(300);
  // With the row by which the log begins.
  expect(await owner.trimLogs(300, never())).toBe(201);
  expect([await left(stores), await logTriggers(stores)]).toEqual([0, 0]);
  await stores.source.sql("INSERT INTO item (name) VALUES ('not logged')");
  expect(await left(stores)).toBe(0);
});

test('the size of rows that are not alike is told well enough', async () => {
  await using stores = await files.fresh();
  await arm(stores);
  await stores.source.sql(`INSERT INTO item (name, big) SELECT 'row ' || i, CASE i % 10 WHEN 3 THEN printf('%.*c', 20000, 'x') ELSE NULL END FROM ${series(5_000)}`);
  const [log] = await stores.source.owner.keptLogs(never());
  const actual = 500 * 20_000 + 5_000 * 40;
  expect((log?.bytes ?? 0) / actual).toBeGreaterThan(0.5);
  expect((log?.bytes ?? 0) / actual).toBeLessThan(2);
});
