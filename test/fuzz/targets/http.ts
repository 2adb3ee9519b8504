import { gzipSync } from 'node:zlib';
import { type Json, randomJson, strayJson } from '../inputs/random-json.ts';
import { answersIn, exchange, type RawAnswer, rawRequest } from '../inputs/raw-http.ts';
import { columnNames, sqlColumn, sqlTable, tableNames } from '../inputs/shop-file.ts';
import { startShopGateway } from '../inputs/shop-gateway.ts';
import { nastyTexts } from '../mutate.ts';
import type { Random } from '../random.ts';
import { Finding, type FuzzTarget, must } from '../target.ts';
import { isReason } from '../verdict.ts';

const row: Json = {
  name: 'n',
  amount: '5',
  price: '1.5',
  seen: '2026-01-01T00:00:00Z',
  day: '2024-02-29',
  at_time: '12:00:00',
  doc: { a: [1, 1.0] },
  raw: 'AP+A',
  mood: 'calm',
  ratio: 'NaN',
  flag: true,
  huge: '18446744073709551615',
};
const filter: Json = {
  and: [
    { compare: { column: 'amount', operator: 'GREATER', value: '1' } },
    { not: { isNull: { column: 'name' } } },
    { in: { column: 'id', values: ['1', '2'] } },
    { prefix: { column: 'name', text: 'a' } },
  ],
};
const mutation: Json = {
  mutations: [
    { insert: { table: 'item', row } },
    { update: { table: 'item', key: { id: '1' }, add: { amount: '1' }, precondition: filter } },
    { delete: { table: 'line', key: { item_id: '1', line: 'b' }, allowMissing: true } },
  ],
};

const segment = (text: string): string => encodeURIComponent(text.toWellFormed());
const table = (random: Random): string => segment(random.chance(70) ? 'item' : random.chance(80) ? random.pick(tableNames) : random.pick(nastyTexts));
const key = (random: Random): string =>
  random.chance(60) ? random.pick(['1', '2', '99']) : random.pick(['1,a', '1,b', '', '%', '%zz', ',,,', 'a%2Cb', segment(random.pick(nastyTexts)), '9'.repeat(30)]);
const columns = (random: Random): string => Array.from({ length: random.size(4) }, () => segment(random.pick(columnNames))).join(random.pick([',', '&columns=', '%2C']));

function bodyHeaders(random: Random, body: Buffer): readonly [readonly string[], Buffer] {
  const type = random.chance(92) ? 'Content-Type: application/json' : random.pick(['Content-Type: application/json; charset="utf-8"', 'Content-Type: text/plain', 'Content-Type:']);
  if (random.chance(10)) return [[type, 'Content-Encoding: gzip'], random.chance(80) ? gzipSync(body) : body];
  if (random.chance(2)) return [[type, 'Content-Encoding: gzip'], gzipSync(Buffer.alloc(20 * 2 ** 20, random.pick(['[', ' ', '0'])))];
  if (random.chance(10)) {
    const half = Math.floor(body.length / 2);
    const chunk = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from(`${bytes.length.toString(16)}${random.pick(['', ';x=y'])}\r\n`), bytes, Buffer.from('\r\n')]);
    const parts = [...[body.subarray(0, half), body.subarray(half)].filter(({ length }) => length > 0).map(chunk), Buffer.from('0\r\n\r\n')];
    return [[type, 'Transfer-Encoding: chunked'], Buffer.concat(parts)];
  }
  if (random.chance(5)) return [[type, `Content-Length: ${random.pick(['0', '-1', '1e3', String(body.length + 5), '99999999999', '5\r\nContent-Length: 6'])}`], body];
  return [[type], body];
}

function extraHeaders(random: Random): readonly string[] {
  const headers: string[] = [];
  const nasty = (): string =>
    random
      .pick(nastyTexts)
      .toWellFormed()
      .replaceAll(/[\r\n\0]/g, '');
  if (random.chance(6)) headers.push(`If-Match: ${random.pick(['*', '"x"', 'W/"x"', '"a", "b"', nasty()])}`);
  if (random.chance(4)) headers.push(`If-None-Match: ${random.pick(['*', '"x"', nasty()])}`);
  if (random.chance(20)) headers.push(`Idempotency-Key: ${random.pick(['id-1', '"id-2"', '""', nasty()])}`);
  if (random.chance(10)) headers.push(`Switchyard-Caller: ${random.pick(['me', 'two words', nasty()])}`);
  if (random.chance(10)) headers.push(`X-Request-Timeout: ${random.pick(['1s', '1.5s', '0s', '250ms', '-1s', '1e9s', nasty()])}`);
  if (random.chance(10)) headers.push(`Accept-Encoding: ${random.pick(['gzip', 'gzip;q=0', '*;q=x', nasty()])}`);
  if (random.chance(3)) headers.push(...Array.from({ length: random.pick([90, 101, 300]) }, (_, index) => `X-${index}: ${index}`));
  if (random.chance(2)) headers.push(`X-Long: ${'x'.repeat(20_000)}`);
  if (random.chance(3))
    headers.push(random.pick(['Expect: 100-continue', 'Connection: upgrade\r\nUpgrade: h2c', 'Connection: close', 'Host: evil.example', 'Host: other', 'Expect: nothing']));
  return headers;
}

