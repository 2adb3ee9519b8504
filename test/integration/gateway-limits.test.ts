import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Comparison_Operator, DataService, RowLock, type TransactRequestSchema, type TransactResponse } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { createRpcClient } from '../../client/rpc-client.ts';
import { fromStatus } from '../../client/rpc-error.ts';
import { GatewayStage, type RunningGateway } from '../support/gateway/gateway-stage.ts';
import { curl } from '../support/http/curl.ts';

/* What is too large for a message has a reason, in either direction, and a write whose answer cannot be sent is not done, or said to be done. */

const mib = 1024 * 1024;
const int = (value: number) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });
const text = (value: string) => ({ kind: { case: 'textValue' as const, value } });
const key = (id: number) => ({ cells: { id: int(id) } });

let stage: GatewayStage;
let running: RunningGateway;
let client: RunningGateway['client'];

beforeAll(async () => {
  // Row 1 fits no message, rows 2 and 3 no message together; rows from 1,000 on are many and not large.
  stage = await GatewayStage.open(`CREATE TABLE wide (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, doc text, list int[]);
    ALTER TABLE wide ALTER doc SET STORAGE EXTERNAL;
    INSERT INTO wide (id, doc) SELECT i, repeat('x', bytes) FROM (VALUES (1, ${17 * mib}), (2, ${10 * mib}), (3, ${10 * mib})) rows (i, bytes);
    INSERT INTO wide (id, doc) SELECT 1000 + i, repeat('x', 20000) FROM generate_series(0, 999) i;
    INSERT INTO wide (id, list) SELECT 5000 + i, array_fill(-1, ARRAY[1000]) FROM generate_series(0, 999) i;`);
  await stage.prepare('old');
  running = await stage.start({ http: '127.0.0.1:0' });
  client = running.client;
});
afterAll(async () => {
  await running?.[Symbol.asyncDispose]();
  await stage?.[Symbol.asyncDispose]();
});

const failureOf = async (call: Promise<unknown>): Promise<{ readonly reason: string; readonly message: string }> => {
  const error = await call.then(
    () => ({ reason: 'none', message: 'it was answered' }),
    (failure: { reason: string; message: string }) => failure,
  );
  return { reason: error.reason, message: error.message };
};
const nOf = (id: number): Promise<string> => stage.sql('old', `SELECT n FROM wide WHERE id = ${id}`).then((answer) => answer.trim());
const raise = (id: number, more: object = {}) => ({ table: 'wide', key: key(id), add: { cells: { n: int(1) } }, returning: ['n', 'doc'], ...more });
const raised = (id: number) => ({ kind: { case: 'update' as const, value: raise(id) } });

test('a request that is larger than a gateway takes', async () => {
  const refused = { reason: 'MESSAGE_TOO_LARGE', message: 'the request is larger than 16777216 bytes; send less at once' };
  expect(await failureOf(client.insert({ table: 'wide', row: { cells: { id: int(9), doc: text('x'.repeat(16 * mib)) } } }))).toEqual(refused);
  using packing = createRpcClient(DataService, running.gateway.address, { channel: { 'grpc.default_compression_algorithm': 2 } });
  expect(await failureOf(packing.insert({ table: 'wide', row: { cells: { id: int(9), doc: text('x'.repeat(16 * mib)) } } }))).toEqual(refused);
  await using conversation = client.transact();
  await conversation.send({ kind: { case: 'begin', value: {} } });
  await conversation.next();
  void conversation.send({ kind: { case: 'insert', value: { table: 'wide', row: { cells: { id: int(9), doc: text('x'.repeat(16 * mib)) } } } } }).catch(() => {});
  expect(await failureOf(conversation.next())).toEqual(refused);
  expect((await client.get({ table: 'wide', key: key(2), columns: ['n'] })).row?.cells.n?.kind.value).toBe(0n);
});

test('a refusal that quotes a text in part does not end the gateway, wherever the text is cut', async () => {
  for (const before of ['', 'x']) {
    const cut = `${before}${'😀'.repeat(60)}`;
    expect(await failureOf(client.insert({ table: 'wide', row: { cells: { id: int(9), doc: text(`${cut}\0`) } } }))).toMatchObject({ reason: 'VALUE_INVALID' });
    expect(await failureOf(client.insert({ table: 'wide', requestId: cut, row: { cells: { id: int(9) } } }))).toMatchObject({ reason: 'ARGUMENT_INVALID' });
    expect(await failureOf(client.get({ table: cut.repeat(500), key: key(2) }))).toMatchObject({ reason: 'TABLE_UNKNOWN' });
    const told = (async () => {
      for await (const _ of client.streamQuery({ table: 'wide', columns: [cut.repeat(500)] }));
    })();
    expect(await failureOf(told)).toMatchObject({ reason: 'COLUMN_UNKNOWN' });
  }
  expect((await client.get({ table: 'wide', key: key(2), columns: ['n'] })).row?.cells.n?.kind.value).toBe(0n);
});

