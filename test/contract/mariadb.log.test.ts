import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type MariaDbServer, startMariaDb } from '../support/servers/mariadb.ts';
import { LogBench, texts } from './mariadb-log.ts';
import { never } from './move-stores.ts';

/* What a log of MariaDB's can hold beside rows, and what it can lack: either it is brought to the last bit, or the stream ends and says why. */

let server: MariaDbServer;
let benches = 0;

beforeAll(async () => {
  server = await startMariaDb({ name: 'log' });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

const makeT = 'CREATE TABLE t (id int PRIMARY KEY, v int, w varchar(20) UNIQUE)';
const bench = (statements: readonly string[] = [], tables: readonly string[] = ['t']): Promise<LogBench> => {
  benches += 1;
  return LogBench.make(server, `log_${benches}`, tables, [makeT, 'CREATE TABLE u (id int PRIMARY KEY, v int)', 'CREATE TABLE plain (id int) ENGINE = MyISAM', ...statements]);
};

test('savepoints, whether the server cut its log short or wrote that they were taken back', async () => {
  await using log = await bench();
  await log.run('BEGIN; INSERT INTO t (id) VALUES (1); SAVEPOINT s; INSERT INTO t (id) VALUES (2); ROLLBACK TO s; INSERT INTO t (id) VALUES (3); COMMIT');
  // A change without a transaction cannot be taken back, so all of it is in the log.
  await log.run(
    'BEGIN; INSERT INTO t (id) VALUES (4); SAVEPOINT `S ``x`; INSERT INTO t (id) VALUES (5); INSERT INTO plain VALUES (1); ROLLBACK TO `s ``X`; INSERT INTO t (id) VALUES (6); COMMIT',
  );
  await log.run(
    'BEGIN; INSERT INTO t (id) VALUES (7); SAVEPOINT a; INSERT INTO t (id) VALUES (8); SAVEPOINT b; INSERT INTO t (id) VALUES (9); INSERT INTO plain VALUES (1); ROLLBACK TO a; COMMIT',
  );
  await log.run('BEGIN; INSERT INTO t (id) VALUES (10); INSERT INTO plain VALUES (2); ROLLBACK');
  await log.run('BEGIN; INSERT INTO plain VALUES (3); INSERT INTO t (id) VALUES (11); ROLLBACK');
  expect(texts(await log.read())).toEqual(['+1 +3', '+4 +6', '+7']);
});

test('every statement that writes rows', async () => {
  await using log = await bench();
  await log.run('INSERT INTO t VALUES (1, 1, "a"), (2, 2, "b") ON DUPLICATE KEY UPDATE v = 0');
  await log.run('INSERT INTO t VALUES (2, 3, "c"), (3, 3, "d") ON DUPLICATE KEY UPDATE v = 9');
  await log.run('REPLACE INTO t VALUES (3, 4, "a")');
  await log.run('INSERT IGNORE INTO t VALUES (3, 5, "x"), (4, 5, "y")');
  await log.run('UPDATE t SET id = id + 10 ORDER BY id DESC');
  await log.run('UPDATE t JOIN u ON u.id = 5 SET t.v = 7, u.v = 8');
  await log.run('INSERT INTO u VALUES (5, 5); UPDATE t JOIN u ON u.id = 5 SET t.v = 7, u.v = 8');
  await log.run('UPDATE t SET v = v');
  await log.run('CREATE TEMPORARY TABLE hidden (id int); INSERT INTO hidden VALUES (50); INSERT INTO t (id) SELECT id FROM hidden');
  await log.run('DELETE t, u FROM t JOIN u ON t.id > 13');
  await log.run('BEGIN; INSERT INTO t (id) VALUES (60); CREATE TABLE commits (id int); INSERT INTO t (id) VALUES (61); ROLLBACK');
  await log.run('LOCK TABLES t WRITE; DELETE FROM t; UNLOCK TABLES');
  expect(texts(await log.read())).toEqual(['+1 +2', '~2 +3', '-3 1→3', '+4', '4→14 3→13 2→12', '~12 ~13 ~14', '+50', '-14 -50', '+60', '+61', '-12 -13 -60 -61']);
});

test('TRUNCATE, however it is written', async () => {
  await using log = await bench();
  await log.run('INSERT INTO t (id) VALUES (1)');
  for (const text of [
    'TRUNCATE t',
    'TRUNCATE TABLE `t`',
    'SET STATEMENT max_statement_time = 5 FOR TRUNCATE /* of */ TABLE `t`',
    '/*!50000 TRUNCATE */ t -- at its end',
    `TRUNCATE ${log.database} . t WAIT 5`,
    'truncate .t',
  ])
    await log.run(text);
  await log.run(`USE mysql; TRUNCATE ${log.database}.t`);
  const seen = texts(await log.read());
  expect(seen).toEqual(['+1', ...Array(7).fill('0 t')]);
});

test('a TRUNCATE of another table, or of one of the same name elsewhere, is none', async () => {
  await using log = await bench();
  await using other = await bench();
  await log.run('TRUNCATE u');
  await log.run(`TRUNCATE ${other.database}.t`);
  await log.run(`USE ${other.database}; TRUNCATE t`);
  expect(await log.read()).toEqual([]);
  expect(texts(await other.read())).toEqual(['0 t', '0 t']);
});

const harmless: readonly string[] = [
  'ANALYZE TABLE t',
  'OPTIMIZE TABLE t',
  'FLUSH TABLES t',
  'CREATE TABLE IF NOT EXISTS t (id int)',
  'CREATE TABLE t2 LIKE t',
  'CREATE TABLE t3 SELECT * FROM t',
  'CREATE TABLE t4 (id int PRIMARY KEY, FOREIGN KEY (id) REFERENCES t (id)); DROP TABLE t4',
  'CREATE INDEX more ON t (v)',
  'CREATE VIEW shown AS SELECT * FROM t; DROP VIEW shown',
  'CREATE TRIGGER other BEFORE INSERT ON t FOR EACH ROW SET NEW.v = NEW.v; DROP TRIGGER other',
  'CREATE PROCEDURE p () UPDATE t SET v = 5; DROP PROCEDURE p',
  'ALTER TABLE t AUTO_INCREMENT = 500',
  'ALTER TABLE t AUTO_INCREMENT 501',
  'ALTER TABLE u ADD COLUMN t int',
  'SET SESSION binlog_alter_two_phase = ON; ALTER TABLE u ADD COLUMN x int',
  'CREATE TEMPORARY TABLE t (id int); DROP TEMPORARY TABLE t',
  "CREATE USER 'who'@'%'; GRANT SELECT ON t TO 'who'@'%'; REVOKE SELECT ON t FROM 'who'@'%'; DROP USER 'who'@'%'",
  'CREATE DATABASE elsewhere; CREATE TABLE elsewhere.t (id int); DROP TABLE elsewhere.t; DROP DATABASE elsewhere',
  'ALTER DATABASE DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin',
  "CREATE TABLE v (c varchar(99) DEFAULT 'DROP TABLE t') COMMENT = 'RENAME TABLE t' /* t */; DROP TABLE v",
  'USE mysql; SET SESSION binlog_format = STATEMENT; CREATE TABLE test_of_log (t int); INSERT INTO test_of_log VALUES (UUID_SHORT() > 0); DROP TABLE test_of_log',
];

test('what is defined beside the tables is passed over', async () => {
  await using log = await bench();
  for (const text of harmless) await log.run(text);
  await log.run('INSERT INTO t (id) VALUES (1)');
  expect(texts(await log.read())).toEqual(['+1']);
});

const definitions: readonly string[] = [
  'ALTER TABLE t ADD COLUMN x int',
  'ALTER TABLE t ADD COLUMN x int; ALTER TABLE t DROP COLUMN x',
  'ALTER TABLE t MODIFY v bigint',
  'ALTER TABLE t FORCE',
  'DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v int, w varchar(20) UNIQUE)',
  'CREATE OR REPLACE TABLE t (id int PRIMARY KEY, v int, w varchar(20) UNIQUE)',
  'CREATE TABLE n LIKE t; RENAME TABLE t TO o, n TO t',
  'CREATE TABLE n LIKE t; DROP TABLE t; ALTER TABLE n RENAME TO t',
  'DROP INDEX w ON t',
  'CREATE UNIQUE INDEX x ON t (v)',
  'SET STATEMENT lock_wait_timeout = 5 FOR ALTER TABLE t COMMENT = "x"',
  'SET sql_mode = ANSI_QUOTES; ALTER TABLE "t" ADD COLUMN x int',
  '/*M!100100 ALTER */ TABLE t /*!50000 ADD */ COLUMN x int',
  'SET SESSION binlog_alter_two_phase = ON; ALTER TABLE t ADD COLUMN x int',
];

test.each(definitions)('a table that is defined anew ends the stream: %s', async (text) => {
  await using log = await bench();
  await log.run('INSERT INTO t (id) VALUES (1)');
  const { error, seen } = await log.failure(async () => {
    await log.run(text);
    await log.run('INSERT INTO t (id) VALUES (2)').catch(() => {});
  });
  expect(error).toMatchObject({ reason: 'STREAM_FAILED', metadata: { problem: 'SCHEMA_CHANGED', table: 't' } });
  expect(texts(seen)).toEqual(['+1']);
});

test('rows that partitions are exchanged for, or go with, end the stream', async () => {
  const partitioned = [
    'DROP TABLE t',
    'CREATE TABLE t (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2',
    'CREATE TABLE x (id int PRIMARY KEY)',
    'CREATE TABLE y (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2',
  ];
  for (const text of ['ALTER TABLE t TRUNCATE PARTITION p0', 'ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE x']) {
    await using log = await bench(partitioned);
    expect((await log.failure(() => log.run(text))).error).toMatchObject({ metadata: { problem: 'SCHEMA_CHANGED', table: 't' } });
  }
  await using log = await bench([...partitioned, 'DROP TABLE t', 'CREATE TABLE t (id int PRIMARY KEY)']);
  expect((await log.failure(() => log.run('ALTER TABLE y EXCHANGE PARTITION p0 WITH TABLE t'))).error).toMatchObject({ metadata: { problem: 'SCHEMA_CHANGED', table: 't' } });
});

test.each([
  ['latin1', 'tälé'],
  ['cp1251', 'таблица'],
  // One that cannot be read.
  ['gbk', '表格'],
])('a table is known by its name in a statement in %s', async (charset, name) => {
  await using log = await bench([`CREATE TABLE \`${name}\` (id int PRIMARY KEY)`], [name]);
  const statement = Buffer.from(`ALTER TABLE \`${name}\` ADD COLUMN x int`).toString('hex');
  const { error } = await log.failure(() => log.run(`SET NAMES ${charset}; EXECUTE IMMEDIATE CONVERT(x'${statement}' USING utf8mb4)`));
  expect(error).toMatchObject({ metadata: { problem: 'SCHEMA_CHANGED', table: name } });
});

test('a database that goes ends the stream', async () => {
  await using log = await bench();
  const { error } = await log.failure(() => log.run(`DROP DATABASE ${log.database}`));
  expect(error).toMatchObject({ reason: 'STREAM_FAILED', metadata: { problem: 'SCHEMA_CHANGED', table: 't' } });
});

const incomplete: readonly (readonly [text: string, message: RegExp])[] = [
  ['SET SESSION binlog_format = STATEMENT; UPDATE t SET v = 5', /binlog_format STATEMENT.*UPDATE t SET v = 5/],
  // What its triggers and views do nobody knows.
  ['SET SESSION binlog_format = STATEMENT; UPDATE u SET v = 5', /binlog_format STATEMENT/],
  ['SET SESSION binlog_format = STATEMENT; BEGIN; INSERT INTO t (id) VALUES (3); SET @x = 4; INSERT INTO t (id) VALUES (@x); COMMIT', /binlog_format STATEMENT/],
  ['SET SESSION binlog_format = MIXED; DELETE FROM t WHERE id = 1', /binlog_format STATEMENT/],
  ['SET SESSION binlog_row_image = MINIMAL; UPDATE t SET v = 5 WHERE id = 1', /binlog_row_image/],
  ['SET SESSION binlog_row_image = NOBLOB; ALTER TABLE u ADD COLUMN w text; UPDATE t SET v = 6', /none/],
  ["XA START 'a'; INSERT INTO t (id) VALUES (3); XA END 'a'; XA PREPARE 'a'; XA COMMIT 'a'", /XA PREPARE/],
  ["XA START 'b'; INSERT INTO t (id) VALUES (3); XA END 'b'; XA PREPARE 'b'; XA ROLLBACK 'b'", /XA PREPARE/],
];

test.each(incomplete)('what the log does not tell ends the stream: %s', async (text, message) => {
  await using log = await bench();
  await log.run('INSERT INTO t (id) VALUES (1)');
  if (message.source === 'none') {
    // Without a large column that image is a full one.
    await log.run(text);
    expect(texts(await log.read())).toEqual(['+1', '~1']);
    return;
  }
  const { error, seen } = await log.failure(async () => {
    await log.run(text);
    await log.run('INSERT INTO t (id) VALUES (9)');
  });
  expect(error).toMatchObject({ reason: 'STREAM_FAILED', message: expect.stringMatching(message), metadata: { problem: 'LOG_INCOMPLETE' } });
  expect(texts(seen)).toEqual(['+1']);
});

test('statements and distributed transactions of others are of no concern', async () => {
  await using log = await bench();
  await using other = await bench();
  await other.run('SET SESSION binlog_format = STATEMENT; INSERT INTO t (id) VALUES (1); UPDATE u SET v = 5');
  await log.run("XA START 'c'; INSERT INTO u (id) VALUES (3); XA END 'c'; XA PREPARE 'c'; XA COMMIT 'c'");
  await log.run("XA START 'd'; INSERT INTO u (id) VALUES (4); XA END 'd'; XA PREPARE 'd'; XA ROLLBACK 'd'");
  await log.run("XA START 'e'; INSERT INTO t (id) VALUES (5); XA END 'e'; XA COMMIT 'e' ONE PHASE");
  await log.run('INSERT INTO t (id) VALUES (6)');
  expect(texts(await log.read())).toEqual(['+5', '+6']);
});

test('a log that lacks its metadata for a while ends the stream, and so do such settings when it begins', async () => {
  await using log = await bench();
  const { error } = await log.failure(async () => {
    await log.run("SET GLOBAL binlog_row_metadata = 'MINIMAL'");
    await log.run('INSERT INTO t (id) VALUES (1)');
  });
  expect(error).toMatchObject({ reason: 'STREAM_FAILED', metadata: { problem: 'LOG_INCOMPLETE', table: 't' } });
  for (const [name, wrong] of [
    ['binlog_row_metadata', 'MINIMAL'],
    ['binlog_row_image', 'MINIMAL'],
    ['binlog_format', 'MIXED'],
  ] as const) {
    const [[right] = []] = await log.run(`SELECT @@GLOBAL.${name}`);
    await log.run(`SET GLOBAL ${name} = '${wrong}'`);
    expect((await log.failure()).error).toMatchObject({ reason: 'STREAM_FAILED', message: expect.stringContaining(name), metadata: { problem: 'LOG_INCOMPLETE' } });
    await log.run(`SET GLOBAL ${name} = '${name === 'binlog_row_metadata' ? 'FULL' : right}'`);
  }
});

test('a foreign key that changes rows by itself is refused, for that is not in the log', async () => {
  for (const rule of ['ON DELETE CASCADE', 'ON UPDATE SET NULL']) {
    await using log = await bench([`CREATE TABLE child (id int PRIMARY KEY, t_id int, FOREIGN KEY (t_id) REFERENCES t (id) ${rule})`], ['t', 'child']);
    expect((await log.failure()).error).toMatchObject({ reason: 'STREAM_FAILED', message: expect.stringContaining(rule), metadata: { problem: 'LOG_INCOMPLETE', table: 'child' } });
  }
});

test('keys of several columns, and those whose collation takes texts for equal', async () => {
  await using log = await bench(['CREATE TABLE k (a varchar(9) COLLATE utf8mb4_general_ci, b int, c int, PRIMARY KEY (b, a))'], ['k']);
  await log.run("INSERT INTO k VALUES ('x', 1, 0); UPDATE k SET a = 'X'; UPDATE k SET c = 1; UPDATE k SET b = 2, a = 'y'; DELETE FROM k");
  const events = (await log.read()).flatMap((transaction) => transaction.events);
  expect(events).toEqual([
    { kind: 'insert', table: 'k', row: ['x', 1, 0] },
    { kind: 'update', table: 'k', row: ['X', 1, 0], oldKey: [1, 'x'] },
    { kind: 'update', table: 'k', row: ['X', 1, 1], oldKey: null },
    { kind: 'update', table: 'k', row: ['y', 2, 1], oldKey: [1, 'X'] },
    { kind: 'delete', table: 'k', key: [2, 'y'] },
  ]);
});

test('names that differ in the case of their letters only are two tables', async () => {
  await using log = await bench(['CREATE TABLE T (id bigint PRIMARY KEY, other text)']);
  await log.run('INSERT INTO t (id) VALUES (1); INSERT INTO T VALUES (2, "x")');
  expect(texts(await log.read())).toEqual(['+1']);
  expect(await log.player.estimateRows('t', never())).toBeGreaterThanOrEqual(0);
});
