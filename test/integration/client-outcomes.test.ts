import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { add, and, type Database, type DatabaseOptions, openDatabase } from '../../client/client.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ErrorReason } from '../../core/error-catalogue.ts';
import type { DataService, MutateRequest, TransactResponseSchema } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { RpcImplementation } from '../../runtime/grpc-server.ts';
import { tables } from '../client/shop-tables.ts';
import { ToldGateway } from '../support/gateway/told-gateway.ts';

/* What the typed client makes of answers that a gateway gives rarely, and never when a test wants them: so this one says what it is told to. */

type Answer = ErrorReason | 'ok' | 'ends';
let inserts: Answer[] = [];
let commits: Answer[] = [];
let works: Answer[] = [];
let ids: string[] = [];
let begins = 0;
let onCommit = (): void => {};
let calls = 0;
let mutation: MutateRequest | null = null;

/** Which of them ask for another try soon, or later than any deadline here. */
const retryAfterMs: Readonly<Record<string, number>> = { STORE_UNAVAILABLE: 5, STORE_OVERLOADED: 10_000 };
const failed = (reason: Answer): SwitchyardError => {
  const afterMs = retryAfterMs[reason];
  return new SwitchyardError(reason as ErrorReason, reason, afterMs === undefined ? {} : { retryAfterMs: afterMs });
};
const next = (answers: Answer[]): Answer => (answers.length > 1 ? (answers.shift() ?? 'ok') : (answers[0] ?? 'ok'));
const row = { cells: { id: { kind: { case: 'int64Value' as const, value: 1n } } } };
const text = (value: string) => ({ kind: { case: 'textValue' as const, value } });

const served: Partial<RpcImplementation<typeof DataService>> = {
  get: async () => {
    calls += 1;
    return { row: { cells: { ...row.cells, note: text('x'.repeat(2_000)) } } };
  },
  insert: async ({ requestId }) => {
    ids.push(requestId);
    const answer = next(inserts);
    if (answer === 'ok') return { row: { cells: { ...row.cells, note: text('x'.repeat(2_000)) } } };
    throw failed(answer);
  },
  update: async () => {
    calls += 1;
    return { row };
  },
  delete: async () => {
    calls += 1;
    return { deleted: true };
  },
  mutate: async (request) => {
    ids.push(request.requestId);
    mutation = request;
    const answer = next(inserts);
    if (answer !== 'ok') throw failed(answer);
    return { results: request.mutations.map(({ kind }) => (kind.case === 'delete' ? { deleted: true } : { row })) };
  },
  aggregate: async ({ aggregations, groupBy }) => {
    calls += 1;
    return {
      groups: [
        {
          ...(groupBy === '' ? {} : { group: text('Ada') }),
          values: aggregations.map(({ kind }) =>
            kind.case === 'count'
              ? { kind: { case: 'int64Value' as const, value: 2n } }
              : kind.case === 'sum'
                ? { kind: { case: 'decimalValue' as const, value: '1.50' } }
                : { kind: { case: 'nullValue' as const, value: 0 } },
          ),
        },
      ],
    };
  },
  async *transact(requests): AsyncGenerator<MessageInitShape<typeof TransactResponseSchema>> {
    begins += 1;
    for await (const { kind } of requests) {
      if (kind.case === 'begin') yield { kind: { case: 'goesOn', value: {} } };
      else if (kind.case === 'get') yield { kind: { case: 'get', value: { row } } };
      else if (kind.case === 'insert') {
        const answer = next(works);
        if (answer !== 'ok') throw failed(answer);
        yield { kind: { case: 'insert', value: { row } } };
      } else {
        onCommit();
        const answer = next(commits);
        if (answer !== 'ok') throw failed(answer);
        yield { kind: { case: 'ended', value: { committed: true } } };
        return;
      }
    }
  },
};

