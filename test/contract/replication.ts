import { describe, expect, test } from '@jest/globals';
import type { StreamState } from '../../backends/backend.ts';
import type { Cell } from '../../core/cell.ts';
import type { ChangeTransaction } from '../../core/change.ts';
import { attempt, type Position, streamToken } from '../../core/ids.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { type MoveDialect, testWhere } from './move-dialect.ts';
import { type StoresSource, useArmedStores } from './armed-stores.ts';
import { allRows, batchOf, begin, catchUp, emptyBatch, FORWARD, type MoveStores, never, play, reasonOf, SOURCE, TARGET } from './move-stores.ts';

/** Replication as every kind of store must do it: whatever is written on the source is on the target afterwards, once, in every form that a change can take. */
export function replicationContract(dialect: MoveDialect, start: () => Promise<StoresSource>): void {
  const { codes, has, own } = dialect;
  describe(`${dialect.name}: replication`, () => {
    let stores: MoveStores;
    let schemas: ReadonlyMap<string, TableSchema>;

    useArmedStores(start, (armed) => {
      ({ stores, schemas } = armed);
    });

    const schemaOf = (table: string): TableSchema => schemas.get(table) as TableSchema;
    const write = (sql: string): Promise<unknown> => stores.source.sql(sql);
    const asOwner = (sql: string): Promise<unknown> => stores.source.sql(sql, 'owner');
    const expectEqual = async (): Promise<void> => {
      for (const table of schemas.values()) {
        expect(await allRows(stores.target, table)).toEqual(await allRows(stores.source, table));
      }
    };
    const kinds = (transactions: readonly ChangeTransaction[]): string[] => transactions.flatMap((each) => each.events.map((event) => event.kind));

    test('every type, every kind of change, several tables in one transaction', async () => {
      await write(dialect.everyType);
      await write(`BEGIN; INSERT INTO item (name) VALUES ('parent'); INSERT INTO line (item_id, line, quantity) SELECT id, 7, 1 FROM item WHERE name = 'parent';
        UPDATE line SET quantity = quantity + 1; UPDATE item SET price = -0.0001 WHERE name = 'none'; COMMIT`);
      const seen = await catchUp(stores, schemas, 1);
      expect(kinds(seen)).toEqual(['insert', 'insert', 'insert', 'insert', 'update', 'update', 'watermark']);
      if (has.transactionsInLog) expect(seen.map((each) => each.events.length)).toEqual([2, 4, 1]);
      expect(seen.every((each) => each.ageMs >= 0 && each.ageMs < 10_000)).toBe(true);
      await expectEqual();
      await write(`BEGIN; DELETE FROM line; DELETE FROM item WHERE name = 'parent'; INSERT INTO item (name) VALUES ('parent'); COMMIT`);
      await catchUp(stores, schemas, 2);
      await expectEqual();
    });

    testWhere(has.unchangedCells, 'the log has every row whole')('unchanged out-of-line values, alone, after another change, and with a changed key', async () => {
      await write(`INSERT INTO item (name, big) SELECT 'n' || i, repeat(md5(i::text), 500) FROM generate_series(1, 4) AS i`);
      await catchUp(stores, schemas, 1);
      await write(`UPDATE item SET amount = 5 WHERE name = 'n1'`);
      await write(`BEGIN; UPDATE item SET big = repeat('changed!', 2000) WHERE name = 'n2'; UPDATE item SET amount = 6 WHERE name = 'n2'; COMMIT`);
      await write(`UPDATE item SET id = DEFAULT, amount = 7 WHERE name = 'n3'`);
      await write(`BEGIN; UPDATE item SET amount = 8 WHERE name = 'n4'; UPDATE item SET id = DEFAULT WHERE name = 'n4'; UPDATE item SET amount = 9 WHERE name = 'n4'; COMMIT`);
      const seen = await catchUp(stores, schemas, 2);
      expect(kinds(seen)).toEqual([...Array(7).fill('update'), 'watermark']);
      await expectEqual();
    });

    test('a changed key, also back and forth within a transaction', async () => {
      await write(`INSERT INTO item (name) VALUES ('a'), ('b')`);
      await write('INSERT INTO line (item_id, line) VALUES (1, 1), (1, 2), (2, 1)');
      await write(
        'BEGIN; UPDATE line SET line = 9 WHERE line = 2; UPDATE line SET line = 2 WHERE item_id = 1 AND line = 1; UPDATE line SET line = 1 WHERE line = 9; UPDATE line SET line = 5 WHERE item_id = 2; COMMIT',
      );
      await catchUp(stores, schemas, 1);
      await expectEqual();
    });

    test('unique values that rows swap', async () => {
      await write(`INSERT INTO item (name, amount) VALUES ('a', 1), ('b', 2), ('c', 3)`);
      await catchUp(stores, schemas, 1);
      await write(`BEGIN; UPDATE item SET name = 'tmp' WHERE amount = 1; UPDATE item SET name = 'a' WHERE amount = 2; UPDATE item SET name = 'b' WHERE amount = 1; COMMIT`);
      await write(`BEGIN; DELETE FROM item WHERE name = 'c'; INSERT INTO item (name, amount) VALUES ('c', 4); COMMIT`);
      await catchUp(stores, schemas, 2);
      await expectEqual();
    });

    testWhere(has.truncate, 'there is no such statement')('truncate is a barrier', async () => {
      await write(`INSERT INTO item (name) VALUES ('before')`);
      await asOwner(`BEGIN; INSERT INTO item (name) VALUES ('gone'); TRUNCATE item, line; INSERT INTO item (name) VALUES ('after'); COMMIT`);
      const seen = await catchUp(stores, schemas, 1);
      expect(kinds(seen)).toContain('truncate');
      await expectEqual();
      expect(await allRows(stores.target, schemaOf('item'))).toHaveLength(1);
    });

    test('what was rolled back does not come, not even a part', async () => {
      await write(`BEGIN; INSERT INTO item (name) VALUES ('kept'); SAVEPOINT s; INSERT INTO item (name) VALUES ('not kept'); ROLLBACK TO s; COMMIT`);
      await write(`BEGIN; INSERT INTO item (name) VALUES ('never'); ROLLBACK`);
      expect(kinds(await catchUp(stores, schemas, 1))).toEqual(['insert', 'watermark']);
      await expectEqual();
    });

    test('a copied chunk with its progress, and the chunks one after another', async () => {
      await write(`INSERT INTO item (name, amount) SELECT 'n' || i, i FROM ${dialect.series(10)}`);
      const { player } = stores.target;
      const state = await player.takeStream(FORWARD, never());
      expect(state.copied.size).toBe(0);
      const table = schemaOf('item');
      let last: readonly Cell[] | null = null;
      for (let rows = 0; rows < 10; rows += 4) {
        const chunk: readonly (readonly Cell[])[] = await stores.source.player.readChunk(table, last, 4, never());
        last = [chunk[chunk.length - 1]?.[0] ?? null];
        const progress = { lastKey: last, rows: rows + chunk.length, done: chunk.length < 4 };
        await player.apply(FORWARD, schemas, state.token, { ...emptyBatch(state), copied: { table: 'item', rows: chunk, contiguous: true, progress } }, never());
      }
      await expectEqual();
      const again = await player.takeStream(FORWARD, never());
      expect(again.copied.get('item')).toEqual({ lastKey: [10n], rows: 10, done: true });
      expect(await stores.source.player.readRows(table, [[3n], [99n], [1n]], never())).toHaveLength(2);
      // The log brings the same rows again: nothing is doubled.
      await catchUp(stores, schemas, 1);
      await expectEqual();
    });

    test.each([true, false])('a copied chunk takes the place of what the target has of it and of nothing else, contiguous: %s', async (contiguous) => {
      await write(`INSERT INTO item (name, amount) SELECT 'n' || i, i FROM ${dialect.series(9)}`);
      const { player } = stores.target;
      const state = await player.takeStream(FORWARD, never());
      const rows = await stores.source.player.readChunk(schemaOf('item'), null, 9, never());
      const outdated = [2, 4, 5, 8].map((at) => ({
        kind: 'insert' as const,
        table: 'item',
        row: (rows[at] ?? []).map((cell) => (cell === `n${at + 1}` ? `old ${at + 1}` : cell)),
      }));
      await player.apply(FORWARD, schemas, state.token, { ...emptyBatch(state), changes: outdated }, never());
      const chunk = rows.slice(3, 7);
      const progress = { lastKey: [7n], rows: 4, done: false };
      await player.apply(FORWARD, schemas, state.token, { ...emptyBatch(state), copied: { table: 'item', rows: chunk, contiguous, progress } }, never());
      const name = schemaOf('item').columns.findIndex((column) => column.name === 'name');
      const names = (await allRows(stores.target, schemaOf('item'))).map((row) => row.split(' | ')[name]);
      expect(names).toEqual(['old 3', 'n4', 'n5', 'n6', 'n7', 'old 9'].map((each) => JSON.stringify(each)));
    });

    test('resumes from the committed position without loss or doubling, after the reader was cut off', async () => {
      await write(`INSERT INTO item (name) VALUES ('one')`);
      const first = await catchUp(stores, schemas, 1);
      await write(`INSERT INTO item (name) VALUES ('two')`);
      const { position, token } = await stores.target.player.takeStream(FORWARD, never());
      expect(position).toBe(first[first.length - 1]?.position);
      // Read, but not applied; the reader ends by an abort.
      const cut = new AbortController();
      const reading = (async () => {
        for await (const transactions of stores.source.player.follow(FORWARD, schemas, position, cut.signal)) {
          if (transactions.length > 0) cut.abort();
        }
      })();
      expect(await reasonOf(reading)).toBe('CANCELLED');
      await write(`INSERT INTO item (name) VALUES ('three')`);
      const rest = await catchUp(stores, schemas, 2);
      expect(rest.flatMap((each) => each.events).filter((event) => event.kind === 'insert')).toHaveLength(2);
      await expectEqual();
      expect(token).toBeGreaterThan(0);
    });

    test('a reader that was left behind does not keep the next one out', async () => {
      const { position } = await stores.target.player.takeStream(FORWARD, never());
      await using left = stores.source.player.follow(FORWARD, schemas, position, never());
      const iterator = left[Symbol.asyncIterator]();
      await iterator.next();
      await write(`INSERT INTO item (name) VALUES ('one')`);
      expect(kinds(await catchUp(stores, schemas, 1))).toEqual(['insert', 'watermark']);
    });

    test('a confirmed log is gone: following from before it fails', async () => {
      const before = await stores.target.player.takeStream(FORWARD, never());
      await write(`INSERT INTO item (name) VALUES ('one')`);
      await catchUp(stores, schemas, 1);
      const { position } = await stores.target.player.takeStream(FORWARD, never());
      await using feed = stores.source.player.follow(FORWARD, schemas, position, never());
      feed.confirm(position);
      let beats = 0;
      for await (const group of feed) {
        beats += 1;
        expect(group).toEqual([]);
        if (beats === 3) break;
      }
      const late = stores.source.player.follow(FORWARD, schemas, before.position, never());
      expect(await reasonOf(late[Symbol.asyncIterator]().next())).toBe('STREAM_FAILED');
    });

    test('a taken-over stream refuses its earlier player', async () => {
      const old = await stores.target.player.takeStream(FORWARD, never());
      const young = await stores.target.player.takeStream(FORWARD, never());
      expect(young.token).toBe(old.token + 1);
      expect(await reasonOf(stores.target.player.apply(FORWARD, schemas, old.token, emptyBatch(old, attempt(1)), never()))).toBe('STREAM_TAKEN');
      const insert = { kind: 'insert' as const, table: 'line', row: [1n, 1, 1] };
      expect(await reasonOf(stores.target.player.apply(FORWARD, schemas, streamToken(old.token), { ...emptyBatch(old), changes: [insert] }, never()))).toBe('STREAM_TAKEN');
      expect(await allRows(stores.target, schemaOf('line'))).toEqual([]);
      await stores.target.player.apply(FORWARD, schemas, young.token, { ...emptyBatch(young), changes: [insert] }, never());
      expect(await allRows(stores.target, schemaOf('line'))).toHaveLength(1);
      expect(await reasonOf(stores.target.player.takeStream({ ...FORWARD, id: 'other' }, never()))).toBe('STREAM_FAILED');
    });

    test('a dropped stream keeps its token rising, so that its player stays refused', async () => {
      const old = await stores.target.player.takeStream(FORWARD, never());
      await stores.target.owner.dropStream(FORWARD, never());
      await stores.target.owner.dropStream(FORWARD, never());
      expect(await reasonOf(stores.target.player.takeStream(FORWARD, never()))).toBe('STREAM_FAILED');
      await begin(stores.target.owner, FORWARD, old.position);
      const state = await stores.target.player.takeStream(FORWARD, never());
      expect(state.token).toBeGreaterThan(old.token + 1);
      expect(state.position).toBe(old.position);
    });

    test('a stream that begins anew has another position, a higher token and its marker', async () => {
      const { owner, player } = stores.target;
      const old = await player.takeStream(FORWARD, never());
      const earlier = dialect.somePosition as Position;
      await begin(owner, FORWARD, earlier);
      expect(await player.takeStream(FORWARD, never())).toMatchObject({ position: earlier, marker: old.marker, token: old.token + 2 });
      expect(await owner.streamToken(FORWARD, never())).toBe(old.token + 2);
    });

    test('a stream that somebody has taken since does not begin anew', async () => {
      const { owner, player } = stores.target;
      const seen = { token: await owner.streamToken(FORWARD, never()), scope: TARGET, state: 'CLOSED' } as const;
      const taken = await player.takeStream(FORWARD, never());
      expect(await reasonOf(owner.beginStream(FORWARD, dialect.somePosition as Position, seen, never()))).toBe('FENCE_CONFLICT');
      expect(await player.takeStream(FORWARD, never())).toMatchObject({ position: taken.position, token: taken.token + 1 });
    });

    test('nor one whose tables have been switched or given away since', async () => {
      const { owner, player, sql } = { ...stores.target, sql: (text: string) => stores.target.sql(text, 'owner') };
      const { position } = await player.takeStream(FORWARD, never());
      const token = await owner.streamToken(FORWARD, never());
      const tried = (state: 'OPEN' | 'CLOSED', scope = TARGET): Promise<string> =>
        reasonOf(owner.beginStream(FORWARD, dialect.somePosition as Position, { token, scope, state }, never()));
      expect(await tried('OPEN')).toBe('FENCE_CONFLICT');
      expect(await tried('CLOSED', { ...TARGET, peer: 'other' })).toBe('FENCE_CONFLICT');
      await sql(`UPDATE ${own('fence')} SET state = 'READABLE' WHERE table_name = 'line'`);
      expect(await tried('CLOSED')).toBe('FENCE_CONFLICT');
      await sql(`UPDATE ${own('fence')} SET state = 'CLOSED', workflow = NULL WHERE table_name = 'line'`);
      expect(await tried('CLOSED')).toBe('FENCE_CONFLICT');
      expect(await player.takeStream(FORWARD, never())).toMatchObject({ position, token: (token ?? 0) + 1 });
    });

    test('of two that begin a stream for the first time one does', async () => {
      const { owner } = stores.target;
      const young = { ...FORWARD, id: 'move1.young' };
      expect(await owner.streamToken(young, never())).toBe(null);
      const seen = { token: null, scope: TARGET, state: 'CLOSED' } as const;
      const both = await Promise.allSettled([1, 2].map(() => owner.beginStream(young, dialect.somePosition as Position, seen, never())));
      expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
      expect(await owner.streamToken(young, never())).toBe(1);
    });

    test('nothing is applied to a table that is not CLOSED', async () => {
      const state = await stores.target.player.takeStream(FORWARD, never());
      await stores.target.sql(`UPDATE ${own('fence')} SET state = 'READABLE' WHERE table_name = 'line'`, 'owner');
      expect(await reasonOf(stores.target.player.apply(FORWARD, schemas, state.token, emptyBatch(state, attempt(1)), never()))).toBe('STREAM_TAKEN');
      const after = await stores.target.player.takeStream(FORWARD, never());
      expect(after.marker).toBe(0);
    });

    test('markers come through at the end of history and never fall', async () => {
      await using fence = await stores.source.owner.openFence(SOURCE, never());
      await write(`INSERT INTO item (name) VALUES ('last')`);
      await fence.fence(attempt(7), 500, never());
      const seen = await play(stores, schemas, (all) => all.some((each) => each.events.some((event) => event.kind === 'marker')));
      expect(kinds(seen)).toEqual(['insert', 'marker']);
      const state = await stores.target.player.takeStream(FORWARD, never());
      expect(state.marker).toBe(7);
      await stores.target.player.apply(FORWARD, schemas, state.token, emptyBatch(state, attempt(3)), never());
      expect((await stores.target.player.takeStream(FORWARD, never())).marker).toBe(7);
    });

    test("a player's own transactions do not flow back", async () => {
      const reverse = { ...FORWARD, id: 'move1.reverse' };
      const start = await stores.target.owner.createLog(reverse, attempt(0), never());
      await write(`INSERT INTO item (name) VALUES ('forward')`);
      await catchUp(stores, schemas, 1);
      await stores.target.player.writeWatermark(reverse, 5, never());
      const seen: ChangeTransaction[] = [];
      for await (const group of stores.target.player.follow(reverse, schemas, start, never())) {
        seen.push(...group);
        if (seen.some((each) => each.events.some((event) => event.kind === 'watermark'))) break;
      }
      expect(kinds(seen)).toEqual(['watermark']);
      await stores.target.owner.dropLog(reverse, null, never());
    });

    test('a changed shape stops the stream by name', async () => {
      const state: StreamState = await stores.target.player.takeStream(FORWARD, never());
      await using feed = stores.source.player.follow(FORWARD, schemas, state.position, never());
      const iterator = feed[Symbol.asyncIterator]();
      const delivered: ChangeTransaction[] = [];
      const next = async (): Promise<unknown> => delivered.push(...((await iterator.next()).value ?? []));
      await next();
      await write(`INSERT INTO item (name) VALUES ('before')`);
      // Where the log does not tell at which of its places the shape changed, nothing behind the last look is delivered.
      if (!has.transactionsInLog) while (delivered.length === 0) await next();
      await asOwner('ALTER TABLE item ADD COLUMN more text');
      await write(`INSERT INTO item (name) VALUES ('after')`);
      const failed = (async () => {
        for (;;) await next();
      })();
      await expect(failed).rejects.toMatchObject({ reason: 'STREAM_FAILED', metadata: { problem: 'SCHEMA_CHANGED', table: 'item' } });
      expect(kinds(delivered)).toEqual(['insert']);
      const again = stores.source.player.follow(FORWARD, schemas, state.position, never());
      await expect(again[Symbol.asyncIterator]().next()).rejects.toMatchObject({ reason: 'STREAM_FAILED' });
    });

    test('a renewed log begins anew; a dropped one is gone', async () => {
      const { owner } = stores.source;
      const first = await owner.createLog(FORWARD, attempt(0), never());
      await write(`INSERT INTO item (name) VALUES ('old')`);
      const renewed = await owner.createLog(FORWARD, attempt(0), never());
      expect(renewed).not.toBe(first);
      await begin(stores.target.owner, FORWARD, renewed);
      await write(`INSERT INTO item (name) VALUES ('new')`);
      expect(kinds(await catchUp(stores, schemas, 1))).toEqual(['insert', 'watermark']);
      await owner.dropLog(FORWARD, null, never());
      await owner.dropLog(FORWARD, null, never());
      const gone = stores.source.player.follow(FORWARD, schemas, renewed, never());
      expect(await reasonOf(gone[Symbol.asyncIterator]().next())).toBe('STREAM_FAILED');
    });

    test('a log that a later attempt has begun is neither ended nor begun anew by an earlier one', async () => {
      const { owner } = stores.source;
      await owner.createLog(FORWARD, attempt(4), never());
      const begun = await owner.createLog(FORWARD, attempt(5), never());
      await begin(stores.target.owner, FORWARD, begun);
      await write(`INSERT INTO item (name) VALUES ('kept')`);
      await owner.dropLog(FORWARD, attempt(4), never());
      expect(await reasonOf(owner.createLog(FORWARD, attempt(4), never()))).toBe('LOCK_TAKEN');
      expect(kinds(await catchUp(stores, schemas, 1))).toEqual(['insert', 'watermark']);
      await owner.dropLog(FORWARD, attempt(5), never());
      const gone = stores.source.player.follow(FORWARD, schemas, begun, never());
      expect(await reasonOf(gone[Symbol.asyncIterator]().next())).toBe('STREAM_FAILED');
      // Nor is one that the later attempt has ended.
      expect(await reasonOf(owner.createLog(FORWARD, attempt(4), never()))).toBe('LOCK_TAKEN');
      // The workflow's end takes it away whoever has begun it, and what comes after begins it as the first.
      await owner.createLog(FORWARD, attempt(9), never());
      await owner.dropLog(FORWARD, null, never());
      await owner.createLog(FORWARD, attempt(0), never());
      await owner.createLog(FORWARD, attempt(1), never());
    });

    test('an aborted apply rejects and leaves a store that works', async () => {
      const state = await stores.target.player.takeStream(FORWARD, never());
      const blocker = await stores.target.session('owner');
      await blocker.query(dialect.holdStream(FORWARD.id, state.token, state.position));
      expect(await reasonOf(stores.target.player.apply(FORWARD, schemas, state.token, emptyBatch(state, attempt(1)), AbortSignal.timeout(200)))).toBe('CANCELLED');
      await blocker.query('ROLLBACK');
      await blocker.close();
      await stores.target.player.apply(FORWARD, schemas, state.token, emptyBatch(state, attempt(2)), never());
      expect((await stores.target.player.takeStream(FORWARD, never())).marker).toBe(2);
    });

    test('a large transaction arrives whole', async () => {
      await write(`INSERT INTO item (name, big) SELECT 'n' || i, ${dialect.repeated(dialect.textOfI, 40)} FROM ${dialect.series(20_000)}`);
      const [all] = await catchUp(stores, schemas, 1);
      expect(all?.events).toHaveLength(20_000);
      expect(await stores.target.sql('SELECT count(*), sum(length(big)) FROM item', 'owner')).toEqual(
        await stores.source.sql('SELECT count(*), sum(length(big)) FROM item', 'owner'),
      );
      expect(batchOf(all === undefined ? [] : [all]).changes).toHaveLength(20_000);
    });

    test('a lone marker takes little time to apply', async () => {
      const state = await stores.target.player.takeStream(FORWARD, never());
      const times: number[] = [];
      for (let round = 0; round < 50; round += 1) {
        const begin = performance.now();
        await stores.target.player.apply(FORWARD, schemas, state.token, emptyBatch(state, attempt(round)), never());
        times.push(performance.now() - begin);
      }
      times.sort((a, b) => a - b);
      // Far above what it takes on an idle machine, far below a round trip too many on a busy one.
      expect(times[25]).toBeLessThan(20);
    });

    test('sequences are read and raised, never lowered', async () => {
      await write(`INSERT INTO item (name) VALUES ('a'), ('b')`);
      const { owner } = stores.target;
      const states = await stores.source.owner.sequences(['item', 'line'], never());
      expect(states).toEqual(dialect.numbered.map(([table, column]) => ({ table, column, value: table === 'item' ? 2n : 0n })));
      await owner.raiseSequences(
        states.map((state) => ({ ...state, value: state.value + 100n })),
        never(),
      );
      await owner.raiseSequences(states, never());
      expect((await owner.sequences(['item', 'line'], never())).map((state) => state.value)).toEqual(dialect.numbered.map(([table]) => (table === 'item' ? 102n : 100n)));
    });

    test('the target refuses rows that nobody brought, tables of another shape, and a second workflow', async () => {
      const other = { workflow: 'move2', peer: 'old', tables: ['item'] };
      expect(await reasonOf(stores.target.owner.claim(other, 'target', never()))).toBe('TABLE_OWNED');
      expect(await reasonOf(stores.source.owner.claim({ ...other, peer: 'new' }, 'source', never()))).toBe('TABLE_OWNED');
      await stores.target.owner.claim(TARGET, 'target', never());
      await stores.source.owner.claim(SOURCE, 'source', never());
      expect(await reasonOf(stores.source.owner.claim({ ...SOURCE, workflow: 'move3', tables: ['absent'] }, 'source', never()))).toBe('TABLE_UNKNOWN');
      await stores.target.sql(
        'CREATE TABLE full_one (id int NOT NULL PRIMARY KEY); INSERT INTO full_one VALUES (1); CREATE TABLE empty_one (id int NOT NULL PRIMARY KEY)',
        'owner',
      );
      const scope = (table: string) => ({ workflow: 'move4', peer: 'old', tables: [table] });
      // A dry run is told so, too.
      const strange = async (...tables: readonly string[]) =>
        (await stores.target.owner.checkTables(tables, 'target', never())).filter(({ message }) => message.includes('holds rows')).map(({ table, fix }) => `${table}: ${fix}`);
      expect(await strange('full_one', 'empty_one', 'absent')).toEqual([expect.stringMatching(/^full_one: DROP TABLE .*full_one/)]);
      expect(await reasonOf(stores.target.owner.claim(scope('full_one'), 'target', never()))).toBe('PRECHECK_FAILED');
      if (has.rights) await stores.target.sql('GRANT SELECT ON empty_one TO shop_gateway', 'owner');
      await stores.target.owner.claim(scope('empty_one'), 'target', never());
      expect(await reasonOf(stores.target.sql('SELECT * FROM empty_one'))).toBe(codes.read);
      const definitions = await stores.source.owner.define(['item'], never());
      const renamed = definitions.map((each) => ({ ...each, schema: { ...each.schema, name: 'empty_one' } }));
      expect(await reasonOf(stores.target.owner.createTables(scope('empty_one'), renamed, never()))).toBe('PRECHECK_FAILED');
      expect(await reasonOf(stores.target.owner.createTables({ ...TARGET, workflow: 'move9' }, definitions, never()))).toBe('FENCE_CONFLICT');
      const both = await stores.source.owner.define(['item', 'line'], never());
      await stores.target.owner.createTables(TARGET, both, never());
      for (let time = 0; time < 2; time += 1) await stores.target.owner.createIndexes(TARGET, both, never());
      expect(await reasonOf(stores.source.owner.dropTables(SOURCE, never()))).toBe('FENCE_CONFLICT');
      await stores.target.owner.dropTables(TARGET, never());
      await stores.target.owner.disown(TARGET, 'CLOSED', never());
      await stores.target.owner.disown(TARGET, 'CLOSED', never());
      expect((await stores.target.owner.fenceRows(['item'], never()))[0]).toMatchObject({ state: 'CLOSED', workflow: null });
    });
  });
}
