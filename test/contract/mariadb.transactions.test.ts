import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { DataStore, DataTransaction, FenceScope } from '../../backends/backend.ts';
import type { Cell } from '../../core/cell.ts';
import { type Attempt, attempt } from '../../core/ids.ts';
import type { Filter, IsolationLevel, RowLock, WriteOperation } from '../../core/operation.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { fenceColumn, fencedRows } from '../../backends/mariadb/read-fence.ts';
import { failure, none, reasonOf, rowOf } from './data-store-harness.ts';
import { MariaDbPair } from './mariadb-move.ts';
import { type MoveStores, never, type RawSession } from './move-stores.ts';
import { writeOnce } from './once.ts';

/* What a gateway of MariaDB does where others write the same rows, where the fence comes in between, where a statement is ended and where a connection is. */

const SCOPE: FenceScope = { workflow: 'move1', peer: 'new', tables: ['account'] };
const TABLES = `
CREATE TABLE account (id bigint PRIMARY KEY, balance bigint NOT NULL, name varchar(50) UNIQUE);
CREATE TABLE other (id bigint PRIMARY KEY, balance bigint NOT NULL);`;
const levels = ['read committed', 'repeatable read', 'serializable'] as const;

let servers: MariaDbPair;
let stores: MoveStores;
let store: DataStore;
let account: TableSchema;
let schemas: ReadonlyMap<string, TableSchema>;
/** An administrator's session. */
let admin: RawSession;

beforeAll(async () => {
  servers = await MariaDbPair.start();
});
afterAll(async () => {
  await servers?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  stores = await servers.fresh(TABLES);
  admin = await stores.source.session('admin');
  await admin.query('INSERT INTO account VALUES (1, 100, "one"), (2, 200, "two"); INSERT INTO other VALUES (1, 100), (2, 200)');
  store = stores.source.openData({ poolSize: 8, acquireTimeoutMs: 20_000 });
  account = await described('account');
  schemas = new Map([
    ['account', account],
    ['other', await described('other')],
  ]);
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await admin.close();
  await stores[Symbol.asyncDispose]();
});

async function described(name: string): Promise<TableSchema> {
  const table = await store.describe(name, never());
  if (table === null) throw new Error(`there is no table ${name}`);
  return table;
}

const add = (id: number, by: number, more: { readonly table?: string; readonly precondition?: Filter; readonly returning?: readonly string[] } = {}): WriteOperation => ({
  kind: 'update',
  table: more.table ?? 'account',
  key: [BigInt(id)],
  set: none,
  add: rowOf({ balance: BigInt(by) }),
  precondition: more.precondition ?? null,
  returning: more.returning ?? [],
});
const insert = (id: number, name: string | null = null): WriteOperation => ({ kind: 'insert', table: 'account', row: rowOf({ id: BigInt(id), balance: 0n, name }), returning: [] });
const remove = (id: number): WriteOperation => ({ kind: 'delete', table: 'account', key: [BigInt(id)], precondition: null, allowMissing: true });
const write = (...operations: readonly WriteOperation[]) => store.write(schemas, operations, never());
const begin = (isolation: IsolationLevel, readOnly = false): Promise<DataTransaction> => store.begin({ isolation, readOnly, once: null }, never());
const balance = async (id: number, table = 'account'): Promise<number> => Number((await admin.query(`SELECT balance FROM ${table} WHERE id = ${id}`))[0]?.[0]);
const seen = async (transaction: DataTransaction, id: number, lock: RowLock | null = null): Promise<Cell | undefined> =>
  (await transaction.get(account, { key: [BigInt(id)], columns: ['balance'] }, lock, never()))?.cells[0];
const change = (transaction: DataTransaction, ...operations: readonly WriteOperation[]) => transaction.write(schemas, operations, never());
const waiting = (text: string): Promise<true> =>
  waitUntil(`a waiting ${text}`, { limitMs: 20_000, everyMs: 5 }, async () =>
    (await admin.query(`SELECT 1 FROM information_schema.PROCESSLIST WHERE USER = 'shop_gateway' AND COMMAND <> 'Sleep' AND INFO LIKE '${text}%'`)).length > 0 ? true : undefined,
  );
