import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { toBinary } from '@bufbuild/protobuf';
import pg from 'pg';
import { Change_Kind, type WatchResponse, WatchResponseSchema } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { Row } from '../../gen/switchyard/data/v1/value_pb.ts';
import type { SwitchyardError } from '../../core/switchyard-error.ts';
import { GatewayStage, type RunningGateway } from '../support/gateway/gateway-stage.ts';
import { SHOP_LOGINS } from '../support/servers/shop.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

// Watches over a real gateway and real stores: what comes, in which order, and what a cutover makes of it.
const schema = `
CREATE TYPE mood AS ENUM ('calm', 'angry');
CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL, place text NOT NULL DEFAULT current_database());
CREATE TABLE every (
  id int PRIMARY KEY, a bool, b smallint, c bigint, d real, e double precision, f numeric, g bytea, h uuid, i date, j time, k timestamp, l timestamptz, m jsonb, o json, p mood, q text[], r bigint[], s timestamptz[], t bool[]
);
CREATE TABLE quiet (id int PRIMARY KEY);`;
const never = new AbortController().signal;
const watched = ['counter', 'every'];
const int = (value: number) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });
const key = (id: number) => ({ cells: { id: int(id) } });
const cell = (row: Row | undefined, name: string): unknown => row?.cells[name]?.kind.value;

let stage: GatewayStage;
let running: RunningGateway;
let client: RunningGateway['client'];
let attempt = 0;

const movement = { workflow: 'move', source: 'old', target: 'new', want: 'source' as const };
async function setTables(primary: 'old' | 'new'): Promise<void> {
  const tables = Object.fromEntries(watched.map((table) => [table, { primary, attempt: 0, writes: 'open' as const, movement, names: [`old.${table}`, `new.${table}`] }]));
  await stage.topology.updateRules({ by: 'test', reason: 'test' }, (rules) => ({ ...rules, tables }), never);
}
const fence = async (keyspace: 'old' | 'new', state: Parameters<GatewayStage['fence']>[2], at: number): Promise<void> => {
  for (const table of watched) await stage.fence(keyspace, table, state, at);
};

beforeAll(async () => {
  stage = await GatewayStage.open(schema);
  await stage.claim('move', watched);
  for (const keyspace of ['old', 'new'] as const) await stage.prepare(keyspace, (owner) => owner.watch(watched, true, never));
});
afterAll(async () => {
  await stage?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  attempt += 10;
  for (const keyspace of ['new', 'old'] as const)
    await stage.sql(
      keyspace,
      'ALTER TABLE counter DISABLE TRIGGER USER; ALTER TABLE every DISABLE TRIGGER USER; TRUNCATE counter, every; ALTER TABLE counter ENABLE TRIGGER USER; ALTER TABLE every ENABLE TRIGGER USER',
    );
  await fence('new', 'CLOSED', attempt);
  await fence('old', 'OPEN', attempt);
  await setTables('old');
  running = await stage.start();
  client = running.client;
});
afterEach(async () => {
  await running?.[Symbol.asyncDispose]();
});

/** A session of its own under the gateway's login. */
async function connect(): Promise<pg.Client> {
  const { host, port } = stage.postgres;
  const session = new pg.Client({ host, port, database: 'old', user: SHOP_LOGINS.gateway.user, password: SHOP_LOGINS.gateway.password });
  await session.connect();
  return session;
}

/** A watch that collects what comes. */
class Watched implements AsyncDisposable {
  readonly answers: WatchResponse[] = [];
  readonly #controller = new AbortController();
  readonly #done: Promise<unknown>;

  private constructor(from: RunningGateway['client'], table: string, token: string) {
    this.#done = this.#run(from, table, token).catch((error: unknown) => error);
  }

  static async begin(table = 'counter', token = '', from = client): Promise<Watched> {
    const begun = new Watched(from, table, token);
    await waitUntil('the first answer', { limitMs: 5_000, everyMs: 5 }, async () => (begun.answers.length > 0 ? true : undefined));
    return begun;
  }

  /** What it ends with. */
  get ended(): Promise<unknown> {
    return this.#done;
  }

