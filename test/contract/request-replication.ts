import { describe, expect, test } from '@jest/globals';
import type { ApplyBatch, DataStore, StreamState } from '../../backends/backend.ts';
import { copyRequests } from '../../control/streams/request-copier.ts';
import type { Cell } from '../../core/cell.ts';
import type { ChangeTransaction } from '../../core/change.ts';
import { attempt } from '../../core/ids.ts';
import { REQUESTS, REQUESTS_CHUNK_BYTES, type RequestRecord } from '../../core/request-record.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { MoveDialect } from './move-dialect.ts';
import { type StoresSource, useArmedStores } from './armed-stores.ts';
import { catchUp, emptyBatch, FORWARD, type MoveStores, never, reasonOf, type StoreUnderTest } from './move-stores.ts';
import { insertNamed, recordOf, writeOnce } from './once.ts';

/** The records of requests go wherever their tables go: what was done once on the source is not done again on the target. */
export function requestReplicationContract(dialect: MoveDialect, start: () => Promise<StoresSource>): void {
  const { has, own } = dialect;
  describe(`${dialect.name}: records of requests`, () => {
    let stores: MoveStores;
    let schemas: ReadonlyMap<string, TableSchema>;
    let store: DataStore;
    let fresh: () => Promise<MoveStores>;

    useArmedStores(start, (armed, stack) => {
      ({ stores, schemas, fresh } = armed);
      store = stack.use(stores.source.openData());
    });

    const kinds = (transactions: readonly ChangeTransaction[]): string[] => transactions.flatMap((each) => each.events.map((event) => event.kind)).sort();
    const streamed = (transactions: readonly ChangeTransaction[]): PlainRecord[] =>
      transactions.flatMap((each) => each.events).flatMap((event) => (event.kind === 'request' ? [plain(event.record)] : []));
    const held = async (where: StoreUnderTest, tables = ['item', 'line']): Promise<readonly PlainRecord[]> =>
      (await where.player.readRequests(tables, null, 1_000, never())).map(plain);
    const batch = (state: StreamState, records: readonly RequestRecord[], more: Partial<ApplyBatch> = {}): ApplyBatch => ({
      ...emptyBatch(state),
      requests: { records, progress: null },
      ...more,
    });
    const apply = async (...records: readonly RequestRecord[]): Promise<void> => {
      const state = await stores.target.player.takeStream(FORWARD, never());
      await stores.target.player.apply(FORWARD, schemas, state.token, batch(state, records), never());
    };

    test('come with the write, those of other tables do not', async () => {
      await writeOnce(store, schemas, 'a', [insertNamed('a')]);
      await writeOnce(store, schemas, 'b', [insertNamed('b')], { table: 'elsewhere' });
      const seen = await catchUp(stores, schemas, 1);
      expect(kinds(seen)).toEqual(['insert', 'insert', 'request', 'watermark']);
      const ofA = seen.find((each) => each.events.some((event) => event.kind === 'request'));
      if (has.transactionsInLog) expect(ofA?.events.map((event) => event.kind).sort()).toEqual(['insert', 'request']);
      const records = await held(stores.source);
      expect(records).toEqual([
        {
          caller: 'teller',
          id: 'a',
          table: 'item',
          digest: expect.any(String),
          result: has.ownEncoding === false ? expect.any(String) : 'true:1',
          recordedAtMicros: expect.any(BigInt),
        },
      ]);
      expect(Math.abs(Number(records[0]?.recordedAtMicros) / 1_000 - Date.now())).toBeLessThan(60_000);
      expect(streamed(seen)).toEqual(records);
      expect(await held(stores.target, ['item', 'line', 'elsewhere'])).toEqual(records);
      expect(await held(stores.source, ['elsewhere'])).toHaveLength(1);
    });

    test('answer on the target what was done on the source', async () => {
      const first = await writeOnce(store, schemas, 'moved', [insertNamed('moved')]);
      await catchUp(stores, schemas, 1);
      await using target = stores.target.openData();
      expect(await writeOnce(target, schemas, 'moved', [insertNamed('moved')])).toEqual({ ...first, repeated: true });
      expect(await reasonOf(writeOnce(target, schemas, 'new', [insertNamed('new')]))).toBe('FENCED');
    });

    test('are read in order of their key by code point, page by page, those of the tables alone', async () => {
      const keys = [
        ['', '1', 'item'],
        ['B', '', 'item'],
        ['B', '10', 'item'],
        ['B', '10', 'line'],
        ['B', '9', 'item'],
        ['a', 'ä', 'line'],
        ['a', '\uffff', 'item'],
        ['a', '😀', 'item'],
      ] as const;
      await apply(...[...keys, ['B', '10', 'elsewhere'] as const].reverse().map(([caller, id, table]) => recordOf(id, { caller, table })));
      const read: Cell[][] = [];
      for (let after: readonly Cell[] | null = null; ; ) {
        const page: readonly RequestRecord[] = await stores.target.player.readRequests(['item', 'line'], after, 3, never());
        expect(page.length).toBeLessThanOrEqual(3);
        read.push(...page.map(({ caller, id, table }) => [caller, id, table]));
        after = read.at(-1) ?? null;
        if (page.length < 3) break;
      }
      expect(read).toEqual(keys);
      expect(await stores.target.player.readRequests(['line'], null, 10, never())).toHaveLength(2);
      expect(await stores.target.player.readRequests([], null, 10, never())).toEqual([]);
    });

    test('are copied a few at a time where their results are large, to the last', async () => {
      await apply(...['a', 'b', 'c'].map((id) => recordOf(id, { result: Buffer.alloc(REQUESTS_CHUNK_BYTES / 2 + 1) })));
      const { player } = stores.target;
      const state = await player.takeStream(FORWARD, never());
      const chunks: (readonly string[])[] = [];
      const applyRequests = async (records: readonly RequestRecord[]): Promise<void> => void chunks.push(records.map(({ id }) => id));
      await copyRequests(
        { tables: ['item'], from: player, player: { state, applyRequests }, clock: systemClock, share: () => ({ leastCopyShare: 5, mostCopyShare: 100 }), onProgress: () => {} },
        never(),
      );
      expect(chunks).toEqual([['a', 'b'], ['c']]);
    });

    test('are copied in chunks, beside other batches of the stream, whose position stays', async () => {
      const { player } = stores.target;
      let state = await player.takeStream(FORWARD, never());
      const { position } = state;
      expect(state.copied.has(REQUESTS)).toBe(false);
      const chunk = (ids: readonly string[], rows: number, done: boolean): ApplyBatch => {
        const last = ids.at(-1);
        return batch(state, [], {
          position: null,
          requests: { records: ids.map((id) => recordOf(id)), progress: { lastKey: last === undefined ? null : ['teller', last, 'item'], rows, done } },
        });
      };
      const insert = (line: number): ApplyBatch => ({ ...emptyBatch(state), changes: [{ kind: 'insert', table: 'line', row: [1n, line, 1] }] });
      for (const [i, records] of [chunk(['a', 'b'], 2, false), chunk(['c'], 3, true)].entries()) {
        await Promise.all([insert(i), records].map((each) => player.apply(FORWARD, schemas, state.token, each, never())));
        state = await player.takeStream(FORWARD, never());
        expect(state.position).toBe(position);
        expect(state.copied.get(REQUESTS)).toEqual(records.requests.progress);
      }
      expect((await held(stores.target)).map(({ id }) => id)).toEqual(['a', 'b', 'c']);
      expect((await stores.target.sql('SELECT count(*) FROM line', 'owner'))[0]).toEqual(['2']);
      await player.apply(FORWARD, schemas, state.token, chunk([], 0, true), never());
      expect((await player.takeStream(FORWARD, never())).copied.get(REQUESTS)).toEqual({ lastKey: null, rows: 0, done: true });
    });

    test('are applied twice without harm, and the later written stays, whatever the order', async () => {
      const [older, newer] = [recordOf('a', { recordedAtMicros: 1n, digest: 'older' }), recordOf('a', { recordedAtMicros: 2n, digest: 'newer', result: Buffer.from('newer') })];
      await apply(older);
      await apply(older, older);
      expect(await held(stores.target)).toEqual([plain(older)]);
      await apply(newer, older);
      await apply(older);
      expect(await held(stores.target)).toEqual([plain(newer)]);
      await apply(newer);
      expect(await held(stores.target)).toEqual([plain(newer)]);
      await apply(
        recordOf('b', { recordedAtMicros: 5n, result: new Uint8Array() }),
        recordOf('c', { table: 'line' }),
        recordOf('b', { recordedAtMicros: 7n }),
        recordOf('b', { recordedAtMicros: 6n }),
      );
      expect(await held(stores.target)).toEqual([newer, recordOf('b', { recordedAtMicros: 7n }), recordOf('c', { table: 'line' })].map(plain));
    });

    test('of a player that was replaced are refused', async () => {
      const old = await stores.target.player.takeStream(FORWARD, never());
      await stores.target.player.takeStream(FORWARD, never());
      for (const position of [old.position, null]) {
        expect(await reasonOf(stores.target.player.apply(FORWARD, schemas, old.token, batch(old, [recordOf('a')], { position }), never()))).toBe('STREAM_TAKEN');
      }
      expect(await held(stores.target)).toEqual([]);
    });

    test("that a player has written do not flow back, a gateway's do", async () => {
      const reverse = { ...FORWARD, id: 'move1.reverse' };
      const from = await stores.target.owner.createLog(reverse, attempt(0), never());
      await writeOnce(store, schemas, 'forward', [insertNamed('forward')]);
      await catchUp(stores, schemas, 1);
      const state = await stores.target.player.takeStream(FORWARD, never());
      await stores.target.player.apply(FORWARD, schemas, state.token, batch(state, [recordOf('copied')], { position: null }), never());
      await stores.target.player.writeWatermark(reverse, 5, never());
      const seen: ChangeTransaction[] = [];
      for await (const group of stores.target.player.follow(reverse, schemas, from, never())) {
        seen.push(...group);
        if (kinds(seen).includes('watermark')) break;
      }
      expect(kinds(seen)).toEqual(['watermark']);
      await stores.target.owner.dropLog(reverse, null, never());
    });

    test('expire by the store’s own clock, a few at a time, which the stream does not tell', async () => {
      const { owner } = stores.source;
      for (const id of ['a', 'b', 'c', 'd']) await writeOnce(store, schemas, id, [insertNamed(id)]);
      await catchUp(stores, schemas, 1);
      expect(await owner.expireRequests(3_600_000, 10, never())).toBe(0);
      // An age of 1.1 hours, as its product comes out.
      expect(await owner.expireRequests(1.1 * 3_600_000, 10, never())).toBe(0);
      expect(await owner.expireRequests(0, 3, never())).toBe(3);
      expect((await held(stores.source)).map(({ id }) => id)).toEqual(['d']);
      expect(await owner.expireRequests(0, 3, never())).toBe(1);
      expect(await owner.expireRequests(0, 3, never())).toBe(0);
      await writeOnce(store, schemas, 'e', [insertNamed('e')]);
      expect(kinds(await catchUp(stores, schemas, 2))).toEqual(['insert', 'request', 'watermark']);
      await stores.source.sql(`${has.truncate ? 'TRUNCATE' : 'DELETE FROM'} ${own('request')}`, 'owner');
      expect(kinds(await catchUp(stores, schemas, 3))).toEqual(['watermark']);
      expect((await held(stores.target)).map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd', 'e']);
      // What has expired is not known any more.
      expect((await writeOnce(store, schemas, 'a', [insertNamed('a again')])).repeated).toBe(false);
    });

    test('expire in a store that was never prepared, which has none', async () => {
      await using unprepared = await fresh();
      expect(await unprepared.source.owner.expireRequests(0, 10, never())).toBe(0);
      await unprepared.source.owner.install(never());
      await unprepared.source.sql(dialect.withoutRequests, 'owner');
      expect(await unprepared.source.owner.expireRequests(0, 10, never())).toBe(0);
    });

    test('join the streams that an older release has begun', async () => {
      await stores.source.sql(dialect.withoutRequests, 'owner');
      await stores.source.sql(`INSERT INTO item (name) VALUES ('before')`);
      expect(kinds(await catchUp(stores, schemas, 1))).toEqual(['insert', 'watermark']);
      await stores.source.owner.install(never());
      const first = await writeOnce(store, schemas, 'after', [insertNamed('after')]);
      expect(kinds(await catchUp(stores, schemas, 2))).toEqual(['insert', 'request', 'watermark']);
      await using target = stores.target.openData();
      expect(await writeOnce(target, schemas, 'after', [insertNamed('after')])).toEqual({ ...first, repeated: true });
    });
  });
}

type PlainRecord = Omit<RequestRecord, 'result'> & { readonly result: string };

/** With its result readable. */
const plain = (record: RequestRecord): PlainRecord => ({ ...record, result: Buffer.from(record.result).toString('latin1') });
