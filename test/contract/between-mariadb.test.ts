import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { OwnerStore, StoreOptions, TableDefinition } from '../../backends/backend.ts';
import { grantScript } from '../../backends/mariadb/owner/grants.ts';
import { openOwnerStore as openMariaDb } from '../../backends/mariadb/owner/owner-store.ts';
import { openOwnerStore as openPostgres } from '../../backends/postgres/owner/owner-store.ts';
import { Connection } from '../../backends/sqlite/connection.ts';
import { openOwnerStore as openSqlite } from '../../backends/sqlite/owner/owner-store.ts';
import { shardSchema } from '../../core/keyspace.ts';
import { MariaDbStore } from '../support/cluster/mariadb-store.ts';
import { postgresShard } from '../support/cluster/process-config.ts';
import { startMariaDb } from '../support/servers/mariadb.ts';
import { startPostgres } from '../support/servers/postgres.ts';
import { createShop, SHOP_LOGINS } from '../support/servers/shop.ts';
import { storeOptions } from './data-store-harness.ts';
import { never } from './move-stores.ts';

/* Between MariaDB and the other kinds every value goes along and comes back, or is refused where it is written; and every column that cannot be so is refused by name. */

const stack = new AsyncDisposableStack();
let mariadb: OwnerStore;
let postgres: OwnerStore;
let sqlite: OwnerStore;
let inMariaDb: (text: string) => Promise<unknown>;
let inPostgres: (text: string) => Promise<unknown>;
let inSqlite: (text: string) => Promise<unknown>;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'switchyard-between-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const options = (more: Pick<StoreOptions, 'shard' | 'password'>): StoreOptions => storeOptions({ poolSize: 2, keyspace: 'shop', ...more });
  const store = await MariaDbStore.create(stack.use(await startMariaDb({ name: 'between' })), 'shop', null);
  const maria = { ...options({ shard: shardSchema.parse(store.shard), password: SHOP_LOGINS.owner.password }) };
  mariadb = stack.use(openMariaDb(maria));
  await store.grant(grantScript(maria.shard, []));
  inMariaDb = (text) => store.server.sql('shop', text);
  const server = stack.use(await startPostgres({ name: 'between' }));
  const { database } = await createShop(server, { tables: false });
  postgres = stack.use(openPostgres(options({ shard: shardSchema.parse(postgresShard(server, database)), password: SHOP_LOGINS.owner.password })));
  inPostgres = (text) => server.psql(database, text, { login: SHOP_LOGINS.owner });
  const path = join(folder, 'between.db');
  sqlite = stack.use(openSqlite(options({ shard: { kind: 'sqlite', path }, password: '' })));
  await sqlite.install(never());
  inSqlite = async (text) => {
    using connection = Connection.open({ path });
    connection.script(text);
  };
}, 120_000);
afterAll(() => stack.disposeAsync());

const definition = async (store: OwnerStore, table: string): Promise<TableDefinition> => (await store.define([table], never()))[0] as TableDefinition;
const planned = async (store: OwnerStore, made: TableDefinition): Promise<string> => (await store.planTables([made], never())).join('\n');

/** Type in MariaDB; values that come back to it as they are; those that would not, by the kind that has them. */
const VALUES = {
  tiny: ['tinyint', ['-128', '127'], ['-129', '128'], ['-129', '128']],
  tiny_u: ['tinyint unsigned', ['0', '255'], ['-1', '256'], ['-1', '256']],
  small_u: ['smallint unsigned', ['0', '65535'], ['-1', '65536'], ['-1', '65536']],
  medium: ['mediumint', ['-8388608', '8388607'], ['-8388609', '8388608'], ['-8388609', '8388608']],
  int_u: ['int unsigned', ['0', '4294967295'], ['-1', '4294967296'], ['-1', '4294967296']],
  f4: ['float', ['0', '-0.5'], ["'NaN'", "'-0'", "'Infinity'", "'-Infinity'"], ['9e999', '-9e999']],
  f8: ['double', ['0', '1e-300'], ["'NaN'", "'-0'", "'Infinity'"], ['9e999']],
  sized: ['decimal(6,2)', ['0', '-1.25'], ["'NaN'"], []],
  unsigned_d: ['decimal(6,2) unsigned', ['0', '1.25'], ['-0.01', "'NaN'"], []],
  vc: ['varchar(4)', ["''", "'ab  '", "'🚂🚂🚂🚂'"], ["'abcde'", "'ab   '"], ["'abcde'"]],
  ch: ['char(4)', ["''", "'abcd'"], ["'abcde'", "'ab '"], ["'abcde'", "'ab '"]],
  tt: ['tinytext', [`'${'x'.repeat(255)}'`], [`'${'x'.repeat(256)}'`, `'${'🚂'.repeat(64)}'`], [`'${'🚂'.repeat(64)}'`]],
  day: ['date', ["'9999-12-31'"], ["'10000-01-01'", "'infinity'", "'0002-12-31 BC'"], ["'infinity'", "'-infinity'"]],
  plain: ['datetime(6)', ["'9999-12-31 23:59:59.999999'"], ["'10000-01-01 00:00:00'", "'infinity'"], ["'infinity'"]],
} as const satisfies Readonly<Record<string, readonly [string, readonly string[], readonly string[], readonly string[]]>>;

