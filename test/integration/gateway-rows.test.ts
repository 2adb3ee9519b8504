import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Comparison_Operator } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { Row, Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import { GatewayStage, type RunningGateway } from '../support/gateway/gateway-stage.ts';
import { curl } from '../support/http/curl.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

// Calls about many rows of one table, over both protocols.
const schema = `
CREATE TABLE reading (device text NOT NULL, seq int NOT NULL, value numeric(10, 2), celsius float8, note text, doc jsonb, PRIMARY KEY (device, seq));
CREATE TABLE many (id int PRIMARY KEY, place text NOT NULL, filler text NOT NULL DEFAULT repeat('x', 500));`;
const manyRows = 20_000;

const int = (value: number | bigint) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });
const text = (value: string) => ({ kind: { case: 'textValue' as const, value } });
const decimal = (value: string) => ({ kind: { case: 'decimalValue' as const, value } });
const contentOf = (value: Value | undefined): unknown => value?.kind.value;
const shown = (row: Row | undefined) => Object.fromEntries(Object.entries(row?.cells ?? {}).map(([name, value]) => [name, contentOf(value)]));
const reading = (device: string, seq: number, value: string) => ({ cells: { device: text(device), seq: int(seq), value: decimal(value) } });

let stage: GatewayStage;
let running: RunningGateway;
let client: RunningGateway['client'];
let base: string;

beforeAll(async () => {
  stage = await GatewayStage.open(schema);
  for (const keyspace of ['old', 'new'] as const) await stage.sql(keyspace, `INSERT INTO many (id, place) SELECT i, '${keyspace}' FROM generate_series(1, ${manyRows}) i`);
  await stage.prepare('old');
  running = await stage.start({ http: '127.0.0.1:0' });
  client = running.client;
  base = `http://${running.gateway.httpAddress}`;
});
afterAll(async () => {
  await running?.[Symbol.asyncDispose]();
  await stage?.[Symbol.asyncDispose]();
});

async function piecesOf(stream: ReturnType<typeof client.streamQuery>) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return pieces;
}

/** Lets the table be served from the keyspace, and waits until the gateway does so. */
async function route(table: string, primary: 'old' | 'new'): Promise<void> {
  const rule = { primary, attempt: 0, writes: 'open' as const, names: [`old.${table}`, `new.${table}`] };
  const { version } = await stage.topology.updateRules(
    { by: 'test', reason: 'test' },
    (rules) => ({ ...rules, tables: { ...rules.tables, [table]: rule } }),
    new AbortController().signal,
  );
  await waitUntil(`version ${version}`, { limitMs: 5_000, everyMs: 5 }, async () => (running.gateway.appliedVersion >= version ? true : undefined));
}

const post = (path: string, body: unknown) => curl(['-X', 'POST', '-H', 'Content-Type: application/json', '--data-binary', '@-', `${base}${path}`], JSON.stringify(body));
const linesOf = (answer: { readonly text: string }): readonly Record<string, unknown>[] =>
  answer.text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('InsertMany', () => {
  test('adds all rows or none, and answers in their order', async () => {
    const rows = [reading('a', 2, '1.50'), reading('a', 1, '2.25'), reading('b', 1, '-7.00')];
    const { rows: inserted } = await client.insertMany({ table: 'reading', rows, returning: ['seq', 'value'] });
    expect(inserted.map(shown)).toEqual([
      { seq: 2n, value: '1.50' },
      { seq: 1n, value: '2.25' },
      { seq: 1n, value: '-7.00' },
    ]);
    await expect(client.insertMany({ table: 'reading', rows: [reading('c', 1, '1'), reading('b', 1, '1')] })).rejects.toMatchObject({ reason: 'UNIQUE_VIOLATION' });
    await expect(client.get({ table: 'reading', key: { cells: { device: text('c'), seq: int(1) } } })).rejects.toMatchObject({ reason: 'ROW_NOT_FOUND' });
  });

  test('names the row that does not fit, and writes once under a request id', async () => {
    await expect(client.insertMany({ table: 'reading', rows: [reading('d', 1, '1'), { cells: { device: text('d'), seq: text('x') } }] })).rejects.toThrow('rows[1].seq');
    await expect(client.insertMany({ table: 'reading', rows: [] })).rejects.toThrow('rows: got 0; must be 1 to 1000');
    const once = { table: 'reading', rows: [reading('once', 1, '1.00')], requestId: 'many-1' };
    const first = await client.insertMany(once);
    expect(await client.insertMany(once)).toEqual(first);
    const twice = await post('/v1/tables/reading:insertMany', {
      rows: [
        { device: 'h', seq: 1, value: '3.5' },
        { device: 'h', seq: 2 },
      ],
      returning: ['value'],
    });
    expect([twice.status, twice.json]).toEqual([200, { rows: [{ value: '3.50' }, { value: null }] }]);
    expect((await post('/v1/tables/reading:insertMany', { rows: [{ device: 'h', seq: 3, value: 'x' }] })).text).toContain('rows[0]');
  });
});

