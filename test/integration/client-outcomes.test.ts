import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Server } from '@grpc/grpc-js';
import { type Database, openDatabase } from '../../client/client.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ErrorReason } from '../../core/error-catalogue.ts';
import { DataService, type TransactResponseSchema } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { systemClock } from '../../runtime/clock.ts';
import { addService, listenGrpc, type RpcImplementation } from '../../runtime/grpc-server.ts';
import { tables } from '../client/shop-tables.ts';

/* What the typed client makes of answers that a gateway gives rarely, and never when a test wants them: so this one says what it is told to. */

type Answer = ErrorReason | 'ok' | 'ends';
let inserts: Answer[] = [];
let commits: Answer[] = [];
let works: Answer[] = [];
let ids: string[] = [];
let streams = 0;

const failed = (reason: Answer): SwitchyardError => new SwitchyardError(reason as ErrorReason, reason, reason === 'STORE_UNAVAILABLE' ? { retryAfterMs: 5 } : {});
const next = (answers: Answer[]): Answer => (answers.length > 1 ? (answers.shift() ?? 'ok') : (answers[0] ?? 'ok'));
const unserved = async (): Promise<never> => {
  throw new SwitchyardError('INTERNAL', 'not part of this test');
};
const row = { cells: { id: { kind: { case: 'int64Value' as const, value: 1n } } } };

const served: Pick<RpcImplementation<typeof DataService>, 'insert' | 'transact' | 'streamQuery' | 'watch'> = {
  insert: async ({ requestId }) => {
    ids.push(requestId);
    const answer = next(inserts);
    if (answer === 'ok') return { row };
    throw failed(answer);
  },
  async *transact(requests): AsyncGenerator<MessageInitShape<typeof TransactResponseSchema>> {
    for await (const { kind } of requests) {
      if (kind.case === 'begin') yield { kind: { case: 'goesOn', value: {} } };
      else if (kind.case === 'insert') {
        const answer = next(works);
        if (answer !== 'ok') throw failed(answer);
        yield { kind: { case: 'insert', value: { row } } };
      } else {
        const answer = next(commits);
        if (answer !== 'ok') throw failed(answer);
        yield { kind: { case: 'ended', value: { committed: true } } };
        return;
      }
    }
  },
  async *streamQuery({ pageToken }) {
    streams += 1;
    yield { rows: pageToken === '' ? [row] : [], nextPageToken: '' };
    throw failed('STORE_UNAVAILABLE');
  },
  async *watch({ token }) {
    streams += 1;
    yield { token: `${token}+`, changes: [{ kind: 1, after: row }] };
    throw failed('DEADLINE_EXCEEDED');
  },
};
const others = ['get', 'batchGet', 'query', 'aggregate', 'insertMany', 'upsert', 'update', 'delete', 'mutate', 'describeTable', 'listTables'].map((name) => [name, unserved]);
const service = { ...Object.fromEntries(others), ...served } as RpcImplementation<typeof DataService>;

const server = new Server();
let db: Database<typeof tables>;
beforeAll(async () => {
  addService(server, DataService, service, { clock: systemClock, defaultDeadlineMs: 5_000, onFault: () => {} });
  db = openDatabase(tables, { addresses: `127.0.0.1:${await listenGrpc(server, { host: '127.0.0.1', port: 0 })}`, deadlineMs: 300 });
});
afterAll(() => {
  db[Symbol.dispose]();
  server.forceShutdown();
});
beforeEach(() => {
  [inserts, commits, works, ids, streams] = [['ok'], ['ok'], ['ok'], [], 0];
});

const order = { customer: 'a', total: '1.00' };
const reasonOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'none',
    (error: unknown) => (error instanceof SwitchyardError ? error.reason : error),
  );

