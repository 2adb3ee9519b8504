import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Cell } from '../../core/cell.ts';
import type { Filter, WriteOperation } from '../../core/operation.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { DataStore } from '../backend.ts';
import { httpBackend } from './backend.ts';

/* An existing service with ways of its own: names of its own, a list in an envelope, statuses with meanings of its own. */

const mapping = `
base: /api
headers: {x-tenant: shop}
errors: {"423": STORE_OVERLOADED}
tables:
  orders:
    primaryKey: [id]
    columns:
      id: {type: int64, hasDefault: true}
      customer: {type: text, field: customerName}
      total: {type: decimal, nullable: true}
      placed: {type: timestamptz, nullable: true, field: placedAt}
    get: {method: GET, path: "/orders/{id}"}
    list: {path: /orders, rows: items, filters: {customer: name}, limit: size, after: behind}
    insert: {method: POST, path: /orders}
    update: {method: PATCH, path: "/orders/{id}", row: none}
    delete: {method: DELETE, path: "/orders/{id}"}
`;

const never = new AbortController().signal;
let folder: string;
let server: Server;
let rows: Map<string, Record<string, unknown>>;
let asked: string[];
let tenant: string | undefined;
let store: DataStore;
let orders: TableSchema;
let schemas: ReadonlyMap<string, TableSchema>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchyard-mapping-'));
  await writeFile(join(folder, 'good.yaml'), mapping);
  server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://service');
    asked.push(`${request.method} ${url.pathname}${url.search}`);
    tenant = request.headers['x-tenant']?.toString();
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = chunks.length === 0 ? {} : (JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>);
      const reply = (status: number, value?: unknown): void =>
        void response.writeHead(status, { 'content-type': 'application/json' }).end(value === undefined ? '' : JSON.stringify(value));
      const id = /^\/api\/orders\/(.+)$/.exec(url.pathname)?.[1];
      const row = id === undefined ? undefined : rows.get(id);
      if (request.method === 'POST') {
        const given = String(body.id ?? rows.size + 1);
        if (body.customerName === 'locked') return reply(423);
        if (body.customerName === 'broken') return reply(500);
        if (rows.has(given)) return reply(409);
        rows.set(given, { ...body, id: Number(given) });
        return reply(201, rows.get(given));
      }
      if (id === undefined) {
        const name = url.searchParams.get('name');
        const all = [...rows.values()]
          .filter((each) => name === null || each.customerName === name)
          .filter((each) => Number(each.id) > Number(url.searchParams.get('behind') ?? 0));
        return reply(200, { items: all.toSorted((a, b) => Number(a.id) - Number(b.id)).slice(0, Number(url.searchParams.get('size') ?? 100)) });
      }
      if (row === undefined) return reply(404);
      if (request.method === 'PATCH') Object.assign(row, body);
      if (request.method === 'DELETE') rows.delete(id);
      return request.method === 'GET' ? reply(200, row) : reply(204);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  store = open('good.yaml');
  orders = (await store.describe('orders', never)) as TableSchema;
  schemas = new Map([['orders', orders]]);
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});
beforeEach(() => {
  rows = new Map();
  asked = [];
});

const open = (file: string): DataStore =>
  httpBackend.openData({
    keyspace: 'legacy',
    openedBy: 'a test',
    shard: { kind: 'http', gateways: [`127.0.0.1:${(server.address() as AddressInfo).port}`], mapping: join(folder, file) },
    password: '',
    poolSize: 2,
    acquireTimeoutMs: 2_000,
    applicationName: 'test',
    clock: systemClock,
    onBackgroundError: () => {},
  });
const insert = (id: bigint | null, customer: string, rest: Readonly<Record<string, Cell>> = {}, returning: readonly string[] = ['id']): WriteOperation => ({
  kind: 'insert',
  table: 'orders',
  row: { columns: [...(id === null ? [] : ['id']), 'customer', ...Object.keys(rest)], cells: [...(id === null ? [] : [id]), customer, ...Object.values(rest)] },
  returning,
});
const write = (...operations: readonly WriteOperation[]) => store.write(schemas, operations, never);
const reasonOf = async (work: Promise<unknown>): Promise<string> =>
  await work.then(
    () => 'none',
    (error: unknown) => (error instanceof SwitchyardError ? error.reason : String(error)),
  );

