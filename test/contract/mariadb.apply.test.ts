import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ApplyBatch } from '../../backends/backend.ts';
import type { Cell } from '../../core/cell.ts';
import { type RowChange, unchanged } from '../../core/change.ts';
import type { StreamToken } from '../../core/ids.ts';
import { type MariaDbServer, startMariaDb } from '../support/servers/mariadb.ts';
import { LogBench } from './mariadb-log.ts';
import { batchOf, never } from './move-stores.ts';

/* What a player writes must be what it was given, whatever the target does by itself: every type, every order of changes, every key in the way. */

let server: MariaDbServer;
let benches = 0;

beforeAll(async () => {
  server = await startMariaDb({ name: 'apply' });
}, 120_000);
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

/** A database whose tables are those of a stream that leads into it. */
class TargetBench {
  readonly log: LogBench;
  readonly #token: StreamToken;

  private constructor(log: LogBench, token: StreamToken) {
    this.log = log;
    this.#token = token;
  }

  static async make(tables: readonly string[], statements: readonly string[]): Promise<TargetBench> {
    benches += 1;
    const log = await LogBench.make(server, `apply_${benches}`, tables, statements);
    const { id, workflow } = log.stream;
    await log.run(`INSERT INTO switchyard_stream (id, workflow, token, position, marker) VALUES ('${id}', '${workflow}', 1, '0-1-1', 0);
INSERT INTO switchyard_fence (table_name, state, attempt, peer, workflow) VALUES ${tables.map((table) => `('${table}', 'CLOSED', 0, 'old', '${workflow}')`).join(', ')}`);
    return new TargetBench(log, (await log.player.takeStream(log.stream, never())).token);
  }

