import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Connection, createConnection } from 'mysql2/promise';
import type { DataStore, StoreOptions } from '../../backends/backend.ts';
import { mariadbBackend } from '../../backends/mariadb/backend.ts';
import type { Cell, ColumnKind } from '../../core/cell.ts';
import { cellsEqual } from '../../core/cell.ts';
import type { Filter, WriteOperation } from '../../core/operation.ts';
import type { SwitchyardError } from '../../core/switchyard-error.ts';
import { ownWayOf, type TableSchema } from '../../core/table-schema.ts';
import { type MariaDbServer, startMariaDb } from '../support/servers/mariadb.ts';
import { failure, never, none, reasonOf, rowOf, storeOptions } from './data-store-harness.ts';

const DATABASE = 'types';

/** Type, its kind, literals as SQL. Every one must come through the gateway's store unchanged. */
const types: readonly (readonly [string, ColumnKind, readonly string[]])[] = [
  ['tinyint(1)', 'bool', ['0', '1']],
  ['tinyint', 'int16', ['-128', '127']],
  ['tinyint unsigned', 'int16', ['0', '255']],
  ['smallint', 'int16', ['-32768', '32767']],
  ['smallint(5) unsigned zerofill', 'int32', ['7', '65535']],
  ['mediumint', 'int32', ['-8388608', '8388607']],
  ['mediumint unsigned', 'int32', ['16777215']],
  ['int', 'int32', ['-2147483648', '2147483647']],
  ['int unsigned', 'int64', ['0', '4294967295']],
  ['bigint', 'int64', ['-9223372036854775808', '9223372036854775807', '9007199254740993']],
  ['bigint unsigned', 'uint64', ['0', '18446744073709551615', '9007199254740993']],
  ['float', 'float32', ['0.1', '3.4028234e38', '1.17549435e-38', '16777217', '-0.5']],
  ['double', 'float64', ['0.1', '0.30000000000000004', '1.7976931348623157e308', '2.2250738585072014e-308', '-5e-324']],
  ['decimal(10,2)', 'decimal', ['1.5', '-99999999.99', '0']],
  ['decimal(65,0)', 'decimal', ['9'.repeat(65), `-${'9'.repeat(65)}`]],
  ['decimal(65,38)', 'decimal', [`${'9'.repeat(27)}.${'9'.repeat(38)}`, `-0.${'0'.repeat(37)}1`]],
  ['decimal(8,3) unsigned zerofill', 'decimal', ['1.5', '12345.678']],
  ['text', 'text', ["''", "' '", "'NULL'", "'\\\\N'", "'it''s'", "'ä😀\u0301'", "'\\t\\n\\r\u0001\u007f'", "'\"'", "'\\\\'", "'%_`'"]],
  ['varchar(5)', 'text', ["''", "'ab   '", "'😀😀😀😀😀'"]],
  ['varchar(5) COLLATE utf8mb4_general_ci', 'text', ["'Ab '", "'aB'"]],
  ['varchar(20) CHARACTER SET latin1', 'text', ["'é€ÿ'"]],
  ['varchar(20) CHARACTER SET utf8mb3 COLLATE utf8mb3_unicode_ci', 'text', ["'Ünï'"]],
  ['longtext CHARACTER SET ucs2', 'text', ["'Ω '"]],
  ['char(4)', 'text', ["''", "'a'", "'abcd'"]],
  ['varbinary(5)', 'bytes', ["x''", "x'00'", "x'00ff5c2720'"]],
  ['binary(3)', 'bytes', ["x'000000'", "x'ff0020'"]],
  ['longblob', 'bytes', ["x''", "x'c328ff'"]],
  ['uuid', 'uuid', ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'00000000-0000-0000-0000-000000000001'"]],
  ['date', 'date', ["'2024-02-29'", "'0001-01-01'", "'9999-12-31'"]],
  ['time(6)', 'time', ["'00:00:00'", "'23:59:59.999999'", "'24:00:00'", "'00:00:00.1'"]],
  ['time', 'time', ["'12:34:56'"]],
  ['datetime(6)', 'timestamp', ["'1970-01-01 00:00:00'", "'1969-12-31 23:59:59.999999'", "'9999-12-31 23:59:59.999999'", "'0001-01-01 00:00:00.000001'"]],
  ['datetime', 'timestamp', ["'2024-03-31 02:30:00'"]],
  ['timestamp(6) NULL', 'timestamptz', ["'1970-01-01 00:00:00.000001'", "'2038-01-19 03:14:07.999999'", "'2024-03-31 02:30:00'"]],
  ['json', 'json', [`'{"b": 1,  "a": 1.0, "a": 2}'`, "'null'", "'12345678901234567890123456789012345678901234567890.10'"]],
  [`enum('sad','so so','it''s','3',',')`, 'enum', ["'sad'", "'so so'", "'it''s'", "'3'", "','"]],
  [`enum('back\\\\slash','two\nlines','(😀)') COLLATE utf8mb4_general_ci`, 'enum', ["'back\\\\slash'", "'two\nlines'", "'(😀)'"]],
];

const setup: readonly string[] = [
  `CREATE USER gateway IDENTIFIED BY 'secret'`,
  `GRANT SELECT, INSERT, UPDATE, DELETE ON ${DATABASE}.* TO gateway`,
  ...['given', 'taken'].map((table) => `CREATE TABLE ${table} (id int PRIMARY KEY, ${types.map(([type], i) => `c${i} ${type}`).join(', ')}) ROW_FORMAT = DYNAMIC`),
  'CREATE TABLE always (id bigint AUTO_INCREMENT PRIMARY KEY, doubled int AS (base * 2) STORED, tripled int AS (base * 3) VIRTUAL, base int NOT NULL, hidden int INVISIBLE DEFAULT 5)',
  'CREATE TABLE `Odd ``name"` (`a.b` int PRIMARY KEY, `select` text, `?` int)',
  'CREATE TABLE parted (id int, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY HASH (id) PARTITIONS 4',
  'CREATE TABLE myisam (id int PRIMARY KEY) ENGINE = MyISAM',
  'CREATE TABLE versioned (id int PRIMARY KEY) WITH SYSTEM VERSIONING',
  'CREATE SEQUENCE numbers',
  'CREATE TABLE beginnings (name text, PRIMARY KEY (name(10)))',
  'CREATE TABLE uncertain (id int PRIMARY KEY, `na``me` set("a", "b"))',
  'CREATE TABLE switchyard_own (id int PRIMARY KEY)',
];

describe('MariaDB', () => {
  let server: MariaDbServer;
  let admin: Connection;
  let store: DataStore;

  const open = (more: Partial<StoreOptions> = {}): DataStore => {
    const credential = { user: 'gateway', password: 'env:GATEWAY' };
    return mariadbBackend.openData(
      storeOptions({
        shard: { kind: 'mariadb', host: server.host, port: server.port, database: DATABASE, gateway: credential, player: credential, owner: credential },
        password: 'secret',
        poolSize: 2,
        applicationName: 'types',
        ...more,
      }),
    );
  };

  beforeAll(async () => {
    server = await startMariaDb({ name: 'types' });
    await server.createDatabase(DATABASE);
    const { host, port, superuser } = server;
    admin = await createConnection({ host, port, ...superuser, database: DATABASE, rowsAsArray: true, multipleStatements: true, charset: 'UTF8MB4_BIN' });
    await admin.query(`SET SESSION sql_mode = ''`);
    for (const text of setup) await admin.query(text);
    // As unlike what we need as a server's defaults can be.
    const defaults = {
      sql_mode: `'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,HIGH_NOT_PRECEDENCE,NO_UNSIGNED_SUBTRACTION,PAD_CHAR_TO_FULL_LENGTH,ONLY_FULL_GROUP_BY'`,
      time_zone: `'+05:45'`,
      tx_isolation: `'SERIALIZABLE'`,
      tx_read_only: '1',
      autocommit: '0',
      completion_type: `'CHAIN'`,
      lc_messages: `'de_DE'`,
      character_set_server: 'latin1',
      collation_server: 'latin1_german2_ci',
      max_statement_time: '0.01',
      group_concat_max_len: '10',
      sql_auto_is_null: '1',
      sql_safe_updates: '1',
      in_predicate_conversion_threshold: '2',
      init_connect: `'SET NAMES latin1, sql_mode = "ANSI", time_zone = "-11:00", sql_select_limit = 1, foreign_key_checks = 0, check_constraint_checks = 0'`,
    };
    await admin.query(
      `SET ${Object.entries(defaults)
        .map(([name, each]) => `GLOBAL ${name} = ${each}`)
        .join(', ')}`,
    );
    store = open();
  });
  afterAll(async () => {
    await store?.[Symbol.asyncDispose]();
    admin?.destroy();
    await server?.[Symbol.asyncDispose]();
  });

  const sql = async (text: string): Promise<readonly (readonly unknown[])[]> => (await admin.query(text))[0] as unknown as readonly (readonly unknown[])[];
  const value = async (text: string): Promise<unknown> => (await sql(text))[0]?.[0];
  const described = async (name: string, through = store): Promise<TableSchema> => {
    const table = await through.describe(name, never);
    if (table === null) throw new Error(`there is no table ${name}`);
    return table;
  };
  const write = async (...operations: readonly WriteOperation[]) => {
    const schemas = new Map<string, TableSchema>();
    for (const { table } of operations) schemas.set(table, await described(table));
    return store.write(schemas, operations, never);
  };
  const insert = (table: string, cells: Readonly<Record<string, Cell>>, returning: readonly string[] = []): WriteOperation => ({
    kind: 'insert',
    table,
    row: rowOf(cells),
    returning,
  });
  const upsert = (table: string, cells: Readonly<Record<string, Cell>>, precondition: Filter | null = null): WriteOperation => ({
    kind: 'upsert',
    table,
    row: rowOf(cells),
    precondition,
    returning: [],
  });
  /** A table of this name with the columns id and v. */
  const fresh = async (table: string, type: string): Promise<TableSchema> => {
    await sql(`CREATE OR REPLACE TABLE ${table} (id int PRIMARY KEY, v ${type}) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin`);
    return described(table);
  };

  test.each(types.map(([type, kind, literals], i) => [type, kind, literals, i] as const))('keeps every %s, whatever the defaults of the server', async (_, kind, literals, i) => {
    const given = await described('given');
    const taken = new Map([['taken', await described('taken')]]);
    const column = `c${i}`;
    expect(given.columns.find(({ name }) => name === column)?.kind).toBe(kind);
    for (const [n, literal] of literals.entries()) {
      const id = i * 1_000 + n;
      await sql(`INSERT INTO given (id, ${column}) VALUES (${id}, ${literal})`);
      const cell = (await store.get(given, { key: [id], columns: [column] }, never))?.cells[0] ?? null;
      expect(cell).not.toBeNull();
      await store.write(taken, [insert('taken', { id, [column]: cell })], never);
      // The stored bytes, and not what some collation takes for equal.
      expect(await value(`SELECT BINARY g.${column} = BINARY t.${column} AND g.${column} <=> t.${column} FROM given g JOIN taken t ON t.id = g.id WHERE g.id = ${id}`)).toBe(1);
      const [back] = await store.batchGet(given, { keys: [[id]], columns: [column] }, never);
      expect(cellsEqual(back?.cells[0] ?? null, cell)).toBe(true);
      for (const filter of [
        { kind: 'in', column, values: [cell] },
        { kind: 'compare', column, operator: '=', value: cell },
      ] as const) {
        const { rows } = await store.query(given, { filter, orderBy: [{ column: 'id', descending: false }], columns: ['id'], limit: 100, after: null }, never);
        expect(rows.map((each) => each.cells[0])).toContain(id);
      }
    }
  });

  test.each([
    ['date', "'0000-00-00'"],
    ['date', "'2024-00-05'"],
    ['datetime(6)', "'0000-00-00 00:00:00'"],
    ['timestamp(6) NULL', "'0000-00-00 00:00:00'"],
    ['time(6)', "'24:00:00.000001'"],
    ['time(6)', "'838:59:59'"],
    ['time(6)', "'-00:00:01'"],
    ['tinyint(1)', '2'],
    ['tinyint(1)', '-1'],
    ['text', "'a\\0b'"],
    [`enum('sad','so so','it''s','3',',')`, "'no label'"],
  ])('refuses the %s %s, which has no exact mapping, by its column', async (type, literal) => {
    const column = `c${types.findIndex(([name]) => name === type)}`;
    await sql(`DELETE FROM given WHERE id = -1; INSERT IGNORE INTO given (id, ${column}) VALUES (-1, ${literal})`);
    const error = await failure(store.get(await described('given'), { key: [-1], columns: [column] }, never));
    expect([error.reason, error.metadata.column]).toEqual(['VALUE_UNSUPPORTED', column]);
    expect(error.message).toContain('correct it in the store');
  });

  test.each<[string, Cell]>([
    ['time', 1n],
    ['time(2)', 10_001n],
    ['datetime', 1_500n],
    ['timestamp(3) NULL', 1_500n],
    ['varchar(3)', 'abc '],
    ['varchar(3)', 'abcd'],
    ['char(3)', 'a '],
    ['tinytext', `${'x'.repeat(255)} `],
    ['tinytext', 'x'.repeat(256)],
    ['varchar(3) CHARACTER SET latin1', '😀'],
    ['varchar(3) CHARACTER SET latin1', 'Ω'],
    ['binary(3)', new Uint8Array([1, 2])],
    ['binary(3)', new Uint8Array([1, 2, 3, 4])],
    ['varbinary(3)', new Uint8Array([1, 2, 3, 4])],
    ['decimal(4,1)', '1.25'],
    ['decimal(4,1)', '12.5e-1'],
    ['decimal(4)', '1.5'],
    ['decimal(4,1)', '1000'],
    ['decimal(4,1)', 'NaN'],
    ['decimal(4,1)', '1,5'],
    ['tinyint', 128],
    ['int unsigned', -1n],
    ['float', Number.NaN],
    ['double', Number.POSITIVE_INFINITY],
    ['double', -0],
    ['float', 1e39],
    ['date', 'infinity'],
    ['date', '2023-02-29'],
    ['date', '10000-01-01'],
    ['datetime(6)', 9_223_372_036_854_775_807n],
    ['datetime(6)', 253_402_300_800_000_000n],
    ['timestamp(6) NULL', 0n],
    ['timestamp(6) NULL', 2_147_483_648_000_000n],
    ['uuid', 'a0eebc99'],
    ['json', '{'],
    [`enum('a','b')`, 'A'],
    [`enum('a','b')`, '1'],
    [`enum('a','b')`, ''],
    [`enum('a','b')`, 'a '],
    ['text', 'a\0'],
    ['text', '\udc00'],
  ])('does not round, cut, fill up or misread a value for %s: %s', async (type, cell) => {
    await fresh('narrow', type);
    const reason = await reasonOf(write(insert('narrow', { id: 1, v: cell })));
    expect(reason).toBe(type === 'json' ? 'CHECK_VIOLATION' : 'VALUE_INVALID');
    await sql('INSERT INTO narrow (id) VALUES (2)');
    const update: WriteOperation = { kind: 'update', table: 'narrow', key: [2], set: rowOf({ v: cell }), add: none, precondition: null, returning: [] };
    expect(await reasonOf(write(update))).toBe(reason);
    expect(await sql('SELECT id, v IS NULL FROM narrow')).toEqual([[2, 1]]);
  });

  test('a sum beyond the column is an error, one of unlike signs is none', async () => {
    const table = await fresh('sums', 'int unsigned');
    const add = (by: Cell): WriteOperation => ({ kind: 'update', table: 'sums', key: [1], set: none, add: rowOf({ v: by }), precondition: null, returning: ['v'] });
    await sql('INSERT INTO sums VALUES (1, 5)');
    const schemas = new Map([['sums', table]]);
    expect((await store.write(schemas, [add(-3n)], never))[0]?.row?.cells).toEqual([2n]);
    for (const by of [-3n, 4_294_967_295n]) expect(await reasonOf(store.write(schemas, [add(by)], never))).toBe('VALUE_INVALID');
    expect(await value('SELECT v FROM sums')).toBe(2);
  });

  test('filters tell numbers apart that are one as doubles', async () => {
    const table = await fresh('close', 'decimal(40,20)');
    await sql(`INSERT INTO close VALUES (1, '9007199254740993'), (2, '9007199254740992'), (3, '0.10000000000000000001'), (4, '0.1')`);
    const ids = async (filter: Filter): Promise<readonly Cell[]> =>
      (await store.query(table, { filter, orderBy: [{ column: 'id', descending: false }], columns: ['id'], limit: 10, after: null }, never)).rows.map(
        ({ cells }) => cells[0] ?? null,
      );
    expect(await ids({ kind: 'compare', column: 'v', operator: '=', value: '9007199254740993.0' })).toEqual([1]);
    expect(await ids({ kind: 'compare', column: 'v', operator: '=', value: '1e-1' })).toEqual([4]);
    // Beyond the column's own scale, and beyond its digits.
    expect(await ids({ kind: 'compare', column: 'v', operator: '>', value: '0.100000000000000000005' })).toEqual([1, 2, 3]);
    expect(await ids({ kind: 'compare', column: 'v', operator: '<', value: '1e50' })).toEqual([1, 2, 3, 4]);
    expect(await reasonOf(ids({ kind: 'compare', column: 'v', operator: '<', value: '1e200' }))).toBe('VALUE_INVALID');
    await fresh('wide', 'bigint');
    await sql('INSERT INTO wide VALUES (1, 9007199254740993), (2, 9007199254740992)');
    const wide = await described('wide');
    const found = await store.query(
      wide,
      { filter: { kind: 'in', column: 'v', values: [9_007_199_254_740_993n] }, orderBy: [{ column: 'id', descending: false }], columns: ['id'], limit: 10, after: null },
      never,
    );
    expect(found.rows.map(({ cells }) => cells)).toEqual([[1]]);
  });

  test.each(['utf8mb4_general_ci', 'utf8mb4_bin', 'utf8mb4_nopad_bin', 'utf8mb4_unicode_nopad_ci', 'utf8mb4_uca1400_ai_ci', 'latin1_swedish_ci'])(
    'texts with the collation %s are equal bit by bit and ordered by code points to filters, orders, groups and aggregates',
    async (collation) => {
      const table = await fresh('texts', `varchar(20) COLLATE ${collation}`);
      const texts = ['a', 'A', 'a ', 'A ', 'ä', 'b', 'B', '', ' ', 'a\t'];
      await write(...texts.map((v, id) => insert('texts', { id, v })));
      const order = [{ column: 'id', descending: false }];
      const idsOf = async (filter: Filter): Promise<readonly Cell[]> =>
        (await store.query(table, { filter, orderBy: order, columns: ['id'], limit: 100, after: null }, never)).rows.map(({ cells }) => cells[0] ?? null);
      const expected = (holds: (text: string) => boolean): readonly number[] => texts.flatMap((text, id) => (holds(text) ? [id] : []));
      for (const text of texts) {
        expect(await idsOf({ kind: 'compare', column: 'v', operator: '=', value: text })).toEqual(expected((each) => each === text));
        expect(await idsOf({ kind: 'compare', column: 'v', operator: '<>', value: text })).toEqual(expected((each) => each !== text));
        expect(await idsOf({ kind: 'compare', column: 'v', operator: '<=', value: text })).toEqual(expected((each) => Buffer.compare(Buffer.from(each), Buffer.from(text)) <= 0));
        expect(await idsOf({ kind: 'prefix', column: 'v', text })).toEqual(expected((each) => each.startsWith(text)));
        expect(await idsOf({ kind: 'like', column: 'v', pattern: text })).toEqual(expected((each) => each === text));
      }
      expect(await idsOf({ kind: 'in', column: 'v', values: ['a', 'B ', 'ä', '😀'] })).toEqual([0, 4]);
      expect(await idsOf({ kind: 'tuple', columns: ['v', 'id'], operator: '=', values: ['A', 1] })).toEqual([1]);
      const sorted = texts.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      const paged: Cell[] = [];
      for (let after: readonly Cell[] | null = null; ; ) {
        const page = await store.query(table, { filter: null, orderBy: [{ column: 'v', descending: false }, ...order], columns: ['v', 'id'], limit: 3, after }, never);
        paged.push(...page.rows.map(({ cells }) => cells[0] ?? null));
        if (!page.more) break;
        after = page.rows.at(-1)?.cells ?? null;
      }
      expect(paged).toEqual(sorted);
      const aggregations = [{ kind: 'count' }, { kind: 'min', column: 'v' }, { kind: 'max', column: 'v' }] as const;
      expect((await store.aggregate(table, { filter: null, aggregations, groupBy: null, limit: 1 }, never))[0]?.values).toEqual([10n, '', sorted.at(-1)]);
      expect((await store.aggregate(table, { filter: null, aggregations: [{ kind: 'count' }], groupBy: 'v', limit: 100 }, never)).map(({ group }) => group)).toEqual(sorted);
    },
  );

  test.each(['longtext', 'text COLLATE utf8mb4_general_ci', 'varchar(9000)', 'longblob', 'varchar(9000) CHARACTER SET latin1 COLLATE latin1_german2_ci'])(
    'long values of a %s are ordered, grouped and paged by what they end with',
    async (type) => {
      const table = await fresh('long_ones', type);
      const ends = [3, 1, 4, 15, 9, 2, 6, 53];
      const isBytes = type === 'longblob';
      const texts = ends.map((end) => `${'x'.repeat(8_000)}${String(end).padStart(3, '0')}`);
      await write(...texts.map((text, i) => insert('long_ones', { id: i, v: isBytes ? new Uint8Array(Buffer.from(text)) : text })));
      const wanted = ends.map((end, id) => [end, id] as const).toSorted(([a], [b]) => a - b);
      for (const descending of [false, true]) {
        const found: Cell[] = [];
        const orderBy = [
          { column: 'v', descending },
          { column: 'id', descending: false },
        ];
        for (let after: readonly Cell[] | null = null; ; ) {
          const page = await store.query(table, { filter: null, orderBy, columns: ['v', 'id'], limit: 3, after }, never);
          found.push(...page.rows.map(({ cells }) => cells[1] ?? null));
          if (!page.more) break;
          after = page.rows.at(-1)?.cells ?? null;
        }
        const ids = wanted.map(([, id]) => id);
        expect(found).toEqual(descending ? ids.toReversed() : ids);
      }
      const groups = await store.aggregate(table, { filter: null, aggregations: [{ kind: 'count' }, { kind: 'max', column: 'id' }], groupBy: 'v', limit: 4 }, never);
      expect(groups.map(({ values }) => values)).toEqual(wanted.slice(0, 4).map(([, id]) => [1n, id]));
    },
  );

  test('an index of the column finds what is equal, also where its collation takes more for equal', async () => {
    await sql(
      'CREATE OR REPLACE TABLE found (id int PRIMARY KEY, v varchar(20) COLLATE utf8mb4_general_ci, KEY (v)); INSERT INTO found SELECT seq, concat("N", seq) FROM seq_1_to_5000',
    );
    await sql('ANALYZE TABLE found; FLUSH STATUS');
    const readBefore = Number((await sql(`SHOW GLOBAL STATUS LIKE 'Handler_read_rnd_next'`))[0]?.[1]);
    const found = await described('found');
    const query = async (filter: Filter): Promise<readonly Cell[]> =>
      (await store.query(found, { filter, orderBy: [{ column: 'id', descending: false }], columns: ['id'], limit: 10, after: null }, never)).rows.map(
        ({ cells }) => cells[0] ?? null,
      );
    expect(await query({ kind: 'compare', column: 'v', operator: '=', value: 'N77' })).toEqual([77]);
    expect(await query({ kind: 'compare', column: 'v', operator: '=', value: 'n77' })).toEqual([]);
    expect(await query({ kind: 'in', column: 'v', values: ['N1', 'N4999', 'n2'] })).toEqual([1, 4999]);
    expect(Number((await sql(`SHOW GLOBAL STATUS LIKE 'Handler_read_rnd_next'`))[0]?.[1]) - readBefore).toBeLessThan(3_000);
  });

  test('a key is equal as its own collation says, and says so to other kinds', async () => {
    await sql('CREATE OR REPLACE TABLE twins (name varchar(20) COLLATE utf8mb4_general_ci PRIMARY KEY, n int, code char(3), UNIQUE (code))');
    const twins = await described('twins');
    expect(twins.columns.map(({ ownWay }) => ownWay ?? null)).toEqual([
      expect.stringContaining('takes different texts for equal: ALTER TABLE `twins` MODIFY `name` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin'),
      null,
      expect.stringContaining('blanks at the end of a text do not count'),
    ]);
    await write(insert('twins', { name: 'Key', n: 1 }));
    expect(await reasonOf(write(insert('twins', { name: 'kEY ', n: 2 })))).toBe('UNIQUE_VIOLATION');
    expect((await store.get(twins, { key: ['KEY'], columns: ['name', 'n'] }, never))?.cells).toEqual(['Key', 1]);
    await write(upsert('twins', { name: 'key', n: 3 }));
    const rows = await store.batchGet(twins, { keys: [['nothing'], ['kéy'], ['KEY'], ['Key']], columns: ['name', 'n'] }, never);
    expect(rows.map((row) => row?.cells ?? null)).toEqual([null, ['Key', 3], ['Key', 3], ['Key', 3]]);
    const both = await Promise.all(['kEy', 'missing', 'KEY'].map((key) => store.get(twins, { key: [key], columns: ['n'] }, never)));
    expect(both.map((row) => row?.cells ?? null)).toEqual([[3], null, [3]]);
    await sql(
      'CREATE OR REPLACE TABLE narrow_twins (name varchar(20) COLLATE latin1_general_ci PRIMARY KEY, n int) CHARACTER SET latin1; INSERT INTO narrow_twins VALUES ("é", 1), ("?", 2)',
    );
    const narrow = await described('narrow_twins');
    const narrowKeys = ['É', '?', '😀', 'Ω', '\u{fffd}'];
    const found = [[1], [2], null, null, null];
    expect((await store.batchGet(narrow, { keys: narrowKeys.map((key) => [key]), columns: ['n'] }, never)).map((row) => row?.cells ?? null)).toEqual(found);
    for (const [i, key] of narrowKeys.entries()) expect((await store.get(narrow, { key: [key], columns: ['n'] }, never))?.cells ?? null).toEqual(found[i]);
    const add: WriteOperation = { kind: 'update', table: 'narrow_twins', key: ['É'], set: none, add: rowOf({ n: 1 }), precondition: null, returning: ['name', 'n'] };
    expect((await write(add))[0]?.row?.cells).toEqual(['é', 2]);
    expect(await reasonOf(write({ ...add, key: ['😀'] } as WriteOperation))).toBe('ROW_NOT_FOUND');
    await using transaction = await store.begin({ isolation: 'read committed', readOnly: false, once: null }, never);
    expect((await transaction.batchGet(twins, { keys: [['KEY'], ['x']], columns: ['n'] }, 'update', never)).map((row) => row?.cells ?? null)).toEqual([[3], null]);
  });

  test('says what only this kind can hold to equality', async () => {
    const ways: readonly [string, RegExp | null][] = [
      ['datetime(3)', /rounds what it is given: ALTER TABLE `ways` MODIFY `v` datetime\(6\)/],
      ['timestamp NULL', /rounds.*MODIFY `v` timestamp\(6\)/],
      ['time', /rounds.*MODIFY `v` time\(6\)/],
      ['double(10,2)', /rounds.*MODIFY `v` double/],
      ['timestamp(6) NULL', null],
      ['datetime(6)', null],
      ['float', null],
      ['char(3)', null],
      ['varchar(3) COLLATE utf8mb4_general_ci', null],
      ["enum('a')", null],
    ];
    for (const [type, way] of ways) {
      const found = ownWayOf(await fresh('ways', type));
      if (way === null) expect([type, found]).toEqual([type, null]);
      else expect(found).toMatch(way);
    }
  });

  test.each([
    ['myisam', 'MyISAM'],
    ['versioned', 'system versioned'],
    ['numbers', 'sequence'],
    ['beginnings', 'beginning of a column'],
    ['uncertain', 'na`me'],
  ])('refuses %s', async (table, names) => {
    const error = await failure(store.describe(table, never));
    expect([error.reason, error.message]).toEqual(['TABLE_UNSUPPORTED', expect.stringContaining(names)]);
  });

  test.each(['bit(1)', 'year', 'geometry', 'inet6', 'point', "set('a')"])('refuses a column of the type %s by its name', async (type) => {
    await sql(`CREATE OR REPLACE TABLE odd (id int PRIMARY KEY, v ${type})`);
    const error = await failure(store.describe('odd', never));
    expect(error).toMatchObject({ reason: 'TABLE_UNSUPPORTED', metadata: { column: 'v' } });
  });

  test('serves partitioned tables, odd names, generated and hidden columns, and none of its own tables', async () => {
    expect(await store.listTables(never)).toEqual(expect.arrayContaining(['Odd `name"', 'parted', 'always']));
    for (const name of ['switchyard_own', 'myisam', 'numbers', 'versioned']) expect(await store.listTables(never)).not.toContain(name);
    expect(await store.describe('switchyard_own', never)).toBeNull();
    for (const name of ['PARTED', 'parted ', 'par_ed', 'x'.repeat(70), '😀', '\ud800']) expect([name, await store.describe(name, never)]).toEqual([name, null]);
    await write(insert('parted', { id: 1, at: '2024-05-05' }), insert('Odd `name"', { 'a.b': 1, select: '?', '?': 2 }));
    expect(await sql('SELECT at = "2024-05-05", `select`, `?` FROM parted, `Odd ``name"`')).toEqual([[1, '?', 2]]);
    const always = await described('always');
    expect(always.columns.map((column) => [column.name, column.generated, column.hasDefault])).toEqual([
      ['id', false, true],
      ['doubled', true, true],
      ['tripled', true, true],
      ['base', false, false],
      ['hidden', false, true],
    ]);
    expect((await write(insert('always', { base: 4 }, ['id', 'doubled', 'tripled', 'hidden'])))[0]?.row?.cells).toEqual([1n, 8, 12, 5]);
    expect(await reasonOf(write(insert('always', { doubled: 9, base: 4 })))).toBe('VALUE_INVALID');
  });

  test('a NULL is not taken for a wish, nor a 0', async () => {
    expect(await reasonOf(write(insert('always', { id: null, base: 1 })))).toBe('NOT_NULL_VIOLATION');
    expect((await write(insert('always', { id: 0n, base: 1 }, ['id'])))[0]?.row?.cells).toEqual([0n]);
    await sql('CREATE OR REPLACE TABLE moments (id int PRIMARY KEY, v timestamp NOT NULL, w int NOT NULL, x enum("a", "b") NOT NULL)');
    const moments = await described('moments');
    expect(moments.columns.map(({ hasDefault }) => hasDefault)).toEqual([false, false, false, true]);
    const v = 1_000_000n;
    for (const cells of [{ v: null, w: 1 }, { w: 1 }, { v, w: null }, { v, w: 1, x: null }, { v }])
      expect(await reasonOf(write(insert('moments', { id: 1, ...cells })))).toBe('NOT_NULL_VIOLATION');
    expect((await write(insert('moments', { id: 1, v, w: 1 }, ['x'])))[0]?.row?.cells).toEqual(['a']);
    const update = (cells: Readonly<Record<string, Cell>>): WriteOperation => ({
      kind: 'update',
      table: 'moments',
      key: [1],
      set: rowOf(cells),
      add: none,
      precondition: null,
      returning: [],
    });
    for (const cells of [{ v: null }, { w: null }, { x: null }]) expect(await reasonOf(write(update(cells)))).toBe('NOT_NULL_VIOLATION');
  });

  test('an upsert is of its own key: another unique key in the way is told, and its row stays as it is', async () => {
    await sql(
      'CREATE OR REPLACE TABLE pairs (id int PRIMARY KEY, name varchar(20) UNIQUE, a int, b int, UNIQUE ab (a, b)); INSERT INTO pairs VALUES (1, "one", 1, 1), (2, "two", 2, 2)',
    );
    const error = await failure(write(upsert('pairs', { id: 3, name: 'one' })));
    expect([error.reason, error.metadata]).toEqual(['UNIQUE_VIOLATION', expect.objectContaining({ table: 'pairs', columns: 'name' })]);
    expect((await failure(write(upsert('pairs', { id: 1, name: 'one', a: 2, b: 2 })))).metadata).toMatchObject({ columns: 'a,b' });
    expect(await reasonOf(write(insert('pairs', { id: 9 }), upsert('pairs', { id: 3, name: 'two' }, { kind: 'isNull', column: 'a' })))).toBe('UNIQUE_VIOLATION');
    await write(upsert('pairs', { id: 1, name: 'other' }));
    // A condition sees the row as it is, whatever is set.
    await write(upsert('pairs', { id: 2, name: 'none', a: 7 }, { kind: 'compare', column: 'name', operator: '=', value: 'two' }));
    expect(await sql('SELECT * FROM pairs')).toEqual([
      [1, 'other', 1, 1],
      [2, 'none', 7, 2],
    ]);
    await write(upsert('pairs', { id: 2 }));
    expect((await write({ ...upsert('pairs', { id: 2 }), returning: ['name', 'a'] } as WriteOperation))[0]?.row?.cells).toEqual(['none', 7]);
  });

  test('an update that changes nothing has met its row; one that changes its key returns the row', async () => {
    await sql('CREATE OR REPLACE TABLE same (id int PRIMARY KEY, v int); INSERT INTO same VALUES (1, 1)');
    const update = (set: Readonly<Record<string, Cell>>, add: Readonly<Record<string, Cell>> = {}): WriteOperation => ({
      kind: 'update',
      table: 'same',
      key: [1],
      set: rowOf(set),
      add: rowOf(add),
      precondition: { kind: 'compare', column: 'v', operator: '=', value: 1 },
      returning: ['id', 'v'],
    });
    for (let i = 0; i < 2; i += 1) expect((await write(update({ v: 1 })))[0]?.row?.cells).toEqual([1, 1]);
    expect((await write(update({ id: 5 })))[0]?.row?.cells).toEqual([5, 1]);
    await sql('UPDATE same SET id = 1');
    expect((await write(update({}, { id: 2, v: 3 })))[0]?.row?.cells).toEqual([3, 4]);
  });

  test('goes on after the table was altered under its prepared statements', async () => {
    await sql('CREATE TABLE altered (id int PRIMARY KEY, v int); INSERT INTO altered VALUES (1, 1)');
    const before = await described('altered');
    const read = async (table: TableSchema) => (await store.get(table, { key: [1], columns: ['v'] }, never))?.cells[0];
    for (let i = 0; i < 4; i += 1) expect(await read(before)).toBe(1);
    await sql('ALTER TABLE altered MODIFY v bigint');
    const after = await described('altered');
    expect(after.fingerprint).not.toBe(before.fingerprint);
    for (let i = 0; i < 4; i += 1) expect(await read(after)).toBe(1n);
    const returning: WriteOperation = { kind: 'upsert', table: 'altered', row: rowOf({ id: 1, v: 1n }), precondition: null, returning: ['v'] };
    for (let i = 0; i < 4; i += 1) await store.write(new Map([['altered', after]]), [returning, returning], never);
    await sql('ALTER TABLE altered MODIFY v varchar(20)');
    const again = await described('altered');
    for (let i = 0; i < 4; i += 1) expect(await read(again)).toBe('1');
    await sql('ALTER TABLE altered DROP v');
    expect(await reasonOf(read(again))).toBe('COLUMN_UNKNOWN');
    await sql('DROP TABLE altered');
    expect(await reasonOf(read(again))).toBe('TABLE_UNKNOWN');
  });

  test('keeps a bounded number of statements parsed', async () => {
    const given = await described('given');
    await using one = open({ poolSize: 1 });
    const before = Number((await sql(`SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'`))[0]?.[1]);
    for (let n = 0; n < 200; n += 1) {
      const filter: Filter = { kind: 'and', filters: Array.from({ length: n + 1 }, () => ({ kind: 'isNull', column: 'c0' })) };
      await one.query(given, { filter, orderBy: [{ column: 'id', descending: false }], columns: ['id'], limit: 1, after: null }, never);
    }
    expect(Number((await sql(`SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'`))[0]?.[1]) - before).toBeLessThanOrEqual(130);
  });

  test("a value that the server does not take for its size is the value's fault, and ends no other call", async () => {
    await fresh('large', 'longblob');
    await sql('SET GLOBAL max_allowed_packet = 1048576');
    await using other = open();
    const large = new Map([['large', await described('large', other)]]);
    const error = await failure(other.write(large, [insert('large', { id: 1, v: new Uint8Array(2_000_000) })], never));
    expect(error.reason).toBe('VALUE_INVALID');
    expect(error.message).toContain('its max_allowed_packet is 1048576');
    await other.write(large, [insert('large', { id: 2, v: new Uint8Array(500_000) })], never);
    expect(await sql('SELECT id FROM large')).toEqual([[2]]);

    // Around what is just small enough the server is never asked for what it does not take, and takes what it is asked for.
    const answers: string[] = [];
    for (let bytes = 1_048_576 - 64; bytes <= 1_048_576; bytes += 1) {
      const written = other.write(large, [insert('large', { id: bytes, v: new Uint8Array(bytes) })], never);
      answers.push(
        await written.then(
          () => 'taken',
          (error: SwitchyardError) => error.reason,
        ),
      );
    }
    expect([...new Set(answers)]).toEqual(['taken', 'VALUE_INVALID']);
    await sql('SET GLOBAL max_allowed_packet = 67108864');
    await other.write(large, [insert('large', { id: 3, v: new Uint8Array(2_000_000) })], never);
  });
});
