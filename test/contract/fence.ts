import { describe, expect, test } from '@jest/globals';
import { APPLICATION_PREFIX, type FenceSession } from '../../backends/backend.ts';
import type { FenceState } from '../../core/fence.ts';
import { attempt } from '../../core/ids.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { type MoveDialect, testWhere } from './move-dialect.ts';
import { type StoresSource, useArmedStores } from './armed-stores.ts';
import { begin, catchUp, emptyBatch, FORWARD, type MoveStores, never, play, reasonOf, SOURCE, type StoreUnderTest, TABLES, TARGET } from './move-stores.ts';

/** The fence as every kind of store must do it: each transition asks for its conditions, is repeatable, and what the state forbids the store itself refuses, whoever asks and however. */
export function fenceContract(dialect: MoveDialect, start: () => Promise<StoresSource>): void {
  const { codes, has, own } = dialect;
  describe(`${dialect.name}: fence`, () => {
    let stores: MoveStores;
    let schemas: ReadonlyMap<string, TableSchema>;
    let source: FenceSession;
    let target: FenceSession;

    useArmedStores(start, async (armed, stack) => {
      ({ stores, schemas } = armed);
      source = stack.use(await stores.source.owner.openFence(SOURCE, never()));
      target = stack.use(await stores.target.owner.openFence(TARGET, never()));
    });

    const statesOf = async (session: FenceSession): Promise<readonly string[]> => (await session.fenceRows(never())).map((row) => `${row.table} ${row.state}(${row.attempt})`);
    const expectStates = async (session: FenceSession, state: FenceState, number: number): Promise<void> => {
      expect(await statesOf(session)).toEqual(TABLES.map((table) => `${table} ${state}(${number})`));
    };
    const applyMarker = async (number: number): Promise<void> => {
      const state = await stores.target.player.takeStream(FORWARD, never());
      await stores.target.player.apply(FORWARD, schemas, state.token, emptyBatch(state, attempt(number)), never());
    };
    const conflict = async (transition: Promise<void>): Promise<void> => expect(await reasonOf(transition)).toBe('FENCE_CONFLICT');
    const insert = (text = 'x'): string => `INSERT INTO item (name) VALUES ('${text}')`;

    test('a whole cutover, each transition twice', async () => {
      const a = attempt(3);
      await stores.source.sql(insert('before'));
      for (let twice = 0; twice < 2; twice += 1) await source.fence(a, 500, never());
      await expectStates(source, 'FROZEN', 3);
      await play(stores, schemas, (seen) => seen.some((each) => each.events.some((event) => event.kind === 'marker')));
      const state = await target.catchUp(FORWARD, never());
      expect(state.marker).toBe(3);
      expect(state.fences.map((row) => row.state)).toEqual(['CLOSED', 'CLOSED']);
      for (let twice = 0; twice < 2; twice += 1) await source.commit(a, never());
      await expectStates(source, 'SEALED', 3);
      expect(await stores.source.sql('SELECT name FROM item')).toEqual([['before']]);
      for (let twice = 0; twice < 2; twice += 1) await target.ready(FORWARD, a, never());
      await expectStates(target, 'READABLE', 0);
      expect(await stores.target.sql('SELECT name FROM item')).toEqual([['before']]);
      expect(await reasonOf(stores.target.sql(insert()))).toBe(codes.writeOfReader);
      for (let twice = 0; twice < 2; twice += 1) await source.close(a, never());
      await expectStates(source, 'CLOSED', 3);
      expect(await reasonOf(stores.source.sql('SELECT name FROM item'))).toBe(codes.read);
      const before = await stores.target.sql(`SELECT token FROM ${own('stream')}`, 'owner');
      for (let twice = 0; twice < 2; twice += 1) await target.open(FORWARD, a, never());
      await expectStates(target, 'OPEN', 3);
      expect(await stores.target.sql(`SELECT token FROM ${own('stream')}`, 'owner')).toEqual([[String(Number(before[0]?.[0]) + 1)]]);
      await stores.target.owner.raiseSequences([{ table: 'item', column: 'id', value: 10n }], never());
      await stores.target.sql(`${insert('after')}; INSERT INTO line (item_id) SELECT max(id) FROM item`);
      await stores.target.owner.relaxFence(TARGET, never());
      await stores.target.sql(insert('relaxed'));
      expect(await stores.target.sql('SELECT id, name FROM item ORDER BY id')).toEqual([
        ['1', 'before'],
        ['11', 'after'],
        ['12', 'relaxed'],
      ]);
      expect(await stores.target.owner.gatewayRights(TABLES, never())).toEqual(new Map(TABLES.map((table) => [table, ['SELECT', 'INSERT', 'UPDATE', 'DELETE']])));
      if (has.rights) expect(await stores.source.owner.gatewayRights(TABLES, never())).toEqual(new Map(TABLES.map((table) => [table, []])));
      await conflict(target.fence(a, 500, never()));
    });

    test('there and back again: the old source becomes the target of the next attempt', async () => {
      const reverse = { ...FORWARD, id: 'move1.reverse' };
      await source.fence(attempt(1), 500, never());
      await applyMarker(1);
      await source.commit(attempt(1), never());
      await target.ready(FORWARD, attempt(1), never());
      await source.close(attempt(1), never());
      await begin(stores.source.owner, reverse, await stores.target.owner.createLog(reverse, attempt(0), never()), SOURCE);
      await target.open(FORWARD, attempt(1), never());
      await stores.target.sql(insert('on the target'));
      await stores.source.owner.saveRights(SOURCE, await stores.target.owner.gatewayRights(TABLES, never()), never());
      await target.fence(attempt(2), 500, never());
      expect(await reasonOf(stores.target.sql(insert()))).toBe(codes.write);
      const swapped: MoveStores = { ...stores, source: stores.target, target: stores.source };
      await play(swapped, schemas, (seen) => seen.some((each) => each.events.some((event) => event.kind === 'marker')), reverse);
      await target.commit(attempt(2), never());
      await source.ready(reverse, attempt(2), never());
      await target.close(attempt(2), never());
      await source.open(reverse, attempt(2), never());
      await expectStates(source, 'OPEN', 2);
      await expectStates(target, 'CLOSED', 2);
      expect(await stores.source.sql('SELECT name FROM item')).toEqual([['on the target']]);
      await stores.source.owner.raiseSequences([{ table: 'item', column: 'id', value: 10n }], never());
      await stores.source.sql(insert('home'));
      await stores.target.owner.dropLog(reverse, null, never());
    });

    test('fence and abort, again and again, with rising attempts only', async () => {
      await source.fence(attempt(2), 500, never());
      expect(await reasonOf(stores.source.sql(insert('x')))).toBe(codes.write);
      for (let twice = 0; twice < 2; twice += 1) await source.abort(attempt(2), never());
      await expectStates(source, 'OPEN', 2);
      await stores.source.sql(insert('x'));
      await conflict(source.fence(attempt(2), 500, never()));
      expect(await reasonOf(source.fence(attempt(1), 500, never()))).toBe('LOCK_TAKEN');
      await source.fence(attempt(5), 500, never());
      await conflict(source.abort(attempt(2), never()));
      await conflict(source.commit(attempt(2), never()));
      await expectStates(source, 'FROZEN', 5);
    });

    test('once an attempt has begun to prepare, no earlier one fences, and none begins to', async () => {
      for (let twice = 0; twice < 2; twice += 1) await source.prepare(attempt(4), never());
      expect(await reasonOf(source.prepare(attempt(3), never()))).toBe('LOCK_TAKEN');
      expect(await reasonOf(source.fence(attempt(3), 500, never()))).toBe('LOCK_TAKEN');
      await expectStates(source, 'OPEN', 0);
      await stores.source.sql(insert());
      await source.fence(attempt(4), 500, never());
      // The same again, after the next one has begun: it is as wished.
      await source.prepare(attempt(6), never());
      await source.fence(attempt(4), 500, never());
      await source.abort(attempt(4), never());
      expect(await reasonOf(source.fence(attempt(5), 500, never()))).toBe('LOCK_TAKEN');
      await source.fence(attempt(7), 500, never());
    });

    test('the highest attempt is that of a fence row, or one that has only begun to prepare', async () => {
      expect(await source.highestAttempt(never())).toBe(0);
      await source.prepare(attempt(3), never());
      expect([await source.highestAttempt(never()), await target.highestAttempt(never())]).toEqual([3, 0]);
      await source.fence(attempt(5), 500, never());
      await source.abort(attempt(5), never());
      await source.prepare(attempt(6), never());
      expect(await source.highestAttempt(never())).toBe(6);
      await using other = await stores.source.owner.openFence({ ...SOURCE, workflow: 'another' }, never());
      expect(await other.highestAttempt(never())).toBe(5);
    });

    test('whoever begins to prepare finds the fence of an earlier attempt, or keeps it from being set', async () => {
      await using other = await stores.source.owner.openFence(SOURCE, never());
      for (let number = 1; number < 800; number += 2) {
        const fencing = reasonOf(source.fence(attempt(number), 2_000, never()));
        await other.prepare(attempt(number + 1), never());
        const seen = await statesOf(other);
        const fenced = await fencing;
        expect(seen).toEqual(await statesOf(source));
        expect(seen.every((row) => row.includes('FROZEN'))).toBe(fenced === 'none');
        if (fenced === 'none') await source.abort(attempt(number), never());
        else expect(fenced).toBe('LOCK_TAKEN');
      }
    });

    test('commit and abort exclude each other', async () => {
      await source.fence(attempt(1), 500, never());
      await using second = await stores.source.owner.openFence(SOURCE, never());
      const outcomes = await Promise.all([reasonOf(source.commit(attempt(1), never())), reasonOf(second.abort(attempt(1), never()))]);
      expect([...outcomes].sort()).toEqual(['FENCE_CONFLICT', 'none']);
      await expectStates(source, outcomes[0] === 'none' ? 'SEALED' : 'OPEN', 1);
    });

    test('no transition without its conditions', async () => {
      const a = attempt(2);
      await conflict(source.commit(a, never()));
      await conflict(source.abort(a, never()));
      await conflict(source.close(a, never()));
      await conflict(target.fence(a, 500, never()));
      await conflict(target.ready(FORWARD, a, never()));
      await conflict(target.open(FORWARD, a, never()));
      await source.fence(a, 500, never());
      await conflict(source.close(a, never()));
      await applyMarker(1);
      await conflict(target.ready(FORWARD, a, never()));
      await applyMarker(2);
      await conflict(target.open(FORWARD, a, never()));
      await conflict(target.ready(FORWARD, attempt(1), never()));
      await conflict(target.ready({ ...FORWARD, id: 'other' }, a, never()));
      await source.commit(a, never());
      await conflict(source.abort(a, never()));
      await target.ready(FORWARD, a, never());
      await conflict(target.open({ ...FORWARD, id: 'other' }, a, never()));
      await expectStates(target, 'READABLE', 0);
      await source.close(a, never());
      await target.open(FORWARD, a, never());
      await conflict(target.ready(FORWARD, a, never()));
    });

    test('a foreign workflow, a foreign peer, a table too many: refused, all or nothing', async () => {
      for (const scope of [
        { ...SOURCE, workflow: 'move2' },
        { ...SOURCE, peer: 'elsewhere' },
        { ...SOURCE, tables: [...TABLES, 'other'] },
      ]) {
        await stores.source.sql('CREATE TABLE IF NOT EXISTS other (id int PRIMARY KEY)', 'owner');
        await using foreign = await stores.source.owner.openFence(scope, never());
        await conflict(foreign.fence(attempt(1), 500, never()));
      }
      await expectStates(source, 'OPEN', 0);
      await stores.source.sql(insert());
      await stores.source.sql(`UPDATE ${own('fence')} SET attempt = 9 WHERE table_name = 'line'`, 'owner');
      await conflict(source.fence(attempt(5), 500, never()));
      expect(await statesOf(source)).toEqual(['item OPEN(0)', 'line OPEN(9)']);
      expect(await stores.source.sql(`SELECT count(*) FROM ${own('marker')}`, 'owner')).toEqual([['0']]);
    });

    test('every kind of write is rejected while FROZEN, also by the owner and past whatever else can be switched off; reads go on', async () => {
      await stores.source.sql(insert());
      await source.fence(attempt(1), 500, never());
      for (const sql of [
        insert('y'),
        'UPDATE item SET amount = 1',
        'DELETE FROM item',
        'INSERT INTO line (item_id) VALUES (1)',
        `${insert('x')} ON CONFLICT DO NOTHING`,
        ...dialect.fencedWrites,
      ]) {
        expect(await reasonOf(stores.source.sql(sql))).toBe(codes.write);
        expect(await reasonOf(stores.source.sql(sql, 'owner'))).toBe(codes.write);
      }
      if (has.truncate) expect(await reasonOf(stores.source.sql('TRUNCATE item, line', 'owner'))).toBe(codes.write);
      if (has.rights) expect(await reasonOf(stores.source.sql(`SET session_replication_role = replica; ${insert('y')}`, 'admin'))).toBe(codes.write);
      expect(await stores.source.sql('SELECT name FROM item')).toEqual([['x']]);
    });

    test('a writer with an old snapshot and one with a warm prepared statement are rejected', async () => {
      await stores.source.sql(insert('seed'));
      const old = await stores.source.session('gateway');
      const warm = await stores.source.session('gateway');
      await old.query(dialect.beginSnapshot[0]);
      await old.query('SELECT count(*) FROM item');
      const { prepare, use } = dialect.warmInsert;
      if (prepare !== null) await warm.query(prepare);
      for (let round = 0; round < 7; round += 1) await warm.query(use(`warm ${round}`));
      await source.fence(attempt(1), 500, never());
      expect(await reasonOf(old.query(insert('old')))).toBe(codes.oldSnapshot);
      expect(await reasonOf(warm.query(use('late')))).toBe(codes.write);
      await source.abort(attempt(1), never());
      await warm.query(use('again'));
      // A snapshot from before the fence on a table that is OPEN with its checks on.
      await old.query(`ROLLBACK; ${dialect.beginSnapshot[1]}`);
      await old.query('SELECT count(*) FROM item');
      await source.fence(attempt(2), 500, never());
      expect(await reasonOf(old.query(insert('old')))).toBe(codes.oldSnapshot);
      await old.close();
      await warm.close();
    });

    test('open writers are waited for; one that stays makes it fail with nothing changed', async () => {
      const writer = await stores.source.session('gateway');
      await writer.query(`BEGIN; ${insert('open')}`);
      const begin = performance.now();
      expect(await reasonOf(source.fence(attempt(1), 150, never()))).toBe('LOCK_TIMEOUT');
      expect(performance.now() - begin).toBeLessThan(1_000);
      await expectStates(source, 'OPEN', 0);
      if (has.manyWriters) await stores.source.sql(insert('goes on'));
      const fencing = source.fence(attempt(1), 5_000, never());
      const late = stores.source.sql(insert('behind'));
      await new Promise((resolve) => setTimeout(resolve, 100));
      await writer.query('COMMIT');
      await fencing;
      expect(['none', codes.write]).toContain(await reasonOf(late));
      await writer.close();
      const rows = await stores.source.sql('SELECT name FROM item ORDER BY name');
      const seen = await play(stores, schemas, (all) => all.some((each) => each.events.some((event) => event.kind === 'marker')));
      // The marker is the end of history: every row came before it.
      expect(seen[seen.length - 1]?.events.map((event) => event.kind)).toEqual(['marker']);
      expect(await stores.target.sql('SELECT name FROM item ORDER BY name', 'owner')).toEqual(rows);
    });

    test('an aborted fence leaves the store open', async () => {
      const writer = await stores.source.session('gateway');
      await writer.query(`BEGIN; ${insert('open')}`);
      expect(await reasonOf(source.fence(attempt(1), 5_000, AbortSignal.timeout(100)))).toBe('CANCELLED');
      await writer.query('COMMIT');
      await writer.close();
      await expectStates(source, 'OPEN', 0);
      await stores.source.sql(insert('goes on'));
      await source.fence(attempt(1), 500, never());
    });

    testWhere(has.manyWriters, 'one writer at a time cannot be in a deadlock')('a deadlock with a writer is tried again', async () => {
      // With a row, for where a statement that comes to none locks nothing.
      await stores.source.sql(insert('first'));
      const writer = await stores.source.session('gateway');
      await writer.query('BEGIN; INSERT INTO line (item_id, line) SELECT id, 1 FROM item; DELETE FROM line');
      const fencing = source.fence(attempt(1), 3_000, never());
      await new Promise((resolve) => setTimeout(resolve, 10));
      await writer.query(insert('second'));
      await writer.query('COMMIT');
      await fencing;
      await writer.close();
      await expectStates(source, 'FROZEN', 1);
    });

    testWhere(has.autovacuum, 'nothing of the store runs by itself')('a running autovacuum makes way', async () => {
      await using _ = await frequentAutovacuum(stores.source);
      await stores.source.sql(`INSERT INTO item (name, big) SELECT 'n' || i, repeat('x', 500) FROM generate_series(1, 20000) AS i`);
      await stores.source.sql(
        'ALTER TABLE item SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1, autovacuum_vacuum_cost_delay = 50, autovacuum_vacuum_cost_limit = 1)',
        'owner',
      );
      await stores.source.sql('DELETE FROM item WHERE id % 2 = 0');
      const running = `SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid = 'item'::regclass`;
      const deadline = performance.now() + 15_000;
      while ((await stores.source.sql(running, 'admin'))[0]?.[0] === '0' && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
      expect(await stores.source.sql(running, 'admin')).toEqual([['1']]);
      await source.fence(attempt(1), 300, never());
      await expectStates(source, 'FROZEN', 1);
    });

    test('writers in numbers never get past the marker', async () => {
      const stop = new AbortController();
      const done: number[] = [];
      const writers = Array.from({ length: 4 }, async (_, writer) => {
        const session = await stores.source.session('gateway');
        for (let round = 0; !stop.signal.aborted; round += 1) {
          const reason = await reasonOf(session.query(insert(`w${writer} r${round}`)));
          if (reason === 'none') done.push(1);
          else expect(reason).toBe(codes.write);
        }
        await session.close();
      });
      for (let number = 1; number <= 6; number += 1) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        await source.fence(attempt(number), 2_000, never());
        const before = done.length;
        const [count] = await stores.source.sql('SELECT count(*) FROM item', 'owner');
        await new Promise((resolve) => setTimeout(resolve, 5));
        expect(await stores.source.sql('SELECT count(*) FROM item', 'owner')).toEqual([count]);
        expect(done.length - before).toBeLessThanOrEqual(4);
        if (number < 6) await source.abort(attempt(number), never());
      }
      stop.abort();
      await Promise.all(writers);
      expect(await stores.source.sql('SELECT count(*) FROM item', 'owner')).toEqual([[String(done.length)]]);
      await play(stores, schemas, (all) => all.some((each) => each.events.some((event) => event.kind === 'marker' && event.attempt === 6)));
      expect(await stores.target.sql('SELECT count(*) FROM item', 'owner')).toEqual([[String(done.length)]]);
    });

    test('ready waits for an apply in flight and refuses the next one', async () => {
      await source.fence(attempt(1), 500, never());
      await applyMarker(1);
      await source.commit(attempt(1), never());
      const state = await stores.target.player.takeStream(FORWARD, never());
      const inFlight = await stores.target.session('player');
      await inFlight.query(dialect.holdStream(FORWARD.id, state.token, state.position));
      let isReady = false;
      const ready = target.ready(FORWARD, attempt(1), never()).then(() => {
        isReady = true;
      });
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(isReady).toBe(false);
      await inFlight.query('COMMIT');
      await ready;
      await inFlight.close();
      expect(await reasonOf(stores.target.player.apply(FORWARD, schemas, state.token, emptyBatch(state), never()))).toBe('STREAM_TAKEN');
    });

    test('the target is shut before it is opened', async () => {
      expect(await reasonOf(stores.target.sql('SELECT * FROM item'))).toBe(codes.read);
      expect(await reasonOf(stores.target.sql(insert(), 'owner'))).toBe(codes.write);
      const rights = new Map([['line', ['SELECT']]]);
      await stores.target.owner.saveRights(TARGET, rights, never());
      expect(await reasonOf(stores.target.owner.saveRights({ ...TARGET, workflow: 'move2' }, rights, never()))).toBe('FENCE_CONFLICT');
    });

    testWhere(has.rights, 'the store knows no rights')('the target is opened with the rights that were saved', async () => {
      await stores.target.owner.saveRights(TARGET, new Map([['line', ['SELECT']]]), never());
      await source.fence(attempt(1), 500, never());
      await applyMarker(1);
      await source.commit(attempt(1), never());
      await target.ready(FORWARD, attempt(1), never());
      await source.close(attempt(1), never());
      await target.open(FORWARD, attempt(1), never());
      expect((await stores.target.owner.gatewayRights(TABLES, never())).get('line')).toEqual(['SELECT']);
    });

    test('the checks name what cannot be fenced or moved, each with its fix', async () => {
      const admin = (sql: string) => stores.source.sql(sql, 'admin');
      const found = async (tables: readonly string[]) =>
        (await stores.source.owner.checkTables(tables, 'source', never())).map((problem) => `${problem.table}: ${problem.message} -> ${problem.fix}`).join('\n');
      expect(await found(TABLES)).toBe('');
      expect(await found(['line'])).toMatch(/line: foreign key .* leads to table "item"/);
      expect(await found(['item'])).toMatch(/item: foreign key .* of table "line" leads here/);
      expect(await found(['absent'])).toMatch(/absent: .*no such table/);
      await stores.source.sql('CREATE TABLE nokey (a int)', 'owner');
      expect(await found(['nokey'])).toMatch(/nokey: .*no primary key/);
      for (const [trap, message, undo] of dialect.traps) {
        await admin(trap);
        expect(await found(TABLES)).toMatch(message);
        await admin(undo);
      }
      expect(await found(TABLES)).toBe('');
    });

    testWhere(has.rights, 'the store knows no rights')('a right that cannot be taken away is found while the decision is open', async () => {
      await stores.source.sql('GRANT SELECT ON item TO PUBLIC', 'admin');
      expect(await reasonOf(source.fence(attempt(1), 500, never()))).toBe('PRECHECK_FAILED');
      await expectStates(source, 'OPEN', 0);
      await stores.source.sql('REVOKE ALL ON item FROM PUBLIC', 'admin');
      await source.fence(attempt(1), 500, never());
      await expectStates(source, 'FROZEN', 1);
    });

    testWhere(has.rights, 'the store knows no rights')('a right that cannot be taken away keeps the store sealed', async () => {
      await source.fence(attempt(1), 500, never());
      await source.commit(attempt(1), never());
      await stores.source.sql('GRANT SELECT ON item TO PUBLIC', 'admin');
      expect(await reasonOf(source.close(attempt(1), never()))).toBe('PRECHECK_FAILED');
      await expectStates(source, 'SEALED', 1);
      await stores.source.sql('REVOKE ALL ON item FROM PUBLIC', 'admin');
      await source.close(attempt(1), never());
    });

    testWhere(has.preparedTransactions, "the store shows nobody's transactions; the next test is its own")(
      'open transactions that a hold would wait for are named, old readers are not',
      async () => {
        const quiet = () => stores.source.owner.checkQuiet(TABLES, 30, never());
        const reader = await stores.source.session('gateway');
        await reader.query('BEGIN; SELECT * FROM item');
        await new Promise((resolve) => setTimeout(resolve, 60));
        expect(await quiet()).toEqual([]);
        await reader.query(insert('late'));
        expect(await quiet()).toMatchObject([{ table: 'item', fix: expect.stringContaining('pg_terminate_backend') }]);
        await reader.query('ROLLBACK');
        await reader.close();
        await stores.source.sql(`BEGIN; ${insert('prepared')}; PREPARE TRANSACTION 'p'`, 'owner');
        expect(await quiet()).toMatchObject([{ fix: expect.stringContaining('ROLLBACK PREPARED') }]);
        await stores.source.sql(`ROLLBACK PREPARED 'p'`, 'owner');
      },
    );

    testWhere(has.preparedTransactions && has.ownConnections !== false, 'a gateway has no transactions there of its own name')(
      "a caller's transaction in a gateway is not named: it ends by itself when the hold begins",
      async () => {
        const quiet = () => stores.source.owner.checkQuiet(TABLES, 30, never());
        const item = schemas.get('item') as TableSchema;
        for (const [applicationName, named] of [
          [`${APPLICATION_PREFIX}g1`, 0],
          ['a batch', 1],
        ] as const) {
          await using data = stores.source.openData({ applicationName });
          await using transaction = await data.begin({ isolation: 'read committed', readOnly: false, once: null }, never());
          const row = { columns: ['name'], cells: [applicationName] };
          await transaction.write(new Map([['item', item]]), [{ kind: 'insert', table: 'item', row, returning: [] }], never());
          await new Promise((resolve) => setTimeout(resolve, 60));
          expect(await quiet()).toHaveLength(named);
        }
      },
    );

    testWhere(!has.manyWriters, 'the test before is its own')('a transaction that keeps the write lock is found, an old reader and one that has ended are not', async () => {
      const quiet = () => stores.source.owner.checkQuiet(TABLES, 30, never());
      const reader = await stores.source.session('gateway');
      await reader.query('BEGIN');
      await reader.query('SELECT name FROM item');
      expect(await quiet()).toEqual([]);
      await reader.query(insert('late'));
      expect(await quiet()).toMatchObject([{ table: null, message: expect.stringContaining('write lock') }]);
      await reader.query('ROLLBACK');
      await reader.close();
      expect(await quiet()).toEqual([]);
    });

    test('installing is repeatable and may happen twice at once', async () => {
      await Promise.all([stores.source.owner.install(never()), stores.source.owner.install(never())]);
      await stores.source.sql(dialect.dropOwn, 'owner');
      expect(await stores.source.owner.fenceRows(null, never())).toEqual([]);
      await Promise.all([stores.source.owner.install(never()), stores.source.owner.install(never()), stores.source.owner.install(never())]);
      expect(await stores.source.owner.fenceRows(null, never())).toEqual([]);
    });

    test('disowned rows keep state and attempt; one in another state is not disowned', async () => {
      await source.fence(attempt(4), 500, never());
      for (const state of ['OPEN', 'CLOSED'] as const) expect(await reasonOf(stores.source.owner.disown(SOURCE, state, never()))).toBe('FENCE_CONFLICT');
      await source.abort(attempt(4), never());
      expect(await reasonOf(stores.source.owner.disown(SOURCE, 'CLOSED', never()))).toBe('FENCE_CONFLICT');
      expect((await stores.source.owner.fenceRows(['item'], never()))[0]?.workflow).toBe(SOURCE.workflow);
      await stores.source.owner.disown(SOURCE, 'OPEN', never());
      expect(await stores.source.owner.fenceRows(['item'], never())).toEqual([{ table: 'item', state: 'OPEN', attempt: 4, peer: 'new', workflow: null }]);
      await conflict(source.fence(attempt(5), 500, never()));
      await stores.source.owner.claim({ ...SOURCE, workflow: 'move2' }, 'source', never());
      await catchUp(stores, schemas, 1);
    });
  });
}

/** Autovacuum looks once a second until disposed of: not for longer, as every look is a process that takes time from whatever else is measured. */
async function frequentAutovacuum(store: StoreUnderTest): Promise<AsyncDisposable> {
  const set = async (statement: string): Promise<void> => {
    await store.sql(statement, 'admin');
    await store.sql('SELECT pg_reload_conf()', 'admin');
  };
  await set(`ALTER SYSTEM SET autovacuum_naptime = '1s'`);
  return { [Symbol.asyncDispose]: () => set('ALTER SYSTEM RESET autovacuum_naptime') };
}
