import { expect, test } from '@jest/globals';
import {
  add,
  type BatchTable,
  type ChangesOf,
  type Database,
  type KeyOf,
  type NewRowOf,
  not,
  openDatabase,
  or,
  type RowOf,
  type TransactionTables,
  type Where,
} from '../../client/client.ts';
import { type CallOf, optionNames } from '../../client/options.ts';
import { filterOf } from '../../client/where.ts';
import { tables } from './shop-tables.ts';

/* What the compiler must take, and what it must refuse: each "@ts-expect-error" fails the type check of the project when there is none. */

type Orders = typeof tables.orders;
const measured = { name: 'measured', columns: { id: { kind: 'int32' }, weight: { kind: 'float64', nullable: true } }, primaryKey: ['id'] } as const;
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const isTrue = <T extends true>(): T => true as T;

test('rows, keys and new rows have the types of their columns', () => {
  isTrue<Equal<RowOf<Orders, 'id' | 'note' | 'tags'>, { readonly id: bigint; readonly note: string | null; readonly tags: readonly (string | null)[] | null }>>();
  isTrue<Equal<KeyOf<typeof tables.lines>, { readonly order_id: bigint; readonly line: number }>>();
  const least: NewRowOf<Orders> = { customer: 'a', total: '1.50' };
  const whole: NewRowOf<Orders> = { ...least, id: 1n, parts: 2, note: null, placed_at: '2026-01-01T00:00:00Z', tags: ['a', null] };
  // @ts-expect-error a column that has no default is missing
  const missing: NewRowOf<Orders> = { customer: 'a' };
  // @ts-expect-error a number is no decimal: it would be rounded
  const rounded: NewRowOf<Orders> = { ...least, total: 1.5 };
  // @ts-expect-error the store alone computes this column
  const generated: NewRowOf<Orders> = { ...least, label: 'x' };
  // @ts-expect-error there is no such column
  const unknown: NewRowOf<Orders> = { ...least, castomer: 'x' };
  // @ts-expect-error NOT NULL
  const nothing: NewRowOf<Orders> = { ...least, parts: null };
  expect([missing, rounded, generated, unknown, nothing, whole]).toHaveLength(6);
});

test('changes are new values, or amounts for numbers', () => {
  const changes: ChangesOf<Orders> = { note: null, parts: add(-2), total: add('0.50') };
  // @ts-expect-error a text cannot be added to
  const text: ChangesOf<Orders> = { customer: add('x') };
  // @ts-expect-error an amount of another type
  const number: ChangesOf<Orders> = { total: add(1) };
  expect([changes, text, number]).toHaveLength(3);
});

test('conditions are of the types of their columns', () => {
  const where: Where<Orders> = or<Orders>({ customer: 'a', parts: { gt: 1, lte: 5 } }, not<Orders>({ note: { isNull: true } }), {
    id: { in: [1n, 2n] },
    customer: { like: 'a%' },
    note: null,
  });
  expect(filterOf(tables.orders, where)).toMatchObject({
    kind: {
      case: 'or',
      value: {
        filters: [
          { kind: { case: 'and', value: { filters: [{ kind: { case: 'compare' } }, { kind: { case: 'compare' } }, { kind: { case: 'compare' } }] } } },
          { kind: { case: 'not', value: { kind: { case: 'isNull', value: { column: 'note' } } } } },
          { kind: { case: 'and', value: { filters: [{ kind: { case: 'in' } }, { kind: { case: 'like' } }, { kind: { case: 'isNull' } }] } } },
        ],
      },
    },
  });
  // @ts-expect-error there is no such column
  const unknown: Where<Orders> = { castomer: 'a' };
  // @ts-expect-error a bigint column
  const number: Where<Orders> = { id: 1 };
  // @ts-expect-error there is no such condition
  const operator: Where<Orders> = { parts: { more: 1 } };
  expect([unknown, number, operator]).toHaveLength(3);
});

