import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Backend, DataStore, DataTransaction, TransactionOptions } from '../../backends/backend.ts';
import { backends } from '../../backends/registry.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { deleteItem, insertItem, never, reasonOf, storeOptions, updateItem } from './data-store-harness.ts';
import { PassingGateway, passedOnShard, PEER } from './passed-on.ts';
import { PostgresHarness } from './postgres-harness.ts';

/* A transaction on one call of two streams: what it sees, what undoes it, and what becomes of it when the way is lost. */

let harness: PostgresHarness;
let gateway: PassingGateway;
let proxy: CuttingProxy;
let store: DataStore;
let schemas: ReadonlyMap<string, TableSchema>;
let item: TableSchema;

beforeAll(async () => {
  harness = await PostgresHarness.start();
  gateway = await PassingGateway.start([{ name: 'there', shards: [harness.shard] }], harness.env);
  proxy = await CuttingProxy.open(`http://${gateway.addressFor('grpc')}`);
  const shard = passedOnShard('grpc', { gateways: [new URL(proxy.address).host], keyspace: 'there' });
  store = (backends.get('grpc') as Backend).openData(storeOptions({ shard, password: PEER.gateway }));
  item = (await store.describe('item', never)) as TableSchema;
  schemas = new Map([['item', item]]);
}, 120_000);
afterAll(async () => {
  await store?.[Symbol.asyncDispose]();
  await proxy?.[Symbol.asyncDispose]();
  await gateway?.[Symbol.asyncDispose]();
  await harness?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  proxy.treat = () => 'pass';
  await harness.reset();
  await waitUntil('the way being open', { limitMs: 10_000 }, () => store.listTables(never).catch(() => undefined));
});

const begin = (more: Partial<TransactionOptions> = {}): Promise<DataTransaction> => store.begin({ isolation: 'read committed', readOnly: false, once: null, ...more }, never);
const nameOf = async (from: Pick<DataStore, 'get'> | DataTransaction, id: bigint): Promise<unknown> => {
  const row = 'commit' in from ? await from.get(item, { key: [id], columns: ['name'] }, null, never) : await from.get(item, { key: [id], columns: ['name'] }, never);
  return row?.cells[0];
};

test('sees its own writes, which others see with its commit', async () => {
  await using transaction = await begin();
  expect([transaction.wasCommitted, transaction.hasFailed, transaction.isOver]).toEqual([false, false, false]);
  expect(await transaction.write(schemas, [insertItem(1n, 'a', {}, ['id'])], never)).toEqual([{ found: true, row: { columns: ['id'], cells: [1n] } }]);
  expect([await nameOf(transaction, 1n), await nameOf(store, 1n)]).toEqual(['a', undefined]);
  expect((await transaction.batchGet(item, { keys: [[1n], [2n]], columns: ['name'] }, 'update', never)).map((row) => row?.cells[0])).toEqual(['a', undefined]);
  const order = [{ column: 'id', descending: false }];
  expect((await transaction.query(item, { filter: null, orderBy: order, columns: ['id'], limit: 5, after: null }, 'share', never)).rows).toHaveLength(1);
  expect(await transaction.aggregate(item, { filter: null, aggregations: [{ kind: 'count' }], groupBy: null, limit: 1 }, never)).toEqual([{ group: null, values: [1n] }]);
  await transaction.commit('item', never);
  expect(transaction.isOver).toBe(true);
  expect(await nameOf(store, 1n)).toBe('a');
});

test('goes back to a savepoint, a failure included, and is undone without a commit', async () => {
  {
    await using transaction = await begin();
    await transaction.write(schemas, [insertItem(1n, 'a')], never);
    await transaction.savepoint('here', never);
    expect(await reasonOf(transaction.write(schemas, [insertItem(1n, 'b')], never))).toBe('UNIQUE_VIOLATION');
    expect(transaction.hasFailed).toBe(true);
    expect(await reasonOf(nameOf(transaction, 1n))).toBe('TRANSACTION_FAILED');
    await transaction.rollBackTo('here', never);
    expect([transaction.hasFailed, await nameOf(transaction, 1n)]).toEqual([false, 'a']);
    // A missing row is no failure of the transaction.
    expect(await reasonOf(transaction.write(schemas, [deleteItem(7n)], never))).toBe('ROW_NOT_FOUND');
    expect([transaction.hasFailed, await nameOf(transaction, 1n)]).toEqual([false, 'a']);
  }
  await waitUntil('the end of the transaction', { limitMs: 10_000 }, async () => ((await harness.running()) === 0 ? true : undefined));
  expect(await nameOf(store, 1n)).toBeUndefined();
});

test('an abort ends its statement in the store, and the transaction with it', async () => {
  await store.write(schemas, [insertItem(1n, 'a')], never);
  await using lock = await harness.lockItem(1n);
  await using transaction = await begin();
  const controller = new AbortController();
  const waiting = reasonOf(transaction.write(schemas, [insertItem(2n, 'b'), updateItem(1n, { note: 'late' })], controller.signal));
  await waitUntil('the wait for the lock', { limitMs: 10_000 }, async () => ((await harness.running()) === 1 ? true : undefined));
  controller.abort();
  expect(await waiting).toBe('CANCELLED');
  expect(transaction.isOver).toBe(true);
  await waitUntil('the end of the statement', { limitMs: 10_000 }, async () => ((await harness.running()) === 0 ? true : undefined));
  await lock[Symbol.asyncDispose]();
  expect(await nameOf(store, 2n)).toBeUndefined();
});

test('a connection that is lost before the commit undoes it; lost in the commit, its outcome is unknown', async () => {
  {
    await using transaction = await begin();
    await transaction.write(schemas, [insertItem(1n, 'a')], never);
    proxy.treat = ({ direction }) => (direction === 'answer' ? { cutAfter: 0 } : 'pass');
    expect(await reasonOf(nameOf(transaction, 1n))).toBe('STORE_UNAVAILABLE');
    expect(transaction.isOver).toBe(true);
  }
  proxy.treat = () => 'pass';
  await waitUntil('the way being open', { limitMs: 10_000 }, () => store.listTables(never).catch(() => undefined));
  expect(await nameOf(store, 1n)).toBeUndefined();
  await using transaction = await begin();
  await transaction.write(schemas, [insertItem(1n, 'a')], never);
  proxy.treat = ({ direction }) => (direction === 'answer' ? { cutAfter: 0 } : 'pass');
  expect(await reasonOf(transaction.commit('item', never))).toBe('OUTCOME_UNKNOWN');
});