test('a table that came from MariaDB refuses what MariaDB could not take back, and nothing else', async () => {
  const columns = Object.entries(VALUES).map(([name, [type]]) => `${name} ${type}`);
  await inMariaDb(`CREATE TABLE exact (id bigint AUTO_INCREMENT PRIMARY KEY, ${columns.join(', ')}, zoned timestamp(6) NULL, raw binary(3), more varbinary(3))`);
  const made = await definition(mariadb, 'exact');
  for (const [store, run] of [
    [postgres, inPostgres],
    [sqlite, inSqlite],
  ] as const) {
    await run(await planned(store, made));
    for (const [name, [, good, inPostgresBad, inSqliteBad]] of Object.entries(VALUES)) {
      for (const value of [...good, 'NULL']) await run(`INSERT INTO exact (${name}) VALUES (${value})`);
      for (const value of store === postgres ? inPostgresBad : inSqliteBad)
        await expect(run(`INSERT INTO exact (${name}) VALUES (${value})`)).rejects.toThrow(/check constraint "switchyard_exact_|CHECK constraint failed: switchyard_exact_/);
    }
    // Those checks are no rules of the application's: the table may go back as it came.
    const back = await definition(store, 'exact');
    expect(back.more).toEqual([]);
    expect(await planned(mariadb, back)).toMatch(/^-- table "exact": switchyard_exact_.*left out/m);
  }
  for (const [at, isGood] of [
    ['1970-01-01 00:00:00.000001', true],
    ['2038-01-19 03:14:07.999999', true],
    ['1970-01-01 00:00:00.000000', false],
    ['2038-01-19 03:14:08.000000', false],
  ] as const) {
    for (const written of [inPostgres(`INSERT INTO exact (zoned) VALUES ('${at}+00')`), inSqlite(`INSERT INTO exact (zoned) VALUES ('${at}Z')`)]) {
      if (isGood) await written;
      else await expect(written).rejects.toThrow(/switchyard_exact_/);
    }
  }
  await inPostgres(String.raw`INSERT INTO exact (raw, more) VALUES ('\x010203', '\x01')`);
  await inSqlite(`INSERT INTO exact (raw, more) VALUES (x'010203', x'')`);
  for (const [column, short] of [
    ['raw', '0102'],
    ['more', '01020304'],
  ]) {
    await expect(inPostgres(String.raw`INSERT INTO exact (${column}) VALUES ('\x${short}')`)).rejects.toThrow(/switchyard_exact_/);
    await expect(inSqlite(`INSERT INTO exact (${column}) VALUES (x'${short}')`)).rejects.toThrow(/switchyard_exact_/);
  }
});

test.each([
  ['a text of another character set', 'c varchar(9) CHARACTER SET latin1', 'the characters of latin1 alone'],
  ['a key whose collation folds', 'c varchar(9) COLLATE utf8mb4_general_ci UNIQUE', 'takes different texts for equal'],
  ['a coarse time', 'c datetime(3)', 'rounds'],
])('is refused by name: %s', async (_, column, why) => {
  await inMariaDb(`CREATE OR REPLACE TABLE own_way (id bigint PRIMARY KEY, ${column})`);
  const made = await definition(mariadb, 'own_way');
  for (const store of [postgres, sqlite]) await expect(planned(store, made)).rejects.toMatchObject({ reason: 'PRECHECK_FAILED', message: expect.stringContaining(why) });
});

test('what has a length in PostgreSQL has it in MariaDB', async () => {
  await inPostgres('CREATE TABLE sized (id bigint PRIMARY KEY, v character varying(4), c character(4), k character varying(20) UNIQUE, n numeric(9,2), at timestamptz)');
  await inMariaDb(await planned(mariadb, await definition(postgres, 'sized')));
  await inMariaDb(`INSERT INTO sized (id, v, c) VALUES (1, '🚂🚂🚂🚂', 'abcd')`);
  for (const [column, value] of [
    ['v', 'abcde'],
    ['c', 'abc'],
  ])
    await expect(inMariaDb(`INSERT INTO sized (id, ${column}) VALUES (2, '${value}')`)).rejects.toThrow(/switchyard_exact_/);
});
