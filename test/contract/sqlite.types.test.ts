import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { DataStore } from '../../backends/backend.ts';
import { sqliteBackend } from '../../backends/sqlite/backend.ts';
import { type Cell, cellsEqual, type ScalarKind } from '../../core/cell.ts';
import type { WriteOperation } from '../../core/operation.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { failure, never, rowOf, storeOptions } from './data-store-harness.ts';

const MAX = 9_223_372_036_854_775_807n;

/** Declared type, its kind, cells that come back as they are, cells that are refused. */
const types: readonly (readonly [string, ScalarKind, readonly Cell[], readonly Cell[]])[] = [
  ['INTEGER', 'int64', [0n, MAX, -MAX - 1n, 9_007_199_254_740_993n], [MAX + 1n, 1, '1']],
  ['BIGINT', 'int64', [MAX], []],
  ['INT32', 'int32', [-2_147_483_648, 2_147_483_647], [2_147_483_648, 1.5, 1n]],
  ['SMALLINT', 'int16', [-32_768, 32_767], [32_768]],
  ['REAL', 'float64', [0.1, 1.797_693_134_862_315_7e308, 5e-324, 3, Infinity, -Infinity], [-0, NaN]],
  ['DOUBLE PRECISION', 'float64', [0.300_000_000_000_000_04], [1n]],
  ['FLOAT32', 'float32', [Math.fround(0.1), 16_777_216], [0.1, NaN]],
  ['BOOLEAN', 'bool', [true, false], [1, 1n]],
  ['TEXT', 'text', ['', ' ', '12', '1.50', 'ä😀\u0301', '\t\n\r\u0001\u007f', '\ufffd', "it's", '\ufeffa'], ['nul\0', 'half\ud800']],
  ['VARCHAR(3)', 'text', ['longer than three', '007'], []],
  ['BLOB', 'bytes', [new Uint8Array(0), new Uint8Array([0, 255, 0x5c, 39])], ['text']],
  ['DECIMAL_TEXT(10,2)', 'decimal', ['0.00', '-99999999.99', '99999999.99'], ['1.999', '123456789.00', 'NaN', 'x', '1e3x']],
  ['DECIMAL_TEXT(4)', 'decimal', ['1234', '-1'], ['1.5', '12345']],
  ['DECIMAL_TEXT', 'decimal', ['0', '0.0', '1.50', '-0.000000000000000000001', '123456789012345678901234567890.123456789', 'NaN', 'Infinity', '-Infinity'], ['', '.', '1,5']],
  ['UNSIGNED64_TEXT', 'uint64', [0n, 18_446_744_073_709_551_615n], [-1n, 18_446_744_073_709_551_616n]],
  ['UUID_TEXT', 'uuid', ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'], ['a0eebc999c0b4ef8bb6d6bb9bd380a11']],
  ['DATE_TEXT', 'date', ['2024-02-29', '0001-01-01', '0000-02-29', '9999-12-31', 'infinity', '-infinity'], ['2023-02-29', '+10000-01-01', '-0043-03-15', '2024-2-1']],
  ['TIME_TEXT', 'time', [0n, 86_399_999_999n, 86_400_000_000n], [-1n, 86_400_000_001n]],
  ['TIMESTAMP_TEXT', 'timestamp', [0n, -1n, 253_402_300_799_999_999n, -62_167_219_200_000_000n, MAX, -MAX - 1n], [253_402_300_800_000_000n, -62_167_219_200_000_001n]],
  ['TIMESTAMPTZ_TEXT', 'timestamptz', [1n, 951_825_600_100_000n, MAX], [253_402_300_800_000_000n]],
  ['JSON_TEXT', 'json', ['{"b": 1,  "a": 1.0, "a": 2}', 'null', '12345678901234567890.10', '"\ufffd"'], ['{', '']],
  ['ENUM_TEXT', 'enum', ['sad', 'so so'], ['\0']],
];

/** Declared type, SQL of what another program stored, what the refusal shows of it. */
const misfits: readonly (readonly [string, string, string])[] = [
  ['INTEGER', "'abc'", '"abc"'],
  ['INTEGER', '1.5', '1.5'],
  ['INTEGER', '9223372036854775808', '9223372036854776000'],
  ['INT32', '2147483648', '2147483648'],
  ['REAL', "'abc'", '"abc"'],
  ['FLOAT32', '0.1', '0.1'],
  ['BOOLEAN', '2', '2'],
  ['BOOLEAN', "'true'", '"true"'],
  ['TEXT', "x'616263'", 'a blob'],
  ['TEXT', "CAST(x'41ff42' AS TEXT)", '41ff42'],
  ['TEXT', "CAST(x'f09f98' AS TEXT)", 'f09f98'],
  ['TEXT', "'a' || char(0) || 'b'", '610062'],
  ['BLOB', "'abc'", '"abc"'],
  ['BLOB', '1', '1'],
  ['DECIMAL_TEXT(10,2)', "'1.5'", '"1.5"'],
  ['DECIMAL_TEXT', "'01'", '"01"'],
  ['DECIMAL_TEXT', "'-0'", '"-0"'],
  ['UUID_TEXT', "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", 'A0EEBC99'],
  ['DATE_TEXT', "'2023-02-30'", '2023-02-30'],
  ['TIME_TEXT', "'12:00'", '12:00'],
  ['TIMESTAMP_TEXT', "'2024-01-01 00:00:00'", '2024-01-01'],
  ['TIMESTAMPTZ_TEXT', "'2024-01-01 00:00:00.000000'", '2024-01-01'],
  ['JSON_TEXT', "'{'", '{'],
  ['UNSIGNED64_TEXT', "'1'", '"1"'],
];

/** What cannot be served, and what the refusal must name: the column and what to declare instead. */
const refused: readonly (readonly [string, string, readonly string[]])[] = [
  ['lossy', 'CREATE TABLE lossy (id INTEGER PRIMARY KEY, price DECIMAL(10,2))', ['price', 'DECIMAL_TEXT']],
  ['numbers', 'CREATE TABLE numbers (id INTEGER PRIMARY KEY, n NUMERIC)', ['"n"', 'DECIMAL_TEXT']],
  ['moments', 'CREATE TABLE moments (id INTEGER PRIMARY KEY, seen DATETIME)', ['seen', 'TIMESTAMP_TEXT']],
  ['untyped', 'CREATE TABLE untyped (id INTEGER PRIMARY KEY, whatever)', ['whatever', 'no declared type']],
  ['anything', 'CREATE TABLE anything (id INTEGER PRIMARY KEY, v ANY) STRICT', ['"v"', 'ANY']],
  ['tiny', 'CREATE TABLE tiny (id INTEGER PRIMARY KEY, v TINYINT)', ['"v"', 'INT16']],
  ['unsized', 'CREATE TABLE unsized (id DECIMAL_TEXT PRIMARY KEY)', ['"id"', 'DECIMAL_TEXT(precision,scale)']],
  ['badly_sized', 'CREATE TABLE badly_sized (id INTEGER PRIMARY KEY, v DECIMAL_TEXT(2,3))', ['"v"', 'scale']],
  ['keyless', 'CREATE TABLE keyless (a INT, b INT UNIQUE NOT NULL)', ['primary key']],
  ['seen_view', 'CREATE VIEW seen_view AS SELECT 1 AS id', ['view']],
  ['searched', 'CREATE VIRTUAL TABLE searched USING fts5(body)', ['virtual']],
];

const column = (index: number): string => `c${index}`;

describe('SQLite', () => {
  let directory: string;
  let path: string;
  let store: DataStore;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'switchyard-sqlite-types-'));
    path = join(directory, 'types.db');
    sql('PRAGMA journal_mode = WAL');
    sql(`CREATE TABLE given (id INTEGER PRIMARY KEY, ${types.map(([type], i) => `${column(i)} ${type}`).join(', ')})`);
    store = sqliteBackend.openData(
      storeOptions({
        shard: { kind: 'sqlite', path },
        password: '',
        poolSize: 1,
        acquireTimeoutMs: 2_000,
        applicationName: 'types',
      }),
    );
  });
  afterAll(async () => {
    await store[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  function sql(text: string): readonly unknown[] {
    using database = new DatabaseSync(path, { timeout: 5_000, returnArrays: true, readBigInts: true });
    const statement = database.prepare(text);
    return statement.all().map((row) => (row as unknown as readonly unknown[])[0]);
  }
  const described = async (table: string): Promise<TableSchema> => (await store.describe(table, never)) as TableSchema;
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
  const find = async (table: string, filter: Parameters<DataStore['query']>[1]['filter'], orderBy = 'id', columns: readonly string[] = ['id']) => {
    const { rows } = await store.query(
      await described(table),
      { filter, orderBy: [...new Set([orderBy, 'id'])].map((name) => ({ column: name, descending: false })), columns, limit: 1_000, after: null },
      never,
    );
    return rows.map((row) => row.cells[0] ?? null);
  };

  test.each(types.map(([type, kind, kept, rejected], i) => [type, kind, kept, rejected, i] as const))(
    'keeps every %s and refuses what it cannot',
    async (_, kind, kept, rejected, i) => {
      const name = column(i);
      const given = await described('given');
      expect(given.columns.find((candidate) => candidate.name === name)?.kind).toBe(kind);
      for (const [n, cell] of kept.entries()) {
        const id = BigInt(i * 100 + n);
        const [written] = await write(insert('given', { id, [name]: cell }, [name]));
        expect(written?.row?.cells[0]).toEqual(cell);
        const back = (await store.get(given, { key: [id], columns: [name] }, never))?.cells[0] ?? null;
        expect([back, cellsEqual(back, cell)]).toEqual([cell, true]);
        expect(await find('given', { kind: 'compare', column: name, operator: '=', value: cell })).toContain(id);
        expect(await find('given', { kind: 'in', column: name, values: [cell] })).toContain(id);
      }
      for (const cell of rejected) {
        const error = await failure(write(insert('given', { id: 99_999n, [name]: cell })));
        expect([error.reason, error.metadata.column]).toEqual(['VALUE_INVALID', name]);
      }
      expect(await find('given', { kind: 'compare', column: 'id', operator: '=', value: 99_999n })).toEqual([]);
    },
  );

  test('orders every kind as its values are, not as its texts are', async () => {
    const ordered: readonly (readonly [string, readonly Cell[]])[] = [
      ['DECIMAL_TEXT(10,2)', ['-10.00', '-9.50', '-0.01', '0.00', '0.01', '0.10', '2.00', '10.00', '99999999.99']],
      ['DECIMAL_TEXT', ['-Infinity', '-1000', '-1.50', '-1', '-0.001', '0', '0.0009', '0.001', '0.01', '1', '1.5', '9', '10', '1000.1', 'Infinity', 'NaN']],
      ['UNSIGNED64_TEXT', [0n, 9n, 10n, 18_446_744_073_709_551_615n]],
      ['DATE_TEXT', ['-infinity', '0000-01-01', '0999-12-31', '2024-02-29', 'infinity']],
      ['TIMESTAMP_TEXT', [-MAX - 1n, -62_167_219_200_000_000n, -1n, 0n, 999_999n, 253_402_300_799_999_999n, MAX]],
      ['BLOB', [new Uint8Array(0), new Uint8Array([0]), new Uint8Array([1]), new Uint8Array([255])]],
      ['BIGINT', [-MAX - 1n, -1n, 0n, MAX]],
    ];
    for (const [i, [type, cells]] of ordered.entries()) {
      const table = `ordered_${i}`;
      sql(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, v ${type} NOT NULL)`);
      await write(...cells.map((cell, n) => insert(table, { id: BigInt(cells.length - n), v: cell })));
      expect(await find(table, null, 'v', ['v'])).toEqual(cells);
      for (const [n, cell] of cells.entries()) {
        expect(await find(table, { kind: 'compare', column: 'v', operator: '<', value: cell }, 'v', ['v'])).toEqual(cells.slice(0, n));
        const schema = await described(table);
        const orderBy = [
          { column: 'v', descending: false },
          { column: 'id', descending: false },
        ];
        const { rows: behind } = await store.query(schema, { filter: null, orderBy, columns: ['v'], limit: 100, after: [cell, BigInt(cells.length - n)] }, never);
        expect(behind.map((row) => row.cells[0])).toEqual(cells.slice(n + 1));
      }
    }
  });

  test('any two decimals compare as their values do, and add up exactly', async () => {
    sql('CREATE TABLE pairs (id INTEGER PRIMARY KEY, a DECIMAL_TEXT)');
    const pairs = await described('pairs');
    const schemas = new Map([['pairs', pairs]]);
    const decimal = fc.tuple(fc.bigInt({ min: -(10n ** 12n), max: 10n ** 12n }), fc.integer({ min: 0, max: 9 }));
    const textOf = ([units, scale]: readonly [bigint, number]): string => {
      const digits = String(units < 0n ? -units : units).padStart(scale + 1, '0');
      const magnitude = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
      return units < 0n ? `-${magnitude}` : magnitude;
    };
    await fc.assert(
      fc.asyncProperty(decimal, decimal, async (a, b) => {
        const scale = Math.max(a[1], b[1]);
        const [left, right] = [a[0] * 10n ** BigInt(scale - a[1]), b[0] * 10n ** BigInt(scale - b[1])];
        const upsert: WriteOperation = { kind: 'upsert', table: 'pairs', row: rowOf({ id: 1n, a: textOf(a) }), precondition: null, returning: [] };
        await store.write(schemas, [upsert], never);
        const isLess = { kind: 'compare', column: 'a', operator: '<', value: textOf(b) } as const;
        const isEqual = { kind: 'compare', column: 'a', operator: '=', value: textOf(b) } as const;
        expect([(await find('pairs', isLess)).length, (await find('pairs', isEqual)).length]).toEqual([left < right ? 1 : 0, left === right ? 1 : 0]);
        const add: WriteOperation = { kind: 'update', table: 'pairs', key: [1n], set: rowOf({}), add: rowOf({ a: textOf(b) }), precondition: null, returning: ['a'] };
        expect((await store.write(schemas, [add], never))[0]?.row?.cells[0]).toBe(textOf([left + right, scale]));
      }),
      { numRuns: 60 },
    );
  });

  test.each(misfits)('a %s that holds %s, which another program stored, is an error that names it', async (type, literal, shown) => {
    sql('DROP TABLE IF EXISTS foreign_rows');
    sql(`CREATE TABLE foreign_rows (key TEXT NOT NULL PRIMARY KEY, v ${type})`);
    sql(`INSERT INTO foreign_rows VALUES ('good', NULL), ('bad', ${literal})`);
    const table = await described('foreign_rows');
    for (const read of [
      () => store.get(table, { key: ['bad'], columns: ['v'] }, never),
      () => store.query(table, { filter: null, orderBy: [{ column: 'key', descending: false }], columns: ['v'], limit: 9, after: null }, never),
    ]) {
      const error = await failure(read());
      expect([error.reason, error.metadata]).toEqual(['VALUE_UNSUPPORTED', { table: 'foreign_rows', column: 'v', key: '"bad"' }]);
      expect(error.message).toContain(shown);
    }
    expect((await store.get(table, { key: ['good'], columns: ['v'] }, never))?.cells).toEqual([null]);
  });

  test.each(refused)('refuses %s by name, with the fix', async (table, definition, names) => {
    sql(definition);
    const error = await failure(store.describe(table, never));
    expect(error.reason).toBe('TABLE_UNSUPPORTED');
    for (const name of names) expect(error.message).toContain(name);
  });

  test.each(['sum', 'min', 'max'] as const)('the %s of decimals, one of which another program stored and is none, is an error and not an answer', async (kind) => {
    sql('DROP TABLE IF EXISTS foreign_prices');
    sql('CREATE TABLE foreign_prices (id INTEGER PRIMARY KEY, price DECIMAL_TEXT)');
    sql("INSERT INTO foreign_prices VALUES (1, '1.5'), (2, NULL), (3, '0.25')");
    const table = await described('foreign_prices');
    const ask = (groupBy: string | null) => store.aggregate(table, { filter: null, aggregations: [{ kind, column: 'price' }], groupBy, limit: 9 }, never);
    expect((await ask(null)).map(({ values }) => values)).toEqual([[{ sum: '1.75', min: '0.25', max: '1.5' }[kind]]]);
    for (const bad of ["'1,5'", "x'31'"]) {
      sql(`UPDATE foreign_prices SET price = ${bad} WHERE id = 3`);
      for (const groupBy of [null, 'id']) {
        const error = await failure(ask(groupBy));
        expect([bad, error.reason, error.message]).toEqual([bad, 'VALUE_UNSUPPORTED', expect.stringContaining('no decimal')]);
      }
    }
  });

  test('a key that is NULL is neither written nor served', async () => {
    sql('CREATE TABLE loose (name TEXT PRIMARY KEY, v INT)');
    sql("INSERT INTO loose VALUES (NULL, 1), (NULL, 2), ('a', 3)");
    const loose = await described('loose');
    expect(loose.columns[0]?.nullable).toBe(false);
    const all = store.query(loose, { filter: null, orderBy: [{ column: 'name', descending: false }], columns: ['v'], limit: 9, after: null }, never);
    expect(await failure(all)).toMatchObject({ reason: 'VALUE_UNSUPPORTED', metadata: { table: 'loose', column: 'name' } });
    expect((await store.get(loose, { key: ['a'], columns: ['v'] }, never))?.cells).toEqual([3n]);
    for (const cells of [{ v: 4n }, { name: null, v: 4n }]) expect((await failure(write(insert('loose', cells)))).reason).toBe('NOT_NULL_VIOLATION');
  });

  test('STRICT tables, tables without rowid, odd names, generated columns, several keys', async () => {
    sql('CREATE TABLE strict_one (id INTEGER PRIMARY KEY, t TEXT NOT NULL, r REAL) STRICT');
    sql('CREATE TABLE bare (a TEXT, b INT32, v BLOB, PRIMARY KEY (b, a)) WITHOUT ROWID');
    sql('CREATE TABLE "Odd ""name""" ("a.b" INTEGER PRIMARY KEY, "select" TEXT)');
    sql('CREATE TABLE computed (id INTEGER PRIMARY KEY AUTOINCREMENT, base INT32 NOT NULL, doubled INT32 AS (base * 2) STORED, tripled INT32 AS (base * 3))');
    sql('CREATE TABLE keys (id TEXT NOT NULL PRIMARY KEY, a INT, b INT, c INT, UNIQUE (a, b))');
    sql('CREATE UNIQUE INDEX keys_c ON keys (c)');
    sql('CREATE UNIQUE INDEX keys_part ON keys (a) WHERE c > 1');
    sql('CREATE UNIQUE INDEX keys_sum ON keys (a + b)');
    expect(await store.listTables(never)).toEqual(expect.arrayContaining(['Odd "name"', 'bare', 'computed', 'keys', 'strict_one']));
    await write(insert('strict_one', { t: 'x', r: 1 }), insert('bare', { a: 'x', b: 1, v: new Uint8Array([1]) }), insert('Odd "name"', { 'a.b': 1n, select: 'x' }));
    const bare = await described('bare');
    expect([bare.primaryKey, bare.columns.map(({ nullable }) => nullable)]).toEqual([
      ['b', 'a'],
      [false, false, true],
    ]);
    expect((await store.get(bare, { key: [1, 'x'], columns: ['v'] }, never))?.cells).toEqual([new Uint8Array([1])]);
    expect(sql('SELECT "select" FROM "Odd ""name"""')).toEqual(['x']);
    const computed = await described('computed');
    expect(computed.columns.map(({ generated, hasDefault }) => [generated, hasDefault])).toEqual([
      [false, true],
      [false, false],
      [true, true],
      [true, true],
    ]);
    expect((await write(insert('computed', { base: 4 }, ['id', 'doubled', 'tripled'])))[0]?.row?.cells).toEqual([1n, 8, 12]);
    expect((await described('keys')).uniqueKeys.map((key) => key.columns)).toEqual([['c'], ['a', 'b']]);
  });

  test('a key is equal as its own collation says; everything else compares by bytes', async () => {
    sql('CREATE TABLE folded (name TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, v TEXT COLLATE NOCASE)');
    await write(insert('folded', { name: 'Abc', v: 'X' }), insert('folded', { name: 'b', v: 'x' }));
    const folded = await described('folded');
    expect((await store.get(folded, { key: ['aBC'], columns: ['name'] }, never))?.cells).toEqual(['Abc']);
    expect((await failure(write(insert('folded', { name: 'abc' })))).reason).toBe('UNIQUE_VIOLATION');
    const matching = (filter: Parameters<DataStore['query']>[1]['filter']) =>
      store
        .query(folded, { filter, orderBy: [{ column: 'name', descending: false }], columns: ['name'], limit: 9, after: null }, never)
        .then(({ rows }) => rows.map((row) => row.cells[0]));
    expect(await matching({ kind: 'compare', column: 'v', operator: '=', value: 'x' })).toEqual(['b']);
    expect(await matching({ kind: 'compare', column: 'name', operator: '>', value: 'a' })).toEqual(['b']);
    expect(await matching({ kind: 'in', column: 'v', values: ['X'] })).toEqual(['Abc']);
    expect(await matching({ kind: 'prefix', column: 'name', text: 'a' })).toEqual([]);
  });

  test('sums that their column cannot hold are refused, and a stored value that is no number is not added to', async () => {
    sql('CREATE TABLE sums (id INTEGER PRIMARY KEY, small SMALLINT, big BIGINT, price DECIMAL_TEXT(4,1), ratio REAL, huge UNSIGNED64_TEXT)');
    await write(insert('sums', { id: 1n, small: 32_767, big: MAX, price: '999.9', ratio: Infinity, huge: 2n ** 64n - 2n }));
    await write({ kind: 'update', table: 'sums', key: [1n], set: rowOf({}), add: rowOf({ huge: 1n }), precondition: null, returning: [] });
    await write({ kind: 'update', table: 'sums', key: [1n], set: rowOf({}), add: rowOf({ huge: -5n }), precondition: null, returning: [] });
    expect(sql('SELECT huge FROM sums')).toEqual(['18446744073709551610']);
    const add = (cells: Readonly<Record<string, Cell>>): WriteOperation => ({
      kind: 'update',
      table: 'sums',
      key: [1n],
      set: rowOf({}),
      add: rowOf(cells),
      precondition: null,
      returning: [],
    });
    for (const cells of [{ small: 1 }, { big: 1n }, { price: '0.1' }, { price: '0.01' }, { ratio: -Infinity }, { huge: 6n }, { huge: -(2n ** 64n) }])
      expect((await failure(write(add(cells)))).reason).toBe('VALUE_INVALID');
    sql("UPDATE sums SET small = 'x', price = NULL");
    expect((await failure(write(add({ small: 1 })))).reason).toBe('VALUE_INVALID');
    await write(add({ price: '1' }));
    expect(sql('SELECT price FROM sums')).toEqual([null]);
  });

  test("a table's own way with conflicts does not hide them, and a write that a trigger left undone is told", async () => {
    sql('CREATE TABLE eager (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, name TEXT NOT NULL ON CONFLICT IGNORE UNIQUE ON CONFLICT REPLACE)');
    sql("CREATE TRIGGER eager_insert BEFORE INSERT ON eager WHEN NEW.name = 'ignored' BEGIN SELECT RAISE(IGNORE); END");
    sql("CREATE TRIGGER eager_update BEFORE UPDATE ON eager WHEN NEW.name = 'ignored' BEGIN SELECT RAISE(IGNORE); END");
    await write(insert('eager', { id: 1n, name: 'a' }), insert('eager', { id: 2n, name: 'b' }));
    const rename = (name: Cell): WriteOperation => ({ kind: 'update', table: 'eager', key: [1n], set: rowOf({ name }), add: rowOf({}), precondition: null, returning: [] });
    const outcomes = [
      insert('eager', { id: 1n, name: 'c' }),
      insert('eager', { id: 3n, name: 'a' }),
      insert('eager', { id: 3n, name: null }),
      rename('b'),
      rename(null),
      rename('ignored'),
      insert('eager', { id: 4n, name: 'ignored' }),
    ];
    expect(await Promise.all(outcomes.map(async (operation) => (await failure(write(operation))).reason))).toEqual([
      'UNIQUE_VIOLATION',
      'UNIQUE_VIOLATION',
      'NOT_NULL_VIOLATION',
      'UNIQUE_VIOLATION',
      'NOT_NULL_VIOLATION',
      'CHECK_VIOLATION',
      'CHECK_VIOLATION',
    ]);
    expect(sql('SELECT id || name FROM eager ORDER BY id')).toEqual(['1a', '2b']);
  });

  test('a filter may have as many conditions as the API allows', async () => {
    sql('CREATE TABLE many (id INTEGER PRIMARY KEY)');
    sql('INSERT INTO many VALUES (1), (500), (1001)');
    const filters = Array.from({ length: 1_000 }, (_, i) => ({ kind: 'compare' as const, column: 'id', operator: '=' as const, value: BigInt(i + 1) }));
    expect(await find('many', { kind: 'or', filters })).toEqual([1n, 500n]);
    expect(await find('many', { kind: 'in', column: 'id', values: filters.map((filter) => filter.value) })).toEqual([1n, 500n]);
  });

  test('goes on after the table was altered under its prepared statements', async () => {
    sql('CREATE TABLE altered (id INTEGER PRIMARY KEY, v INT32)');
    sql('INSERT INTO altered VALUES (1, 1)');
    const before = await described('altered');
    const read = async (table: TableSchema, name: string) => (await store.get(table, { key: [1n], columns: [name] }, never))?.cells[0];
    expect(await read(before, 'v')).toBe(1);
    sql('ALTER TABLE altered ADD COLUMN w TEXT');
    expect(await read(before, 'v')).toBe(1);
    expect((await described('altered')).fingerprint).not.toBe(before.fingerprint);
    sql('ALTER TABLE altered RENAME COLUMN v TO u');
    expect(await failure(read(before, 'v'))).toMatchObject({ reason: 'COLUMN_UNKNOWN', metadata: { table: 'altered', column: 'v' } });
    expect((await failure(store.query(before, { filter: null, orderBy: [{ column: 'id', descending: false }], columns: ['v'], limit: 1, after: null }, never))).reason).toBe(
      'COLUMN_UNKNOWN',
    );
    const set: WriteOperation = { kind: 'update', table: 'altered', key: [1n], set: rowOf({ v: 2 }), add: rowOf({}), precondition: null, returning: [] };
    expect((await failure(store.write(new Map([['altered', before]]), [set], never))).reason).toBe('COLUMN_UNKNOWN');
    sql('DROP TABLE altered');
    expect((await failure(read(before, 'v'))).reason).toBe('TABLE_UNKNOWN');
  });

  test('a file in UTF-16 is refused by its name', async () => {
    const wide = join(directory, 'wide.db');
    using database = new DatabaseSync(wide);
    database.exec("PRAGMA encoding = 'UTF-16le'; PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY)");
    const options = storeOptions({
      shard: { kind: 'sqlite', path: wide },
      password: '',
      poolSize: 1,
      acquireTimeoutMs: 1_000,
      applicationName: 'types',
    });
    await using other = sqliteBackend.openData(options);
    expect((await failure(other.describe('t', never))).message).toContain('UTF-16');
  });
});