describe('an answer that is larger than a message', () => {
  test('to a read says so, and how to ask for less', async () => {
    const refused = {
      reason: 'RESULT_TOO_LARGE',
      message: expect.stringMatching(/^the answer comes to 178\d{5} bytes, and a message carries 16777216; ask for fewer columns or rows, or begin a watch anew from now$/),
    };
    expect(await failureOf(client.get({ table: 'wide', key: key(1) }))).toEqual(refused);
    expect((await client.get({ table: 'wide', key: key(1), columns: ['n'] })).row?.cells.n?.kind.value).toBe(0n);
    const streamed = async (): Promise<void> => {
      for await (const { rows } of client.streamQuery({ table: 'wide', limit: 1n })) expect(rows).toEqual([]);
    };
    expect(await failureOf(streamed())).toEqual(refused);
  });

  test('to a BatchGet says how many rows fit', async () => {
    const keys = Array.from({ length: 1_000 }, (_, i) => key(1_000 + i));
    const error = await failureOf(client.batchGet({ table: 'wide', keys }));
    expect(error).toEqual({
      reason: 'RESULT_TOO_LARGE',
      message: expect.stringMatching(/the rows of the 1000 keys come to more than 16777216 bytes, and 83\d of them fit; ask for fewer keys or columns/),
    });
    expect((await client.batchGet({ table: 'wide', keys: keys.slice(0, 800) })).entries).toHaveLength(800);
    expect((await client.batchGet({ table: 'wide', keys, columns: ['id'] })).entries).toHaveLength(1_000);
  });

  test('never comes of a query whose rows fit one by one; its pages are far smaller where rows are', async () => {
    const first = await client.query({ table: 'wide', filter: { kind: { case: 'in', value: { column: 'id', values: [2, 3, 1000].map(int) } } } });
    const second = await client.query({ table: 'wide', filter: { kind: { case: 'in', value: { column: 'id', values: [2, 3, 1000].map(int) } } }, pageToken: first.nextPageToken });
    expect([first, second].map(({ rows }) => rows.map(({ cells }) => Number(cells.id?.kind.value)))).toEqual([[2], [3]]);
    for (const [from, to] of [
      [1_000, 1_999],
      [5_000, 5_999],
    ] as const) {
      const filter = { kind: { case: 'compare' as const, value: { column: 'id', operator: Comparison_Operator.GREATER_OR_EQUAL, value: int(from) } } };
      const { rows } = await client.query({ table: 'wide', filter, pageSize: 1_000 });
      const bytes = rows.length * (from === 1_000 ? 20_000 : 13_000);
      expect([rows.length > 10, bytes < 3 * mib, Number(rows[0]?.cells.id?.kind.value) <= to]).toEqual([true, true, true]);
    }
  });

  test('to several writes, or to one with a request id, means that nothing was written', async () => {
    const refused = { reason: 'RESULT_TOO_LARGE', message: expect.stringMatching(/the answer comes to \d+ bytes, .*This call wrote nothing$/) };
    expect(await failureOf(client.mutate({ mutations: [raised(2), raised(3)] }))).toEqual(refused);
    expect(await failureOf(client.update(raise(1, { requestId: 'too-large' })))).toEqual(refused);
    expect([await nOf(1), await nOf(2), await nOf(3)]).toEqual(['0', '0', '0']);
    // Nothing is remembered of it either.
    expect((await client.update(raise(1, { requestId: 'too-large', returning: ['n'] }))).row?.cells.n?.kind.value).toBe(1n);
    await stage.sql('old', 'UPDATE wide SET n = 0');
  });

  test('to a single write says that the write was done', async () => {
    expect(await failureOf(client.update(raise(1)))).toEqual({
      reason: 'STORE_FAILED',
      message: expect.stringMatching(/^the write was done; its answer cannot be shown: the answer comes to 178\d{5} bytes/),
    });
    expect(await nOf(1)).toBe('1');
    await stage.sql('old', 'UPDATE wide SET n = 0');
  });

  test('within a transaction fails alone; of a write it is told that it was done', async () => {
    await using conversation = client.transact();
    const ask = async (kind: MessageInitShape<typeof TransactRequestSchema>['kind']): Promise<TransactResponse['kind']> => {
      await conversation.send({ kind: kind as never });
      return ((await conversation.next()) as TransactResponse).kind;
    };
    const reasonOf = (answer: TransactResponse['kind']): string => (answer.case === 'error' ? fromStatus(answer.value).reason : (answer.case ?? ''));
    await ask({ case: 'begin', value: {} });
    expect(reasonOf(await ask({ case: 'get', value: { table: 'wide', key: key(1) } }))).toBe('RESULT_TOO_LARGE');
    expect(reasonOf(await ask({ case: 'batchGet', value: { table: 'wide', keys: [key(2), key(3)] } }))).toBe('RESULT_TOO_LARGE');
    const update = await ask({ case: 'update', value: raise(1) });
    expect(reasonOf(update)).toBe('STORE_FAILED');
    expect(update.case === 'error' && update.value.message).toMatch(/^the transaction has done the write, and commits it; its answer cannot be sent/);
    expect(await ask({ case: 'commit', value: {} })).toMatchObject({ case: 'ended', value: { committed: true } });
    expect(await nOf(1)).toBe('1');
    await stage.sql('old', 'UPDATE wide SET n = 0');
  });

  test('over HTTP: rows of any size are sent, what is bounded is 422', async () => {
    const base = `http://${running.gateway.httpAddress}/v1`;
    const post = (path: string, body: object, ...more: string[]) => curl(['--json', '@-', ...more, `${base}${path}`], JSON.stringify(body));
    expect((await curl([`${base}/tables/wide/rows/1?columns=n`])).json).toEqual({ n: 0 });
    expect((await curl([`${base}/tables/wide/rows/1`])).status).toBe(200);
    expect(await post('/tables/wide:batchGet', { keys: [{ id: 2 }, { id: 3 }] })).toMatchObject({ status: 422, json: { reason: 'RESULT_TOO_LARGE' } });
    const patch = ['-X', 'PATCH', '-H', 'Idempotency-Key: too-large-2'];
    expect(await post('/tables/wide/rows/1?returning=doc', { n: 5 }, ...patch)).toMatchObject({ status: 422, json: { reason: 'RESULT_TOO_LARGE' } });
    expect(await nOf(1)).toBe('0');
  });
});