describe('a write whose first try may have been done', () => {
  test.each<[string, Answer[], string]>([
    ['is done once when a later try says so', ['OUTCOME_UNKNOWN', 'STORE_UNAVAILABLE', 'ok'], 'none'],
    ['is not told as undone by a store that cannot be reached until the deadline', ['OUTCOME_UNKNOWN', 'STORE_UNAVAILABLE'], 'OUTCOME_UNKNOWN'],
    ['nor by a refusal of the gateway', ['OUTCOME_UNKNOWN', 'TABLE_UNKNOWN'], 'OUTCOME_UNKNOWN'],
    ['but by a store that has looked for its record', ['OUTCOME_UNKNOWN', 'UNIQUE_VIOLATION'], 'UNIQUE_VIOLATION'],
    ['nor is it known after its own deadline', ['DEADLINE_EXCEEDED'], 'OUTCOME_UNKNOWN'],
    ['while one that certainly was not done is', ['STORE_UNAVAILABLE'], 'STORE_UNAVAILABLE'],
  ])('%s', async (_, answers, reason) => {
    inserts = answers;
    expect(await reasonOf(db.orders.insert(order))).toBe(reason);
    expect([new Set(ids).size, ids[0] !== '']).toEqual([1, true]);
  });

  test('can be asked for again by its id', async () => {
    await db.orders.insert(order, { requestId: 'mine' });
    await db.orders.insert(order, { requestId: 'mine' });
    expect(ids).toEqual(['mine', 'mine']);
  });
});

describe('a transaction whose commit may have been done', () => {
  const run = (): Promise<unknown> => db.transact(async (tx) => tx.orders.insert(order), { retryMs: 200 });

  test.each<[string, Answer[], Answer[], string]>([
    ['returns what it returned when a later try hears of it', ['OUTCOME_UNKNOWN'], ['ok', 'TRANSACTION_COMMITTED'], 'none'],
    ['is not told as rolled back by a store that cannot be reached', ['OUTCOME_UNKNOWN'], ['ok', 'STORE_UNAVAILABLE'], 'OUTCOME_UNKNOWN'],
    ['nor by a violation that its own rows may be the cause of', ['OUTCOME_UNKNOWN'], ['ok', 'UNIQUE_VIOLATION'], 'OUTCOME_UNKNOWN'],
    ['which may still be in the way for a moment', ['OUTCOME_UNKNOWN'], ['ok', 'UNIQUE_VIOLATION', 'TRANSACTION_COMMITTED'], 'none'],
    ['while a violation of the first try is one', ['ok'], ['UNIQUE_VIOLATION'], 'UNIQUE_VIOLATION'],
  ])('%s', async (_, atCommit, atWork, reason) => {
    [commits, works] = [atCommit, atWork];
    expect(await reasonOf(run())).toBe(reason);
  });

  test('has one request id as a whole', async () => {
    expect(await reasonOf(db.transact(async (tx) => tx.orders.insert(order, { requestId: 'own' }), { retryMs: 0 }))).toBe('ARGUMENT_INVALID');
  });
});

test('a stream that breaks behind its last piece is over', async () => {
  let rows = 0;
  for await (const _row of db.orders.stream({ columns: ['id'] })) rows += 1;
  expect([rows, streams]).toEqual([1, 1]);
});

test('a watch goes on when the time of one stream is over', async () => {
  let changes = 0;
  for await (const { token } of db.orders.watch({ token: 't' })) {
    changes += 1;
    if (changes === 3) {
      expect(token).toBe('t+++');
      break;
    }
  }
});

test('a guard that asks for nothing, and a text or number that the wire would change, is refused before it is sent', async () => {
  const reasons = await Promise.all(
    [
      db.orders.delete({ id: 1n }, { where: { note: undefined } as never }),
      db.orders.delete({ id: 1n }, { where: { total: {} } }),
      db.orders.delete({ id: 1n }, { where: { total: { gte: undefined } as never } }),
      db.orders.insert({ customer: 'half \ud800', total: '1.00' }),
      db.orders.query({ where: { customer: { like: '\udfff%' } } }),
      db.orders.get({ id: 2n ** 63n }),
    ].map(reasonOf),
  );
  expect(reasons).toEqual(['ARGUMENT_INVALID', 'ARGUMENT_INVALID', 'ARGUMENT_INVALID', 'VALUE_INVALID', 'VALUE_INVALID', 'VALUE_INVALID']);
});
