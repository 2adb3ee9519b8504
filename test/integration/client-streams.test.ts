import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Database, openDatabase, SwitchyardError, type WatchOptions } from '../../client/client.ts';
import type { ErrorReason } from '../../core/error-catalogue.ts';
import { Change_Kind, type StreamQueryResponseSchema, type WatchResponseSchema } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { systemClock } from '../../runtime/clock.ts';
import { tables } from '../client/shop-tables.ts';
import { ToldGateway } from '../support/gateway/told-gateway.ts';

/* What the typed client makes of streams that break, are silent, or answer as a gateway rarely does. */

/** A reason: the stream breaks; 'silence': nothing more comes. */
type Said<A> = A | ErrorReason | 'silence';
let answers: Said<MessageInitShape<typeof WatchResponseSchema>>[][] = [];
let pieces: Said<MessageInitShape<typeof StreamQueryResponseSchema>>[][] = [];
/** Where each stream began. */
let begun: string[] = [];

async function* say<A>(said: Said<A>[][], token: string, signal: AbortSignal): AsyncGenerator<A> {
  begun.push(token);
  // The last one again and again.
  for (const each of (said.length > 1 ? said.shift() : said[0]) ?? []) {
    if (each === 'silence') await systemClock.sleep(60_000, signal);
    else if (typeof each === 'string') throw new SwitchyardError(each as ErrorReason, each);
    else yield each;
  }
}

const row = (id: number) => ({ cells: { id: { kind: { case: 'int64Value' as const, value: BigInt(id) } } } });
const insert = (id: number) => ({ kind: Change_Kind.INSERT, after: row(id) });

let gateway: ToldGateway;
let db: Database<typeof tables>;
beforeAll(async () => {
  gateway = await ToldGateway.open({
    watch: ({ token }, { signal }) => say(answers, token, signal),
    streamQuery: ({ pageToken }, { signal }) => say(pieces, pageToken, signal),
    get: async (_, { signal }) => {
      await systemClock.sleep(60_000, signal);
      return {};
    },
    // Answers the beginning only.
    async *transact(_, { signal }) {
      yield { kind: { case: 'goesOn' as const, value: {} } };
      await systemClock.sleep(60_000, signal);
    },
  });
  db = openDatabase(tables, { addresses: gateway.address });
});
afterAll(() => {
  db.close();
  gateway[Symbol.dispose]();
});
beforeEach(() => {
  begun = [];
});

