import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type MariaDbServer, startMariaDb } from '../support/servers/mariadb.ts';
import { LogBench, texts } from './mariadb-log.ts';
import { never } from './move-stores.ts';

/* Forms of the log that a server's settings make: compressed events, no checksums, databases left out, values that have no cell. */

let server: MariaDbServer;
let benches = 0;

beforeAll(async () => {
  const settings = { 'log-bin-compress': '1', 'log-bin-compress-min-len': '10', 'binlog-checksum': 'NONE', 'binlog-ignore-db': 'left_out', 'max-binlog-size': '65536' };
  server = await startMariaDb({ name: 'log-forms', settings });
}, 120_000);
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

const bench = (statements: readonly string[], database = `forms_${++benches}`): Promise<LogBench> => LogBench.make(server, database, ['t'], statements);

test('compressed events, without checksums, in many small files, and with them again', async () => {
  await using log = await bench(['CREATE TABLE t (id int PRIMARY KEY, v longtext, w varchar(20))']);
  await log.run("INSERT INTO t VALUES (1, REPEAT('a', 30000), 'b'), (2, REPEAT('😀', 50000), NULL), (3, MD5(1), 'x')");
  await log.run(
    "UPDATE t SET v = REVERSE(v), w = 'c' WHERE id < 3; DELETE FROM t WHERE id = 3; TRUNCATE /* a statement that is long enough to be worth its compression, which this one is by these many words */ t",
  );
  await log.run("SET GLOBAL binlog_checksum = 'CRC32'; INSERT INTO t VALUES (4, REPEAT('a', 200000), 'b')");
  await log.run(
    "SET GLOBAL log_bin_compress = 0; INSERT INTO t VALUES (5, REPEAT('a', 200000), 'b'); SET GLOBAL binlog_checksum = 'NONE'; INSERT INTO t VALUES (6, 'c', 'd'); SET GLOBAL log_bin_compress = 1",
  );
  const all = await log.read();
  expect(texts(all)).toEqual(['+1 +2 +3', '~1 ~2', '-3', '0 t', '+4', '+5', '+6']);
  const [first] = all.flatMap(({ events }) => events);
  expect(first).toEqual({ kind: 'insert', table: 't', row: [1, 'a'.repeat(30_000), 'b'] });
  const stored = await log.player.readChunk(log.schema('t'), null, 10, never());
  expect(all.slice(4).flatMap(({ events }) => events.map((event) => (event.kind === 'insert' ? event.row : null)))).toEqual(stored);
  for (const [i, { position }] of all.entries()) expect(texts(await log.read(position))).toEqual(texts(all).slice(i + 1));
});

test('a row of more than a packet', async () => {
  await using log = await bench(['CREATE TABLE t (id int PRIMARY KEY, v longblob)']);
  await log.run("SET GLOBAL log_bin_compress = 0; INSERT INTO t VALUES (1, REPEAT(x'00ff7f', 6000000)); UPDATE t SET v = CONCAT(v, 'x'); SET GLOBAL log_bin_compress = 1");
  const events = (await log.read()).flatMap((transaction) => transaction.events);
  const [stored] = await log.player.readChunk(log.schema('t'), null, 1, never());
  const [, last] = events;
  expect(events).toHaveLength(2);
  expect(last?.kind === 'update' && Buffer.compare(last.row[1] as Uint8Array, stored?.[1] as Uint8Array)).toBe(0);
}, 120_000);

test('a database that the server does not log is no source', async () => {
  await using log = await bench(['CREATE TABLE t (id int PRIMARY KEY)'], 'left_out');
  expect((await log.failure()).error).toMatchObject({ reason: 'STREAM_FAILED', message: expect.stringContaining('binlog_ignore_db'), metadata: { problem: 'LOG_INCOMPLETE' } });
});

test('times in the form that they had before MariaDB 10.1 are refused by name', async () => {
  await server.sql('', 'SET GLOBAL mysql56_temporal_format = OFF;');
  await using log = await bench(['CREATE TABLE t (id int PRIMARY KEY, at datetime(3))']);
  await server.sql('', 'SET GLOBAL mysql56_temporal_format = ON;');
  expect((await log.failure()).error).toMatchObject({ reason: 'STREAM_FAILED', message: expect.stringMatching(/column "at" of table "t".*FORCE/), metadata: { table: 't' } });
  await log.run('ALTER TABLE t FORCE');
  await log.begin();
  await log.run("INSERT INTO t VALUES (1, '2020-01-02 03:04:05.678')");
  expect((await log.read()).flatMap(({ events }) => events)).toEqual([{ kind: 'insert', table: 't', row: [1, 1_577_934_245_678_000n] }]);
});

test('texts of a character set that cannot be read are refused by name', async () => {
  await using log = await bench(['CREATE TABLE t (id int PRIMARY KEY, v varchar(9) CHARACTER SET gbk)']);
  expect((await log.failure()).error).toMatchObject({ reason: 'STREAM_FAILED', message: expect.stringMatching(/column "v".*gbk/), metadata: { problem: 'VALUE_UNSUPPORTED' } });
});

const loose = "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'; ";
test.each([
  ['da date', "'0000-00-00'"],
  ['da date', "'2020-00-10'"],
  ['da date', "'2021-02-30'"],
  ['dt datetime(6)', "'0000-00-00 00:00:00'"],
  ['dt datetime', "'2021-02-30 00:00:00'"],
  ['ts timestamp NOT NULL', '0'],
  ['ti time(6)', "'-00:00:00.000001'"],
  ['ti time', "'24:00:01'"],
  ['ti time', "'838:59:59'"],
  ['flag tinyint(1)', '2'],
  ['en enum("a")', "'b'"],
  ['v varchar(9)', "'a\\0b'"],
  ['l varchar(9) CHARACTER SET cp1251', "x'98'"],
])('a value without an exact cell ends the stream by name: %s %s', async (column, value) => {
  await using log = await bench([`CREATE TABLE t (id int PRIMARY KEY, ${column})`]);
  const { error, seen } = await log.failure(async () => {
    await log.run(`${loose}INSERT INTO t VALUES (1, ${column.startsWith('ts') ? "'2020-01-01 00:00:00'" : 'NULL'}); INSERT INTO t VALUES (2, ${value})`);
  });
  const [name] = column.split(' ');
  expect(error).toMatchObject({ reason: 'STREAM_FAILED', message: expect.stringContaining(`column "${name}"`), metadata: { problem: 'VALUE_UNSUPPORTED', table: 't' } });
  expect(texts(seen)).toEqual(['+1']);
});

test('a value without an exact cell in a row that goes, or in a column that the store computes, is no matter', async () => {
  await using log = await bench(['CREATE TABLE t (id int PRIMARY KEY, da date, c date AS (da) STORED)']);
  await log.run(`${loose}SET SESSION sql_log_bin = 0; INSERT INTO t (id, da) VALUES (1, '0000-00-00')`);
  await log.run("UPDATE t SET da = '2020-01-01' WHERE id = 1; DELETE FROM t");
  expect(texts(await log.read())).toEqual(['~1', '-1']);
});