let gateway: ToldGateway;
let db: Database<typeof tables>;
const open = (options: Partial<DatabaseOptions> = {}) => openDatabase(tables, { addresses: gateway.address, deadlineMs: 10_000, ...options });
beforeAll(async () => {
  gateway = await ToldGateway.open(served);
  db = open();
});
afterAll(() => {
  db.close();
  gateway[Symbol.dispose]();
});
beforeEach(() => {
  [inserts, commits, works, ids, begins, calls, mutation] = [['ok'], ['ok'], ['ok'], [], 0, 0, null];
  onCommit = () => {};
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
    ['nor when a fault of the gateway has ended it', ['INTERNAL'], 'OUTCOME_UNKNOWN'],
    ['which a later try may get over', ['INTERNAL', 'ok'], 'none'],
    ['while one that certainly was not done is', ['STORE_OVERLOADED'], 'STORE_OVERLOADED'],
  ])('%s', async (_, answers, reason) => {
    inserts = answers;
    expect(await reasonOf(db.orders.insert(order, reason === 'OUTCOME_UNKNOWN' ? { deadlineMs: 300 } : {}))).toBe(reason);
    expect([new Set(ids).size, ids[0] !== '']).toEqual([1, true]);
  });

  test('can be asked for again by its id, which is not empty', async () => {
    await db.orders.insert(order, { requestId: 'mine' });
    await db.orders.insert(order, { requestId: 'mine' });
    expect(await reasonOf(db.orders.insert(order, { requestId: '' }))).toBe('ARGUMENT_INVALID');
    expect(ids).toEqual(['mine', 'mine']);
  });

  test.each<Answer>(['OUTCOME_UNKNOWN', 'DEADLINE_EXCEEDED', 'PEER_UNREACHABLE', 'INTERNAL'])(
    'without an id it is not repeated after %s, and its outcome is unknown',
    async (answer) => {
      using without = open({ requestIds: false });
      inserts = [answer, 'ok'];
      expect([await reasonOf(without.orders.insert(order)), ids]).toEqual(['OUTCOME_UNKNOWN', ['']]);
    },
  );

  test('that was aborted in a pause between tries tells both', async () => {
    inserts = ['OUTCOME_UNKNOWN', 'STORE_UNAVAILABLE'];
    expect(await reasonOf(db.orders.insert(order, { signal: AbortSignal.timeout(500), deadlineMs: 5_000 }))).toBe('OUTCOME_UNKNOWN');
    inserts = ['STORE_UNAVAILABLE'];
    expect(await reasonOf(db.orders.insert(order, { signal: AbortSignal.timeout(500), deadlineMs: 5_000 }))).toBe('CANCELLED');
  });
});

describe('a transaction whose commit may have been done', () => {
  const run = (retryMs: number): Promise<unknown> => db.transact(async (tx) => tx.orders.insert(order), { retryMs });

  test.each<[string, Answer[], Answer[], string]>([
    ['returns what it returned when a later try hears of it', ['OUTCOME_UNKNOWN'], ['ok', 'TRANSACTION_COMMITTED'], 'none'],
    ['is not told as rolled back by a store that cannot be reached', ['OUTCOME_UNKNOWN'], ['ok', 'STORE_UNAVAILABLE'], 'OUTCOME_UNKNOWN'],
    ['nor by a violation that its own rows may be the cause of', ['OUTCOME_UNKNOWN'], ['ok', 'UNIQUE_VIOLATION'], 'OUTCOME_UNKNOWN'],
    ['which may still be in the way for a moment', ['OUTCOME_UNKNOWN'], ['ok', 'UNIQUE_VIOLATION', 'TRANSACTION_COMMITTED'], 'none'],
    ['while a violation of the first try is one', ['ok'], ['UNIQUE_VIOLATION'], 'UNIQUE_VIOLATION'],
  ])('%s', async (_, atCommit, atWork, reason) => {
    [commits, works] = [atCommit, atWork];
    expect(await reasonOf(run(reason === 'OUTCOME_UNKNOWN' ? 200 : 5_000))).toBe(reason);
  });

  test.each<[string, unknown]>([
    ['no reason', undefined],
    ['a reason of ours', new SwitchyardError('LOCK_TAKEN', 'gone')],
  ])('and that is aborted while it commits, with %s, is not told as cancelled', async (_, why) => {
    const ending = new AbortController();
    commits = ['CANCELLED'];
    onCommit = () => ending.abort(why);
    expect(await reasonOf(db.transact(async (tx) => tx.orders.insert(order), { signal: ending.signal }))).toBe('OUTCOME_UNKNOWN');
  });

  test('while one that is aborted before its commit was not done', async () => {
    const ending = new AbortController();
    const done = db.transact(
      async (tx) => {
        await tx.orders.insert(order);
        ending.abort();
      },
      { signal: ending.signal },
    );
    expect(await reasonOf(done)).toBe('CANCELLED');
  });
});