  apply(changes: readonly RowChange[], more: Partial<ApplyBatch> = {}): Promise<void> {
    const batch = { changes, copied: null, requests: { records: [], progress: null }, position: null, marker: null, ...more };
    return this.log.player.apply(this.log.stream, this.log.schemas, this.#token, batch, never());
  }

  copy(table: string, rows: readonly (readonly Cell[])[], contiguous = false): Promise<void> {
    return this.apply([], { copied: { table, rows, contiguous, progress: { lastKey: null, rows: rows.length, done: true } } });
  }

  /** Brings over what the source's log holds. */
  async follow(source: LogBench): Promise<void> {
    const transactions = await source.read();
    await this.apply(batchOf(transactions).changes);
  }

  rows(table: string): Promise<readonly (readonly Cell[])[]> {
    return this.log.player.readChunk(this.log.schema(table), null, 1_000, never());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.log[Symbol.asyncDispose]();
  }
}

const insert = (...row: Cell[]): RowChange => ({ kind: 'insert', table: 't', row });
const update = (row: (Cell | typeof unchanged)[], oldKey: Cell[] | null = null): RowChange => ({ kind: 'update', table: 't', row, oldKey });
const remove = (...key: Cell[]): RowChange => ({ kind: 'delete', table: 't', key });

const everyType = `CREATE TABLE t (
  id bigint unsigned PRIMARY KEY, flag tinyint(1), t tinyint, tu tinyint unsigned, s smallint, su smallint unsigned, m mediumint, mu mediumint unsigned, i int, iu int unsigned, b bigint, bu bigint unsigned,
  f float, d double, de decimal(65,30), d0 decimal(9,0), dz decimal(10,2) zerofill, dn decimal(5,5),
  ch char(5), chl char(5) CHARACTER SET latin1, v varchar(20), vl varchar(300), l varchar(50) CHARACTER SET latin1, k varchar(50) CHARACTER SET koi8r, z varchar(50) CHARACTER SET keybcs2, u2 varchar(30) CHARACTER SET ucs2,
  u16 varchar(30) CHARACTER SET utf16, ul varchar(30) CHARACTER SET utf16le, u32 varchar(30) CHARACTER SET utf32, u3 varchar(30) CHARACTER SET utf8mb3, a varchar(10) CHARACTER SET ascii, tt tinytext, tx text, mt mediumtext, lt longtext,
  cx text COMPRESSED, cv varchar(100) COMPRESSED, cb varbinary(100) COMPRESSED, bf binary(4), vb varbinary(300), tb tinyblob, bl blob, mb mediumblob, lb longblob, uu uuid, da date, ti time, t6 time(6), t3 time(3),
  dt datetime, d1 datetime(1), d6 datetime(6), ts timestamp NULL, s6 timestamp(6) NULL, s4 timestamp(4) NULL, js json, en enum('a', 'b''c', 'ü', '', 'x,y') , el enum('x', 'é') CHARACTER SET latin1, \`a\`\`b "c" ü\` int, inv int INVISIBLE DEFAULT 7,
  cm char(64), cw char(255), bw binary(255), fu float unsigned, du decimal(9,2) unsigned, many enum(${Array.from({ length: 300 }, (_, i) => `'label ${i}'`).join(', ')})
)`;

const everyValue: readonly Readonly<Record<string, string>>[] = [
  {
    ...{
      id: '18446744073709551615',
      flag: '1',
      t: '-128',
      tu: '255',
      s: '-32768',
      su: '65535',
      m: '-8388608',
      mu: '16777215',
      i: '-2147483648',
      iu: '4294967295',
      b: '-9223372036854775808',
      bu: '18446744073709551615',
    },
    ...{
      f: '3.4028234663852886e38',
      d: '1.7976931348623157e308',
      de: '-12345678901234567890123456789012345.123456789012345678901234567891',
      d0: '-999999999',
      dz: '1.5',
      dn: '-0.00001',
    },
    ...{
      ch: "'aü😀b'",
      chl: "'éßÿ'",
      v: "'ünïcödé 🚂'",
      vl: "CONCAT(REPEAT('x', 255), '😀')",
      l: "CONVERT(x'e98081ff27225c' USING latin1)",
      k: "'Привет'",
      z: "'čšž'",
      u2: "'ÄÖ漢'",
      u16: "'a😀'",
      ul: "'b😀'",
      u32: "'c😀'",
      u3: "'漢字'",
      a: "'plain'",
    },
    ...{
      tt: "'tiny'",
      tx: "REPEAT('t', 60000)",
      mt: "REPEAT('m', 70000)",
      lt: "'\\\\ \\' \\n \\r \\Z 😀'",
      cx: "REPEAT('compress ', 500)",
      cv: "'short'",
      cb: "x'000102ff'",
      bf: "x'01000200'",
      vb: `x'${Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0')).join('')}'`,
    },
    ...{
      tb: "x'00'",
      bl: "''",
      mb: "x'ff00c328'",
      lb: "REPEAT(x'07', 100000)",
      uu: "'00112233-4455-6677-8899-aabbccddee00'",
      da: "'9999-12-31'",
      ti: "'23:59:59'",
      t6: "'23:59:59.999999'",
      t3: "'00:00:00.001'",
    },
    ...{
      dt: "'9999-12-31 23:59:59'",
      d1: "'2020-01-01 00:00:00.9'",
      d6: "'0001-01-01 00:00:00.000001'",
      ts: "'1970-01-01 00:00:01'",
      s6: "'2038-01-19 03:14:07.999999'",
      s4: "'2001-02-03 04:05:06.0789'",
    },
    ...{
      js: `'{"a": [1, 2.50, "\\\\u0041"], "b":1e400}'`,
      en: "'b''c'",
      el: "'é'",
      '`a``b "c" ü`': '5',
      inv: '8',
      cm: "REPEAT('😀', 64)",
      cw: "REPEAT('ü', 255)",
      bw: "REPEAT(x'00ff', 127)",
      fu: '0.5',
      du: '9999999.99',
      many: "'label 299'",
    },
  },
  {
    ...{ id: '0', flag: '0', t: '127', tu: '0', s: '32767', su: '0', m: '8388607', mu: '0', i: '2147483647', iu: '0', b: '9223372036854775807', bu: '0', f: '-1e-45', d: '5e-324' },
    ...{
      de: '99999999999999999999999999999999999.999999999999999999999999999999',
      d0: '0',
      dz: '99999999.99',
      dn: '0.99999',
      ch: "''",
      chl: "''",
      v: "''",
      vl: "' trailing  '",
      l: "'?'",
      cx: "''",
      cv: "''",
      cb: "''",
      vb: "''",
    },
    ...{
      bf: "x'00000000'",
      tt: "''",
      js: `'"x"'`,
      da: "'0000-01-01'",
      ti: "'24:00:00'",
      t6: "'00:00:00.000000'",
      d6: "'1969-12-31 23:59:59.999999'",
      dt: "'0000-12-31 00:00:00'",
      d1: "'2000-02-29 12:00:00.0'",
    },
    ...{
      uu: "'00000000-0000-0000-0000-000000000000'",
      ts: "'2038-01-19 03:14:07'",
      en: "''",
      el: "'x'",
      cm: "''",
      cw: "'x'",
      bw: "REPEAT(x'01', 255)",
      fu: '0',
      du: '0',
      many: "'label 0'",
    },
  },
  { id: '3', f: "'-1e-50'", d: '1e21', en: "'x,y'", inv: 'NULL', flag: 'NULL' },
  { id: '4', f: '16777217', d: '0.1', b: '-1', s6: "'1970-01-01 00:00:00.000001'", da: "'1582-10-10'", uu: "'c232ab00-9414-11ec-b3c8-9f6bdeced846'" },
];

test('every type, through the log and as a copied chunk, bit by bit', async () => {
  await using source = await LogBench.make(server, 'apply_source', ['t'], [everyType]);
  for (const row of everyValue)
    await source.run(
      `SET NAMES utf8mb4, sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00'; INSERT INTO t (${Object.keys(row).join(', ')}) VALUES (${Object.values(row).join(', ')})`,
    );
  const stored = await source.player.readChunk(source.schema('t'), null, 10, never());
  expect(stored).toHaveLength(everyValue.length);
  const logged = new Map((await source.read()).flatMap(({ events }) => events).flatMap((event) => (event.kind === 'insert' ? [[event.row[0], event.row]] : [])));
  for (const row of stored) expect(logged.get(row[0] ?? null)).toEqual(row);
  const sums: unknown[] = [];
  for (const way of ['log', 'copy'] as const) {
    await using target = await TargetBench.make(['t'], [everyType]);
    if (way === 'log') await target.follow(source);
    else await target.copy('t', stored);
    expect(await target.rows('t')).toEqual(stored);
    sums.push((await target.log.run('CHECKSUM TABLE t'))[0]?.[1]);
    // Again, with rows that are there.
    await target.copy('t', stored);
    expect(await target.rows('t')).toEqual(stored);
  }
  // A FLOAT that is -0 shows 0, and is 0 in the target.
  await source.run('UPDATE t SET f = 0 WHERE id = 3');
  expect(sums).toEqual(Array(2).fill((await source.run('CHECKSUM TABLE t'))[0]?.[1]));
});

test('unique values pass between rows in any order', async () => {
  await using target = await TargetBench.make(['t'], ['CREATE TABLE t (id int PRIMARY KEY, a varchar(9) UNIQUE, b int, UNIQUE KEY (b))']);
  await target.copy('t', [
    [1, 'a', 1],
    [2, 'b', 2],
    [3, 'c', 3],
  ]);
  // A new row takes what an old one gives away only later in the batch.
  await target.apply([update([1, 'x', 1]), update([2, 'a', 2]), update([1, 'b', 1]), insert(4, 'z', 4), update([3, 'd', 5]), insert(5, 'c', 3)]);
  expect(await target.rows('t')).toEqual([
    [1, 'b', 1],
    [2, 'a', 2],
    [3, 'd', 5],
    [4, 'z', 4],
    [5, 'c', 3],
  ]);
  await target.apply([remove(5), update([9, 'c', 3], [4]), update([4, 'b', 4], [1]), update([1, 'a', 1], [2]), insert(2, 'z', 2)]);
  expect(await target.rows('t')).toEqual([
    [1, 'a', 1],
    [2, 'z', 2],
    [3, 'd', 5],
    [4, 'b', 4],
    [9, 'c', 3],
  ]);
  // A twin that is none of the batch's is an error, and nothing of the batch stays.
  await expect(target.apply([insert(20, 'new', 20), insert(21, 'd', 21)])).rejects.toMatchObject({ reason: 'UNIQUE_VIOLATION' });
  expect(await target.rows('t')).toHaveLength(5);
});

test('cells that were not sent stay, also where keys change and unique values pass', async () => {
  await using target = await TargetBench.make(
    ['t'],
    ['CREATE TABLE t (id int PRIMARY KEY, a varchar(9) UNIQUE, big text, at timestamp(6) NULL DEFAULT NULL ON UPDATE current_timestamp(6))'],
  );
  const at = 1_000_000n;
  await target.copy('t', [
    [1, 'a', 'one', at],
    [2, 'b', 'two', at],
    [3, 'c', 'three', null],
  ]);
  await target.apply([update([1, 'x', unchanged, unchanged]), update([7, 'seven', unchanged, unchanged], [3])]);
  expect(await target.rows('t')).toEqual([
    [1, 'x', 'one', at],
    [2, 'b', 'two', at],
    [7, 'seven', 'three', null],
  ]);
  await target.apply([
    update([1, 'tmp', unchanged, unchanged]),
    update([2, 'x', unchanged, unchanged]),
    update([1, 'b', unchanged, unchanged]),
    update([8, 'b2', unchanged, at], [1]),
  ]);
  expect(await target.rows('t')).toEqual([
    [2, 'x', 'two', at],
    [7, 'seven', 'three', null],
    [8, 'b2', 'one', at],
  ]);
  // The row that a key leads to has been copied already.
  await target.apply([update([7, 'moved', unchanged, unchanged], [2])]);
  expect(await target.rows('t')).toEqual([
    [7, 'moved', 'two', at],
    [8, 'b2', 'one', at],
  ]);
  await target.apply([update([8, 'b3', unchanged, unchanged]), update([8, 'b4', 'whole', null]), update([8, unchanged, 'last', unchanged])]);
  expect(await target.rows('t')).toEqual([
    [7, 'moved', 'two', at],
    [8, 'b4', 'last', null],
  ]);
});

test('a truncate is a barrier', async () => {
  await using target = await TargetBench.make(['t', 'u'], ['CREATE TABLE t (id int PRIMARY KEY)', 'CREATE TABLE u (id int PRIMARY KEY)']);
  await target.copy('t', [[1], [2]]);
  await target.apply([insert(3), { kind: 'truncate', tables: ['t'] }, insert(4), { kind: 'insert', table: 'u', row: [1] }]);
  expect([await target.rows('t'), await target.rows('u')]).toEqual([[[4]], [[1]]]);
  await target.apply([insert(5), { kind: 'truncate', tables: ['u', 't'] }]);
  expect([await target.rows('t'), await target.rows('u')]).toEqual([[], []]);
});

test('what the target would do by itself it does not do', async () => {
  await using target = await TargetBench.make(
    ['t', 'child'],
    [
      `CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, v int DEFAULT 5, twice int AS (v * 2) STORED, thrice int AS (v * 3) VIRTUAL, at timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(), w int NULL)`,
      'CREATE TABLE child (id int PRIMARY KEY, t_id int, FOREIGN KEY (t_id) REFERENCES t (id) ON DELETE CASCADE ON UPDATE CASCADE)',
    ],
  );
  const at = 86_400_000_000n;
  // 0 is a number like others; NULL no default; children may come first.
  await target.apply([
    { kind: 'insert', table: 'child', row: [1, 0] },
    { kind: 'insert', table: 'child', row: [2, 77] },
    insert(0, null, null, null, at, null),
    insert(-1, 3, null, null, at, 1),
  ]);
  await target.apply([update([0, 4, null, null, at, 9]), { kind: 'update', table: 't', row: [50, 3, null, null, at, 1], oldKey: [-1] }]);
  expect(await target.rows('t')).toEqual([
    [0, 4, 8, 12, at, 9],
    [50, 3, 6, 9, at, 1],
  ]);
  await target.apply([remove(0), remove(50)]);
  expect(await target.rows('child')).toEqual([
    [1, 0],
    [2, 77],
  ]);
});

test('a value that the target would change is refused by name, and nothing of the batch stays', async () => {
  await using target = await TargetBench.make(['t'], ["CREATE TABLE t (id int PRIMARY KEY, d decimal(9,2), v varchar(3), m datetime(3), e enum('1', 'x'), c char(3))"]);
  const at = 1_000_001n;
  for (const row of [
    [2, '1.005', null, null, null, null],
    [2, null, 'abcd', null, null, null],
    [2, null, 'abc ', null, null, null],
    [2, null, null, at, null, null],
    [2, null, null, null, '2', null],
    [2, null, null, null, null, 'a '],
  ] as const)
    await expect(target.apply([insert(1, '1.00', null, null, null, null), insert(...row)])).rejects.toMatchObject({ reason: 'VALUE_INVALID' });
  expect(await target.rows('t')).toEqual([]);
  await target.apply([insert(1, '1.00', 'abc', 1_000n, '1', 'a')]);
  expect(await target.rows('t')).toHaveLength(1);
});

test('many rows are found by their keys, of whatever columns', async () => {
  await using target = await TargetBench.make(
    ['t', 'w'],
    [
      "CREATE TABLE t (e enum('z', 'a', 'm'), v varchar(9) COLLATE utf8mb4_general_ci, at datetime(6), d decimal(9,2), n int, PRIMARY KEY (e, v, at, d))",
      'CREATE TABLE w (id bigint unsigned PRIMARY KEY, v longtext)',
    ],
  );
  const rows = Array.from({ length: 3_000 }, (_, i): Cell[] => [['z', 'a', 'm'][i % 3] ?? '', `k${i % 10}`, BigInt(i) * 1_000n, `${i % 7}.50`, i]);
  await target.copy('t', rows);
  const wide = Array.from({ length: 500 }, (_, i): Cell[] => [18_446_744_073_709_551_615n - BigInt(i), 'x'.repeat(20_000)]);
  await target.copy('w', wide);
  const table = target.log.schema('t');
  const read: (readonly Cell[])[] = [];
  for (let after: readonly Cell[] | null = null; ; ) {
    const chunk: readonly (readonly Cell[])[] = await target.log.player.readChunk(table, after, 700, never());
    read.push(...chunk);
    if (chunk.length < 700) break;
    after = chunk.at(-1)?.slice(0, 4) ?? null;
  }
  expect(new Set(read.map(([, , , , n]) => n)).size).toBe(3_000);
  expect(read.map(([e]) => e)).toEqual([...Array(1_000).fill('z'), ...Array(1_000).fill('a'), ...Array(1_000).fill('m')]);
  const keys = rows.map((row) => row.slice(0, 4));
  await target.log.run('SET GLOBAL userstat = 1');
  expect(await target.log.player.readRows(table, keys.slice(0, 1_000), never())).toHaveLength(1_000);
  await target.apply(keys.slice(0, 2_990).map((key) => remove(...key)));
  // Nobody went through the whole table for one of the groups.
  const [[found] = []] = await target.log.run("SELECT ROWS_READ FROM information_schema.TABLE_STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 't'");
  expect(Number(found)).toBeLessThan(10_000);
  expect(await target.rows('t')).toHaveLength(10);
  await target.apply(wide.map(([id = null]) => ({ kind: 'delete', table: 'w', key: [id] })));
  expect(await target.rows('w')).toEqual([]);
});
