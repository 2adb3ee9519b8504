import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Side } from '../../control/move.ts';
import { StreamSupervisor } from '../../control/streams/stream-supervisor.ts';
import { verifyMove } from '../../control/verify/verify-move.ts';
import { keyToJson } from '../../core/cell-json.ts';
import type { RowChange } from '../../core/change.ts';
import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { Verification, Verifying } from '../../core/workflow-document.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/logger.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import type { StoresSource } from './armed-stores.ts';
import type { MoveDialect } from './move-dialect.ts';
import { arm, emptyBatch, FORWARD, type MoveStores, never, TABLES } from './move-stores.ts';

const items = 3_000;
const lines = 10;
const log = createLogger('test', 'silent');
const begun = (): Verifying => ({ request: 'v', startedAt: new Date().toISOString(), tables: [], sample: [] });
/** A second of it passes in a thousandth of one, and nobody rests. */
const fastClock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() * 1_000, sleep: () => systemClock.sleep(0) };

/** The whole comparison of a move, between two real stores with a running stream. */
export function describeVerification(dialect: MoveDialect, start: () => Promise<StoresSource>): void {
  describe(`verification between two stores of ${dialect.name}`, () => {
    let source: StoresSource;
    let stores: MoveStores;
    let schemas: ReadonlyMap<string, TableSchema>;
    let stream: StreamSupervisor;

    beforeAll(async () => {
      source = await start();
    }, 60_000);
    afterAll(async () => {
      await source?.[Symbol.asyncDispose]();
    });
    beforeEach(async () => {
      stores = await source.fresh();
      await stores.source.sql(`INSERT INTO item (name, amount, price) SELECT ${dialect.textOfI}, i, '1.5000' FROM ${dialect.series(items)}`, 'owner');
      await stores.source.sql(`INSERT INTO line (item_id, line, quantity) SELECT i, 0, i FROM ${dialect.series(lines)}`, 'owner');
      schemas = await arm(stores);
      stream = supervisor();
      await play();
    }, 60_000);
    afterEach(async () => {
      await stream.stop();
      await stores[Symbol.asyncDispose]();
    });

    const side = (name: Side['name']): Side => ({ name, keyspace: name, kind: dialect.name, owner: stores[name].owner, player: stores[name].player });
    let copied: Set<string>;
    function supervisor(target = side('target')): StreamSupervisor {
      copied = new Set();
      return new StreamSupervisor({
        stream: FORWARD,
        from: side('source'),
        to: target,
        copies: () => true,
        share: () => ({ leastCopyShare: 5, mostCopyShare: 100 }),
        onProgress: (table, { done }) => void (done && copied.add(table)),
        clock: systemClock,
        log,
      });
    }

    async function play(): Promise<void> {
      await stream.start(never());
      await waitUntil('the end of the copy', { limitMs: 60_000, everyMs: 20 }, async () => (TABLES.every((table) => copied.has(table)) ? true : undefined));
    }

    /** What a faulty player would have written. */
    async function tamper(changes: readonly RowChange[]): Promise<void> {
      await stream.stop();
      const state = await stores.target.player.takeStream(FORWARD, never());
      await stores.target.player.apply(FORWARD, schemas, state.token, { ...emptyBatch(state), changes }, never());
      await play();
    }

    /** The target, whose next read of rows by key ends as by a lost connection. */
    function losingOnce(): Side {
      const { player } = stores.target;
      let isLost = false;
      const readRows: typeof player.readRows = (...all) => {
        if (isLost) return player.readRows(...all);
        isLost = true;
        return Promise.reject(new SwitchyardError('STORE_UNAVAILABLE', 'the connection to the store was lost'));
      };
      const other = new Proxy(player, {
        get: (_, name) => {
          const value = Reflect.get(player, name) as unknown;
          return name === 'readRows' ? readRows : typeof value === 'function' ? value.bind(player) : value;
        },
      });
      return { ...side('target'), player: other };
    }

    const verify = (repair: boolean, verifying = begun(), onProgress: (progress: Verifying) => void = () => {}, clock: Clock = systemClock): Promise<Verification> => {
      const move = { name: 'move1', tables: TABLES, source: side('source'), target: side('target') };
      return verifyMove({ move, primary: 'source', stream, clock, repair }, verifying, async (progress) => onProgress(progress), AbortSignal.timeout(60_000));
    };

    async function row(table: string, key: readonly (bigint | number)[], cells: Readonly<Record<string, unknown>> = {}): Promise<Extract<RowChange, { kind: 'insert' }>> {
      const schema = schemas.get(table) as TableSchema;
      const [found] = await stores.source.player.readRows(schema, [key], never());
      return { kind: 'insert', table, row: schema.columns.map(({ name }, i) => (name in cells ? (cells[name] as never) : (found?.[i] ?? null))) };
    }

    test('equal stores have no difference, also while both change', async () => {
      expect(await verify(false)).toMatchObject({ rowsCompared: items + lines, differences: 0, repaired: 0, sample: [] });
      const session = await stores.source.session('gateway');
      let isOver = false;
      const writes = (async () => {
        for (let id = 1; !isOver; id = (id % items) + 7) await session.query(`UPDATE item SET amount = amount + 1 WHERE id = ${id}`);
      })();
      for (let round = 0; round < 3; round += 1) expect(await verify(round === 1)).toMatchObject({ differences: 0, repaired: 0, sample: [] });
      isOver = true;
      await writes;
      await session.close();
    }, 120_000);

    test('a comparison whose read of the target is lost fails, so that it can go on', async () => {
      await tamper([await row('item', [1n], { amount: 77 })]);
      await stream.stop();
      stream = supervisor(losingOnce());
      await play();
      await expect(verify(false)).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
      const verified = await waitUntil('the stream again', { limitMs: 30_000, everyMs: 100 }, () => verify(false).catch(() => undefined));
      expect(verified).toMatchObject({ differences: 1 });
    });

    test('every row and column that differs is named, and repaired when that is asked for', async () => {
      const names = [3n, 4n].map((id) => row('item', [id]));
      const [third, fourth] = await Promise.all(names);
      const nameAt = (schemas.get('item') as TableSchema).columns.findIndex(({ name }) => name === 'name');
      await tamper([
        await row('item', [1n], { amount: 77, price: '1.5001' }),
        { kind: 'delete', table: 'item', key: [2_000n] },
        await row('item', [1n], { id: BigInt(items + 5), name: 'extra' }),
        // Two rows that hold each other's unique key.
        { kind: 'delete', table: 'item', key: [3n] },
        { kind: 'delete', table: 'item', key: [4n] },
        await row('item', [3n], { name: fourth?.row[nameAt] }),
        await row('item', [4n], { name: third?.row[nameAt] }),
        await row('line', [5n, 0], { quantity: null }),
        // What the rows of `line` went with.
        await row('line', [3n, 0]),
        await row('line', [4n, 0]),
      ]);
      const found = await verify(false);
      expect(found).toMatchObject({ differences: 6, repaired: 0 });
      const of = (key: string) => found.sample.filter((each) => each.key === key).map(({ table, what, sourceValue, targetValue }) => [table, what, sourceValue, targetValue]);
      expect(of('1').slice(0, 3)).toEqual([
        ['item', 'amount', '1', '77'],
        ['item', 'twice', '2', '154'],
        ['item', 'price', '"1.5000"', '"1.5001"'],
      ]);
      expect(of('2000')).toEqual([['item', 'missing in target', expect.stringContaining('2000'), '']]);
      expect(of(String(items + 5))).toEqual([['item', 'missing in source', '', expect.stringContaining('"extra"')]]);
      expect(of('3')).toEqual([['item', 'name', expect.any(String), expect.any(String)]]);
      expect(of('5,0')).toEqual([['line', 'quantity', '5', 'NULL']]);

      const repaired = await verify(true);
      expect(repaired).toMatchObject({ differences: 0, repaired: 6 });
      expect(repaired.sample).toContainEqual({ table: 'line', key: '5,0', what: 'quantity', sourceValue: '5', targetValue: 'NULL', repaired: true });
      expect(await verify(false)).toMatchObject({ rowsCompared: items + lines, differences: 0, repaired: 0, sample: [] });
    }, 120_000);

    test('it goes on where another one was', async () => {
      await tamper([await row('item', [10n], { amount: 1 }), await row('item', [2_900n], { amount: 1 })]);
      const half = keyToJson([1_500n]);
      const tables = [
        { table: 'item', rows: 1_500, differences: 4, repaired: 1, done: false, fromKey: half, toKey: half },
        { table: 'line', rows: lines, differences: 0, repaired: 0, done: true },
      ];
      const found = await verify(false, { ...begun(), tables });
      expect(found).toMatchObject({ rowsCompared: items + lines, differences: 5, repaired: 1 });
      expect([...new Set(found.sample.map(({ key }) => key))]).toEqual(['2900']);
    }, 120_000);

    test('it says where the next one could go on', async () => {
      await tamper([{ kind: 'delete', table: 'item', key: [2_500n] }]);
      const told: Verifying[] = [];
      await verify(false, begun(), (progress) => void told.push(structuredClone(progress)), fastClock);
      const underWay = told.flatMap(({ tables }) => tables.filter(({ table, done, fromKey }) => table === 'item' && !done && fromKey !== undefined));
      expect(underWay.length).toBeGreaterThan(1);
      const before = told.find(({ tables }) => tables.some(({ table, done, rows }) => table === 'item' && !done && rows > 0 && rows < 2_500));
      expect(await verify(false, before)).toMatchObject({ rowsCompared: items + lines, differences: 1 });
      const behind = told.findLast(({ tables }) => tables.some(({ table, done, rows }) => table === 'item' && !done && rows > 2_700));
      expect(await verify(false, behind)).toMatchObject({ rowsCompared: items + lines, differences: 1 });
    }, 120_000);
  });
}
