import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { DataStore } from '../../backends/backend.ts';
import type { Cell } from '../../core/cell.ts';
import type { ErrorReason } from '../../core/error-catalogue.ts';
import type { FenceRow } from '../../core/fence.ts';
import type { AggregateOperation, CompareOperator, Filter, QueryPage, WriteOperation } from '../../core/operation.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import {
  amountIs,
  byId,
  type ContractSkips,
  type DataStoreHarness,
  deleteItem,
  failure,
  insertItem,
  itemColumns,
  never,
  reasonOf,
  rowOf,
  updateItem,
} from './data-store-harness.ts';

/** What a pattern means, as an expression of another make than the stores'. */
function patternExpression(pattern: string): RegExp {
  const source = pattern.replaceAll(/\\([%_\\])|([%_])|[^%_\\]+/gu, (part, escaped: string | undefined, wild: string | undefined) => {
    if (wild !== undefined) return wild === '%' ? '.*' : '.';
    return (escaped ?? part).replaceAll(/[\\^$.*+?()[\]{}|/-]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
  });
  return new RegExp(`^(?:${source})$`, 'su');
}

/** `test` where the kind has what it needs, else a skipped test whose name says why. */
const where = (reason: string | undefined) => (name: string, run: () => Promise<void>) =>
  reason === undefined ? test(name, run) : test.skip(`${name} (left out: ${reason})`, run);

/** What every kind of store must do for the gateway, over a real store. `skips`: what the kind does not have, by what the tests left out need. */
export function dataStoreContract(name: string, setup: () => Promise<DataStoreHarness>, skips: ContractSkips = {}): void {
  describe(`${name} as the gateway's store`, () => {
    let harness: DataStoreHarness;
    let store: DataStore;
    let schemas: ReadonlyMap<string, TableSchema>;
    let item: TableSchema;

    beforeAll(async () => {
      harness = await setup();
      store = harness.open();
      schemas = new Map(await Promise.all(['item', 'line'].map(async (table) => [table, await described(table)] as const)));
      item = await described('item');
    });
    afterAll(async () => {
      await store[Symbol.asyncDispose]();
      await harness[Symbol.asyncDispose]();
    });
    beforeEach(() => harness.reset());
    // One that a failed test left behind would keep every later one waiting.
    afterEach(async () => {
      for (const lock of held) await lock[Symbol.asyncDispose]();
    });

    const held = new Set<AsyncDisposable>();
    const hold = async (taking: Promise<AsyncDisposable>): Promise<AsyncDisposable> => {
      const taken = await taking;
      const lock = {
        [Symbol.asyncDispose]: async () => {
          if (held.delete(lock)) await taken[Symbol.asyncDispose]();
        },
      };
      held.add(lock);
      return lock;
    };
    const lockTable = (table: string) => hold(harness.lockTable(table));
    const lockItem = (id: bigint) => hold(harness.lockItem(id));
    const described = async (table: string): Promise<TableSchema> => {
      const schema = await store.describe(table, never);
      if (schema === null) throw new Error(`no table ${table}`);
      return schema;
    };
    const write = (...operations: readonly WriteOperation[]) => store.write(schemas, operations, never);
    const get = (id: bigint, columns: readonly string[] = itemColumns) => store.get(item, { key: [id], columns }, never);
    const amountOf = async (id: bigint): Promise<Cell | undefined> => (await get(id, ['amount']))?.cells[0];
    const untilSomeRun = () => waitUntil('a running statement', { limitMs: 5_000 }, async () => ((await harness.running()) > 0 ? true : undefined));
    const untilRunning = (count: number) => waitUntil(`${count} running statements`, { limitMs: 5_000 }, async () => ((await harness.running()) === count ? true : undefined));

    describe('tables', () => {
      test('are listed in order of name', async () => {
        const tables = await store.listTables(never);
        expect(tables).toEqual(expect.arrayContaining(['item', 'line']));
        expect(tables).toEqual([...tables].sort());
      });

      test('are described with columns, key, unique keys', () => {
        expect(item.primaryKey).toEqual(['id']);
        expect(schemas.get('line')?.primaryKey).toEqual(['item_id', 'line']);
        expect(item.uniqueKeys.map((key) => key.columns)).toEqual([['name']]);
        expect(item.columns.map(({ name: column, kind, nullable, hasDefault }) => [column, kind, nullable, hasDefault])).toEqual([
          ['id', 'int64', false, true],
          ['name', 'text', false, false],
          ['amount', 'int64', false, true],
          ['price', 'decimal', true, false],
          ['note', 'text', true, false],
        ]);
      });

      test('have the same fingerprint every time, and another than other tables', async () => {
        expect((await described('item')).fingerprint).toBe(item.fingerprint);
        expect((await described('line')).fingerprint).not.toBe(item.fingerprint);
      });

      test('are described without a right on their rows', async () => {
        await harness.takeReads('item');
        expect(await described('item')).toEqual(item);
      });

      test('that do not exist are null, whatever their name', async () => {
        for (const table of ['nothing', 'Item', 'it"em', "it'em", 'item\0', '']) expect(await store.describe(table, never)).toBeNull();
      });

      test('that cannot be served are refused by name', async () => {
        for (const { table, names } of harness.unsupported) {
          const error = await failure(store.describe(table, never));
          expect(error.reason).toBe('TABLE_UNSUPPORTED');
          expect(error.message).toContain(names);
        }
      });
    });

    describe('reads', () => {
      beforeEach(() => write(...[1n, 2n, 3n, 4n].map((id) => insertItem(id, `item ${id}`, { amount: id % 2n, price: `${id}.50`, note: id === 3n ? null : 'n' }))));

      test('get gives the asked columns in the asked order, or null', async () => {
        expect(await get(2n, ['note', 'id'])).toEqual({ columns: ['note', 'id'], cells: ['n', 2n] });
        expect(await get(3n)).toEqual({ columns: itemColumns, cells: [3n, 'item 3', 1n, '3.50', null] });
        expect(await get(99n)).toBeNull();
      });

      test('batchGet keeps the order, the gaps and the repetitions', async () => {
        const rows = await store.batchGet(item, { keys: [[4n], [99n], [1n], [4n]], columns: ['id'] }, never);
        expect(rows.map((row) => row?.cells[0] ?? null)).toEqual([4n, null, 1n, 4n]);
        expect(await store.batchGet(item, { keys: [], columns: ['id'] }, never)).toEqual([]);
      });

      test('batchGet works with keys of several columns', async () => {
        const line = await described('line');
        await write(lineInsert(1n, 1), lineInsert(1n, 2), lineInsert(2n, 1));
        const keys = [
          [2n, 1],
          [1n, 2],
          [2n, 2],
        ];
        expect((await store.batchGet(line, { keys, columns: ['item_id', 'line'] }, never)).map((row) => row?.cells ?? null)).toEqual([[2n, 1], [1n, 2], null]);
      });

      const ids = async (filter: Filter | null, orderBy = byId): Promise<readonly Cell[]> =>
        (await store.query(item, { filter, orderBy, columns: ['id'], limit: 100, after: null }, never)).rows.map((row) => row.cells[0] ?? null);

      test('query filters', async () => {
        expect(await ids(null)).toEqual([1n, 2n, 3n, 4n]);
        expect(await ids({ kind: 'compare', column: 'price', operator: '>=', value: '2.5' })).toEqual([2n, 3n, 4n]);
        expect(await ids({ kind: 'compare', column: 'name', operator: '<>', value: 'item 1' })).toEqual([2n, 3n, 4n]);
        expect(await ids({ kind: 'in', column: 'name', values: ['item 4', 'item 2', 'x"{},\\'] })).toEqual([2n, 4n]);
        expect(await ids({ kind: 'isNull', column: 'note' })).toEqual([3n]);
        expect(await ids({ kind: 'prefix', column: 'name', text: 'item' })).toEqual([1n, 2n, 3n, 4n]);
        expect(await ids({ kind: 'prefix', column: 'name', text: '%' })).toEqual([]);
        expect(await ids({ kind: 'and', filters: [amountIs(1n), { kind: 'isNull', column: 'note' }] })).toEqual([3n]);
        expect(await ids({ kind: 'or', filters: [amountIs(0n), { kind: 'isNull', column: 'note' }] })).toEqual([2n, 3n, 4n]);
        expect(await ids({ kind: 'not', filter: amountIs(0n) })).toEqual([1n, 3n]);
        expect(await ids({ kind: 'not', filter: { kind: 'compare', column: 'note', operator: '=', value: 'x' } })).toEqual([1n, 2n, 4n]);
        expect(await ids({ kind: 'like', column: 'name', pattern: '%m _' })).toEqual([1n, 2n, 3n, 4n]);
        expect(await ids({ kind: 'like', column: 'name', pattern: 'ITEM%' })).toEqual([]);
        expect(await ids({ kind: 'like', column: 'name', pattern: 'item' })).toEqual([]);
        expect(await ids({ kind: 'not', filter: { kind: 'like', column: 'note', pattern: 'x%' } })).toEqual([1n, 2n, 4n]);
        const amountAndId = (operator: CompareOperator, ...values: readonly Cell[]): Filter => ({ kind: 'tuple', columns: ['amount', 'id'], operator, values });
        expect(await ids(amountAndId('>', 0n, 2n))).toEqual([1n, 3n, 4n]);
        expect(await ids(amountAndId('<=', 1n, 1n))).toEqual([1n, 2n, 4n]);
        expect(await ids(amountAndId('=', 1n, 3n))).toEqual([3n]);
        expect(await ids(amountAndId('<>', 1n, 3n))).toEqual([1n, 2n, 4n]);
        expect(await ids({ kind: 'tuple', columns: ['price', 'name'], operator: '>=', values: ['3.5', 'item 3'] })).toEqual([3n, 4n]);
        expect(await ids({ kind: 'and', filters: [] })).toHaveLength(4);
        expect(await ids({ kind: 'or', filters: [] })).toHaveLength(0);
      });

      test('query pages through a mixed order without gap or repetition', async () => {
        for (const orderBy of [
          byId,
          [{ column: 'amount', descending: true }, ...byId],
          [
            { column: 'amount', descending: false },
            { column: 'id', descending: true },
          ],
          [{ column: 'id', descending: true }],
        ]) {
          const all = await ids(null, orderBy);
          const paged: Cell[] = [];
          let after: readonly Cell[] | null = null;
          const columns = orderBy.map((term) => term.column);
          for (;;) {
            const page: QueryPage = await store.query(item, { filter: null, orderBy, columns: [...columns, 'id'], limit: 1, after }, never);
            const [row] = page.rows;
            paged.push(row?.cells.at(-1) ?? null);
            if (!page.more) break;
            after = row?.cells.slice(0, columns.length) ?? null;
          }
          expect(paged).toEqual(all);
          expect(new Set(paged).size).toBe(4);
        }
      });

      test('a pattern that fits almost everywhere costs no more than text times pattern', async () => {
        await write(insertItem(100n, 'a'.repeat(2_000)));
        const like: Filter = { kind: 'like', column: 'name', pattern: `${'%a'.repeat(20)}%b` };
        const begunMs = performance.now();
        expect(await reasonOf(write(updateItem(100n, { note: 'x' }, { precondition: like })))).toBe('PRECONDITION_FAILED');
        expect(performance.now() - begunMs).toBeLessThan(2_000);
        await write(deleteItem(100n));
      });

      test('every store reads a pattern in the same way, character by character', async () => {
        const texts = ['a%b', 'axb', 'a\\b', 'a\nb', 'a😀b', 'aÄb', '^a.b$', 'a_b', 'ab', '[a]b', 'A%B'];
        await write(...texts.map((text, i) => insertItem(BigInt(100 + i), text)));
        for (const pattern of ['a%b', 'a_b', 'a\\%b', 'a\\_b', 'a\\\\b', '%', '_%_', '^a.b$', '[a]b', 'a%', '%B', '', 'a__b', '_\nb', 'a\\\\%']) {
          const expected = texts.filter((text) => patternExpression(pattern).test(text)).sort();
          const found = await store.query(
            item,
            {
              filter: {
                kind: 'and',
                filters: [
                  { kind: 'compare', column: 'id', operator: '>=', value: 100n },
                  { kind: 'like', column: 'name', pattern },
                ],
              },
              orderBy: byId,
              columns: ['name'],
              limit: 100,
              after: null,
            },
            never,
          );
          expect([pattern, found.rows.map(({ cells }) => cells[0]).sort()]).toEqual([pattern, expected]);
        }
      });

      test('a page ends before its rows come to more than the bytes asked for, with at least one row, and the next one goes on behind it', async () => {
        await write(...Array.from({ length: 6 }, (_, i) => insertItem(BigInt(100 + i), `long ${i}`, { note: 'x'.repeat(1_000) })));
        const page = (after: Cell, maxBytes: number): Promise<QueryPage> =>
          store.query(item, { filter: null, orderBy: byId, columns: ['id', 'note'], limit: 100, maxBytes, after: [after] }, never);
        const [one, two, all] = await Promise.all([page(99n, 1), page(99n, 2_500), page(99n, 100_000)]);
        expect([one.rows.map(({ cells }) => cells[0]), one.more]).toEqual([[100n], true]);
        expect([two.rows.map(({ cells }) => cells[0]), two.more]).toEqual([[100n, 101n], true]);
        expect([all.rows.length, all.more]).toEqual([6, false]);
        expect((await page(101n, 2_500)).rows.map(({ cells }) => cells[0])).toEqual([102n, 103n]);
        await write(insertItem(200n, 'short'), insertItem(201n, 'large', { note: 'x'.repeat(10_000) }));
        const beforeLarge = await page(105n, 2_500);
        expect([beforeLarge.rows.map(({ cells }) => cells[0]), beforeLarge.more]).toEqual([[200n], true]);
        const large = await page(200n, 2_500);
        expect([large.rows.map(({ cells }) => cells[0]), large.more]).toEqual([[201n], false]);
        // The rows that were left out are no other statement's.
        expect((await get(105n, ['name']))?.cells).toEqual(['long 5']);
      });

      test('batchGet refuses rows that come to more than the bytes asked for, but never one alone', async () => {
        const ids = Array.from({ length: 80 }, (_, i) => BigInt(100 + i));
        await write(...ids.map((id) => insertItem(id, `long ${id}`, { note: 'x'.repeat(1_000) })));
        const batch = (keys: readonly bigint[], maxBytes: number) => store.batchGet(item, { keys: keys.map((id) => [id]), columns: ['id', 'note'], maxBytes }, never);
        // Few and many: a store may read them in different ways.
        for (const keys of [ids.slice(0, 5), ids]) {
          expect((await batch(keys, keys.length * 1_200)).map((row) => row?.cells[0])).toEqual(keys);
          const error = await failure(batch(keys, 3_500));
          expect([error.reason, error.message]).toEqual([
            'RESULT_TOO_LARGE',
            expect.stringMatching(new RegExp(`the ${keys.length} keys come to more than 3500 bytes, and 3 of them fit; .*fewer keys`)),
          ]);
        }
        expect((await batch([999n, 100n, 998n], 10)).map((row) => row?.cells[0] ?? null)).toEqual([null, 100n, null]);
      });

      test('aggregate counts, sums, and finds the smallest and largest, of all rows and by group', async () => {
        const aggregate = (operation: Partial<AggregateOperation>) => store.aggregate(item, { filter: null, aggregations: [], groupBy: null, limit: 10, ...operation }, never);
        const all: AggregateOperation['aggregations'] = [
          { kind: 'count' },
          { kind: 'sum', column: 'amount' },
          { kind: 'sum', column: 'price' },
          { kind: 'min', column: 'price' },
          { kind: 'max', column: 'price' },
          { kind: 'min', column: 'name' },
          { kind: 'max', column: 'note' },
        ];
        expect(await aggregate({ aggregations: all })).toEqual([{ group: null, values: [4n, '2', '12.00', '1.50', '4.50', 'item 1', 'n'] }]);
        expect(await aggregate({ aggregations: all, filter: amountIs(99n) })).toEqual([{ group: null, values: [0n, null, null, null, null, null, null] }]);
        expect(await aggregate({ aggregations: all, filter: amountIs(99n), groupBy: 'amount' })).toEqual([]);
        expect(await aggregate({ aggregations: [{ kind: 'count' }, { kind: 'max', column: 'id' }], groupBy: 'note' })).toEqual([
          { group: 'n', values: [3n, 4n] },
          { group: null, values: [1n, 3n] },
        ]);
        expect(await aggregate({ aggregations: [{ kind: 'count' }], groupBy: 'id', limit: 2 })).toEqual([
          { group: 1n, values: [1n] },
          { group: 2n, values: [1n] },
        ]);
        expect(await aggregate({ aggregations: [{ kind: 'count' }], groupBy: 'price', filter: { kind: 'compare', column: 'id', operator: '<=', value: 2n } })).toEqual([
          { group: '1.50', values: [1n] },
          { group: '2.50', values: [1n] },
        ]);
      });

      test('a sum is exact beyond the type of its column', async () => {
        await write(...[101n, 102n, 103n].map((id) => insertItem(id, `large ${id}`, { amount: 9_223_372_036_854_775_807n, price: '-99999999.99' })));
        expect(
          await store.aggregate(
            item,
            {
              filter: { kind: 'compare', column: 'id', operator: '>', value: 100n },
              aggregations: [
                { kind: 'sum', column: 'amount' },
                { kind: 'sum', column: 'price' },
              ],
              groupBy: null,
              limit: 1,
            },
            never,
          ),
        ).toEqual([{ group: null, values: ['27670116110564327421', '-299999999.97'] }]);
      });

      test('texts are ordered and compared by their bytes', async () => {
        const names = ['B', 'a', 'Z', 'ä', 'b', '😀', '￿'];
        await write(...names.map((text, i) => insertItem(BigInt(100 + i), text)));
        const { rows } = await store.query(
          item,
          {
            filter: { kind: 'compare', column: 'id', operator: '>=', value: 100n },
            orderBy: [{ column: 'name', descending: false }, ...byId],
            columns: ['name'],
            limit: 100,
            after: null,
          },
          never,
        );
        expect(rows.map((row) => row.cells[0])).toEqual([...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
        expect(
          await ids({
            kind: 'and',
            filters: [
              { kind: 'compare', column: 'name', operator: '<', value: 'a' },
              { kind: 'compare', column: 'id', operator: '>=', value: 100n },
            ],
          }),
        ).toEqual([100n, 102n]);
      });
    });

    const lineInsert = (itemId: bigint, line: number): WriteOperation => ({
      kind: 'insert',
      table: 'line',
      row: { columns: ['item_id', 'line', 'quantity'], cells: [itemId, line, 1] },
      returning: [],
    });

    describe('writes', () => {
      test('insert stores exactly what was given and returns what was asked for', async () => {
        const [result] = await write(
          insertItem(9_007_199_254_740_993n, 'it\'s \\ "new" ü😀\n', { amount: 9_223_372_036_854_775_807n, price: '-12345678.90' }, ['price', 'amount', 'note']),
        );
        expect(result).toEqual({ row: { columns: ['price', 'amount', 'note'], cells: ['-12345678.90', 9_223_372_036_854_775_807n, null] }, found: true });
        expect(await harness.print('item', 'name', 9_007_199_254_740_993n)).toBe('it\'s \\ "new" ü😀');
        expect(await harness.print('item', 'amount', 9_007_199_254_740_993n)).toBe('9223372036854775807');
      });

      test('insert leaves defaults to the store', async () => {
        const [result] = await write({ kind: 'insert', table: 'item', row: { columns: ['name'], cells: ['defaulted'] }, returning: ['id', 'amount'] });
        expect(result?.row?.cells[1]).toBe(0n);
        expect(typeof result?.row?.cells[0]).toBe('bigint');
      });

      test('upsert adds the row or sets the given columns only', async () => {
        const upsert = (cells: Readonly<Record<string, Cell>>, precondition: Filter | null = null): WriteOperation => ({
          kind: 'upsert',
          table: 'item',
          row: rowOf(cells),
          precondition,
          returning: ['amount', 'note'],
        });
        expect((await write(upsert({ id: 1n, name: 'a', amount: 5n, note: 'x' })))[0]?.row?.cells).toEqual([5n, 'x']);
        expect((await write(upsert({ id: 1n, name: 'a', amount: 6n })))[0]?.row?.cells).toEqual([6n, 'x']);
        // What is there must be as it says; what is not there needs not.
        expect(await reasonOf(write(upsert({ id: 1n, name: 'a', amount: 7n }, amountIs(7n))))).toBe('PRECONDITION_FAILED');
        expect(await reasonOf(write(insertItem(3n, 'c'), upsert({ id: 1n, name: 'a', amount: 7n }, { kind: 'not', filter: { kind: 'prefix', column: 'note', text: 'x' } })))).toBe(
          'PRECONDITION_FAILED',
        );
        expect([(await get(1n, ['amount']))?.cells, await get(3n)]).toEqual([[6n], null]);
        expect(
          (await write(upsert({ id: 1n, name: 'a', amount: 7n }, amountIs(6n)), upsert({ id: 2n, name: 'b', note: 'y' }, amountIs(99n)))).map(({ row }) => row?.cells),
        ).toEqual([
          [7n, 'x'],
          [0n, 'y'],
        ]);
      });

      test('update sets, adds and returns the new row', async () => {
        await write(insertItem(1n, 'a', { amount: 5n, price: '1.25' }));
        const [result] = await write(updateItem(1n, { note: 'new' }, { add: { amount: -2n, price: '0.50' }, returning: ['note', 'amount', 'price'] }));
        expect(result?.row?.cells).toEqual(['new', 3n, '1.75']);
      });

      test('a missed row and an unmet precondition are told apart', async () => {
        await write(insertItem(1n, 'a', { amount: 5n }));
        expect(await reasonOf(write(updateItem(2n, { note: 'x' })))).toBe('ROW_NOT_FOUND');
        expect(await reasonOf(write(updateItem(2n, { note: 'x' }, { precondition: amountIs(5n) })))).toBe('ROW_NOT_FOUND');
        expect(await reasonOf(write(updateItem(1n, { note: 'x' }, { precondition: amountIs(6n) })))).toBe('PRECONDITION_FAILED');
        await write(updateItem(1n, { note: 'x' }, { precondition: amountIs(5n) }));
        expect((await get(1n, ['note']))?.cells).toEqual(['x']);
      });

      test('delete tells whether there was a row', async () => {
        await write(insertItem(1n, 'a', { amount: 5n }));
        expect(await reasonOf(write(deleteItem(2n)))).toBe('ROW_NOT_FOUND');
        expect(await write(deleteItem(2n, { allowMissing: true }))).toEqual([{ row: null, found: false }]);
        expect(await reasonOf(write(deleteItem(1n, { precondition: amountIs(1n), allowMissing: true })))).toBe('PRECONDITION_FAILED');
        expect(await write(deleteItem(1n, { precondition: amountIs(5n) }))).toEqual([{ row: null, found: true }]);
        expect(await get(1n)).toBeNull();
      });

      test('several writes are one transaction in order', async () => {
        const results = await write(
          insertItem(1n, 'a'),
          updateItem(1n, {}, { add: { amount: 7n }, returning: ['amount'] }),
          lineInsert(1n, 1),
          deleteItem(9n, { allowMissing: true }),
        );
        expect(results.map((result) => [result.row?.cells ?? null, result.found])).toEqual([
          [[], true],
          [[7n], true],
          [[], true],
          [null, false],
        ]);
      });

      where(skips.refusedAnswers)('an answer that is refused undoes several writes; of a single one it is told whether that was done', async () => {
        await write(insertItem(1n, 'a', { amount: 1n }));
        const seen: Cell[] = [];
        const refusing = (...operations: readonly WriteOperation[]) =>
          failure(
            store.write(schemas, operations, never, (results) => {
              seen.push(results.at(-1)?.row?.cells[0] ?? null);
              throw new SwitchyardError('RESULT_TOO_LARGE', 'as a test wants it');
            }),
          );
        const several = await refusing(insertItem(2n, 'b'), updateItem(1n, { amount: 7n }, { returning: ['amount'] }));
        expect([several.reason, await amountOf(1n), await amountOf(2n)]).toEqual(['RESULT_TOO_LARGE', 1n, undefined]);
        const single = await refusing(updateItem(1n, { amount: 7n }, { returning: ['amount'] }));
        expect(single).toMatchObject(
          (await amountOf(1n)) === 7n ? { reason: 'STORE_FAILED', message: 'the write was done; its answer cannot be shown: as a test wants it' } : { reason: 'RESULT_TOO_LARGE' },
        );
        expect(new Set(seen)).toEqual(new Set([7n]));
        expect(await store.write(schemas, [updateItem(1n, { amount: 9n })], never, (results) => results.length)).toBe(1);
      });

      test.each<[string, WriteOperation, ErrorReason]>([
        ['a missing row', updateItem(99n, { note: 'x' }), 'ROW_NOT_FOUND'],
        ['an unmet precondition', updateItem(50n, { note: 'x' }, { precondition: amountIs(99n) }), 'PRECONDITION_FAILED'],
        ['a taken key', insertItem(50n, 'other'), 'UNIQUE_VIOLATION'],
        ['a taken unique key', insertItem(51n, 'taken'), 'UNIQUE_VIOLATION'],
        ['a missing foreign row', lineInsert(99n, 1), 'FOREIGN_KEY_VIOLATION'],
        ['a missing value', { kind: 'insert', table: 'item', row: { columns: ['id'], cells: [60n] }, returning: [] }, 'NOT_NULL_VIOLATION'],
        ['a broken check', insertItem(61n, 'negative', { amount: -1n }), 'CHECK_VIOLATION'],
        ['a sum beyond its type', updateItem(50n, {}, { add: { amount: 9_223_372_036_854_775_807n } }), 'VALUE_INVALID'],
        ['a decimal with too many digits', insertItem(62n, 'digits', { price: '1.999' }), 'VALUE_INVALID'],
        ['a decimal that is too large', insertItem(62n, 'large', { price: '123456789.00' }), 'VALUE_INVALID'],
        ['a text with U+0000', insertItem(62n, 'nul\0'), 'VALUE_INVALID'],
        ['a text with half a character', insertItem(62n, 'half\ud800'), 'VALUE_INVALID'],
      ])('%s fails alone, and takes the rest of its transaction with it', async (_, operation, reason) => {
        await write(insertItem(50n, 'taken', { amount: 1n }));
        expect(await reasonOf(write(operation))).toBe(reason);
        expect(await reasonOf(write(insertItem(1n, 'before'), operation, insertItem(2n, 'after')))).toBe(reason);
        expect(await store.batchGet(item, { keys: [[1n], [2n]], columns: ['id'] }, never)).toEqual([null, null]);
        // The connection is good for the next.
        await write(insertItem(1n, 'before'));
      });

      test('a violation names table, constraint and columns', async () => {
        await write(insertItem(1n, 'a'));
        expect((await failure(write(insertItem(2n, 'a')))).metadata).toMatchObject({ table: 'item', columns: 'name' });
        expect((await failure(write(insertItem(1n, 'b')))).metadata).toMatchObject({ table: 'item', columns: 'id' });
      });
    });

    describe('reads of single rows that come at once', () => {
      const getFrom = (from: DataStore, id: bigint, columns: readonly string[], signal = never) => from.get(item, { key: [id], columns }, signal);

      test('have each its own row or failure', async () => {
        await write(...Array.from({ length: 8 }, (_, i) => insertItem(BigInt(i), `n${i}`)));
        const names = await Promise.all(Array.from({ length: 8 }, (_, i) => getFrom(store, BigInt(i), ['name'])));
        expect(names.map((row) => row?.cells)).toEqual(Array.from({ length: 8 }, (_, i) => [`n${i}`]));
        const [before, failed, behind] = await Promise.all([getFrom(store, 1n, ['name']), reasonOf(getFrom(store, 2n, ['nothing'])), getFrom(store, 3n, ['name'])]);
        expect([before?.cells, failed, behind?.cells]).toEqual([['n1'], 'COLUMN_UNKNOWN', ['n3']]);
      });

      where(skips.jointReads)('share a connection', async () => {
        await write(...Array.from({ length: 8 }, (_, i) => insertItem(BigInt(i), `n${i}`)));
        await using small = harness.open({ poolSize: 4 });
        await Promise.all(Array.from({ length: 8 }, (_, i) => getFrom(small, BigInt(i), ['name'])));
        expect(small.poolStatus()).toEqual({ busy: 0, idle: 1, waiting: 0 });
      });

      test('are all FENCED when the right is gone', async () => {
        await write(insertItem(1n, 'a'));
        await harness.takeReads('item');
        await using small = harness.open({ poolSize: 4 });
        expect(await Promise.all([1n, 2n, 3n].map((id) => reasonOf(getFrom(small, id, ['name']))))).toEqual(['FENCED', 'FENCED', 'FENCED']);
        expect(small.poolStatus()).toMatchObject({ busy: 0, waiting: 0 });
      });

      where(skips.readLocks)('end each with its own signal, and in the store with the last', async () => {
        await write(insertItem(1n, 'a'));
        const untilTheyRun = skips.jointReads === undefined ? () => untilRunning(1) : untilSomeRun;
        const lock = await lockTable('item');
        const [first, second] = [new AbortController(), new AbortController()];
        const reads = [first, second].map(({ signal }) => reasonOf(getFrom(store, 1n, ['name'], signal)));
        const third = getFrom(store, 1n, ['name']);
        await untilTheyRun();
        first.abort();
        expect(await reads[0]).toBe('CANCELLED');
        second.abort();
        expect(await reads[1]).toBe('CANCELLED');
        await lock[Symbol.asyncDispose]();
        expect((await third)?.cells).toEqual(['a']);

        const nextLock = await lockTable('item');
        const both = [1n, 2n].map((id) => reasonOf(getFrom(store, id, ['name'], AbortSignal.timeout(1_000))));
        await untilTheyRun();
        expect(await Promise.all(both)).toEqual(['CANCELLED', 'CANCELLED']);
        await untilRunning(0);
        await nextLock[Symbol.asyncDispose]();
        expect((await get(1n, ['name']))?.cells).toEqual(['a']);
      });
    });

    describe('the fence', () => {
      const row: FenceRow = { table: 'item', state: 'FROZEN', attempt: 7 as FenceRow['attempt'], peer: 'new', workflow: 'move1' };

      test('rejects writes as FENCED and nothing is applied', async () => {
        await write(insertItem(1n, 'a', { amount: 1n }));
        await harness.fence('item', row);
        for (const operation of [insertItem(2n, 'b'), updateItem(1n, { note: 'x' }), deleteItem(1n), updateItem(9n, { note: 'x' })]) {
          expect(await reasonOf(write(operation))).toBe('FENCED');
          expect(await reasonOf(write(lineInsert(1n, 1), operation))).toBe('FENCED');
        }
        expect((await get(1n, ['note', 'amount']))?.cells).toEqual([null, 1n]);
        expect(
          await store.query(schemas.get('line') ?? item, { filter: null, orderBy: [{ column: 'item_id', descending: false }], columns: ['line'], limit: 1, after: null }, never),
        ).toEqual({ rows: [], more: false });
      });

      test('rejects reads as FENCED when the right is gone', async () => {
        await write(insertItem(1n, 'a'));
        await harness.takeReads('item');
        expect(await reasonOf(get(1n))).toBe('FENCED');
        expect(await reasonOf(store.batchGet(item, { keys: [[1n]], columns: ['id'] }, never))).toBe('FENCED');
        expect(await reasonOf(store.query(item, { filter: null, orderBy: byId, columns: ['id'], limit: 1, after: null }, never))).toBe('FENCED');
        expect(await reasonOf(store.aggregate(item, { filter: null, aggregations: [{ kind: 'count' }], groupBy: null, limit: 1 }, never))).toBe('FENCED');
      });

      test('rows are read, missing ones left out', async () => {
        await harness.fence('item', row);
        expect(await store.fenceRows(['line', 'item'], never)).toEqual([row]);
        expect(await store.fenceRows(['line'], never)).toEqual([]);
      });
    });

    describe('an abort', () => {
      test('before the call sends nothing', async () => {
        const gone = new SwitchyardError('DEADLINE_EXCEEDED', 'too late');
        expect(await failure(store.write(schemas, [insertItem(1n, 'a')], AbortSignal.abort(gone)))).toBe(gone);
        expect(await reasonOf(store.get(item, { key: [1n], columns: ['id'] }, AbortSignal.abort()))).toBe('CANCELLED');
        expect(await get(1n)).toBeNull();
      });

      test.each<[string, readonly WriteOperation[]]>([
        ['write', [updateItem(1n, { note: 'late' })]],
        ['transaction', [insertItem(2n, 'b'), updateItem(1n, { note: 'late' })]],
      ])('cancels a waiting %s in the store, which is definitely not applied then', async (_, operations) => {
        await write(insertItem(1n, 'a'));
        const lock = await lockItem(1n);
        const controller = new AbortController();
        const gone = new SwitchyardError('DEADLINE_EXCEEDED', 'too late');
        const waiting = failure(store.write(schemas, operations, controller.signal));
        await untilRunning(1);
        controller.abort(gone);
        expect(await waiting).toBe(gone);
        await untilRunning(0);
        await lock[Symbol.asyncDispose]();
        expect((await get(1n, ['note']))?.cells).toEqual([null]);
        expect(await get(2n)).toBeNull();
        for (let i = 0n; i < 20n; i += 1n) await write(updateItem(1n, {}, { add: { amount: 1n } }));
        expect(await amountOf(1n)).toBe(20n);
      });

      test('cancels a waiting write also where every connection waits', async () => {
        await write(insertItem(1n, 'a'));
        await using small = harness.open({ poolSize: 1 });
        const lock = await lockItem(1n);
        const controller = new AbortController();
        const late = (signal: AbortSignal) => reasonOf(small.write(schemas, [updateItem(1n, { note: 'late' })], signal));
        const waiting = late(controller.signal);
        await untilSomeRun();
        const rest = new AbortController();
        const others = Array.from({ length: 9 }, () => late(rest.signal));
        controller.abort();
        expect(await waiting).toBe('CANCELLED');
        rest.abort();
        await Promise.all(others);
        await lock[Symbol.asyncDispose]();
        expect((await get(1n, ['note']))?.cells).toEqual([null]);
      });

      where(skips.cancelRequests)('leaves no connection behind that a late cancel could hit', async () => {
        await write(insertItem(1n, 'a'), insertItem(2n, 'b'));
        await using door = await harness.openDoor();
        await using small = harness.open({ poolSize: 1, ...door.options });
        const add = (id: bigint, signal: AbortSignal) => small.write(schemas, [updateItem(id, {}, { add: { amount: 1n } })], signal);
        const lock = await lockItem(1n);
        const nextLock = await lockItem(2n);
        const controller = new AbortController();
        const aborted = reasonOf(add(1n, controller.signal));
        await untilRunning(1);
        door.holdNewConnections();
        controller.abort();
        // The request to cancel is on its way. The statement that it is meant for ends, and the next one comes.
        await door.untilHeld();
        await lock[Symbol.asyncDispose]();
        const next = add(2n, never);
        await new Promise((resolve) => setTimeout(resolve, 100));
        door.letThrough();
        await new Promise((resolve) => setTimeout(resolve, 200));
        await nextLock[Symbol.asyncDispose]();
        await next;
        await aborted.catch(() => 'done in time');
        expect([await amountOf(1n), await amountOf(2n)]).toEqual([1n, 1n]);
      });
    });

    describe('the pool', () => {
      where(skips.ownConnections)('connects when it is needed, and no more often than it may', async () => {
        const small = harness.open({ poolSize: 3 });
        const before = await harness.connections();
        await write(insertItem(1n, 'a'));
        await Promise.all(Array.from({ length: 50 }, () => small.get(item, { key: [1n], columns: ['id'] }, never)));
        expect((await harness.connections()) - before).toBeLessThanOrEqual(3);
        // The last one may come when its callers have been served by the others.
        await waitUntil('all connections', { limitMs: 5_000 }, async () => (small.poolStatus().idle === 3 ? true : undefined));
        expect(small.poolStatus()).toEqual({ busy: 0, idle: 3, waiting: 0 });
        await small[Symbol.asyncDispose]();
        await waitUntil('the end of the connections', { limitMs: 5_000 }, async () => ((await harness.connections()) <= before ? true : undefined));
      });

      where(skips.ownPool)('warms up', async () => {
        const warm = harness.open({ poolSize: 5 });
        await warm.warmUp([item], 4, never);
        expect(warm.poolStatus()).toEqual({ busy: 0, idle: 4, waiting: 0 });
        await harness.takeReads('item');
        await warm.warmUp([item], 50, never);
        expect(warm.poolStatus().idle).toBe(5);
        await warm[Symbol.asyncDispose]();
      });

      where(skips.ownConnections)('lets callers wait so long and no longer, and an abort ends the wait', async () => {
        await write(insertItem(1n, 'a'));
        const small = harness.open({ poolSize: 1, acquireTimeoutMs: 100 });
        // Connecting may take a busy machine longer than that.
        await small.warmUp([], 1, never);
        const lock = await lockItem(1n);
        const stuck = small.write(schemas, [updateItem(1n, { note: 'x' })], never);
        await untilRunning(1);
        const controller = new AbortController();
        const impatient = reasonOf(small.batchGet(item, { keys: [[1n]], columns: ['id'] }, controller.signal));
        const patient = reasonOf(small.batchGet(item, { keys: [[1n]], columns: ['id'] }, never));
        expect(small.poolStatus()).toEqual({ busy: 1, idle: 0, waiting: 2 });
        controller.abort();
        expect(await impatient).toBe('CANCELLED');
        expect(await patient).toBe('STORE_OVERLOADED');
        await lock[Symbol.asyncDispose]();
        await stuck;
        expect(small.poolStatus()).toEqual({ busy: 0, idle: 1, waiting: 0 });
        await small[Symbol.asyncDispose]();
      });

      where(skips.lostConnections)('goes on after idle connections were ended, and tells of it', async () => {
        const told: Error[] = [];
        const small = harness.open({ poolSize: 2, onBackgroundError: (error) => told.push(error) });
        await small.warmUp([], 2, never);
        await harness.killConnections();
        await waitUntil('the report of the loss', { limitMs: 5_000 }, async () => (told.length === 2 ? true : undefined));
        expect(small.poolStatus()).toEqual({ busy: 0, idle: 0, waiting: 0 });
        expect(await small.get(item, { key: [1n], columns: ['id'] }, never)).toBeNull();
        await small[Symbol.asyncDispose]();
      });

      where(skips.ownConnections)('disposed of, it refuses those who wait and come', async () => {
        await write(insertItem(1n, 'a'));
        const small = harness.open({ poolSize: 1 });
        const lock = await lockItem(1n);
        const stuck = reasonOf(small.write(schemas, [updateItem(1n, { note: 'x' })], never));
        await untilRunning(1);
        const waiting = reasonOf(small.get(item, { key: [1n], columns: ['id'] }, never));
        await small[Symbol.asyncDispose]();
        expect(await waiting).toBe('STORE_UNAVAILABLE');
        expect(await stuck).toBe('OUTCOME_UNKNOWN');
        expect(await reasonOf(small.listTables(never))).toBe('STORE_UNAVAILABLE');
        await lock[Symbol.asyncDispose]();
      });
    });

    describe('a lost connection', () => {
      const endedWrites: readonly (readonly [string, readonly WriteOperation[]])[] = [
        ['single write', [updateItem(1n, { note: 'x' })]],
        ['transaction', [insertItem(2n, 'b'), updateItem(1n, { note: 'x' })]],
      ];
      for (const [kind, operations] of endedWrites) {
        where(skips.lostConnections ?? (operations.length === 1 ? skips.lastWords : undefined))(
          `of a ${kind} that the store ended before its commit is definitely not applied`,
          async () => {
            await write(insertItem(1n, 'a'));
            const lock = await lockItem(1n);
            const lost = reasonOf(write(...operations));
            await untilRunning(1);
            await harness.killConnections();
            expect(await lost).toBe('STORE_UNAVAILABLE');
            await lock[Symbol.asyncDispose]();
            // The idle ones were ended as well: a read on one whose end has not arrived yet would be told of the loss.
            await waitUntil('the loss of the idle connections', { limitMs: 5_000 }, async () => (store.poolStatus().idle === 0 ? true : undefined));
            expect((await get(1n, ['note']))?.cells).toEqual([null]);
            expect(await get(2n)).toBeNull();
          },
        );
      }

      where(skips.lostConnections)('that the store has announced is not given to the next call', async () => {
        await write(insertItem(1n, 'a'), insertItem(2n, 'b'));
        await using small = harness.open({ poolSize: 1 });
        for (let round = 0; round < 5; round += 1) {
          const lock = await lockItem(1n);
          const lost = reasonOf(small.write(schemas, [updateItem(1n, { note: 'x' })], never));
          await untilRunning(1);
          const next = small.write(schemas, [updateItem(2n, { note: `y${round}` })], never);
          await harness.killConnections();
          expect(await lost).toBe(skips.lastWords === undefined ? 'STORE_UNAVAILABLE' : 'OUTCOME_UNKNOWN');
          await next;
          await lock[Symbol.asyncDispose]();
        }
        expect((await get(2n, ['note']))?.cells).toEqual(['y4']);
      });

      where(skips.lostConnections)('to a store that does not answer: a read ends with its signal, a write is of unknown outcome', async () => {
        await write(insertItem(1n, 'a'));
        await store.warmUp([], 4, never);
        const frozen = await harness.freeze();
        const controller = new AbortController();
        const read = reasonOf(store.get(item, { key: [1n], columns: ['id'] }, controller.signal));
        const lostWrite = reasonOf(store.write(schemas, [updateItem(1n, { note: 'x' })], controller.signal));
        setTimeout(() => controller.abort(), 100);
        expect(await read).toBe('CANCELLED');
        expect(await lostWrite).toBe('OUTCOME_UNKNOWN');
        await frozen[Symbol.asyncDispose]();
        expect((await get(1n, ['id']))?.cells).toEqual([1n]);
      });

      test('to a store that is down is told, and forgotten when it is back', async () => {
        await write(insertItem(1n, 'a'));
        await harness.stop();
        for (let i = 0; i < 5; i += 1) expect(await reasonOf(get(1n))).toBe('STORE_UNAVAILABLE');
        expect(await reasonOf(write(insertItem(2n, 'b')))).toBe('STORE_UNAVAILABLE');
        expect(await reasonOf(store.warmUp([item], 2, never))).toBe('STORE_UNAVAILABLE');
        await harness.start();
        expect((await get(1n, ['id']))?.cells).toEqual([1n]);
      });
    });
  });
}