/** Ends the gateway's connections that run something, or all. */
async function kill(which: 'busy' | 'all' = 'all'): Promise<void> {
  const busy = which === 'busy' ? ` AND COMMAND <> 'Sleep'` : '';
  for (const [id] of await admin.query(`SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'shop_gateway'${busy}`)) await admin.query(`KILL ${id}`).catch(() => {});
}
/** Keeps every commit waiting until disposed of. */
async function holdCommits(): Promise<AsyncDisposable> {
  const holder = await stores.source.session('admin');
  await holder.query('BACKUP STAGE START; BACKUP STAGE BLOCK_COMMIT');
  return {
    [Symbol.asyncDispose]: async () => {
      await holder.query('BACKUP STAGE END');
      await holder.close();
    },
  };
}

describe('transactions', () => {
  test('see what their level lets them see', async () => {
    for (const [isolation, readOnly, second] of [
      ['read committed', false, 101n],
      ['read committed', true, 101n],
      ['repeatable read', false, 100n],
      ['repeatable read', true, 100n],
      ['serializable', true, 100n],
    ] as const) {
      await using transaction = await begin(isolation, readOnly);
      expect(await seen(transaction, 1)).toBe(100n);
      await write(add(1, 1));
      expect([isolation, readOnly, await seen(transaction, 1)]).toEqual([isolation, readOnly, second]);
      await write(add(1, -1));
      await transaction.commit('account', never());
    }
    await using strict = await begin('serializable');
    expect(await seen(strict, 1)).toBe(100n);
    expect(await reasonOf(store.write(schemas, [add(1, 1)], AbortSignal.timeout(300)))).toBe('CANCELLED');
    expect(await balance(1)).toBe(100);
  });

  test('whose snapshot is not the latest any more lose, and are over: nothing that comes after commits by itself', async () => {
    const late: readonly ((transaction: DataTransaction) => Promise<unknown>)[] = [
      (transaction) => change(transaction, add(1, 10)),
      (transaction) => change(transaction, remove(1)),
      (transaction) => change(transaction, insert(3)),
      (transaction) => seen(transaction, 1, 'update'),
    ];
    for (const act of late) {
      await using transaction = await begin('repeatable read');
      await seen(transaction, 2);
      await change(transaction, add(2, 1));
      await write(add(1, 1), insert(3));
      const error = await failure(act(transaction));
      expect(error.reason).toBe('SERIALIZATION_FAILURE');
      expect(transaction.isOver).toBe(true);
      expect(await reasonOf(change(transaction, add(2, 1)))).toBe('TRANSACTION_FAILED');
      expect(await reasonOf(transaction.commit('account', never()))).toBe('TRANSACTION_FAILED');
      await write(add(1, -1), remove(3));
      expect([await balance(1), await balance(2)]).toEqual([100, 200]);
    }
  });

  test('that are serializable do not both decide by what the other one changes', async () => {
    const withdraw = async (from: number): Promise<string> => {
      await using transaction = await begin('serializable');
      const [first, second] = [await seen(transaction, 1), await seen(transaction, 2)];
      await new Promise((resolve) => setTimeout(resolve, 100));
      if (Number(first) + Number(second) >= 300) await change(transaction, add(from, -300));
      await transaction.commit('account', never());
      return 'committed';
    };
    const outcomes = await Promise.all([1, 2].map((from) => withdraw(from).catch((error: SwitchyardError) => error.reason)));
    expect(outcomes.toSorted()).toEqual(['SERIALIZATION_FAILURE', 'committed']);
    expect((await balance(1)) + (await balance(2))).toBe(0);
  });

  test('lock rows that they have read, one by one, as a batch and as a page', async () => {
    const reads: readonly ((transaction: DataTransaction, lock: RowLock) => Promise<unknown>)[] = [
      (transaction, lock) => seen(transaction, 1, lock),
      (transaction, lock) => transaction.batchGet(account, { keys: [[1n], [9n]], columns: ['id'] }, lock, never()),
      (transaction, lock) =>
        transaction.query(
          account,
          { filter: { kind: 'prefix', column: 'name', text: 'one' }, orderBy: [{ column: 'id', descending: false }], columns: ['name'], limit: 5, after: null },
          lock,
          never(),
        ),
      (transaction, lock) =>
        transaction.query(
          account,
          { filter: { kind: 'compare', column: 'id', operator: '=', value: 1n }, orderBy: [{ column: 'id', descending: false }], columns: ['id'], limit: 5, after: null },
          lock,
          never(),
        ),
    ];
    for (const isolation of levels) {
      for (const read of reads) {
        for (const lock of ['share', 'update'] as const) {
          await using transaction = await begin(isolation);
          await read(transaction, lock);
          expect([isolation, lock, await reasonOf(store.write(schemas, [add(1, 1)], AbortSignal.timeout(100)))]).toEqual([isolation, lock, 'CANCELLED']);
          await transaction.commit('account', never());
          await write(add(1, 1));
        }
      }
    }
    await using reader = await begin('read committed', true);
    expect(await reasonOf(seen(reader, 1, 'update'))).toBe('STORE_READ_ONLY');
  });

  test('go on from a savepoint after a failure, and not otherwise', async () => {
    await using transaction = await begin('repeatable read');
    await change(transaction, add(1, 1));
    await transaction.savepoint('here', never());
    await change(transaction, add(1, 10));
    expect(await reasonOf(change(transaction, insert(2)))).toBe('UNIQUE_VIOLATION');
    expect([transaction.hasFailed, transaction.isOver]).toEqual([true, false]);
    expect(await reasonOf(seen(transaction, 1))).toBe('TRANSACTION_FAILED');
    expect(await reasonOf(transaction.commit('account', never()))).toBe('TRANSACTION_FAILED');
    expect(await reasonOf(transaction.rollBackTo('HERE', never()))).toBe('ARGUMENT_INVALID');
    await transaction.rollBackTo('here', never());
    expect(await seen(transaction, 1)).toBe(101n);
    // What is refused as an argument, or misses its row, is no failure.
    expect(await reasonOf(change(transaction, add(9, 1)))).toBe('ROW_NOT_FOUND');
    await transaction.commit('account', never());
    expect(await balance(1)).toBe(101);
  });

  test('that wait for each other: one of them is over, and the other one goes on', async () => {
    await using first = await begin('read committed');
    await using second = await begin('read committed');
    await change(first, add(1, 1));
    await change(second, add(2, 1));
    const outcomes = await Promise.allSettled([change(first, add(2, 1)), change(second, add(1, 1))]);
    const lost = outcomes.findIndex(({ status }) => status === 'rejected');
    const [loser, winner] = lost === 0 ? [first, second] : [second, first];
    expect(outcomes[1 - lost]?.status).toBe('fulfilled');
    expect([loser.isOver, loser.hasFailed]).toEqual([true, true]);
    await winner.commit('account', never());
    expect([await balance(1), await balance(2)]).toEqual([101, 201]);
  });

  test('that have been idle for too long are ended by the store, and their commit is no riddle', async () => {
    await using transaction = await begin('read committed');
    await change(transaction, add(1, 1));
    await waitUntil('the end of the transaction', { limitMs: 30_000 }, async () => (transaction.isOver ? true : undefined));
    expect(await reasonOf(transaction.commit('account', never()))).toBe('STORE_UNAVAILABLE');
    expect(await balance(1)).toBe(100);
  }, 60_000);

  test('are committed once', async () => {
    await stores.source.owner.install(never());
    const once = { caller: 'teller', id: 'once' };
    for (const committed of [false, true]) {
      await using transaction = await store.begin({ isolation: 'repeatable read', readOnly: false, once }, never());
      expect(transaction.wasCommitted).toBe(committed);
      if (committed) break;
      await change(transaction, add(1, 1));
      await using rival = await store.begin({ isolation: 'read committed', readOnly: false, once }, never());
      expect(rival.wasCommitted).toBe(false);
      await change(rival, add(2, 1));
      await transaction.commit('account', never());
      expect(await reasonOf(rival.commit('account', never()))).toBe('SERIALIZATION_FAILURE');
    }
    expect([await balance(1), await balance(2)]).toEqual([101, 200]);
  });
});