describe('a watch', () => {
  /** Ids and tokens of so many changes. */
  async function watched(count: number, options: WatchOptions = {}): Promise<readonly string[]> {
    const seen: string[] = [];
    for await (const { after, token } of db.orders.watch(options)) {
      seen.push(`${after?.id} ${token}`);
      if (seen.length === count) break;
    }
    return seen;
  }

  test('gives each change a token that lies behind no change that comes after it', async () => {
    answers = [[{ token: 'a' }, { token: 'b', changes: [insert(1), insert(2), insert(3)] }, { token: 'c', changes: [insert(4), insert(5)] }, 'silence']];
    expect(await watched(5)).toEqual(['1 a', '2 a', '3 b', '4 b', '5 c']);
    answers = [[{ token: 'b', changes: [insert(2), insert(3)] }, 'silence']];
    expect(await watched(2, { token: 'a' })).toEqual(['2 a', '3 b']);
  });

  test('gives no empty token, which would mean another now', async () => {
    answers = [[{ token: 'b', changes: [insert(1), insert(2)] }, 'silence']];
    await expect(watched(1)).rejects.toMatchObject({ reason: 'INTERNAL' });
    await expect(watched(1, { token: '' })).rejects.toMatchObject({ reason: 'ARGUMENT_INVALID', message: expect.stringMatching(/^token: /) });
  });

  test('tells where it begins before its first change, which waits for that', async () => {
    const told: string[] = [];
    answers = [[{ token: 'a' }, { token: 'b', changes: [insert(1)] }, 'silence']];
    const onBegin = async (token: string): Promise<void> => {
      await systemClock.sleep(50, new AbortController().signal);
      told.push(token);
    };
    for await (const { token } of db.orders.watch({ onBegin })) {
      told.push(token);
      break;
    }
    expect(told).toEqual(['a', 'b']);
  });

  test('goes on behind the last answer for as long as it is wanted, and tells what it got over', async () => {
    const failures: ErrorReason[] = ['STORE_UNAVAILABLE', 'DEADLINE_EXCEEDED', 'GATEWAY_NOT_READY'];
    answers = [
      [{ token: 'a' }],
      [{ token: 'b', changes: [insert(1)] }, 'STORE_UNAVAILABLE'],
      ...failures.map((reason) => [reason]),
      [{ token: 'c', changes: [insert(2)] }, 'silence'],
    ];
    const told: string[] = [];
    expect(await watched(2, { onRetry: ({ reason }) => told.push(reason) })).toEqual(['1 b', '2 c']);
    expect([begun, told]).toEqual([
      ['', 'a', 'b', 'b', 'b', 'b'],
      ['PEER_UNREACHABLE', 'STORE_UNAVAILABLE', ...failures],
    ]);
  });

  test('is ended by its signal, also while it pauses between tries', async () => {
    answers = [['STORE_UNAVAILABLE']];
    await expect(watched(1, { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ reason: 'CANCELLED' });
    answers = [[{ token: 'a' }, 'silence']];
    await expect(watched(1, { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ reason: 'CANCELLED' });
  });

  test('rejects with what no repetition mends', async () => {
    answers = [[{ token: 'a' }, 'WATCH_TOO_OLD']];
    await expect(watched(1)).rejects.toMatchObject({ reason: 'WATCH_TOO_OLD' });
  });
});

describe('a stream', () => {
  async function streamed(options: Parameters<typeof db.orders.stream>[0] = {}): Promise<readonly bigint[]> {
    const ids: bigint[] = [];
    for await (const { id } of db.orders.stream({ columns: ['id'] as never, ...options })) ids.push(id);
    return ids;
  }

  test('goes on behind its last piece, and one that breaks behind the last is over', async () => {
    pieces = [
      [{ rows: [row(1), row(2)], nextPageToken: 'a' }, 'STORE_UNAVAILABLE'],
      [{ rows: [row(3)], nextPageToken: '' }, 'STORE_UNAVAILABLE'],
    ];
    expect([await streamed(), begun]).toEqual([
      [1n, 2n, 3n],
      ['', 'a'],
    ]);
  });

  test('ends at its deadline, with the failure that kept it from going on', async () => {
    pieces = [[{ rows: [row(1)], nextPageToken: 'a' }, 'silence']];
    await expect(streamed({ deadlineMs: 500 })).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    pieces = [[{ rows: [row(1)], nextPageToken: 'a' }, 'STORE_UNAVAILABLE'], ['STORE_UNAVAILABLE']];
    await expect(streamed({ deadlineMs: 500 })).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
  });

  test('takes no lock, nor an id', async () => {
    await expect(streamed({ lock: 'update' } as never)).rejects.toMatchObject({ reason: 'ARGUMENT_INVALID', message: expect.stringMatching(/^lock: /) });
    expect(begun).toEqual([]);
  });
});

describe('closing the database', () => {
  /** The reason with which this ends once the database is closed, a moment after it began. */
  async function reasonAfterClose(begin: (closed: Database<typeof tables>) => Promise<unknown>): Promise<unknown> {
    const closed = openDatabase(tables, { addresses: gateway.address });
    const ended = begin(closed).then(
      () => 'none',
      (error: unknown) => (error instanceof SwitchyardError ? `${error.reason} ${error.message}` : error),
    );
    await systemClock.sleep(100, new AbortController().signal);
    closed.close();
    const closedMs = performance.now();
    const reason = await ended;
    expect(performance.now() - closedMs).toBeLessThan(2_000);
    return reason;
  }
  const closedWhile = expect.stringMatching(/^CANCELLED the database was closed/);
  const all = async (rows: AsyncIterable<unknown>): Promise<void> => {
    for await (const row of rows) expect(row).toBeDefined();
  };
  test('ends a watch and a stream, also those that pause between tries or have a signal', async () => {
    answers = [[{ token: 'a' }, 'silence']];
    pieces = [[{ rows: [row(1)], nextPageToken: 'a' }, 'silence']];
    expect(await reasonAfterClose((closed) => all(closed.orders.watch()))).toEqual(closedWhile);
    expect(await reasonAfterClose((closed) => all(closed.orders.stream({ columns: ['id'] })))).toEqual(closedWhile);
    const { signal } = new AbortController();
    expect(await reasonAfterClose((closed) => all(closed.orders.watch({ signal })))).toEqual(closedWhile);
    answers = [['STORE_UNAVAILABLE']];
    expect(await reasonAfterClose((closed) => all(closed.orders.watch()))).toEqual(closedWhile);
  });

  test('ends calls under way, and a transaction', async () => {
    expect(await reasonAfterClose((closed) => closed.orders.get({ id: 1n }))).toEqual(closedWhile);
    expect(await reasonAfterClose((closed) => closed.transact(async (tx) => tx.orders.get({ id: 1n })))).toEqual(closedWhile);
    expect(await reasonAfterClose((closed) => closed.transact(async () => 1))).toEqual(expect.stringMatching(/^OUTCOME_UNKNOWN .*the database was closed/));
  });

  test('lets the process end', async () => {
    answers = [[{ token: 'a' }, 'silence']];
    const program = `
      import { openDatabase } from '${new URL('../../client/client.ts', import.meta.url)}';
      import { tables } from '${new URL('../client/shop-tables.ts', import.meta.url)}';
      const db = openDatabase(tables, { addresses: '${gateway.address}' });
      const told = ({ reason }) => console.log(reason);
      db.orders.watch().next().catch(told);
      db.orders.get({ id: 1n }).catch(told);
      setTimeout(() => db.close(), 300);
    `;
    const { stdout } = await promisify(execFile)(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', program], { timeout: 8_000 });
    expect(stdout).toBe('CANCELLED\nCANCELLED\n');
  });
});