describe('a transaction', () => {
  const within = (work: Parameters<typeof db.transact>[0]): Promise<unknown> => db.transact(work, { retryMs: 0 });
  const messageOf = (work: Promise<unknown>): Promise<unknown> => work.then(String, ({ reason, message }: SwitchyardError) => `${reason} ${message}`);

  test('that took too long is not run again', async () => {
    works = ['TRANSACTION_EXPIRED'];
    expect([await reasonOf(db.transact(async (tx) => tx.orders.insert(order))), begins]).toEqual(['TRANSACTION_EXPIRED', 1]);
  });

  test('begins no try behind its time', async () => {
    works = ['STORE_OVERLOADED'];
    const beganMs = performance.now();
    expect([await reasonOf(db.transact(async (tx) => tx.orders.insert(order), { retryMs: 1_000 })), begins]).toEqual(['STORE_OVERLOADED', 1]);
    expect(performance.now() - beganMs).toBeLessThan(5_000);
  });

  test('has its limits, its signal and its request id as a whole', async () => {
    const options = [{ requestId: 'own' }, { deadlineMs: 5 }, { signal: new AbortController().signal }];
    for (const given of options) {
      const told = await Promise.all([
        messageOf(within(async (tx) => tx.orders.insert(order, given as never))),
        messageOf(within(async (tx) => tx.orders.get({ id: 1n }, given as never))),
        messageOf(within(async (tx) => tx.orders.count({}, given as never))),
      ]);
      for (const message of told) expect(message).toMatch(new RegExp(`^ARGUMENT_INVALID ${Object.keys(given)[0]}: a transaction has it as a whole`));
    }
  });

  test('takes no lock where there is none, and none of another name', async () => {
    const update = { lock: 'update' } as never;
    expect(await messageOf(within(async (tx) => tx.orders.count({}, update)))).toMatch(/^ARGUMENT_INVALID lock: goes with get/);
    expect(await messageOf(within(async (tx) => tx.orders.delete({ id: 1n }, update)))).toMatch(/^ARGUMENT_INVALID lock: goes with get/);
    expect(await messageOf(within(async (tx) => tx.orders.get({ id: 1n }, { lock: 'exclusive' as never })))).toMatch(/^ARGUMENT_INVALID lock: got "exclusive"/);
    expect(await messageOf(db.orders.get({ id: 1n }, update))).toMatch(/^ARGUMENT_INVALID lock: a lock lasts as long as its transaction/);
    expect(await messageOf(db.orders.update({ id: 1n }, { note: 'x' }, update))).toMatch(/^ARGUMENT_INVALID lock: /);
  });

  test('has one of three isolations', async () => {
    expect(await messageOf(db.transact(async () => 1, { isolation: 'serialisable' as never }))).toMatch(
      /^ARGUMENT_INVALID isolation: got "serialisable"; must be one of "read committed"/,
    );
    expect(await messageOf(db.transact(async () => 1, { isolation: 'serializable' }))).toBe('1');
  });

  test('leaves a gateway out that cannot be reached', async () => {
    using both = open({ addresses: ['127.0.0.1:1', gateway.address] });
    let retries = 0;
    for (let time = 0; time < 6; time += 1) await both.transact(async (tx) => tx.orders.insert(order), { onRetry: () => (retries += 1) });
    expect(retries).toBe(1);
  });
});

describe('an etag', () => {
  test('that is empty is none, neither of a row nor as a condition', async () => {
    expect(await reasonOf(db.orders.getTagged({ id: 1n }))).toBe('NOT_SUPPORTED');
    expect(await reasonOf(db.transact(async (tx) => tx.orders.getTagged({ id: 1n })))).toBe('NOT_SUPPORTED');
    calls = 0;
    expect(await reasonOf(db.orders.update({ id: 1n }, { note: 'x' }, { etag: '' }))).toBe('ARGUMENT_INVALID');
    expect(await reasonOf(db.orders.delete({ id: 1n }, { etag: '' }))).toBe('ARGUMENT_INVALID');
    expect(calls).toBe(0);
  });
});

