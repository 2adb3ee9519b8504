import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { DataStore } from '../../backends/backend.ts';
import { postgresBackend } from '../../backends/postgres/backend.ts';
import { cellsEqual } from '../../core/cell.ts';
import type { ColumnKind, ScalarKind } from '../../core/cell.ts';
import type { WriteOperation } from '../../core/operation.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { type PostgresServer, startPostgres } from '../support/servers/postgres.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { storeOptions } from './data-store-harness.ts';

const DATABASE = 'types';
const never = new AbortController().signal;

/** Type, its kind, literals as psql takes them. Every one must come through the gateway's store unchanged. */
const types: readonly (readonly [string, ColumnKind | `${ScalarKind}[]`, readonly string[]])[] = [
  ['boolean', 'bool', ['t', 'f']],
  ['smallint', 'int16', ['-32768', '32767']],
  ['integer', 'int32', ['-2147483648', '2147483647']],
  ['bigint', 'int64', ['-9223372036854775808', '9223372036854775807', '9007199254740993']],
  ['real', 'float32', ['0.1', '3.4028235e38', '1e-45', '-0', 'NaN', 'Infinity', '-Infinity', '16777217']],
  ['double precision', 'float64', ['0.1', '0.30000000000000004', '1.7976931348623157e308', '5e-324', '-0', 'NaN', '-Infinity']],
  ['numeric', 'decimal', ['0', '0.0', '1.50', '-0.000000000000000000001', '123456789012345678901234567890.123456789', 'NaN', 'Infinity', '-Infinity']],
  ['numeric(10,2)', 'decimal', ['1.5', '-99999999.99']],
  ['text', 'text', ['', ' ', 'NULL', 'null', '\\N', "it's", 'ä😀\u0301', '\t\n\r\u0001\u007f', '{"a"}', '"', '\\']],
  ['character varying(5)', 'text', ['', 'ab   ', '😀😀😀😀😀']],
  ['character(4)', 'text', ['', 'a', 'abcd']],
  ['bytea', 'bytes', ['\\x', '\\x00', '\\x00ff5c27']],
  ['uuid', 'uuid', ['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11']],
  ['date', 'date', ['2024-02-29', '0001-01-01', '4713-01-01 BC', '0001-12-31 BC', '10000-01-01', '5874897-12-31', 'infinity', '-infinity']],
  ['time', 'time', ['00:00:00', '23:59:59.999999', '24:00:00']],
  [
    'timestamp',
    'timestamp',
    ['1970-01-01 00:00:00', '1969-12-31 23:59:59.999999', '4713-01-01 00:00:00 BC', '294246-12-31 23:59:59.999999', 'infinity', '-infinity', '2000-02-29 12:00:00.1'],
  ],
  [
    'timestamp with time zone',
    'timestamptz',
    ['1970-01-01 00:00:00+00', '2024-03-31 02:30:00+02', '4713-06-01 00:00:00 BC', 'infinity', '-infinity', '1893-04-01 00:06:31.000001+00'],
  ],
  ['json', 'json', ['{"b": 1,  "a": 1.0, "a": 2}', 'null', '12345678901234567890.10']],
  ['jsonb', 'json', ['{"b": 1,  "a": 1.0}', 'null', '12345678901234567890.10']],
  ['mood', 'enum', ['sad', 'so so', 'happy']],
  ['short', 'text', ['abc']],
  ['price', 'decimal', ['1.50', '-0.01']],
  ['note', 'json', ['{"b": 1,  "a": 1.0}']],
  ['integer[]', 'int32[]', ['{}', '{1,NULL,-2}']],
  ['bigint[]', 'int64[]', ['{9223372036854775807}']],
  ['text[]', 'text[]', ['{}', '{NULL,"NULL","",a b,"\\"\\\\{},"}']],
  ['bytea[]', 'bytes[]', ['{"\\\\x00ff",NULL}']],
  ['boolean[]', 'bool[]', ['{t,f}']],
  ['mood[]', 'enum[]', ['{sad,"so so"}']],
  ['timestamp with time zone[]', 'timestamptz[]', ['{"1970-01-01 00:00:00.000001+00",infinity}']],
  ['double precision[]', 'float64[]', ['{NaN,-0,0.1}']],
  ['numeric[]', 'decimal[]', ['{1.10,NaN}']],
];