describe('the fence', () => {
  const fencedReasons = ['FENCED', 'SERIALIZATION_FAILURE'] as const;
  let number = 0;
  const next = (): Attempt => {
    number += 1;
    return attempt(number);
  };

  beforeEach(async () => {
    await stores.source.owner.install(never());
    await stores.source.owner.claim(SCOPE, 'source', never());
  });

  test.each(levels.flatMap((isolation) => [false, true].map((readOnly) => [isolation, readOnly] as const)))(
    'is met by a transaction under %s (read only: %s) that has read before it: no stale read, no write on the old side',
    async (isolation, readOnly) => {
      const isWaitedFor = isolation === 'serializable' && !readOnly;
      await using fence = await stores.source.owner.openFence(SCOPE, never());
      await using transaction = await begin(isolation, readOnly);
      expect(await seen(transaction, 1)).toBe(100n);
      const number = next();
      if (isWaitedFor) {
        expect(await reasonOf(fence.fence(number, 300, never()))).toBe('LOCK_TIMEOUT');
        await change(transaction, add(1, 1));
        await transaction.commit('account', never());
        await fence.fence(number, 2_000, never());
        return;
      }
      await fence.fence(number, 2_000, never());
      // The source is readable until it is closed.
      if (isolation !== 'serializable') expect(await seen(transaction, 1)).toBe(100n);
      await fence.commit(number, never());
      await fence.close(number, never());
      const error = await failure(seen(transaction, 1));
      expect(hasReason(error, ...fencedReasons)).toBe(true);
      expect(transaction.isOver).toBe(true);
      await using late = await begin(isolation, readOnly);
      expect(await reasonOf(seen(late, 1))).toBe('FENCED');
    },
  );

  test.each(levels)('turns away a transaction under %s that has read before it and writes behind it', async (isolation) => {
    const acts: readonly ((transaction: DataTransaction) => Promise<unknown>)[] = [
      (transaction) => change(transaction, add(1, 1)),
      (transaction) => change(transaction, insert(7)),
      (transaction) => change(transaction, add(99, 1)),
      (transaction) => change(transaction, remove(99)),
      (transaction) => seen(transaction, 1, 'update'),
    ];
    await using fence = await stores.source.owner.openFence(SCOPE, never());
    for (const act of acts) {
      await using transaction = await begin(isolation);
      await transaction.get(schemas.get('other') as TableSchema, { key: [1n], columns: ['balance'] }, null, never());
      const number = next();
      await fence.fence(number, 2_000, never());
      const error = await failure(act(transaction));
      expect(hasReason(error, ...fencedReasons)).toBe(true);
      expect(transaction.isOver).toBe(true);
      // Nothing of it is in the way of the next transition, although nobody has disposed of it.
      await fence.abort(number, AbortSignal.timeout(2_000));
    }
    expect(await balance(1)).toBe(100);
  });

  test('waits for whoever has locked a row, and for a writer of any level', async () => {
    await using fence = await stores.source.owner.openFence(SCOPE, never());
    for (const isolation of levels) {
      for (const act of [(transaction: DataTransaction) => seen(transaction, 1, 'share'), (transaction: DataTransaction) => change(transaction, add(1, 1))]) {
        await using transaction = await begin(isolation);
        await act(transaction);
        const number = next();
        expect([isolation, await reasonOf(fence.fence(number, 200, never()))]).toEqual([isolation, 'LOCK_TIMEOUT']);
        await transaction[Symbol.asyncDispose]();
        await fence.fence(number, 2_000, never());
        await fence.abort(number, never());
      }
    }
  });

  test('refuses writes that meet no row, which no trigger sees: "no such row" is not this store\'s to say', async () => {
    await using fence = await stores.source.owner.openFence(SCOPE, never());
    const unmet: Filter = { kind: 'compare', column: 'balance', operator: '=', value: -1n };
    const writes = [add(99, 1), add(99, 1, { returning: ['id'] }), add(1, 1, { precondition: unmet }), remove(99)];
    const reasons = await Promise.all(
      writes.map((each) =>
        write(each).then(
          () => 'done',
          (error: SwitchyardError) => error.reason,
        ),
      ),
    );
    expect(reasons).toEqual(['ROW_NOT_FOUND', 'ROW_NOT_FOUND', 'PRECONDITION_FAILED', 'done']);
    const number = next();
    await fence.fence(number, 2_000, never());
    for (const state of ['FROZEN', 'SEALED', 'CLOSED']) {
      for (const each of writes) {
        expect([state, await reasonOf(write(each))]).toEqual([state, 'FENCED']);
        expect([state, await reasonOf(write(add(1, 1, { table: 'other' }), each))]).toEqual([state, 'FENCED']);
        expect([state, await reasonOf(writeOnce(store, schemas, `${state}`, [each], { table: 'account' }))]).toEqual([state, 'FENCED']);
      }
      if (state === 'FROZEN') await fence.commit(number, never());
      if (state === 'SEALED') await fence.close(number, never());
    }
    expect([await balance(1), await balance(1, 'other')]).toEqual([100, 100]);
  });

  test('and the rows that are read under it are of one snapshot, whichever of them the server reads first', async () => {
    await admin.query('INSERT INTO account SELECT seq, 0, NULL FROM seq_10_to_29; UPDATE account SET balance = 0');
    const reader = await stores.source.session('gateway');
    const rows = 'SELECT 1 AS found, balance AS c0, SLEEP(0.02) AS c1 FROM account ORDER BY id LIMIT 100';
    const forms = [fencedRows('account', rows, 2), `SELECT ${fenceColumn('account')}, 1, balance, SLEEP(0.02) FROM account`];
    for (const [round, text] of forms.entries()) {
      // Not by SELECT: the session would look at the fence by itself before.
      const read = reader.query(`/* slowly */ ${text}`);
      await waiting('/* slowly');
      await new Promise((resolve) => setTimeout(resolve, 100));
      // The rows while the table is open, and the fence, in one transaction.
      await admin.query(`BEGIN; UPDATE account SET balance = balance + 7; UPDATE switchyard_fence SET state = 'CLOSED'; COMMIT`);
      const found = await read;
      expect(found).toHaveLength(22);
      expect(new Set(found.map(([state, , balance]) => `${state} ${balance}`))).toEqual(new Set([`OPEN ${round * 7}`]));
      await admin.query(`UPDATE switchyard_fence SET state = 'OPEN'`);
    }
    await reader.close();
  });

  test('is seen by a gateway that has known the store before it was prepared, and by one that may not read it only in the way that the store is', async () => {
    await using fresh = await servers.fresh(TABLES);
    await using gateway = fresh.source.openData();
    const read = () => gateway.get(account, { key: [1n], columns: ['balance'] }, never());
    const page = () => gateway.query(account, { filter: null, orderBy: [{ column: 'id', descending: false }], columns: ['id'], limit: 1, after: null }, never());
    expect([await read(), await page(), await gateway.fenceRows(['account'], never())]).toEqual([null, { rows: [], more: false }, []]);
    expect(await reasonOf(gateway.write(schemas, [add(99, 1)], never()))).toBe('ROW_NOT_FOUND');
    await fresh.source.owner.install(never());
    await fresh.source.owner.claim({ ...SCOPE, tables: ['account'] }, 'source', never());
    await using fence = await fresh.source.owner.openFence(SCOPE, never());
    await fence.fence(attempt(1), 2_000, never());
    await fence.commit(attempt(1), never());
    expect(await read()).toBeNull();
    expect(await reasonOf(gateway.write(schemas, [add(99, 1)], never()))).toBe('FENCED');
    await fence.close(attempt(1), never());
    for (const call of [read, page, () => gateway.aggregate(account, { filter: null, aggregations: [{ kind: 'count' }], groupBy: 'name', limit: 5 }, never())])
      expect(await reasonOf(call())).toBe('FENCED');
    // Whoever has seen the fence is not told that there is none.
    await fresh.source.sql('REVOKE SELECT ON switchyard_fence FROM shop_gateway', 'admin');
    expect(await reasonOf(read())).toBe('STORE_DENIED');
    expect(await reasonOf(gateway.fenceRows(['account'], never()))).toBe('STORE_DENIED');
  });
});

