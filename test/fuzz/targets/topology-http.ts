import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../runtime/clock.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { startEmbeddedTopology } from '../../../topo/embedded/embedded-topology.ts';
import { type Json, randomJson, strayJson } from '../inputs/random-json.ts';
import { answersIn, exchange, rawRequest } from '../inputs/raw-http.ts';
import { nastyTexts } from '../mutate.ts';
import type { Random } from '../random.ts';
import { Finding, type FuzzTarget, must } from '../target.ts';

const goodKey = 'good/key';
const goodValue = 'never touched';
const transaction: Json = [
  { KV: { Verb: 'set', Key: 'a/b', Value: 'e30=' } },
  { KV: { Verb: 'cas', Key: 'a/c', Value: 'e30=', Index: 0 } },
  { KV: { Verb: 'get-tree', Key: 'a/' } },
  { KV: { Verb: 'check-session', Key: 'a/b', Session: 's' } },
];
const session: Json = { Name: 'n', TTL: '10s', Behavior: 'release', LockDelay: '0s', Checks: [] };
const id = '00000000-0000-4000-8000-000000000000';

const key = (random: Random): string => random.pick(['a/b', 'a/c', 'a/', '', 'a%2Fb', '%', '%00', '/x', encodeURIComponent(random.pick(nastyTexts).toWellFormed())]);

function query(random: Random): string {
  const names = ['recurse', 'keys', 'raw', 'cas', 'acquire', 'release', 'flags', 'index', 'wait', 'consistent', 'stale', 'separator', 'dc', 'hash', 'x'];
  const one = (): string =>
    `${random.pick(names)}${random.chance(60) ? `=${random.pick(['0', '1', '5', '-1', '1e3', '99999999999999999999', '1ms', '1h1m', '0.5', id, encodeURIComponent(random.pick(nastyTexts).toWellFormed())])}` : ''}`;
  const list = Array.from({ length: random.size(4) }, one);
  // A blocking query may wait for minutes, which is no hang.
  if (list.some((text) => text.startsWith('index'))) list.push('wait=1ms');
  return list.length === 0 ? '' : `?${list.join('&')}`;
}

function requestOf(random: Random): Buffer {
  const percent = random.pick([0, 3, 8]);
  switch (random.below(8)) {
    case 0:
    case 1:
      return rawRequest(random.pick(['GET', 'DELETE', 'HEAD', 'OPTIONS']), `/v1/kv/${key(random)}${query(random)}`, []);
    case 2:
      return rawRequest('PUT', `/v1/kv/${key(random)}${query(random)}`, [], random.chance(98) ? random.pick(nastyTexts) : Buffer.alloc(600 * 1024, 'x'));
    case 3:
    case 4:
      return rawRequest('PUT', `/v1/txn${query(random)}`, [], strayJson(random, transaction, percent));
    case 5:
      return rawRequest('PUT', '/v1/session/create', [], random.chance(90) ? strayJson(random, session, percent) : JSON.stringify(randomJson(random)));
    case 6:
      return rawRequest(
        random.pick(['GET', 'PUT']),
        `/v1/session/${random.pick(['renew', 'destroy', 'info', 'list', 'node', 'x'])}/${random.pick([id, 'x', ''])}${query(random)}`,
        [],
      );
    default:
      return rawRequest(
        'GET',
        random.pick([
          '/v1/status/leader',
          '/v1/agent/self',
          '/v1/catalog/nodes',
          '/',
          '//',
          '/v1/agent/service/x',
          `/${encodeURIComponent(random.pick(nastyTexts).toWellFormed())}`,
        ]),
        random.chance(20) ? ['Host: evil.example'] : [],
      );
  }
}

/** The embedded topology's HTTP API, from the socket on. The first byte says after how many bytes the first piece ends. */
export const target: FuzzTarget = {
  name: 'topology-http',
  words: [
    '\r\n',
    'PUT ',
    ' HTTP/1.1',
    'Content-Length: 5\r\n',
    'Transfer-Encoding: chunked\r\n',
    '"KV"',
    '"Verb"',
    '"lock"',
    '"Value"',
    '"Index"',
    '?recurse',
    '?cas=0',
    '&wait=1ms',
  ],
  changedPercent: 30,
  generate: (random) => Buffer.concat([random.bytes(1), ...Array.from({ length: random.chance(85) ? 1 : 1 + random.below(4) }, () => requestOf(random))]),
  open: async () => {
    await using stack = new AsyncDisposableStack();
    const directory = await mkdtemp(join(tmpdir(), 'switchyard-fuzz-'));
    stack.defer(() => rm(directory, { recursive: true, force: true }));
    const server = stack.use(
      await startEmbeddedTopology({
        dataDir: join(directory, 'data'),
        clock: systemClock,
        log: createLogger('fuzz', 'silent'),
        newId: () => randomUUID(),
        random: () => 0,
        leastTtlMs: 1,
      }),
    );
    const url = `${server.address}/v1/kv/${goodKey}`;
    const writeGood = () => fetch(url, { method: 'PUT', body: goodValue });
    await writeGood();
    const running = stack.move();
    return {
      run: async (input) => {
        const text = input.toString('latin1');
        // Waiting is what a blocking query is for, and a tree may be deleted by its prefix.
        if (/[?&]index/.test(text) && !/wait=1ms/.test(text)) return 'left out';
        const answers = answersIn(await exchange(new URL(server.address).host, input.subarray(1), input[0] ?? 0));
        for (const { status, headers, body } of answers) {
          const shown = body.toString().slice(0, 200);
          // Consul's own status for an unknown session.
          must(status < 500 || status === 501 || /session/i.test(shown), `${status}: ${shown}`);
          // What never became a request is refused by the HTTP library, without a body.
          must(
            status < 400 || status === 404 || !headers.has('date') || status === 409 || body.length > 0 || Number(headers.get('content-length')) > 0,
            `${status} without a text`,
          );
        }
        return answers.length === 0 ? 'closed' : answers.length > 1 ? `${answers.length} answers` : String(answers[0]?.status);
      },
      check: async () => {
        if (server.failed.aborted) throw new Finding('state', 'the log cannot be written any more');
        await writeGood();
        const answer = await fetch(`${url}?raw`);
        if (answer.status !== 200 || (await answer.text()) !== goodValue) throw new Finding('state', 'a good key is not served any more');
      },
      [Symbol.asyncDispose]: () => running.disposeAsync(),
    };
  },
};