describe('Aggregate', () => {
  test('counts, sums and finds extremes, by group', async () => {
    const { groups } = await client.aggregate({
      table: 'reading',
      filter: { kind: { case: 'in', value: { column: 'device', values: [text('a'), text('b')] } } },
      aggregations: [{ kind: { case: 'count', value: {} } }, { kind: { case: 'sum', value: 'value' } }, { kind: { case: 'max', value: 'seq' } }],
      groupBy: 'device',
    });
    expect(groups.map(({ group, values }) => [contentOf(group), values.map(contentOf)])).toEqual([
      ['a', [2n, '3.75', 2n]],
      ['b', [1n, '-7.00', 1n]],
    ]);
    const answer = await post('/v1/tables/reading:aggregate', {
      filter: { compare: { column: 'device', operator: '=', value: 'nobody' } },
      aggregations: [{ count: {} }, { min: 'celsius' }],
    });
    expect([answer.status, answer.json]).toEqual([200, { groups: [{ group: null, values: ['0', null] }] }]);
  });

  test('refuses what means nothing, by name', async () => {
    const refused = (aggregations: Parameters<typeof client.aggregate>[0]['aggregations'], groupBy = '') =>
      client.aggregate({ table: 'reading', aggregations: aggregations ?? [], groupBy });
    await expect(refused([])).rejects.toThrow('aggregations: got 0; must be 1 to 16');
    await expect(refused([{ kind: { case: 'sum', value: 'note' } }])).rejects.toThrow('aggregations[0].sum: "note" is of kind text; a sum needs a column of numbers');
    await expect(refused([{ kind: { case: 'min', value: 'doc' } }])).rejects.toThrow('aggregations[0].min: "doc" is of kind json');
    await expect(refused([{ kind: { case: 'max', value: 'valu' } }])).rejects.toThrow('did you mean "value"?');
    await expect(refused([{ kind: { case: 'count', value: {} } }], 'doc')).rejects.toThrow('group_by: "doc" is of kind json');
    await expect(client.aggregate({ table: 'many', aggregations: [{ kind: { case: 'count', value: {} } }], groupBy: 'id' })).rejects.toMatchObject({ reason: 'RESULT_TOO_LARGE' });
  });
});

describe('filters', () => {
  const devices = async (filter: Parameters<typeof client.query>[0]['filter']): Promise<readonly unknown[]> =>
    (await client.query({ table: 'reading', ...(filter === undefined ? {} : { filter }), columns: ['device', 'seq'] })).rows.map((row) => `${shown(row).device} ${shown(row).seq}`);

  test('a pattern, and a range of composite keys', async () => {
    expect(await devices({ kind: { case: 'like', value: { column: 'device', pattern: '_' } } })).toEqual(['a 1', 'a 2', 'b 1', 'h 1', 'h 2']);
    const tuple = (operator: Comparison_Operator, device: string, seq: number) =>
      devices({ kind: { case: 'tuple', value: { columns: ['device', 'seq'], operator, values: [text(device), int(seq)] } } });
    expect(await tuple(Comparison_Operator.GREATER, 'a', 1)).toEqual(['a 2', 'b 1', 'h 1', 'h 2', 'once 1']);
    expect(await tuple(Comparison_Operator.LESS_OR_EQUAL, 'a', 2)).toEqual(['a 1', 'a 2']);
    const answer = await post('/v1/tables/reading:query', { filter: { tuple: { columns: ['device', 'seq'], operator: '=', values: ['b', 1] } }, columns: ['value'] });
    expect(answer.json).toMatchObject({ rows: [{ value: '-7.00' }] });
  });

  test('what is malformed is refused by name', async () => {
    await expect(devices({ kind: { case: 'like', value: { column: 'device', pattern: 'a\\' } } })).rejects.toThrow('filter.like.pattern: got "a\\\\"; a backslash stands before');
    await expect(devices({ kind: { case: 'like', value: { column: 'seq', pattern: 'a' } } })).rejects.toThrow('a pattern needs a column of kind text or enum');
    const tuple = (columns: string[], values: Parameters<typeof text>[0][]) =>
      devices({ kind: { case: 'tuple', value: { columns, operator: Comparison_Operator.EQUAL, values: values.map(text) } } });
    await expect(tuple(['device'], ['a'])).rejects.toThrow('filter.tuple.columns: got 1; must be 2 to 16 columns');
    await expect(tuple(['device', 'note'], ['a'])).rejects.toThrow('filter.tuple.values: got 1; must be one for each of the 2 columns');
    await expect(tuple(['device', 'device'], ['a', 'b'])).rejects.toThrow('"device" is named twice');
    await expect(tuple(['device', 'doc'], ['a', 'b'])).rejects.toThrow('"doc" is of kind json');
  });
});