describe('writes at the same time', () => {
  test('that wait for each other are all done', async () => {
    const rounds = Array.from({ length: 30 }, (_, i) => (i % 2 === 0 ? [add(1, 1), add(2, 1)] : [add(2, 1), add(1, 1)]));
    await Promise.all(rounds.map((operations) => write(...operations)));
    expect([await balance(1), await balance(2)]).toEqual([130, 230]);
  });

  test('that add the same row are one insert and many updates', async () => {
    const upsert = (id: number, name: string): WriteOperation => ({
      kind: 'upsert',
      table: 'account',
      row: rowOf({ id: BigInt(id), balance: 1n, name }),
      precondition: null,
      returning: ['id'],
    });
    for (let round = 10; round < 15; round += 1) {
      const results = await Promise.all(Array.from({ length: 12 }, () => write(upsert(round, `row ${round}`))));
      expect(new Set(results.map(([result]) => result?.row?.cells[0]))).toEqual(new Set([BigInt(round)]));
    }
    // A name that another row has is never taken over, whoever comes first.
    const rivals = await Promise.allSettled(Array.from({ length: 12 }, (_, i) => write(upsert(100 + i, 'rival'))));
    expect(rivals.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const rival of rivals) if (rival.status === 'rejected') expect(rival.reason).toMatchObject({ reason: 'UNIQUE_VIOLATION', metadata: { columns: 'name' } });
    expect(await admin.query(`SELECT count(*) FROM account WHERE name = 'rival'`)).toEqual([['1']]);
  });
});