test('calls take and give what their table has', () => {
  // Never called: the compiler is asked.
  async function calls(db: Database<typeof tables>): Promise<void> {
    const row = await db.orders.get({ id: 42n });
    isTrue<Equal<typeof row, RowOf<Orders> | null>>();
    const part = await db.orders.get({ id: 42n }, { columns: ['note', 'parts'] });
    isTrue<Equal<typeof part, { readonly note: string | null; readonly parts: number } | null>>();
    const inserted = await db.orders.insert({ customer: 'a', total: '1' });
    isTrue<Equal<typeof inserted, { readonly id: bigint }>>();
    for await (const { customer } of db.orders.stream({ where: { parts: 1 }, orderBy: ['customer', { column: 'id', descending: true }] })) isTrue<Equal<typeof customer, string>>();
    const sum = await db.transact(async (tx) => {
      const line = await tx.lines.get({ order_id: 1n, line: 2 }, { lock: 'update' });
      await tx.savepoint('a');
      return line?.quantity ?? 0;
    });
    isTrue<Equal<typeof sum, number>>();
    for await (const { token } of db.orders.watch({ token: undefined, onBegin: async () => {}, onRetry: ({ reason }) => void reason })) isTrue<Equal<typeof token, string>>();
    // @ts-expect-error a part of the key is missing
    await db.lines.get({ order_id: 1n });
    // @ts-expect-error there is no such table
    await db.nothing.get({ id: 1n });
    // @ts-expect-error there is no such column to order by
    await db.orders.query({ orderBy: ['nothing'] });
    // @ts-expect-error there is no such column to return
    await db.orders.update({ id: 1n }, { note: 'x' }, { returning: ['nothing'] });
    // @ts-expect-error no stream within a transaction
    await db.transact(async (tx) => tx.orders.stream());
  }
  expect(calls).toBeInstanceOf(Function);
});

test('a call takes what it keeps, on its own and within a transaction', () => {
  async function calls(db: Database<typeof tables>): Promise<void> {
    const { signal } = new AbortController();
    await db.orders.get({ id: 1n }, { deadlineMs: 1, signal });
    await db.orders.update({ id: 1n }, { note: 'x' }, { deadlineMs: 1, signal, requestId: 'r', etag: 'e', where: { parts: 1 }, returning: ['note'] });
    db.orders.stream({ deadlineMs: 1, signal, limit: 1 });
    // @ts-expect-error a lock lasts as long as its transaction
    await db.orders.get({ id: 1n }, { lock: 'update' });
    // @ts-expect-error neither does a stream take one
    db.orders.stream({ lock: 'update' });
    await db.transact(
      async (tx) => {
        await tx.orders.query({ lock: 'share', where: { parts: 1 }, pageSize: 1 });
        await tx.orders.update({ id: 1n }, { note: 'x' }, { where: { parts: 1 }, returning: ['note'] });
        const tagged = await tx.orders.getTagged({ id: 1n });
        isTrue<Equal<typeof tagged, { readonly row: RowOf<Orders>; readonly etag: string } | null>>();
        // @ts-expect-error the transaction has its limits as a whole
        await tx.orders.get({ id: 1n }, { deadlineMs: 1 });
        // @ts-expect-error and its signal
        await tx.orders.count({}, { signal });
        // @ts-expect-error and its request id
        await tx.orders.insert({ customer: 'a', total: '1' }, { requestId: 'r' });
        await tx.orders.delete({ id: 1n }, { etag: 'e' });
        // @ts-expect-error numbers lock no rows
        await tx.orders.count({}, { lock: 'update' });
      },
      { isolation: 'serializable', readOnly: true, retryMs: 1, signal, onRetry: ({ reason }) => void reason },
    );
    // @ts-expect-error there is no such isolation
    await db.transact(async () => 1, { isolation: 2 });
  }
  expect(calls).toBeInstanceOf(Function);
});

test('numbers have the types of their aggregations', () => {
  async function calls(db: Database<{ orders: Orders; measured: typeof measured }>): Promise<void> {
    const [all] = await db.orders.aggregate({ orders: 'count', turnover: { sum: 'total' }, parts: { sum: 'parts' }, most: { max: 'parts' }, first: { min: 'placed_at' } });
    isTrue<
      Equal<
        typeof all,
        | ({ readonly orders: bigint; readonly turnover: string | null; readonly parts: string | null; readonly most: number | null; readonly first: string | null } & {
            readonly group: null;
          })
        | undefined
      >
    >();
    const groups = await db.orders.aggregate({ orders: 'count' }, { groupBy: 'note', where: { parts: 1 }, deadlineMs: 1 });
    isTrue<Equal<(typeof groups)[number]['group'], string | null>>();
    const [ids] = await db.orders.aggregate({ last: { max: 'id' } }, { groupBy: 'id' });
    isTrue<Equal<[NonNullable<typeof ids>['last'], NonNullable<typeof ids>['group']], [bigint | null, bigint]>>();
    const [sums] = await db.measured.aggregate({ weight: { sum: 'weight' } });
    isTrue<Equal<NonNullable<typeof sums>['weight'], number | null>>();
    // @ts-expect-error one aggregation computes one number
    await db.orders.aggregate({ n: { sum: 'total', max: 'parts' } });
    // @ts-expect-error there is no sum of texts
    await db.orders.aggregate({ n: { sum: 'customer' } });
    // @ts-expect-error an array has no order
    await db.orders.aggregate({ n: { max: 'tags' } });
    // @ts-expect-error there is no such column
    await db.orders.aggregate({ n: { max: 'nothing' } });
    // @ts-expect-error the group's own value has this name
    await db.orders.aggregate({ group: 'count' });
  }
  expect(calls).toBeInstanceOf(Function);
});