test('rows come and go under the service’s own names, as exactly as it tells them', async () => {
  expect(await write(insert(null, 'Ada', { total: '19.90', placed: 951_825_600_100_000n }))).toEqual([{ found: true, row: { columns: ['id'], cells: [1n] } }]);
  expect(rows.get('1')).toEqual({ id: 1, customerName: 'Ada', total: '19.90', placedAt: '2000-02-29T12:00:00.100000Z' });
  expect(tenant).toBe('shop');
  expect((await store.get(orders, { key: [1n], columns: ['placed', 'customer', 'total'] }, never))?.cells).toEqual([951_825_600_100_000n, 'Ada', '19.90']);
  const update: WriteOperation = {
    kind: 'update',
    table: 'orders',
    key: [1n],
    set: { columns: ['total'], cells: [null] },
    add: { columns: [], cells: [] },
    precondition: null,
    returning: ['id', 'total'],
  };
  expect(await write(update)).toEqual([{ found: true, row: { columns: ['id', 'total'], cells: [1n, null] } }]);
  expect((await store.batchGet(orders, { keys: [[1n], [2n]], columns: ['total'] }, never)).map((row) => row?.cells ?? null)).toEqual([[null], null]);
  const remove: WriteOperation = { kind: 'delete', table: 'orders', key: [1n], precondition: null, allowMissing: true };
  expect([await write(remove), await write(remove)].flat().map(({ found }) => found)).toEqual([true, false]);
  expect(await reasonOf(write({ ...remove, allowMissing: false } as WriteOperation))).toBe('ROW_NOT_FOUND');
});

test('rows are listed by what the service can be asked for, page by page', async () => {
  for (let id = 1n; id <= 7n; id += 1n) await write(insert(id, id % 2n === 0n ? 'even' : 'odd'));
  const byId = [{ column: 'id', descending: false }];
  const odd: Filter = { kind: 'compare', column: 'customer', operator: '=', value: 'odd' };
  const seen: Cell[] = [];
  for (let after: readonly Cell[] | null = null, more = true; more; ) {
    const page = await store.query(orders, { filter: odd, orderBy: byId, columns: ['id'], limit: 3, after }, never);
    seen.push(...page.rows.flatMap(({ cells }) => cells));
    more = page.more;
    after = page.rows.at(-1)?.cells ?? null;
  }
  expect(seen).toEqual([1n, 3n, 5n, 7n]);
  expect(asked.at(-1)).toBe('GET /api/orders?name=odd&size=3&behind=5');
  const query = (filter: Filter | null, orderBy = byId) => reasonOf(store.query(orders, { filter, orderBy, columns: ['id'], limit: 3, after: null }, never));
  expect(await query({ kind: 'compare', column: 'customer', operator: '>', value: 'a' })).toBe('NOT_SUPPORTED');
  expect(await query({ kind: 'compare', column: 'total', operator: '=', value: '1' })).toBe('NOT_SUPPORTED');
  expect(await query(null, [{ column: 'id', descending: true }])).toBe('NOT_SUPPORTED');
});

test('failures have the reasons that the file gives, or that their statuses usually mean', async () => {
  await write(insert(1n, 'a'));
  expect(await reasonOf(write(insert(1n, 'b')))).toBe('UNIQUE_VIOLATION');
  expect(await reasonOf(write(insert(2n, 'locked')))).toBe('STORE_OVERLOADED');
  // It may have been done.
  expect(await reasonOf(write(insert(2n, 'broken')))).toBe('OUTCOME_UNKNOWN');
  expect(await reasonOf(write(insert(3n, 'c'), insert(4n, 'd')))).toBe('NOT_SUPPORTED');
  expect(rows.has('3')).toBe(false);
  expect(await reasonOf(store.aggregate(orders, { filter: null, aggregations: [{ kind: 'count' }], groupBy: null, limit: 1 }, never))).toBe('NOT_SUPPORTED');
});

test('what is wrong in a file is named, with its field', async () => {
  for (const [name, text, wrong] of [
    ['kind.yaml', mapping.replace('type: decimal', 'type: money'), 'tables.orders.columns.total.type'],
    ['key.yaml', mapping.replace('primaryKey: [id]', 'primaryKey: [number]'), '"number" is none of the columns'],
    ['path.yaml', mapping.replace('method: GET, path: "/orders/{id}"', 'method: GET, path: "/orders/{customer}"'), '"{customer}" is no column of the primary key'],
    ['reason.yaml', mapping.replace('STORE_OVERLOADED', 'BUSY'), 'errors'],
    ['stray.yaml', `${mapping}later: 1\n`, 'later'],
  ] as const) {
    await writeFile(join(folder, name), text);
    await using wrongStore = open(name);
    await expect(wrongStore.listTables(never)).rejects.toMatchObject({ reason: 'KEYSPACE_INVALID', message: expect.stringContaining(wrong) });
  }
  await using absent = open('absent.yaml');
  await expect(absent.checkLogin(never)).rejects.toMatchObject({ reason: 'KEYSPACE_INVALID', message: expect.stringContaining('absent.yaml') });
});
