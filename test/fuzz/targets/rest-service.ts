import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DataStore } from '../../../backends/backend.ts';
import { MappedStore } from '../../../backends/http/mapped-store.ts';
import { loadMapping } from '../../../backends/http/mapping.ts';
import { RowTransport } from '../../../backends/http/row-transport.ts';
import { HttpTransport } from '../../../backends/http/transport.ts';
import { ServiceDataStore } from '../../../backends/service/data-store.ts';
import { ForeignDataStore } from '../../../backends/service/foreign-store.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { toGrpcError } from '../../../runtime/grpc-error.ts';
import { problemAnswer } from '../../../runtime/http/http-error.ts';
import { AnsweringServer, wholeAnswer } from '../inputs/answering-server.ts';
import { type Json, strayJson } from '../inputs/random-json.ts';
import { storeCalls } from '../inputs/store-calls.ts';
import type { Random } from '../random.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const limitMs = 5_000;
const longestMessage = 20_000;
const calls = Object.keys(storeCalls);

const types = ['bool', 'int16', 'int64', 'uint64', 'float64', 'decimal', 'text', 'bytes', 'uuid', 'date', 'time', 'timestamptz', 'json', 'enum'];
const jsonOfType: Readonly<Record<string, Json>> = {
  ...{ bool: true, int16: 7, int64: '9007199254740993', uint64: '1', float64: 0.5, decimal: '1.50', text: 'ä', bytes: 'AP8=', uuid: '00000000-0000-4000-8000-000000000000' },
  ...{ date: '2024-02-29', time: '12:00:00', timestamptz: '2024-01-01T00:00:00Z', json: { a: [1] }, enum: 'good' },
};
const problem = (reason: string): Json => ({ reason, detail: 'why', metadata: { table: 'item', more: { deep: 1 } }, retryAfterMs: 5 });

interface Input {
  readonly way: string;
  readonly mapping: unknown;
  readonly calls: readonly string[];
  readonly answers: readonly { readonly status: number; readonly body?: unknown; readonly text?: string; readonly raw?: string }[];
}

function sample(random: Random): Json {
  const names = ['id', ...types.filter(() => random.chance(40))];
  const typeOf = (name: string): string => (name === 'id' ? 'int64' : name);
  const row = (): Json => Object.fromEntries(names.flatMap((name) => (random.chance(95) ? [[name, random.chance(95) ? (jsonOfType[typeOf(name)] ?? null) : null] as const] : [])));
  const path = random.pick(['/items/{id}', '/items/{id}', '/a/{id}/b', '/items', '/{id}{id}', '/ü/{id}']);
  const call = (method: string): Json => ({ method, path, ...(random.chance(30) ? { row: random.pick(['row', 'none']) } : {}) });
  const mapping: Json = {
    ...(random.chance(30) ? { base: '/v1' } : {}),
    headers: random.chance(20) ? { [random.pick(['x-a', 'x a', 'x:\n'])]: random.pick(['a', 'ä', 'a\r\nb: c']) } : {},
    errors: { 409: 'UNIQUE_VIOLATION', 418: 'PRECONDITION_FAILED' },
    tables: {
      item: {
        columns: Object.fromEntries(names.map((name) => [name, { type: typeOf(name), nullable: name !== 'id', hasDefault: random.chance(20), readOnly: random.chance(5) }])),
        primaryKey: ['id'],
        get: call('GET'),
        list: { path: '/items', filters: { id: 'id' }, limit: 'limit', after: 'after', ...(random.chance(50) ? { rows: 'rows' } : {}) },
        insert: call('POST'),
        upsert: call('PUT'),
        update: call('PATCH'),
        delete: call('DELETE'),
      },
    },
  };
  const column = (name: string): Json => ({ name, kind: `COLUMN_KIND_${typeOf(name).toUpperCase()}`, nullable: name !== 'id', nativeType: typeOf(name) });
  const schema: Json = { name: 'item', columns: names.map(column), primaryKey: ['id'], uniqueKeys: [], fingerprint: 'f' };
  const way = random.pick(['mapped', 'foreign', 'foreign', 'peer']);
  const asked = Array.from({ length: 1 + random.below(3) }, () => random.pick(calls));
  const page: Json = {
    rows: [row(), row()],
    nextPageToken: random.pick(['', 'next']),
    tables: ['item', 'shop.item'],
    results: [{ row: row() }],
    entries: [{ row: row() }, {}],
    groups: [{ values: [1, 2] }],
  };
  const body = (name: string): Json => {
    if (way === 'peer') return random.pick<Json>([{ tables: ['item'] }, {}, { row: { values: [] } }, { complete: '5', last: '7' }, { events: [{ kind: 'KIND_INSERT' }] }]);
    if (name === 'listTables') return random.chance(50) ? { tables: ['item'], nextPageToken: '' } : page;
    if (way === 'foreign') return name === 'get' ? row() : page;
    return random.pick<Json>([row(), { row: row() }, [row(), row()], page]);
  };
  const answer = (made: Json): Json => {
    if (random.chance(10))
      return { status: random.pick([200, 404, 409, 418, 500, 503]), body: problem(random.pick(['ROW_NOT_FOUND', 'TABLE_UNKNOWN', 'RULE_FENCED', 'constructor'])) };
    if (random.chance(10))
      return { status: random.pick([200, 204, 302, 404, 500, 99]), text: random.pick(['', 'no JSON', '<html>', '{"a":', '\ufeff{}', '"x"', 'null', '[[['.repeat(200)]) };
    return random.chance(3) ? { status: 200, raw: 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}' } : { status: 200, body: made };
  };
  return {
    way,
    mapping,
    calls: asked,
    answers: [...(way === 'mapped' ? [] : [answer(way === 'peer' ? { schema: peerSchema(schema) } : schema)]), ...asked.map((name) => answer(body(name)))],
  };
}

