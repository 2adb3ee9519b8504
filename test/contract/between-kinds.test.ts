import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import type { OwnerStore, StoreOptions, TableDefinition } from '../../backends/backend.ts';
import { openOwnerStore as openPostgres } from '../../backends/postgres/owner/owner-store.ts';
import { Connection } from '../../backends/sqlite/connection.ts';
import { openOwnerStore as openSqlite } from '../../backends/sqlite/owner/owner-store.ts';
import { shardSchema } from '../../core/keyspace.ts';
import { systemClock } from '../../runtime/clock.ts';
import { postgresShard } from '../support/cluster/process-config.ts';
import { type PostgresServer, startPostgres } from '../support/servers/postgres.ts';
import { createShop, SHOP_LOGINS } from '../support/servers/shop.ts';
import { never } from './move-stores.ts';

/* Between PostgreSQL and SQLite every value and every rule of a table goes along, or the table is refused by name. */

let folder: string;
let server: PostgresServer;
let client: pg.Client;
let postgres: OwnerStore;
let sqlite: OwnerStore;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchyard-between-'));
  server = await startPostgres({ name: 'between' });
  const { database } = await createShop(server, { tables: false });
  client = new pg.Client({ connectionString: server.url(database, SHOP_LOGINS.owner) });
  await client.connect();
  const options = {
    keyspace: 'shop',
    openedBy: 'a test',
    poolSize: 2,
    acquireTimeoutMs: 5_000,
    applicationName: 'between',
    clock: systemClock,
    onBackgroundError: () => {},
  } satisfies Partial<StoreOptions>;
  postgres = openPostgres({ ...options, shard: shardSchema.parse(postgresShard(server, database)), password: SHOP_LOGINS.owner.password });
  sqlite = openSqlite({ ...options, shard: { kind: 'sqlite', path: join(folder, 'between.db') }, password: '' });
  await sqlite.install(never());
}, 60_000);
afterAll(async () => {
  await Promise.all([postgres?.[Symbol.asyncDispose](), sqlite?.[Symbol.asyncDispose]()]);
  await client?.end();
  await server?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const inPostgres = async (text: string): Promise<void> => {
  await client.query(text);
};
const inSqlite = (text: string): void => {
  using connection = Connection.open({ path: join(folder, 'between.db') });
  connection.script(text);
};
const definition = async (store: OwnerStore, table: string): Promise<TableDefinition> => (await store.define([table], never()))[0] as TableDefinition;
const planned = (store: OwnerStore, made: TableDefinition): Promise<readonly string[]> => store.planTables([made], never());
const refusal = (store: OwnerStore, made: TableDefinition): Promise<unknown> => planned(store, made).catch((error: unknown) => error);

test.each([
  ['jsonb', '(id bigint PRIMARY KEY, c jsonb)', 'TYPE json'],
  ['timestamp', '(id bigint PRIMARY KEY, c timestamp(3))', 'TYPE timestamp without time zone'],
  ['timestamptz', '(id bigint PRIMARY KEY, c timestamptz(0))', 'TYPE timestamp with time zone'],
  ['time', '(id bigint PRIMARY KEY, c time(5))', 'TYPE time without time zone'],
  ['coarse', '(id bigint PRIMARY KEY, c numeric(5,-2))', 'TYPE numeric'],
  ['blanks', '(c character(4) PRIMARY KEY)', 'blanks'],
  ['blanks_in_unique', '(id bigint PRIMARY KEY, c character(4) UNIQUE)', 'blanks'],
  ['unscaled', '(id bigint PRIMARY KEY, c numeric UNIQUE)', 'many texts'],
  ['domain', '(id bigint PRIMARY KEY, c positive)', 'domain'],
])('a column whose values PostgreSQL holds in its own way is refused: %s', async (name, columns, fix) => {
  const table = `own_${name}`;
  await inPostgres(`DO $$ BEGIN CREATE DOMAIN positive AS bigint CHECK (VALUE > 0); EXCEPTION WHEN duplicate_object THEN NULL; END $$; CREATE TABLE ${table} ${columns};`);
  const made = await definition(postgres, table);
  expect(await refusal(sqlite, made)).toMatchObject({ reason: 'PRECHECK_FAILED', message: expect.stringMatching(new RegExp(`column c .*${fix}`)) });
  expect((await planned(postgres, made)).join()).toContain(table);
});

test('what PostgreSQL keeps exactly moves on: full precisions, characters outside keys, sized decimals in keys', async () => {
  await inPostgres('CREATE TABLE kept (id numeric(9,2), at timestamp(6), zoned timestamptz, of time, pad character(3), doc json, PRIMARY KEY (id))');
  await inPostgres('CREATE TABLE history (tid int, bid int, aid int, delta int, mtime timestamp, filler character(22), hid bigserial PRIMARY KEY, op_id uuid)');
  for (const table of ['kept', 'history']) {
    const made = await definition(postgres, table);
    expect(made.more).toEqual([]);
    inSqlite((await planned(sqlite, made)).join('\n'));
    expect((await definition(sqlite, table)).schema.columns.map(({ ownWay }) => ownWay)).toEqual(made.schema.columns.map(() => undefined));
  }
});

test('a key under a collation of SQLite is refused, other collations are not', async () => {
  inSqlite(`CREATE TABLE folded (id INTEGER PRIMARY KEY, c TEXT COLLATE NOCASE UNIQUE);
CREATE TABLE folded_key (c TEXT NOT NULL COLLATE RTRIM PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE folded_index (id INTEGER PRIMARY KEY, c TEXT); CREATE UNIQUE INDEX by_c ON folded_index (c COLLATE NOCASE);
CREATE TABLE beside (id INTEGER PRIMARY KEY, c TEXT COLLATE NOCASE, d TEXT COLLATE NOCASE); CREATE UNIQUE INDEX by_d ON beside (d COLLATE BINARY);`);
  for (const table of ['folded', 'folded_key', 'folded_index']) {
    const made = await definition(sqlite, table);
    expect(await refusal(postgres, made)).toMatchObject({ reason: 'PRECHECK_FAILED', message: expect.stringMatching(/column c \(TEXT\) .*(NOCASE|RTRIM)/) });
    expect((await planned(sqlite, made)).join()).toContain(table);
  }
  expect(await planned(postgres, await definition(sqlite, 'beside'))).toHaveLength(1);
});

test('a table that was made by hand is held to the same', async () => {
  await inPostgres('CREATE TABLE by_hand (id bigint PRIMARY KEY, name text UNIQUE)');
  inSqlite('CREATE TABLE by_hand (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE UNIQUE)');
  const scope = { workflow: 'move1', peer: 'old', tables: ['by_hand'] };
  await sqlite.claim(scope, 'target', never());
  const made = await definition(postgres, 'by_hand');
  await expect(sqlite.createTables(scope, [made], never())).rejects.toMatchObject({ reason: 'PRECHECK_FAILED', message: expect.stringContaining('NOCASE') });
  inSqlite('DROP TABLE by_hand; CREATE TABLE by_hand (id INTEGER PRIMARY KEY, name TEXT UNIQUE)');
  await sqlite.createTables(scope, [made], never());
});

test('rules that a like would lack are named, each of them', async () => {
  await inPostgres(`CREATE TABLE parent (id bigint PRIMARY KEY);
CREATE TABLE ruled (id bigint PRIMARY KEY, a bigint CONSTRAINT to_parent REFERENCES parent ON DELETE CASCADE, b bigint CONSTRAINT above CHECK (b > 0), c text CONSTRAINT one UNIQUE NULLS NOT DISTINCT,
  d bigint CONSTRAINT later REFERENCES parent DEFERRABLE, e bigint CONSTRAINT plain_key REFERENCES parent,
  CONSTRAINT apart EXCLUDE USING btree (b WITH =));
CREATE UNIQUE INDEX part ON ruled (a) WHERE b > 1;
CREATE UNIQUE INDEX lowered ON ruled (lower(c));
CREATE INDEX plain ON ruled (lower(c));`);
  const fromPostgres = await definition(postgres, 'ruled');
  const error = await refusal(sqlite, fromPostgres);
  expect(error).toMatchObject({ reason: 'PRECHECK_FAILED', metadata: { table: 'ruled' } });
  for (const name of ['to_parent', 'later', 'CHECK ((b > 0))', 'apart', 'one', 'INDEX part', 'INDEX lowered']) expect(String(error)).toContain(name);
  expect(fromPostgres.more).toHaveLength(7);
  expect(fromPostgres.extras.foreignKeys.map(({ name }) => name)).toEqual(['plain_key']);

  inSqlite(`CREATE TABLE ruled (id INTEGER PRIMARY KEY, a INTEGER REFERENCES parent (id), "check (b)" TEXT DEFAULT 'CHECK (1)', b BIGINT /* CHECK (2) */ check ( b > (0) ), c TEXT, CONSTRAINT x CHECK (c <> ')'));
CREATE UNIQUE INDEX part ON ruled (a) WHERE b > 1; CREATE UNIQUE INDEX lowered ON ruled (lower(c)); CREATE INDEX plain ON ruled (lower(c));`);
  const fromSqlite = await definition(sqlite, 'ruled');
  expect(fromSqlite.more).toEqual([
    'foreign key (a) to table "parent"',
    'unique index "lowered" on an expression',
    'unique index "part" on a part of the rows',
    'check ( b > (0) )',
    "CHECK (c <> ')')",
  ]);
  expect(await refusal(postgres, fromSqlite)).toMatchObject({ reason: 'PRECHECK_FAILED', message: expect.stringContaining("CHECK (c <> ')')") });
});

const VALUES = {
  f4: ['real', 'FLOAT32', ['0', '-0.5', "'Infinity'"], ["'NaN'", "'-0'"]],
  f8: ['double precision', 'DOUBLE', ['0', '1e-300', "'-Infinity'"], ["'NaN'", "'-0'"]],
  sized: ['numeric', 'DECIMAL_TEXT(6,2)', ['0', '-1.25'], ["'NaN'"]],
  free: ['numeric', 'DECIMAL_TEXT', ['0.10', "'NaN'", "'Infinity'"], []],
  day: ['date', 'DATE_TEXT', ["'0001-01-01 BC'", "'9999-12-31'", "'infinity'", "'-infinity'"], ["'0002-12-31 BC'", "'10000-01-01'"]],
  plain: [
    'timestamp',
    'TIMESTAMP_TEXT',
    ["'0001-01-01 00:00:00 BC'", "'9999-12-31 23:59:59.999999'", "'infinity'", "'-infinity'"],
    ["'0002-12-31 23:59:59.999999 BC'", "'10000-01-01 00:00:00'"],
  ],
  zoned: [
    'timestamptz',
    'TIMESTAMPTZ_TEXT',
    ["'0001-01-01 00:00:00+00 BC'", "'9999-12-31 23:59:59.999999+00'", "'infinity'", "'-infinity'"],
    ["'0002-12-31 23:59:59.999999+00 BC'", "'9999-12-31 23:59:59.999999-01'"],
  ],
} as const satisfies Readonly<Record<string, readonly [string, string, readonly string[], readonly string[]]>>;

test('in a table that came from SQLite, PostgreSQL refuses what SQLite could not take back, and nothing else', async () => {
  const columns = Object.entries(VALUES).map(([name, [, declared]]) => `${name} ${declared}`);
  inSqlite(`CREATE TABLE exact (id INTEGER PRIMARY KEY AUTOINCREMENT, ${columns.join(', ')})`);
  await inPostgres((await planned(postgres, await definition(sqlite, 'exact'))).join('\n'));
  for (const [name, [type, , good, bad]] of Object.entries(VALUES)) {
    for (const value of [...good, 'NULL']) await inPostgres(`INSERT INTO exact (${name}) VALUES (${value}::${type})`);
    for (const value of bad) await expect(inPostgres(`INSERT INTO exact (${name}) VALUES (${value}::${type})`)).rejects.toThrow(/violates check constraint "switchyard_exact_/);
  }
  // Those checks are no rules of the application's: the table may go back as it came.
  const back = await definition(postgres, 'exact');
  expect(back.more).toEqual([]);
  expect(back.schema.columns.map(({ ownWay }) => ownWay)).toEqual(back.schema.columns.map(() => undefined));
});