const setup = `
CREATE ROLE gateway LOGIN PASSWORD 'secret';
CREATE TYPE mood AS ENUM ('sad', 'so so', 'happy');
CREATE DOMAIN short AS varchar(3) CHECK (VALUE <> '');
CREATE DOMAIN price AS numeric(12,2);
CREATE DOMAIN gross_price AS price CHECK (VALUE > 0);
CREATE DOMAIN moment AS timestamp(3);
CREATE DOMAIN note AS json;
CREATE TABLE given (id int PRIMARY KEY, type text, ${types.map(([type], i) => `c${i} ${type}`).join(', ')});
CREATE TABLE taken (LIKE given INCLUDING ALL);
CREATE TABLE parted (id int, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE parted_2024 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE always (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, doubled int GENERATED ALWAYS AS (base * 2) STORED, base int NOT NULL);
CREATE TABLE late (id int PRIMARY KEY, parent int REFERENCES late DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE slow (id int PRIMARY KEY);
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait();
CREATE TABLE deferred_key (id int PRIMARY KEY DEFERRABLE);
CREATE COLLATION insensitive (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE twins (id int PRIMARY KEY, "na""me" text COLLATE insensitive);
CREATE TABLE inner_parent (id int PRIMARY KEY);
CREATE TABLE inner_child (PRIMARY KEY (id)) INHERITS (inner_parent);
CREATE TABLE "Odd ""name""" ("a.b" int PRIMARY KEY, "select" text);
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO gateway;
ALTER ROLE gateway SET "DateStyle" = 'German';
ALTER ROLE gateway SET "TimeZone" = 'Asia/Kathmandu';
ALTER ROLE gateway SET "IntervalStyle" = 'iso_8601';
ALTER ROLE gateway SET extra_float_digits = -5;
ALTER ROLE gateway SET bytea_output = 'escape';
ALTER ROLE gateway SET client_encoding = 'LATIN1';
ALTER ROLE gateway SET search_path = 'nowhere';
ALTER ROLE gateway SET default_transaction_isolation = 'serializable';`;

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;