const peerSchema = ({ columns, ...schema }: { readonly [name: string]: Json }): Json => ({ ...schema, columns: (columns as readonly Json[]).map((column) => ({ column })) });

function answersOf({ answers }: Input): readonly Buffer[] {
  return answers.map(({ status, body, text, raw }) => {
    if (typeof raw === 'string') return Buffer.from(raw);
    return wholeAnswer(Number.isInteger(status) ? status : 200, typeof text === 'string' ? text : JSON.stringify(body ?? {}));
  });
}

const described: TableSchema = {
  name: 'item',
  columns: ['id', 'text'].map((name) => ({ name, kind: name === 'id' ? 'int64' : 'text', nullable: false, hasDefault: false, generated: false, nativeType: name })),
  primaryKey: ['id'],
  uniqueKeys: [],
  fingerprint: 'f',
};

/** A foreign REST service that is called by a mapping file, one that speaks the data API as JSON, and a peer over HTTP: the file and everything that they answer, whatever it is, is a value or a reason. */
export const target: FuzzTarget = {
  name: 'rest-service',
  words: [
    '"tables"',
    '"columns"',
    '"primaryKey"',
    '"get"',
    '"path"',
    '"{id}"',
    '"rows"',
    '"after"',
    '"nextPageToken"',
    '"schema"',
    '"results"',
    '"reason"',
    '"metadata"',
    '__proto__',
    'toString',
    '\\r\\n',
    'transfer-encoding: chunked',
  ],
  changedPercent: 20,
  generate: (random) => Buffer.from(strayJson(random, sample(random), random.pick([0, 0, 1, 3]))),
  open: async () => {
    await using stack = new AsyncDisposableStack();
    const server = stack.use(await AnsweringServer.open());
    const directory = await mkdtemp(join(tmpdir(), 'switchyard-fuzz-'));
    stack.defer(() => rm(directory, { recursive: true }));
    const file = join(directory, 'mapping.yaml');
    const options = { keyspace: 'shop', addresses: [server.address], headers: { accept: 'application/json' }, poolSize: 1, acquireTimeoutMs: limitMs, clock: systemClock };
    const storeOf = async ({ way, mapping }: Input): Promise<DataStore> => {
      if (way === 'foreign') return new ForeignDataStore({ keyspace: 'shop', remoteKeyspace: null, transport: new RowTransport(options) });
      if (way === 'peer') {
        const transport = new HttpTransport({ ...options, login: { user: 'me', secret: 's' }, newId: () => 'call' });
        return new ServiceDataStore({ keyspace: 'shop', remoteKeyspace: 'theirs', transport });
      }
      await writeFile(file, typeof mapping === 'string' ? mapping : JSON.stringify(mapping ?? null));
      return new MappedStore({ ...options, load: () => loadMapping(file, 'shop') });
    };
    const running = stack.move();
    return {
      run: async (bytes) => {
        let input: Input;
        try {
          input = JSON.parse(bytes.toString()) as Input;
          server.answer(answersOf(input));
          if (!Array.isArray(input.calls)) return 'no input';
        } catch {
          return 'no input';
        }
        await using store = await storeOf(input);
        const outcomes: string[] = [];
        let table: TableSchema | null = null;
        const judged = (act: () => Promise<unknown>): Promise<string> =>
          outcomeOf(
            async () => {
              try {
                await act();
              } catch (error) {
                if (error instanceof Error) must(error.message.length < longestMessage, `a message of ${error.message.length} characters`);
                toGrpcError(error);
                problemAnswer(error);
                throw error;
              }
            },
            [],
            // A faulty service is the store's own fault, and may say that it has one.
            bytes.includes('INTERNAL') ? ['STORE_FAILED', 'INTERNAL'] : ['STORE_FAILED'],
          );
        const signal = AbortSignal.timeout(limitMs);
        outcomes.push(
          await judged(async () => {
            table = await store.describe('item', signal);
          }),
        );
        for (const name of input.calls.slice(0, 3)) {
          const call = typeof name === 'string' && Object.hasOwn(storeCalls, name) ? storeCalls[name] : undefined;
          if (call !== undefined) outcomes.push(await judged(() => call(store, table ?? described, signal)));
        }
        must(!signal.aborted, `a call that goes on for ${limitMs} ms`);
        for (const { line } of server.asked) must(/^(GET|POST|PUT|PATCH|DELETE) \/[!-~]* HTTP\/1\.1$/.test(line), `a request that begins with ${line.slice(0, 200)}`);
        return `${typeof input.way === 'string' ? input.way : 'mapped'}: ${[...new Set(outcomes)].toSorted().join(', ')}`.slice(0, 100);
      },
      [Symbol.asyncDispose]: () => running.disposeAsync(),
    };
  },
};