describe('a message that is too large', () => {
  test('to be taken by a gateway was not sent; one that the client does not take was answered', async () => {
    expect(await reasonOf(db.orders.insert({ ...order, note: 'x'.repeat(5_000_000) }))).toBe('MESSAGE_TOO_LARGE');
    using small = open({ channel: { 'grpc.max_receive_message_length': 1_000 } });
    expect(await reasonOf(small.orders.get({ id: 1n }))).toBe('RESULT_TOO_LARGE');
    expect(ids).toEqual([]);
    await expect(small.orders.insert(order)).rejects.toMatchObject({ reason: 'STORE_FAILED', message: expect.stringMatching(/^the write was done/) });
    expect(ids).toHaveLength(1);
  });
});

describe('mutate', () => {
  test('does its writes under one request id, and answers each in its place', async () => {
    inserts = ['OUTCOME_UNKNOWN', 'ok'];
    const [made, gone, changed] = await db.mutate((batch) => [
      batch.orders.insert(order),
      batch.lines.delete({ order_id: 1n, line: 2 }, { where: { quantity: 0 } }),
      batch.orders.update({ id: 1n }, { parts: add(1) }, { returning: ['id'], where: { note: null } }),
    ]);
    expect([made, gone, changed]).toEqual([{ id: 1n }, true, { id: 1n }]);
    expect([ids.length, new Set(ids).size, ids[0] !== '']).toEqual([2, 1, true]);
    expect(mutation?.mutations.map(({ kind }) => [kind.case, kind.value?.table])).toEqual([
      ['insert', 'orders'],
      ['delete', 'lines'],
      ['update', 'orders'],
    ]);
  });

  test('refuses a write that would get lost', async () => {
    const lost = db.mutate((batch) => {
      batch.orders.insert(order);
      return [batch.lines.delete({ order_id: 1n, line: 2 })];
    });
    await expect(lost).rejects.toThrow('the function made 2 writes and returned 1');
    const twice = db.mutate((batch) => {
      const write = batch.orders.insert(order);
      return [write, write];
    });
    await expect(twice).rejects.toThrow('the function made 1 writes and returned 2');
    await expect(db.mutate((async () => []) as never)).rejects.toThrow('no promise of one');
    expect(mutation).toBeNull();
  });
});

describe('aggregate', () => {
  test('gives numbers by their names, and the group', async () => {
    expect(await db.orders.aggregate({ n: 'count', sum: { sum: 'total' }, last: { max: 'note' } }, { groupBy: 'customer' })).toEqual([
      { group: 'Ada', n: 2n, sum: '1.50', last: null },
    ]);
    expect(await db.orders.aggregate({ n: 'count' })).toEqual([{ group: null, n: 2n }]);
  });

  test.each<[unknown, string]>([
    [{ sum: 'total', max: 'parts' }, "n: got { sum: total, max: parts }; must be 'count' or one of"],
    [{ avg: 'total' }, 'n: got { avg: total }'],
    [{ sum: undefined }, 'n: got'],
    ['counted', 'n: got counted'],
  ])('refuses %j', async (aggregation, message) => {
    await expect(db.orders.aggregate({ n: aggregation } as never)).rejects.toThrow(`aggregations.${message}`);
    await expect(db.orders.aggregate({ group: 'count' } as never)).rejects.toThrow('aggregations.group: ');
    expect(calls).toBe(0);
  });
});

test('a database that was closed says so', async () => {
  const closed = open();
  await closed.orders.insert(order);
  closed.close();
  await expect(closed.orders.insert(order)).rejects.toMatchObject({ reason: 'CANCELLED', message: expect.stringContaining('the database was closed') });
  await expect(closed.transact(async () => 1)).rejects.toMatchObject({ reason: 'CANCELLED', message: expect.stringContaining('the database was closed') });
});