describe('an etag within a transaction', () => {
  type Kind = NonNullable<MessageInitShape<typeof TransactRequestSchema>['kind']>;
  const open = async () => {
    const conversation = client.transact();
    const ask = async (kind: Kind, lock = RowLock.UNSPECIFIED): Promise<TransactResponse['kind']> => {
      await conversation.send({ kind, lock } as never);
      return ((await conversation.next()) as TransactResponse).kind;
    };
    await ask({ case: 'begin', value: {} });
    return { ask, [Symbol.asyncDispose]: () => conversation[Symbol.asyncDispose]() };
  };
  const get: Kind = { case: 'get', value: { table: 'wide', key: key(1_000), withEtag: true } };
  const set = (etag: string, n: number): Kind => ({ case: 'update', value: { table: 'wide', key: key(1_000), row: { cells: { n: int(n) } }, etag } });
  const failed = (answer: TransactResponse['kind']) => answer.case === 'error' && fromStatus(answer.value).reason;

  test('is told by a Get, and holds for updates and deletes', async () => {
    const outside = (await client.get({ table: 'wide', key: key(1_000), withEtag: true })).etag;
    await using transaction = await open();
    const first = await transaction.ask(get);
    expect(first.case === 'get' && first.value.etag).toBe(outside);
    expect((await transaction.ask(set(outside, 5))).case).toBe('update');
    const changed = await transaction.ask(get);
    const etag = changed.case === 'get' ? changed.value.etag : '';
    expect([etag === '', etag === outside]).toEqual([false, false]);
    // The old one is no longer the row's, also within the transaction; and the transaction goes on.
    expect(failed(await transaction.ask(set(outside, 6)))).toBe('PRECONDITION_FAILED');
    expect(failed(await transaction.ask({ case: 'delete', value: { table: 'wide', key: key(1_000), etag: outside, allowMissing: true } }))).toBe('PRECONDITION_FAILED');
    expect(failed(await transaction.ask({ case: 'delete', value: { table: 'wide', key: key(77), etag: outside, allowMissing: true } }))).toBe('PRECONDITION_FAILED');
    expect((await transaction.ask(set(etag, 7))).case).toBe('update');
    expect((await transaction.ask({ case: 'commit', value: {} })).case).toBe('ended');
    expect(await nOf(1_000)).toBe('7');
  });

  test('keeps others from the row until the transaction ends', async () => {
    const { etag } = await client.get({ table: 'wide', key: key(1_000), withEtag: true });
    await using transaction = await open();
    expect((await transaction.ask(set(etag, 8))).case).toBe('update');
    let isDone = false;
    const other = failureOf(client.update({ table: 'wide', key: key(1_000), row: { cells: { n: int(9) } }, etag })).then((error) => {
      isDone = true;
      return error;
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(isDone).toBe(false);
    await transaction.ask({ case: 'commit', value: {} });
    expect((await other).reason).toBe('PRECONDITION_FAILED');
    expect(await nOf(1_000)).toBe('8');
  });

  test('goes neither with columns nor into a Mutate', async () => {
    await using transaction = await open();
    expect(failed(await transaction.ask({ case: 'get', value: { table: 'wide', key: key(1_000), withEtag: true, columns: ['n'] } }))).toBe('ARGUMENT_INVALID');
    const inside = { kind: { case: 'update' as const, value: { table: 'wide', key: key(1_000), row: { cells: { n: int(1) } }, etag: 'x' } } };
    expect(await failureOf(client.mutate({ mutations: [inside] }))).toEqual({
      reason: 'ARGUMENT_INVALID',
      message: expect.stringMatching(/^mutations\[0\]\.update\.etag: not inside a Mutate/),
    });
  });
});