test('a mutate gives each write its result', () => {
  async function calls(db: Database<typeof tables>): Promise<void> {
    const [order, parts, gone] = await db.mutate(
      (batch) => [
        batch.orders.insert({ customer: 'a', total: '1' }),
        batch.orders.update({ id: 1n }, { parts: add(1) }, { returning: ['parts', 'note'], where: { note: null } }),
        batch.lines.delete({ order_id: 1n, line: 1 }),
      ],
      { requestId: 'r', deadlineMs: 1 },
    );
    isTrue<Equal<[typeof order, typeof parts, typeof gone], [{ readonly id: bigint }, { readonly parts: number; readonly note: string | null }, boolean]>>();
    const [first, ...others] = await db.mutate((batch) => [
      batch.orders.insert({ customer: 'a', total: '1' }),
      ...[1, 2].map((line) => batch.lines.insert({ order_id: 1n, line })),
    ]);
    isTrue<Equal<[typeof first, (typeof others)[number]], [{ readonly id: bigint }, { readonly order_id: bigint; readonly line: number }]>>();
    // @ts-expect-error the whole has one request id
    await db.mutate((batch) => [batch.orders.insert({ customer: 'a', total: '1' }, { requestId: 'r' })]);
    // @ts-expect-error etags are for calls of their own
    await db.mutate((batch) => [batch.orders.delete({ id: 1n }, { etag: 'e' })]);
    // @ts-expect-error a column that has no default is missing
    await db.mutate((batch) => [batch.orders.insert({ customer: 'a' })]);
    // @ts-expect-error nothing is waited for while the writes are made
    await db.mutate(async (batch) => [batch.lines.delete({ order_id: 1n, line: 1 })]);
  }
  expect(calls).toBeInstanceOf(Function);
});

test('the names that are checked at run time are those that the compiler knows', () => {
  type Given<F> = F extends (...given: infer A extends readonly unknown[]) => unknown ? NonNullable<Required<A> extends readonly [...unknown[], infer O] ? O : never> : never;
  /** Names of the options that may have a value. */
  type NamesIn<O> = { [N in keyof O]-?: [Exclude<O[N], undefined>] extends [never] ? never : N }[keyof O];
  type Checked<S extends keyof typeof optionNames, C extends CallOf<S>> = (typeof optionNames)[S][C] extends readonly (infer N)[] ? N : never;
  type Same<S extends keyof typeof optionNames, Calls> = { [C in CallOf<S>]: C extends keyof Calls ? Equal<NamesIn<Given<Calls[C]>>, Checked<S, C>> : false }[CallOf<S>];
  isTrue<Same<'alone', Database<{ orders: Orders }>['orders']>>();
  isTrue<Same<'transaction', TransactionTables<{ orders: Orders }>['orders']>>();
  isTrue<Same<'batch', BatchTable<Orders>>>();
  isTrue<Same<'database', Database<{ orders: Orders }> & { openDatabase: typeof openDatabase }>>();
  expect(Object.keys(optionNames)).toHaveLength(4);
});

test('an option that there is none of is seen where it is written', () => {
  async function calls(db: Database<typeof tables>): Promise<void> {
    // @ts-expect-error etag
    await db.orders.delete({ id: 1n }, { etg: 'e' });
    // @ts-expect-error where
    await db.orders.delete({ id: 1n }, { precondition: { parts: 5 } });
    // @ts-expect-error where, requestId
    await db.orders.update({ id: 1n }, { note: 'x' }, { requestID: 'a', Where: { note: null } });
    // @ts-expect-error where
    await db.orders.query({ wher: { customer: 'a' } });
    // @ts-expect-error an upsert has no etag
    await db.orders.upsert({ id: 1n, customer: 'a', total: '1' }, { etag: 'e' });
    // @ts-expect-error a key is all of a get's condition
    await db.orders.get({ id: 1n }, { where: { note: null } });
    // @ts-expect-error a row is new
    await db.orders.insert({ customer: 'a', total: '1' }, { where: { note: null } });
    // @ts-expect-error numbers have no pages
    await db.orders.aggregate({ n: 'count' }, { pageSize: 5 });
    // @ts-expect-error onBegin
    db.orders.watch({ onbegin: () => {} });
    // @ts-expect-error readOnly
    await db.transact(async () => 1, { readonly: true });
    // @ts-expect-error requestId
    await db.mutate((batch) => [batch.lines.delete({ order_id: 1n, line: 1 })], { requestID: 'a' });
    // @ts-expect-error deadlineMs
    openDatabase(tables, { addresses: 'a:1', timeoutMs: 5 });
  }
  expect(calls).toBeInstanceOf(Function);
});