function requestOf(random: Random): Buffer {
  const one = (method: string, path: string, body?: string): Buffer => {
    const query = random.chance(15)
      ? `?${random.pick(['columns=', 'returning=', 'consistency=', 'updateMask=', 'pageSize=', 'precondition=', 'x='])}${random.chance(60) ? columns(random) : segment(JSON.stringify(randomJson(random)))}`
      : '';
    if (body === undefined) return rawRequest(method, `${path}${query}`, extraHeaders(random));
    const [headers, bytes] = bodyHeaders(random, Buffer.from(body));
    return rawRequest(method, `${path}${query}`, [...headers, ...extraHeaders(random)], bytes);
  };
  const rows = (): string => `/v1/tables/${table(random)}/rows`;
  const percent = random.pick([0, 0, 1, 4]);
  switch (random.below(11)) {
    case 0:
      return one(random.pick(['GET', 'HEAD']), `${rows()}/${key(random)}`);
    case 1:
      return one('POST', `/v1/tables/${table(random)}:batchGet`, strayJson(random, { keys: [{ id: '1' }, { id: '77' }], columns: ['name'] }, percent));
    case 2:
      return one(
        'POST',
        `/v1/tables/${table(random)}:query`,
        strayJson(random, { filter, orderBy: [{ column: 'name', descending: true }], columns: ['name', 'seen'], pageSize: 2, pageToken: '' }, percent),
      );
    case 3:
      return one('POST', rows(), strayJson(random, row, percent));
    case 4:
      return one('PUT', `${rows()}/${key(random)}`, strayJson(random, random.chance(70) ? row : { [sqlColumn]: 'z' }, percent));
    case 5:
      return one('PATCH', `${rows()}/${key(random)}`, strayJson(random, { amount: '7', price: null }, percent));
    case 6:
      return one('DELETE', `${rows()}/${key(random)}`);
    case 7:
      return one('POST', '/v1:mutate', strayJson(random, mutation, percent));
    case 8:
      return one(
        'GET',
        random.pick([
          '/v1/tables',
          `/v1/tables/${table(random)}`,
          '/openapi.json',
          '/healthz',
          '//',
          '*',
          'http://localhost/v1/tables',
          '/v1/tables/../x',
          `/v1/tables/${segment(sqlTable)}/rows/1`,
        ]),
      );
    case 9:
      return one('POST', `/v1/tables/item:query`, `${random.pick(['[', '{"a":', '{"filter":{"not":'])}`.repeat(random.pick([50, 101, 30_000])));
    default:
      return one(
        random.pick(['GET', 'PUT', 'OPTIONS', 'TRACE', 'CONNECT', 'PRI', 'POST', 'get']),
        `/${random
          .pick(nastyTexts)
          .toWellFormed()
          .replaceAll(/[\r\n\0 ]/g, '')}`,
        random.chance(50) ? JSON.stringify(randomJson(random)) : undefined,
      );
  }
}

/** The data API over HTTP, from the socket on. The first byte says after how many bytes the first piece ends; the rest is what is sent down one connection. */
export const target: FuzzTarget = {
  name: 'http',
  words: [
    ...tableNames,
    ...columnNames,
    '\r\n',
    '\r\n\r\n',
    'GET ',
    ' HTTP/1.1',
    ' HTTP/1.0',
    'Host: localhost\r\n',
    'Content-Length: 5\r\n',
    'Transfer-Encoding: chunked\r\n',
    '0\r\n\r\n',
    '{"',
    '":',
    '"}',
    '%00',
    '%2F',
    '/v1/tables/',
    ':query',
    ':mutate',
    '\\u0000',
    '\\ud800',
  ],
  changedPercent: 30,
  generate: (random) => Buffer.concat([random.bytes(1), ...Array.from({ length: random.chance(85) ? 1 : 1 + random.below(4) }, () => requestOf(random))]),
  open: async () => {
    const gateway = await startShopGateway();
    return {
      run: async (input) => {
        const answers = answersIn(await exchange(gateway.httpAddress, input.subarray(1), input[0] ?? 0));
        for (const answer of answers) judge(answer);
        return answers.length === 0 ? 'closed' : answers.length > 1 ? `${answers.length} answers` : String(answers[0]?.status);
      },
      check: () => gateway.check(),
      [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
    };
  },
};

/** A finding: a failure without a problem document, one whose reason is not in the catalogue, or a fault of ours. */
export function judge({ status, headers, body }: RawAnswer): void {
  if (status < 400 || body.length === 0) return;
  must(headers.get('content-type') === 'application/problem+json', `${status} without a problem document: ${JSON.stringify(body.toString().slice(0, 200))}`);
  let problem: { readonly reason?: unknown; readonly detail?: unknown; readonly status?: unknown };
  try {
    problem = JSON.parse(body.toString()) as typeof problem;
  } catch (cause) {
    throw new Finding('answer', `${status} with a problem document that is no JSON`, cause);
  }
  const { reason, detail } = problem;
  must(typeof reason === 'string' && isReason(reason), `${status} with the reason ${String(reason)}, which is not in the catalogue`);
  must(reason !== 'INTERNAL' && reason !== 'STORE_FAILED', `bad input is answered with ${reason}: ${String(detail)}`);
  must(typeof detail === 'string' && detail.trim() !== '', `${reason} says nothing`);
  must(problem.status === status, `status ${status} with a document of status ${String(problem.status)}`);
}