test('a table does not hide a method of the database', () => {
  expect(() => openDatabase({ close: tables.orders }, { addresses: gateway.address })).toThrow('the name "close" is taken');
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

describe('an option that there is none of', () => {
  const bad = (options: unknown): never => options as never;
  const key = { id: 1n };

  test.each<[string, () => Promise<unknown>, RegExp]>([
    ['get', () => db.orders.get(key, bad({ where: { note: null } })), /^where: get has no such option; it takes deadlineMs, signal, columns$/],
    ['get', () => db.orders.get(key, bad({ requestId: 'r' })), /^requestId: get has no such option/],
    ['get', () => db.orders.get(key, bad('note')), /^options of get: got note; must be an object$/],
    ['getTagged', () => db.orders.getTagged(key, bad({ columns: ['note'] })), /^columns: getTagged has no such option/],
    ['batchGet', () => db.orders.batchGet([key], bad({ column: ['note'] })), /^column: batchGet has no such option; did you mean "columns"\?/],
    ['query', () => db.orders.query(bad({ wher: { customer: 'x' } })), /^wher: query has no such option; did you mean "where"\?/],
    ['query', () => db.orders.query(bad({ orderBy: [{ column: 'id', desc: true }] })), /^desc: orderBy has no such member; it takes column and descending$/],
    ['stream', () => db.orders.stream(bad({ pageSize: 5 })).next(), /^pageSize: stream has no such option/],
    ['count', () => db.orders.count({}, bad({ where: {} })), /^where: count has no such option; it takes deadlineMs, signal$/],
    ['aggregate', () => db.orders.aggregate({ n: 'count' }, bad({ pageSize: 5 })), /^pageSize: aggregate has no such option/],
    ['watch', () => db.orders.watch(bad({ onbegin: () => {} })).next(), /^onbegin: watch has no such option; did you mean "onBegin"\?/],
    ['insert', () => db.orders.insert(order, bad({ where: { note: null } })), /^where: insert has no such option/],
    ['insertMany', () => db.orders.insertMany([order], bad({ retuning: ['id'] })), /^retuning: insertMany has no such option; did you mean "returning"\?/],
    ['upsert', () => db.orders.upsert({ ...order, ...key }, bad({ etag: 'e' })), /^etag: upsert has no such option/],
    ['update', () => db.orders.update(key, { note: 'x' }, bad({ requestID: 'a' })), /^requestID: update has no such option; did you mean "requestId"\?/],
    ['update', () => db.orders.update(key, { note: 'x' }, bad({ Where: { note: null } })), /^Where: update has no such option; did you mean "where"\?/],
    ['delete', () => db.orders.delete(key, bad({ etg: 'zzz' })), /^etg: delete has no such option; did you mean "etag"\?/],
    ['delete', () => db.orders.delete(key, bad({ precondition: { parts: 5 } })), /^precondition: delete has no such option/],
    ['mutate', () => db.mutate((batch) => [batch.orders.insert(order)], bad({ requestID: 'a' })), /^requestID: mutate has no such option; did you mean "requestId"\?/],
    ['a write of a mutate', () => db.mutate((batch) => [batch.orders.delete(key, bad({ wher: {} }))]), /^wher: delete has no such option; did you mean "where"\?/],
    ['a write of a mutate', () => db.mutate((batch) => [batch.orders.insert(order, bad({ requestId: 'r' }))]), /^requestId: a mutate has it as a whole/],
    ['a write of a mutate', () => db.mutate((batch) => [batch.orders.update(key, { note: 'x' }, bad({ etag: 'e' }))]), /^etag: not within db.mutate/],
    ['transact', () => db.transact(async () => 1, bad({ readonly: true })), /^readonly: transact has no such option; did you mean "readOnly"\?/],
    ['a call of a transaction', () => db.transact(async (tx) => tx.orders.delete(key, bad({ etg: 'e' }))), /^etg: delete has no such option; did you mean "etag"\?/],
    ['a call of a transaction', () => db.transact(async (tx) => tx.orders.count({}, bad({ x: 1 }))), /^x: count has no such option; it takes none$/],
    ['openDatabase', async () => open(bad({ timeoutMs: 5 })), /^timeoutMs: openDatabase has no such option; it takes addresses, deadlineMs, /],
  ])('of %s is refused, and nothing is sent', async (_, act, message) => {
    await expect(act()).rejects.toMatchObject({ reason: 'ARGUMENT_INVALID', message: expect.stringMatching(message) });
    expect([calls, ids]).toEqual([0, []]);
  });

  test('may be undefined, which means left out', async () => {
    expect(await db.orders.delete(key, bad({ lock: undefined, etg: undefined }))).toBe(true);
  });

  test('stands beside conditions that and, or and not have made', async () => {
    const where = { ...and<typeof tables.orders>({ customer: 'a' }), note: null };
    await expect(db.orders.delete(key, { where })).rejects.toThrow(/^where.note: stands beside what and, or or not has made/);
    expect(calls).toBe(0);
  });
});
