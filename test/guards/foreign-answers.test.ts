import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { httpBackend } from '../../backends/http/backend.ts';
import { textOf } from '../../backends/http/body-text.ts';
import { linesOf } from '../../backends/http/lines.ts';
import { loadMapping } from '../../backends/http/mapping.ts';
import { fromProblem } from '../../backends/http/problem.ts';
import { RowTransport } from '../../backends/http/row-transport.ts';
import { ForeignDataStore } from '../../backends/service/foreign-store.ts';
import { maxStoreMessageBytes } from '../../core/message-limit.ts';
import { systemClock } from '../../runtime/clock.ts';
import { AnsweringServer, wholeAnswer } from '../fuzz/inputs/answering-server.ts';

const never = new AbortController().signal;
let server: AnsweringServer;
let store: ForeignDataStore;
let directory: string;

beforeAll(async () => {
  server = await AnsweringServer.open();
  const options = { keyspace: 'shop', addresses: [server.address], headers: {}, poolSize: 1, acquireTimeoutMs: 5_000, clock: systemClock };
  store = new ForeignDataStore({ keyspace: 'shop', remoteKeyspace: null, transport: new RowTransport(options) });
  directory = await mkdtemp(join(tmpdir(), 'switchyard-answers-'));
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

test('a service that lists the same page of tables for ever is not asked for ever', async () => {
  const page = wholeAnswer(200, '{"tables":["item"],"nextPageToken":"again"}');
  server.answer(Array.from({ length: 5 }, () => page));
  await expect(store.listTables(never)).rejects.toMatchObject({ reason: 'STORE_FAILED' });
  expect(server.asked).toHaveLength(2);
});

test('names of tables that are none are no names', async () => {
  server.answer([wholeAnswer(200, '{"tables":[1,{"a":2}]}')]);
  await expect(store.listTables(never)).rejects.toMatchObject({ reason: 'STORE_FAILED' });
});

test('a key of columns that a service does not have is no key', async () => {
  server.answer([wholeAnswer(200, '{"name":"item","columns":[{"name":"id","kind":"COLUMN_KIND_INT64"}],"primaryKey":["other"]}')]);
  await expect(store.describe('item', never)).rejects.toMatchObject({ reason: 'TABLE_UNSUPPORTED' });
});

test('two columns of one name are no table', async () => {
  const column = '{"name":"id","kind":"COLUMN_KIND_INT64"}';
  server.answer([wholeAnswer(200, `{"name":"item","columns":[${column},${column}],"primaryKey":["id"]}`)]);
  await expect(store.describe('item', never)).rejects.toMatchObject({ reason: 'TABLE_UNSUPPORTED' });
});

test('what a service tells beside its reason is bounded, and plain', () => {
  const metadata = { ...Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`m${i}`, 'x'.repeat(9_000)])), odd: { toString: null, valueOf: null } };
  const error = fromProblem(JSON.stringify({ reason: 'STORE_FAILED', detail: 'y'.repeat(1_000_000), metadata }));
  expect(error?.message.length).toBeLessThan(5_000);
  expect(JSON.stringify(error?.metadata).length).toBeLessThan(60_000);
  expect(fromProblem('{"reason":"STORE_FAILED","metadata":{"odd":{"toString":null,"valueOf":null}}}')?.metadata).toEqual({});
});

test('an answer is held in memory no further than any message is', async () => {
  const chunk = Buffer.alloc(1024 * 1024, 'a');
  let sent = 0;
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    for (; ; sent += chunk.length) yield chunk;
  };
  await expect(textOf(endless())).rejects.toMatchObject({ reason: 'RESULT_TOO_LARGE' });
  await expect(linesOf(endless()).next()).rejects.toMatchObject({ reason: 'RESULT_TOO_LARGE' });
  expect(sent).toBeLessThan(3 * maxStoreMessageBytes);
});

// A call with them could not be sent, and whoever came behind it would wait for ever.
test.each([
  ['a header of no name', { headers: { 'x a': 'b' } }],
  ['a header of two lines', { headers: { x: 'a\r\nb: c' } }],
  ['a header beyond ASCII', { headers: { x: '€' } }],
  ['a path beyond ASCII', { base: '/ü' }],
  ['a path of two lines', { base: '/a\n' }],
])('a mapping file with %s is refused', async (_, part) => {
  const file = join(directory, 'mapping.yaml');
  await writeFile(file, JSON.stringify({ ...part, tables: {} }));
  await expect(loadMapping(file, 'shop')).rejects.toMatchObject({ reason: 'KEYSPACE_INVALID' });
});

test('a path may hold columns of any name', async () => {
  const file = join(directory, 'mapping.yaml');
  const table = { columns: { ü: { type: 'text' } }, primaryKey: ['ü'], get: { method: 'GET', path: '/items/{ü}:read' } };
  await writeFile(file, JSON.stringify({ tables: { item: table } }));
  await expect(loadMapping(file, 'shop')).resolves.toMatchObject({ tables: { item: { get: { path: '/items/{ü}:read' } } } });
});

test('a secret that no header can carry is refused before a call is sent', () => {
  const shard = { kind: 'http', gateways: ['localhost:1'], gateway: { user: 'me', password: 'env:X' } };
  const options = {
    keyspace: 'shop',
    openedBy: 'a test',
    shard,
    password: 'two\nlines',
    poolSize: 1,
    acquireTimeoutMs: 1,
    applicationName: 'test',
    clock: systemClock,
    onBackgroundError: () => {},
  };
  expect(() => httpBackend.openData(options)).toThrow(expect.objectContaining({ reason: 'KEYSPACE_INVALID' }));
});