test('a page of large rows ends before a caller cannot take it', async () => {
  const filler = 'y'.repeat(400_000);
  for (let id = 1; id <= 6; id += 1) await client.insert({ table: 'many', row: { cells: { id: int(-id), place: text('large'), filler: text(filler) } } });
  const filter = { kind: { case: 'compare' as const, value: { column: 'id', operator: Comparison_Operator.LESS, value: int(0) } } };
  const sizes: number[] = [];
  let pageToken = '';
  do {
    const page = await client.query({ table: 'many', filter, pageToken });
    sizes.push(page.rows.length);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  expect(sizes).toEqual([3, 3]);
  await stage.sql('old', 'DELETE FROM many WHERE id < 0');
});

/** What the gateway, which is this process, has read from sockets. */
async function bytesRead(): Promise<number> {
  const [, read = '0'] = /^rchar: (\d+)$/m.exec(await readFile('/proc/self/io', 'utf8')) ?? [];
  return Number(read);
}

describe('StreamQuery', () => {
  test('gives every row once in order, and goes on behind any piece', async () => {
    const ids: bigint[] = [];
    const tokens: string[] = [];
    for await (const { rows, nextPageToken } of client.streamQuery({ table: 'many', columns: ['id'] })) {
      ids.push(...rows.map((row) => shown(row).id as bigint));
      tokens.push(nextPageToken);
    }
    expect(ids).toEqual(Array.from({ length: manyRows }, (_, i) => BigInt(i + 1)));
    expect(tokens.length).toBeGreaterThan(5);
    expect(tokens.at(-1)).toBe('');
    const rest = client.streamQuery({ table: 'many', columns: ['id'], pageToken: tokens[2] ?? '', limit: 10n });
    const [piece] = await piecesOf(rest);
    expect(piece?.rows.map((row) => shown(row).id)).toEqual(Array.from({ length: 10 }, (_, i) => ids[700 + i]));
    expect(piece?.nextPageToken).not.toBe('');
  });

  test('without rows is one piece; an order, a filter and a limit are those of the query', async () => {
    const none = { kind: { case: 'compare' as const, value: { column: 'id', operator: Comparison_Operator.LESS, value: int(0) } } };
    expect((await piecesOf(client.streamQuery({ table: 'many', filter: none }))).map(({ rows, nextPageToken }) => [rows.length, nextPageToken])).toEqual([[0, '']]);
    const pieces = await piecesOf(client.streamQuery({ table: 'many', orderBy: [{ column: 'id', descending: true }], limit: 2_500n, columns: ['id'] }));
    expect(pieces.flatMap(({ rows }) => rows.map((row) => Number(shown(row).id)))).toEqual(Array.from({ length: 2_500 }, (_, i) => manyRows - i));
    await expect(piecesOf(client.streamQuery({ table: 'many', limit: -1n }))).rejects.toThrow('limit: got -1');
    await expect(piecesOf(client.streamQuery({ table: 'mani' }))).rejects.toMatchObject({ reason: 'TABLE_UNKNOWN' });
  });

  test('over HTTP is lines of rows and of where to go on', async () => {
    const answer = await post('/v1/tables/many:streamQuery', { columns: ['id'], limit: 4_100 });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/x-ndjson']);
    const lines = linesOf(answer);
    expect(lines.filter((line) => 'row' in line).map(({ row }) => (row as { id: number }).id)).toEqual(Array.from({ length: 4_100 }, (_, i) => i + 1));
    const tokens = lines.flatMap((line) => ('nextPageToken' in line ? [line.nextPageToken as string] : []));
    expect(tokens.length).toBe(6);
    const next = linesOf(await post('/v1/tables/many:streamQuery', { columns: ['id'], limit: '1', pageToken: tokens[0] }));
    expect(next[0]).toEqual({ row: { id: 101 } });
    const refused = await post('/v1/tables/many:streamQuery', { columns: ['nothing'] });
    expect([refused.status, (refused.json as { reason: string }).reason]).toEqual([400, 'COLUMN_UNKNOWN']);
  });

  test('over HTTP a row is one line, whatever line breaks its JSON was written with', async () => {
    await stage.sql(
      'old',
      `CREATE TABLE written (id int PRIMARY KEY, doc json); INSERT INTO written VALUES (1, E'{"a":\\n  1,\\r\\n "b": "x\\\\ny"}'); GRANT SELECT ON written TO shop_gateway`,
    );
    expect(linesOf(await post('/v1/tables/old.written:streamQuery', {}))).toEqual([{ row: { id: 1, doc: { a: 1, b: 'x\ny' } } }, { nextPageToken: '' }]);
  });

  test('asks a store for no more of wide rows than it gives on', async () => {
    await stage.sql(
      'old',
      `CREATE TABLE wide (id int PRIMARY KEY, filler text NOT NULL); INSERT INTO wide SELECT i, repeat(md5(i::text), 3200) FROM generate_series(1, 200) i; GRANT SELECT ON wide TO shop_gateway`,
    );
    const readBefore = await bytesRead();
    const pieces = await piecesOf(client.streamQuery({ table: 'old.wide' }));
    expect(pieces.flatMap(({ rows }) => rows.map((row) => Number(shown(row).id)))).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
    // 20 MB of rows: the first piece asks for too many, those behind it for twice what they give.
    expect((await bytesRead()) - readBefore).toBeLessThan(120_000_000);
  });

  test('goes on at the store that serves the table by then', async () => {
    const places = new Map<unknown, number>();
    let seen = 0;
    for await (const { rows } of client.streamQuery({ table: 'many' })) {
      for (const row of rows) {
        seen += 1;
        expect(shown(row).id).toBe(BigInt(seen));
        places.set(shown(row).place, (places.get(shown(row).place) ?? 0) + 1);
      }
      // Far more than connections hold is still to come.
      if (places.size === 1 && seen >= 1_000) await route('many', 'new');
    }
    expect(seen).toBe(manyRows);
    expect([...places.keys()]).toEqual(['old', 'new']);
    await route('many', 'old');
  });

  test('a caller that leaves, or does not read, costs no more than a piece', async () => {
    const stream = client.streamQuery({ table: 'many' })[Symbol.asyncIterator]();
    await stream.next();
    await new Promise((resolve) => setTimeout(resolve, 300));
    // What goes on while nobody reads is bounded by what the connection and one piece hold: the store has long stopped being asked.
    expect((await stage.sql('old', `SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop_gateway' AND state <> 'idle'`)).trim()).toBe('0');
    await stream.return?.();
    expect(shown((await client.get({ table: 'many', key: { cells: { id: int(1) } } })).row).id).toBe(1n);
  });
});

test('a gateway that stops does not wait for a caller that takes nothing', async () => {
  const other = await stage.start({ drainLimitMs: 200 });
  const stream = other.client.streamQuery({ table: 'many' })[Symbol.asyncIterator]();
  await stream.next();
  const begunMs = performance.now();
  const ended = other[Symbol.asyncDispose]();
  await expect(
    (async () => {
      while ((await stream.next()).done !== true) await new Promise((resolve) => setTimeout(resolve, 500));
    })(),
  ).rejects.toBeDefined();
  await ended;
  expect(performance.now() - begunMs).toBeLessThan(5_000);
});