  get changes(): readonly WatchResponse['changes'][number][] {
    return this.answers.flatMap(({ changes }) => changes);
  }

  get token(): string {
    return this.answers.at(-1)?.token ?? '';
  }

  /** Waits until so many changes have come, and a while for more. */
  async until(count: number): Promise<readonly WatchResponse['changes'][number][]> {
    await waitUntil(`${count} changes`, { limitMs: 30_000, everyMs: 5, explain: () => `${this.changes.length}` }, async () => (this.changes.length >= count ? true : undefined));
    await sleep(50);
    expect(this.changes).toHaveLength(count);
    return this.changes;
  }

  async #run(from: RunningGateway['client'], table: string, token: string): Promise<void> {
    for await (const answer of from.watch({ table, token }, { signal: this.#controller.signal })) this.answers.push(answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort();
    await this.#done;
  }
}

const insert = (id: number, n = 0) => client.insert({ table: 'counter', row: { cells: { id: int(id), n: int(n) } } });
const add = (id: number, by = 1) => client.update({ table: 'counter', key: key(id), add: { cells: { n: int(by) } } });
const kindNames = new Map<unknown, string>(Object.entries(Change_Kind).map(([name, kind]) => [kind, name]));
const shown = ({ kind, before, after }: WatchResponse['changes'][number]) => [kindNames.get(kind), cell(before, 'n'), cell(after, 'n')];

describe('a watch', () => {
  test('tells every change in order with the row before and after it, and none from before it began', async () => {
    await insert(1);
    await using seen = await Watched.begin();
    await add(1);
    await client.upsert({ table: 'counter', row: { cells: { id: int(1), n: int(7) } } });
    await client.mutate({
      mutations: [
        { kind: { case: 'insert', value: { table: 'counter', row: { cells: { id: int(2), n: int(1) } } } } },
        { kind: { case: 'delete', value: { table: 'counter', key: key(1) } } },
      ],
    });
    await stage.sql('old', 'TRUNCATE counter');
    expect((await seen.until(5)).map(shown)).toEqual([
      ['UPDATE', 0n, 1n],
      ['UPDATE', 1n, 7n],
      ['INSERT', undefined, 1n],
      ['DELETE', 7n, undefined],
      ['TRUNCATE', undefined, undefined],
    ]);
    expect(Math.abs(Number((seen.changes[0]?.changedAtMicros ?? 0n) / 1_000n) - Date.now())).toBeLessThan(60_000);
  });

  test('of rows that were changed by SQL, not by a player', async () => {
    await using seen = await Watched.begin();
    await stage.sql('old', `INSERT INTO counter VALUES (1, 1); UPDATE counter SET id = 5, n = 2; DELETE FROM counter`);
    await fence('old', 'CLOSED', attempt);
    await stage.postgres.psql('old', 'INSERT INTO counter VALUES (9, 9)', { login: SHOP_LOGINS.player });
    await fence('old', 'OPEN', attempt);
    expect((await seen.until(3)).map(({ before, after }) => [cell(before, 'id'), cell(after, 'id')])).toEqual([
      [undefined, 1n],
      [1n, 5n],
      [5n, undefined],
    ]);
  });

  test('has every value as a read has it', async () => {
    await using seen = await Watched.begin('every');
    await stage.sql(
      'old',
      `SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'; SET bytea_output = 'escape'; SET extra_float_digits = 0;
       INSERT INTO every VALUES
         (1, true, -2, 9007199254740993, 0.1, 0.1, 12345678901234567890.0010, '\\x00ff5c', '00000000-0000-4000-8000-00000000000a', '2024-02-29', '23:59:59.999999', '2026-01-31 12:00:00.000001', '2026-01-31 12:00:00.000001+02',
          '{"a": 12345678901234567890.10}', '{"b":  [1.50, null]}', 'angry', '{a,NULL,"b \\"c\\"",""}', '{9007199254740993,NULL}', '{2026-01-31 12:00:00+00}', '{t,f,NULL}'),
         (2, false, 0, 0, 'NaN', '-Infinity', 'NaN', '', NULL, 'infinity', '00:00', '-infinity', 'infinity', 'null', '"x"', 'calm', '{}', '{}', '{infinity}', NULL),
         (3, NULL, NULL, NULL, '-0', '1e300', '0.00', NULL, NULL, '0044-03-15 BC', '24:00', '0001-01-01 00:00:00 BC', '9999-12-31 23:59:59.5+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL);`,
    );
    const changes = await seen.until(3);
    for (const [index, change] of changes.entries()) {
      const { row } = await client.get({ table: 'every', key: key(index + 1) });
      expect(change.after).toEqual(row);
    }
  });

  test('keeps the order of a row whose transactions end in another order, and waits for what is still running', async () => {
    await using seen = await Watched.begin();
    await insert(1);
    await seen.until(1);
    const [first, second] = [await connect(), await connect()];
    try {
      await first.query('BEGIN; INSERT INTO counter VALUES (2, 20)');
      await second.query('BEGIN; INSERT INTO counter VALUES (3, 30); UPDATE counter SET n = 1 WHERE id = 1; COMMIT');
      await sleep(200);
      expect(seen.changes).toHaveLength(1);
      await first.query('UPDATE counter SET n = 2 WHERE id = 1; COMMIT');
      expect((await seen.until(5)).slice(1).map(({ after }) => [cell(after, 'id'), cell(after, 'n')])).toEqual([
        [2n, 20n],
        [3n, 30n],
        [1n, 1n],
        [1n, 2n],
      ]);
      await first.query('BEGIN; INSERT INTO counter VALUES (7, 70); ROLLBACK');
      await second.query('INSERT INTO counter VALUES (8, 80)');
      expect((await seen.until(6)).slice(5).map(({ after }) => cell(after, 'id'))).toEqual([8n]);
    } finally {
      await Promise.all([first.end(), second.end()]);
    }
  });

  test('waits for a transaction that began behind all that have ended', async () => {
    await using seen = await Watched.begin();
    const [older, newest] = [await connect(), await connect()];
    try {
      await older.query('BEGIN; INSERT INTO counter VALUES (2, 20)');
      await newest.query('BEGIN; INSERT INTO counter VALUES (3, 30)');
      await older.query('INSERT INTO counter VALUES (4, 40); COMMIT');
      await sleep(300);
      // The first may be told: it was there before the newest began.
      expect([[], [2n]]).toContainEqual(seen.changes.map(({ after }) => cell(after, 'id')));
      await newest.query('COMMIT');
      expect((await seen.until(3)).map(({ after }) => cell(after, 'id'))).toEqual([2n, 3n, 4n]);
    } finally {
      await Promise.all([older.end(), newest.end()]);
    }
  });

  test('ends at a change that holds a value without a form in the API, with the token behind it', async () => {
    await using watch = await Watched.begin('every');
    await stage.sql('old', "INSERT INTO every (id) VALUES (1); INSERT INTO every (id, r) VALUES (2, '{{1},{2}}'); INSERT INTO every (id) VALUES (3)");
    const error = (await watch.ended) as SwitchyardError;
    // What came before it is told first.
    expect(watch.changes.map(({ after }) => cell(after, 'id'))).toEqual([1n]);
    expect(error).toMatchObject({
      reason: 'VALUE_UNSUPPORTED',
      metadata: { table: 'every', column: 'r', token: expect.any(String) },
      message: expect.stringContaining('{{1},{2}}'),
    });
    await using again = await Watched.begin('every', watch.token);
    expect(await again.ended).toMatchObject({ reason: 'VALUE_UNSUPPORTED' });
    await using behind = await Watched.begin('every', error.metadata.token);
    expect((await behind.until(1)).map(({ after }) => cell(after, 'id'))).toEqual([3n]);
    await expect(client.get({ table: 'every', key: key(2) })).rejects.toMatchObject({ reason: 'VALUE_UNSUPPORTED', metadata: { table: 'every', column: 'r', key: '2' } });
    await expect(client.query({ table: 'every' })).rejects.toMatchObject({ reason: 'VALUE_UNSUPPORTED', metadata: { key: '2' } });
    expect((await client.query({ table: 'every', columns: ['id', 'q'] })).rows).toHaveLength(3);
  });

  test('goes on behind its token, at another gateway too', async () => {
    await insert(1);
    const tokens: string[] = [];
    {
      await using seen = await Watched.begin();
      tokens.push(seen.token);
      await add(1);
      await seen.until(1);
      tokens.push(seen.token);
    }
    await add(1);
    await using other = await stage.start();
    await using again = await Watched.begin('old.counter', tokens[1], other.client);
    expect((await again.until(1)).map(shown)).toEqual([['UPDATE', 1n, 2n]]);
    await using whole = await Watched.begin('counter', tokens[0], other.client);
    expect((await whole.until(2)).map(shown)).toEqual([
      ['UPDATE', 0n, 1n],
      ['UPDATE', 1n, 2n],
    ]);
  });

  test('is refused where nobody writes down, or what it asks for is no more, and for what is no token', async () => {
    const first = (table: string, token = '') => client.watch({ table, token })[Symbol.asyncIterator]().next();
    await expect(first('quiet')).rejects.toMatchObject({ reason: 'TABLE_NOT_WATCHED', message: expect.stringContaining('switchyard keyspace watch old --tables quiet') });
    await expect(first('nothing')).rejects.toMatchObject({ reason: 'TABLE_UNKNOWN' });
    await expect(first('counter', 'x')).rejects.toMatchObject({ reason: 'PAGE_TOKEN_INVALID' });
    await using seen = await Watched.begin('every');
    await expect(first('counter', seen.token)).rejects.toThrow('it belongs to a watch of table "every"');
    await using counted = await Watched.begin();
    await insert(1);
    const old = counted.token;
    await insert(2);
    await counted.until(2);
    await stage.prepare('old', async (owner) => {
      expect(await owner.expireEvents(0, 1_000, never)).toBeGreaterThan(1);
    });
    await expect(first('counter', old)).resolves.toMatchObject({ done: false });
    const late = client.watch({ table: 'counter', token: old })[Symbol.asyncIterator]();
    await late.next();
    await expect(late.next()).rejects.toMatchObject({ reason: 'WATCH_TOO_OLD' });
    await using now = await Watched.begin('counter', counted.token);
    await insert(3);
    await now.until(1);
  });
});

test('a watch from now begins behind what is there, also while somebody is writing', async () => {
  await insert(1);
  await using other = await stage.start();
  const session = await connect();
  await session.query('BEGIN; SELECT pg_current_xact_id()');
  const beginning = Watched.begin('counter', '', other.client);
  await sleep(300);
  await session.query('COMMIT');
  await session.end();
  await using seen = await beginning;
  await add(1);
  expect((await seen.until(1)).map(shown)).toEqual([['UPDATE', 0n, 1n]]);
});

test('over HTTP, asked for its head only, is answered at once', async () => {
  await using other = await stage.start({ http: '127.0.0.1:0' });
  const answer = await fetch(`http://${other.gateway.httpAddress}/v1/tables/old.counter:watch`, { method: 'HEAD', signal: AbortSignal.timeout(5_000) });
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
});

test('answers stay small, however large the changes', async () => {
  await using first = await Watched.begin();
  const { token } = first;
  const count = 200;
  await stage.postgres.psql('old', `INSERT INTO counter SELECT i, 0, repeat('x', 20000) FROM generate_series(1, ${count}) i; UPDATE counter SET n = 1`, {
    login: SHOP_LOGINS.gateway,
  });
  await using late = await Watched.begin('counter', token);
  await late.until(2 * count);
  expect(late.changes.map(({ after }) => cell(after, 'n'))).toEqual(Array.from({ length: 2 * count }, (_, i) => (i < count ? 0n : 1n)));
  for (const answer of late.answers) expect(toBinary(WatchResponseSchema, answer).length).toBeLessThan(1_500_000);
});

describe('a cutover', () => {
  /** From "old" to "new" or back, as control does it, with the rows carried over by hand. */
  async function cutOver(from: 'old' | 'new', at: number): Promise<void> {
    const to = from === 'old' ? 'new' : 'old';
    await fence(from, 'SEALED', at);
    const rows = (await stage.sql(from, `SELECT coalesce(string_agg(format('(%s, %s)', id, n), ', '), '') FROM counter`)).trim();
    await fence(from, 'CLOSED', at);
    await stage.postgres.psql(to, `DELETE FROM counter; ${rows === '' ? '' : `INSERT INTO counter (id, n) VALUES ${rows}`}`, { login: SHOP_LOGINS.player });
    await fence(to, 'OPEN', at);
    await setTables(to);
  }

  test('and the way back lose nothing for who comes back at a gateway that is new, while somebody is writing for long', async () => {
    for (const id of [1, 2]) await insert(id);
    await using seen = await Watched.begin();
    const begun = seen.token;
    await add(1);
    await add(1);
    await cutOver('old', attempt + 1);
    await add(1);
    await cutOver('new', attempt + 2);
    await add(1);
    const session = await connect();
    await session.query('BEGIN; SELECT pg_current_xact_id()');
    await using other = await stage.start();
    const beginning = Watched.begin('counter', begun, other.client);
    await sleep(300);
    await session.query('COMMIT');
    await session.end();
    await using again = await beginning;
    expect((await again.until(4)).map(shown)).toEqual([0n, 1n, 2n, 3n].map((n) => ['UPDATE', n, n + 1n]));
  });

  test('whose workflow has ended, so that the table is gone where it was: its changes there are still told', async () => {
    await insert(1);
    await using seen = await Watched.begin();
    const begun = seen.token;
    await add(1);
    await seen.until(1);
    await cutOver('old', attempt + 1);
    await add(1);
    await stage.sql('old', 'ALTER TABLE counter RENAME TO counter_gone');
    try {
      await using other = await stage.start();
      await using again = await Watched.begin('counter', begun, other.client);
      for (const each of [again, seen])
        expect((await each.until(2)).map(shown)).toEqual([
          ['UPDATE', 0n, 1n],
          ['UPDATE', 1n, 2n],
        ]);
    } finally {
      await stage.sql('old', 'ALTER TABLE counter_gone RENAME TO counter');
    }
  });

  test('neither loses nor repeats a change, in both directions, for those who watch and those who come back later', async () => {
    for (const id of [1, 2, 3]) await insert(id);
    await using seen = await Watched.begin();
    const begun = seen.token;
    const ending = new AbortController();
    const counts = [0, 0, 0];
    const writers = [1, 2, 3].map(async (id) => {
      while (!ending.signal.aborted) {
        await add(id);
        counts[id - 1] = (counts[id - 1] ?? 0) + 1;
      }
    });
    await sleep(200);
    await cutOver('old', attempt + 1);
    await sleep(200);
    const between = seen.token;
    await cutOver('new', attempt + 2);
    await sleep(200);
    await cutOver('old', attempt + 3);
    await sleep(200);
    ending.abort();
    await Promise.all(writers);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const isWhole = (changes: readonly WatchResponse['changes'][number][]): void => {
      const last = new Map<unknown, bigint>();
      for (const { before, after } of changes) {
        const [id, from, to] = [cell(after, 'id'), cell(before, 'n') as bigint, cell(after, 'n') as bigint];
        expect([id, from]).toEqual([id, last.get(id) ?? from]);
        expect(to).toBe(from + 1n);
        last.set(id, to);
      }
      for (const id of [1, 2, 3]) expect(last.get(BigInt(id))).toBe(BigInt(counts[id - 1] ?? 0));
    };
    isWhole(await seen.until(total));
    expect(new Set(seen.changes.map(({ after }) => cell(after, 'place')))).toEqual(new Set(['old', 'new']));
    await using again = await Watched.begin('counter', begun);
    expect(await again.until(total)).toEqual(seen.changes);
    await using part = await Watched.begin('counter', between);
    await waitUntil('the rest', { limitMs: 10_000, everyMs: 10 }, async () =>
      part.changes.length > 0 && cell(part.changes.at(-1)?.after, 'n') === cell(seen.changes.at(-1)?.after, 'n') ? true : undefined,
    );
    await sleep(100);
    expect(part.changes).toEqual(seen.changes.slice(seen.changes.length - part.changes.length));
  });
});