describe('an abort', () => {
  test('is told for what it was: nothing that was cancelled is done, and all that was confirmed is', async () => {
    await stores.source.owner.install(never());
    await stores.source.owner.claim(SCOPE, 'source', never());
    let [done, unknown] = [0, 0];
    const one = async (round: number): Promise<void> => {
      const operations = round % 3 === 0 ? [add(1, 1), add(1, 1, { returning: ['balance'] })] : [add(1, 1, round % 3 === 1 ? {} : { returning: ['balance'] })];
      try {
        await store.write(schemas, operations, AbortSignal.timeout(Math.floor(Math.random() * 600)));
        done += operations.length;
      } catch (error) {
        if (hasReason(error, 'OUTCOME_UNKNOWN')) unknown += operations.length;
        else if (!hasReason(error, 'CANCELLED')) throw error;
      }
    };
    for (let round = 0; round < 20; round += 1) {
      // Statements that wait are ended while others run on the same rows.
      await admin.query('BEGIN');
      await admin.query('SELECT 1 FROM account WHERE id = 1 FOR UPDATE');
      const all = Promise.all(Array.from({ length: 12 }, (_, i) => one(i)));
      await new Promise((resolve) => setTimeout(resolve, 350));
      await admin.query('COMMIT');
      await all;
    }
    const added = (await balance(1)) - 100;
    expect(added).toBeGreaterThanOrEqual(done);
    expect(added).toBeLessThanOrEqual(done + unknown);
    expect(done).toBeGreaterThan(0);
  }, 120_000);

  test('during the commit of a transaction waits for the answer and gives it; a single write is cancelled and not done', async () => {
    const held = await holdCommits();
    const [first, second] = [new AbortController(), new AbortController()];
    const single = reasonOf(store.write(schemas, [add(1, 1)], first.signal));
    await waiting('UPDATE');
    first.abort();
    expect(await single).toBe('CANCELLED');
    const both = store.write(schemas, [add(1, 10), add(2, 10)], second.signal);
    await waiting('COMMIT');
    second.abort();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await held[Symbol.asyncDispose]();
    expect(await both).toHaveLength(2);
    expect([await balance(1), await balance(2)]).toEqual([110, 210]);
  });

  test('of a read that waits ends it in the store', async () => {
    await admin.query('LOCK TABLES account WRITE');
    const read = reasonOf(store.query(account, { filter: null, orderBy: [{ column: 'id', descending: false }], columns: ['id'], limit: 1, after: null }, AbortSignal.timeout(100)));
    await waiting('SELECT');
    expect(await read).toBe('CANCELLED');
    await waitUntil('the end of the statement', { limitMs: 5_000 }, async () =>
      (await admin.query(`SELECT 1 FROM information_schema.PROCESSLIST WHERE USER = 'shop_gateway' AND COMMAND = 'Execute'`)).length === 0 ? true : undefined,
    );
    await admin.query('UNLOCK TABLES');
  });
});

