import { expect, test } from '@jest/globals';
import { cellsOf, type RawRows } from '../../backends/backend.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { useArmedStores } from './armed-stores.ts';
import { allRows, FORWARD, type MoveStores, never } from './move-stores.ts';
import { PostgresPair } from './postgres-move.ts';

/* Rows that go from one store to the other as the first has sent them. */

const columns = `(id integer, part text, amount numeric(30,10), seen timestamptz, plain timestamp, at_time time, due date, doc jsonb, raw bytea, code char(5), ratio float8, less real, flag boolean, ref uuid, PRIMARY KEY (id, part))`;
const rows = `INSERT INTO every VALUES
  (-7, 'a''b', 12.5, '2026-02-03 04:05:06.789123+02', '0044-03-15 00:00:00 BC', '23:59:59.999999', 'infinity', '{"n": 1e400, "t": "\\t"}', '\\x00ff5c0a09', 'ab', 'NaN', '-0', true, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
  (0, E'tab\\t line\\n return\\r back\\\\ \\b\\f\\v', 0, '-infinity', NULL, NULL, NULL, NULL, '', '', '-Infinity', 1.1, false, NULL),
  (0, '\\N', NULL, NULL, NULL, NULL, NULL, 'null', NULL, NULL, NULL, NULL, NULL, NULL),
  (3, '\\.', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (9, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (9, 'ünï 😀', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`;

let stores: MoveStores;

useArmedStores(
  () => PostgresPair.start(),
  async (armed) => {
    ({ stores } = armed);
    for (const store of [stores.source, stores.target]) {
      await store.sql(`CREATE TABLE every ${columns}; GRANT SELECT, INSERT, UPDATE, DELETE ON every TO shop_player`, 'owner');
    }
    await stores.source.sql(rows, 'owner');
  },
);

const read = (table: TableSchema, after: readonly [number, string] | null, limit: number): Promise<RawRows> => {
  const chunk = stores.source.player.raw?.readChunk(table, after, limit, never());
  if (chunk == null) throw new Error('there are no raw rows');
  return chunk;
};

test('say what the same rows say as cells, and are read in the same pieces', async () => {
  const { player } = stores.source;
  const table = (await player.describe('every', never())) as TableSchema;
  for (const after of [null, [-7, "a'b"], [0, '\\N'], [9, 'ünï 😀']] as const) {
    const [raw, cells] = [await read(table, after, 3), await player.readChunk(table, after, 3, never())];
    expect(cellsOf(raw)).toEqual(cells);
    expect([raw.length, raw.at(0), raw.at(-1)]).toEqual([cells.length, cells.at(0), cells.at(-1)]);
  }
});

test('are in the target what they are in the source, whatever was in their place', async () => {
  const { source, target } = stores;
  const table = (await source.player.describe('every', never())) as TableSchema;
  await target.sql(`INSERT INTO every (id, part) VALUES (0, 'gone'), (9, 'old')`, 'owner');
  const state = await target.player.takeStream(FORWARD, never());
  const chunk = { table: 'every', rows: await read(table, null, 10), progress: { lastKey: null, rows: 6, done: true } };
  const batch = { changes: [], requests: { records: [], progress: null }, position: null, marker: null };
  // The key has a text, of whose order nothing is known: what is there under other keys stays.
  await target.player.apply(FORWARD, new Map([['every', table]]), state.token, { ...batch, copied: { ...chunk, contiguous: true } }, never());
  await target.sql(`DELETE FROM every WHERE part IN ('gone', 'old')`, 'owner');
  expect(await allRows(target, table)).toEqual(await allRows(source, table));
  await target.player.apply(FORWARD, new Map([['every', table]]), state.token, { ...batch, copied: { ...chunk, contiguous: false } }, never());
  expect(await allRows(target, table)).toEqual(await allRows(source, table));
});

test('come in pieces of some megabytes, and every piece says whether there is more', async () => {
  const table = (await stores.source.player.describe('every', never())) as TableSchema;
  await stores.source.sql(
    `TRUNCATE every; INSERT INTO every (id, part, doc) SELECT i, 'p', to_jsonb(repeat('x', CASE i WHEN 3 THEN 9000000 ELSE 1000000 END)) FROM generate_series(1, 12) AS i`,
    'owner',
  );
  const pieces: [number, boolean][] = [];
  for (let after: readonly [number, string] | null = null; pieces.at(-1)?.[1] !== false; ) {
    const piece: RawRows = await read(table, after, 200);
    after = piece.at(-1)?.slice(0, 2) as unknown as readonly [number, string];
    pieces.push([piece.length, piece.cut]);
  }
  // The third alone is larger than a piece.
  expect(pieces).toEqual([
    [2, true],
    [1, true],
    [8, true],
    [1, false],
  ]);
});

test('there are none of a table with a generated column', async () => {
  const table = (await stores.source.player.describe('item', never())) as TableSchema;
  expect(stores.source.player.raw?.readChunk(table, null, 1, never())).toBeNull();
});