describe('PostgreSQL', () => {
  let server: PostgresServer;
  let store: DataStore;

  beforeAll(async () => {
    server = await startPostgres({ name: 'types' });
    await server.createDatabase(DATABASE);
    await server.psql(DATABASE, setup);
    const credential = { user: 'gateway', password: 'env:GATEWAY' };
    store = postgresBackend.openData(
      storeOptions({
        shard: { kind: 'postgres', host: server.host, port: server.port, database: DATABASE, gateway: credential, player: credential, owner: credential },
        password: 'secret',
        poolSize: 2,
        applicationName: 'types',
      }),
    );
  });
  afterAll(async () => {
    await store[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  const sql = async (text: string) => (await server.psql(DATABASE, text)).trim();
  const described = async (name: string): Promise<TableSchema> => (await store.describe(name, never)) as TableSchema;
  const write = async (signal: AbortSignal, ...operations: readonly WriteOperation[]) => {
    const schemas = new Map<string, TableSchema>();
    for (const { table } of operations) schemas.set(table, await described(table));
    return store.write(schemas, operations, signal);
  };
  const insert = (table: string, cells: Readonly<Record<string, number | string | null>>, returning: readonly string[] = []): WriteOperation => ({
    kind: 'insert',
    table,
    row: { columns: Object.keys(cells), cells: Object.values(cells) },
    returning,
  });
  const failure = async (work: Promise<unknown>): Promise<SwitchyardError> => {
    const error = await work.catch((reason: unknown) => reason);
    if (error instanceof SwitchyardError) return error;
    throw error instanceof Error ? error : new Error('succeeded');
  };
  const untilActive = (pattern: string) =>
    waitUntil(`a running ${pattern}`, { limitMs: 5_000 }, async () =>
      (await sql(`SELECT count(*) FROM pg_stat_activity WHERE usename = 'gateway' AND state = 'active' AND query LIKE '${pattern}%'`)) === '1' ? true : undefined,
    );

  test.each(types.map(([type, kind, literals], i) => [type, kind, literals, i] as const))(
    'keeps every %s, whatever the defaults of role and server',
    async (type, kind, literals, i) => {
      const given = await described('given');
      const column = `c${i}`;
      const schema = given.columns.find((candidate) => candidate.name === column);
      expect(schema?.elementKind === undefined ? schema?.kind : `${schema.elementKind}[]`).toBe(kind);
      for (const [n, literal] of literals.entries()) {
        const id = i * 1_000 + n;
        await server.psql(DATABASE, `SET client_encoding = 'UTF8'; INSERT INTO given (id, type, ${column}) VALUES (${id}, ${quote(type)}, ${quote(literal)})`);
        const row = await store.get(given, { key: [id], columns: [column] }, never);
        const cell = row?.cells[0] ?? null;
        expect(cell).not.toBeNull();
        await store.write(
          new Map([['taken', await described('taken')]]),
          [{ kind: 'insert', table: 'taken', row: { columns: ['id', column], cells: [id, cell] }, returning: [] }],
          never,
        );
        expect(await sql(`SELECT given.${column}::text = taken.${column}::text FROM given JOIN taken USING (id) WHERE id = ${id}`)).toBe('t');
        const [back] = await store.batchGet(given, { keys: [[id]], columns: [column] }, never);
        expect(cellsEqual(back?.cells[0] ?? null, cell)).toBe(true);
        if (schema !== undefined && type !== 'json') {
          const { rows: found } = await store.query(
            given,
            { filter: { kind: 'in', column, values: [cell] }, orderBy: [{ column: 'id', descending: false }], columns: ['id'], limit: 100, after: null },
            never,
          );
          expect(found.map((each) => each.cells[0])).toContain(id);
        }
      }
    },
  );

  test.each([
    ['integer[]', '{{1,2},{3,4}}'],
    ['integer[]', '[2:3]={1,2}'],
    ['timestamp', '294276-12-31 23:59:59'],
  ])('refuses the %s %s, which has no exact mapping, by its column', async (type, literal) => {
    const column = `c${types.findIndex(([name]) => name === type)}`;
    await server.psql(DATABASE, `DELETE FROM given WHERE id = -1; INSERT INTO given (id, ${column}) VALUES (-1, ${quote(literal)})`);
    const error = await failure(store.get(await described('given'), { key: [-1], columns: [column] }, never));
    expect([error.reason, error.metadata]).toEqual(['VALUE_UNSUPPORTED', { table: 'given', column, key: '-1' }]);
  });

  test.each([
    ['time(2)', 10_001n],
    ['timestamp(3) without time zone', 1n],
    ['timestamp(3) with time zone', 1_500n],
    ['varchar(3)', 'abc '],
    ['varchar(3)[]', ['abc ']],
    ['numeric(4,1)', '1.25'],
    ['numeric(4)', '1.5'],
    ['price', '1.005'],
    ['gross_price', '1.005'],
    ['moment', 1_500n],
    ['short', 'abc '],
  ])('does not round or cut a value for %s', async (type, cell) => {
    await server.psql(DATABASE, `DROP TABLE IF EXISTS narrow; CREATE TABLE narrow (id int PRIMARY KEY, v ${type}); GRANT ALL ON narrow TO gateway`);
    const narrow = new Map([['narrow', await described('narrow')]]);
    const error = await failure(store.write(narrow, [{ kind: 'insert', table: 'narrow', row: { columns: ['id', 'v'], cells: [1, cell] }, returning: [] }], never));
    expect(error.reason).toBe('VALUE_INVALID');
    expect(await sql('SELECT count(*) FROM narrow')).toBe('0');
  });

  test.each([
    ['parted_2024', 'partition'],
    ['deferred_key', 'deferrable'],
    ['twins', 'na"me'],
    ['inner_parent', 'inheritance'],
    ['inner_child', 'inheritance'],
  ])('refuses %s', async (table, names) => {
    const error = await failure(store.describe(table, never));
    expect([error.reason, error.message]).toEqual(['TABLE_UNSUPPORTED', expect.stringContaining(names)]);
  });

  test('serves partitioned tables, odd names, generated columns', async () => {
    expect(await store.listTables(never)).toEqual(expect.arrayContaining(['Odd "name"', 'parted']));
    await write(never, insert('parted', { id: 1, at: '2024-05-05' }), insert('Odd "name"', { 'a.b': 1, select: 'x' }));
    expect(await sql(`SELECT (SELECT at FROM parted), (SELECT "select" FROM "Odd ""name""")`)).toBe('2024-05-05|x');
    const always = await described('always');
    expect(always.columns.map((column) => [column.name, column.generated, column.hasDefault])).toEqual([
      ['id', false, true],
      ['doubled', true, true],
      ['base', false, false],
    ]);
    expect((await write(never, insert('always', { base: 4 }, ['id', 'doubled'])))[0]?.row?.cells).toEqual([1, 8]);
    expect((await failure(write(never, insert('always', { id: 9, base: 4 })))).reason).toBe('VALUE_INVALID');
  });

  test('tells a deferred violation, found by the commit, as definitely not applied', async () => {
    expect((await failure(write(never, insert('late', { id: 1, parent: 99 })))).reason).toBe('FOREIGN_KEY_VIOLATION');
    expect((await failure(write(never, insert('late', { id: 1, parent: 99 }), insert('late', { id: 2, parent: null })))).reason).toBe('FOREIGN_KEY_VIOLATION');
    expect(await sql('SELECT count(*) FROM late')).toBe('0');
  });

  /** Commits that insert into `slow` wait until it is disposed of. */
  const holdCommits = async (): Promise<AsyncDisposable> => {
    const client = new pg.Client({ connectionString: server.url(DATABASE) });
    await client.connect();
    await client.query('SELECT pg_advisory_lock(1)');
    return { [Symbol.asyncDispose]: () => client.end() };
  };

  test.each([[[1]], [[2, 3]]])('a connection lost while the commit of %j runs leaves the outcome unknown', async (ids) => {
    await using _held = await holdCommits();
    const lost = failure(write(never, ...ids.map((id) => insert('slow', { id }))));
    await untilActive(ids.length === 1 ? 'INSERT INTO public."slow"' : 'COMMIT');
    await sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gateway' AND state = 'active'`);
    expect((await lost).reason).toBe('OUTCOME_UNKNOWN');
  });

  test('an abort during the commit of a transaction waits for the answer and gives it', async () => {
    const held = await holdCommits();
    const controller = new AbortController();
    const written = write(controller.signal, insert('slow', { id: 10 }));
    const single = failure(written);
    await untilActive('INSERT INTO public."slow"');
    controller.abort();
    expect((await single).reason).toBe('CANCELLED');
    const other = new AbortController();
    const both = write(other.signal, insert('slow', { id: 11 }), insert('late', { id: 11, parent: null }));
    await untilActive('COMMIT');
    other.abort();
    await held[Symbol.asyncDispose]();
    expect(await both).toHaveLength(2);
    expect(await sql('SELECT array_agg(id) FROM slow WHERE id IN (10, 11)')).toBe('{11}');
  });

  test('a deadlock is told as a serialization failure, definitely not applied', async () => {
    await sql('CREATE TABLE locks (id int PRIMARY KEY, n int NOT NULL); INSERT INTO locks VALUES (1, 0), (2, 0); GRANT ALL ON locks TO gateway');
    const locks = new Map([['locks', await described('locks')]]);
    const raise = (id: number): WriteOperation => ({
      kind: 'update',
      table: 'locks',
      key: [id],
      set: { columns: [], cells: [] },
      add: { columns: ['n'], cells: [1] },
      precondition: null,
      returning: [],
    });
    const other = new pg.Client({ connectionString: server.url(DATABASE) });
    await other.connect();
    await other.query('BEGIN; UPDATE locks SET n = 1 WHERE id = 2');
    // Whoever waited first finds the deadlock first.
    const victim = failure(store.write(locks, [raise(1), raise(2)], never));
    await untilActive('UPDATE public."locks"');
    await other.query('UPDATE locks SET n = 1 WHERE id = 1; COMMIT');
    expect((await victim).reason).toBe('SERIALIZATION_FAILURE');
    await other.end();
    expect(await sql('SELECT array_agg(n) FROM locks')).toBe('{1,1}');
  });

  test('goes on after the table was altered under its prepared statements', async () => {
    await sql('CREATE TABLE altered (id int PRIMARY KEY, v int); INSERT INTO altered VALUES (1, 1); GRANT ALL ON altered TO gateway');
    const before = await described('altered');
    const read = async (table: TableSchema) => (await store.get(table, { key: [1], columns: ['v'] }, never))?.cells[0];
    for (let i = 0; i < 8; i += 1) expect(await read(before)).toBe(1);
    await sql('ALTER TABLE altered ALTER v TYPE bigint');
    const after = await described('altered');
    expect(after.fingerprint).not.toBe(before.fingerprint);
    for (let i = 0; i < 8; i += 1) expect(await read(after)).toBe(1n);
    const returning: WriteOperation = { kind: 'upsert', table: 'altered', row: { columns: ['id', 'v'], cells: [1, 1n] }, precondition: null, returning: ['v'] };
    for (let i = 0; i < 8; i += 1) await store.write(new Map([['altered', after]]), [returning, returning], never);
    await sql('ALTER TABLE altered ALTER v TYPE int');
    const again = await described('altered');
    const narrow: WriteOperation = { ...returning, row: { columns: ['id', 'v'], cells: [1, 1] } };
    for (let i = 0; i < 4; i += 1) expect((await store.write(new Map([['altered', again]]), [narrow, narrow], never))[1]?.row?.cells).toEqual([1]);
    await sql('ALTER TABLE altered DROP v');
    expect((await failure(read(again))).reason).toBe('COLUMN_UNKNOWN');
    await sql('DROP TABLE altered');
    expect((await failure(read(again))).reason).toBe('TABLE_UNKNOWN');
  });

  test('keeps a bounded number of statements parsed', async () => {
    const given = await described('given');
    const one = postgresBackend.openData(
      storeOptions({
        shard: {
          kind: 'postgres',
          host: server.host,
          port: server.port,
          database: DATABASE,
          gateway: { user: server.superuser.user, password: 'env:X' },
          player: { user: 'x', password: 'env:X' },
          owner: { user: 'x', password: 'env:X' },
        },
        password: server.superuser.password,
        poolSize: 1,
        applicationName: 'types',
      }),
    );
    const filters = Array.from({ length: 600 }, (_, n) => ({ kind: 'and' as const, filters: Array.from({ length: n + 1 }, () => ({ kind: 'isNull' as const, column: 'c0' })) }));
    for (const filter of [...filters, ...filters.slice(0, 10)]) {
      await one.query(given, { filter, orderBy: [{ column: 'id', descending: false }], columns: ['id'], limit: 1, after: null }, never);
    }
    await sql('CREATE VIEW parsed AS SELECT count(*)::int AS id FROM pg_prepared_statements; CREATE TABLE counted (id int PRIMARY KEY, n int DEFAULT 0)');
    await sql(
      'CREATE FUNCTION parsed_now() RETURNS int LANGUAGE sql AS $$ SELECT count(*)::int FROM pg_prepared_statements $$; ALTER TABLE counted ALTER n SET DEFAULT parsed_now()',
    );
    const counted = (await one.describe('counted', never)) as TableSchema;
    const [result] = await one.write(new Map([['counted', counted]]), [insert('counted', { id: 1 }, ['n'])], never);
    expect(result?.row?.cells[0]).toBeLessThanOrEqual(257);
    await one[Symbol.asyncDispose]();
  });
});