describe('a lost connection', () => {
  test('leaves a write that commits by itself unknown, and a transaction only from its COMMIT on', async () => {
    await admin.query('BEGIN; SELECT 1 FROM account WHERE id = 1 FOR UPDATE');
    const single = reasonOf(write(add(1, 1)));
    const transaction = reasonOf(write(add(2, 1), add(1, 1)));
    await waitUntil('two waiting', { limitMs: 20_000 }, async () =>
      (await admin.query(`SELECT 1 FROM information_schema.PROCESSLIST WHERE USER = 'shop_gateway' AND COMMAND = 'Execute'`)).length === 2 ? true : undefined,
    );
    await kill();
    expect([await single, await transaction]).toEqual(['OUTCOME_UNKNOWN', 'STORE_UNAVAILABLE']);
    await admin.query('COMMIT');
    const held = await holdCommits();
    const committing = reasonOf(write(add(2, 1), add(1, 1)));
    await waiting('COMMIT');
    await kill('busy');
    expect(await committing).toBe('OUTCOME_UNKNOWN');
    await held[Symbol.asyncDispose]();
  });

  test('at the commit of a write that is done once: sent again it is done exactly once', async () => {
    await stores.source.owner.install(never());
    for (const [round, isKilled] of [true, false].entries()) {
      const held = await holdCommits();
      const operations = [add(1, 1, { returning: ['balance'] })];
      const controller = new AbortController();
      const first = failure(
        store.writeOnce(
          schemas,
          operations,
          { caller: '', id: `${round}`, table: 'account', digest: 'x', encode: () => new Uint8Array([1]), answer: { form: 'mutate', maxBytes: 1_000 } },
          controller.signal,
        ),
      );
      await waiting('COMMIT');
      if (isKilled) await kill('busy');
      else controller.abort(new SwitchyardError('DEADLINE_EXCEEDED', 'too late'));
      expect((await first).reason).toBe('OUTCOME_UNKNOWN');
      // The first one may still be under way in the store, and then this one waits for it.
      const second = writeOnce(store, schemas, `${round}`, operations, { caller: '', digest: 'x', table: 'account', encode: () => new Uint8Array([1]) });
      await new Promise((resolve) => setTimeout(resolve, 100));
      await held[Symbol.asyncDispose]();
      await second;
      expect(await balance(1)).toBe(101 + round);
    }
  });
});
