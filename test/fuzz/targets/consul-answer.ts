import { createServer, type Socket } from 'node:net';
import { systemClock } from '../../../runtime/clock.ts';
import { ConsulClient } from '../../../topo/consul-client.ts';
import { ConsulTransport } from '../../../topo/consul-transport.ts';
import { CONSISTENT } from '../../../topo/kv-client.ts';
import { type Json, randomJson, strayJson } from '../inputs/random-json.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const never = new AbortController().signal;
const item: Json = { LockIndex: 0, Key: 'a', Flags: 0, Value: 'e30=', CreateIndex: 3, ModifyIndex: 4, Session: 's' };
/** What each call is answered with when all is well. */
const goods: readonly Json[] = [
  [item],
  [item, item],
  ['a', 'a/b'],
  { Results: [{ KV: item }], Errors: null },
  { Results: null, Errors: [{ OpIndex: 0, What: 'w' }] },
  { ID: 's' },
  [{ ID: 's', Name: 'n' }],
  true,
];

/** The calls, by the first byte of an input. */
const calls: readonly ((client: ConsulClient) => Promise<unknown>)[] = [
  async (client) => {
    const { items, index } = await client.get('a', CONSISTENT, never);
    must(Number.isSafeInteger(index) && index >= 1, `index ${index}`);
    for (const one of items) must(typeof one.key === 'string' && Buffer.isBuffer(one.value), 'an item that is none');
  },
  (client) => client.list('a', { kind: 'stale' }, never),
  (client) => client.keys('a', never),
  async (client) => {
    for (const [key, { value }] of await client.snapshot(['a'], never)) must(typeof key === 'string' && Buffer.isBuffer(value), 'an item that is none');
  },
  async (client) => {
    const outcome = await client.write([{ verb: 'set', key: 'a', value: Buffer.from('{}') }], never);
    must(outcome.kind === 'refused' || Number.isFinite(outcome.modifyIndex), 'written without an index');
  },
  (client) => client.createSession('n', 10_000, never),
  (client) => client.sessionIds(never),
  (client) => client.renewSession('s', never, 2_000),
  (client) => client.destroySession('s', never),
];

/** Answers of something that is no Consul, or a broken one. The first byte chooses the call, the rest is what comes back down the connection. */
export const target: FuzzTarget = {
  name: 'consul-answer',
  words: [
    'HTTP/1.1 200 OK\r\n',
    'HTTP/1.1 409 Conflict\r\n',
    'X-Consul-Index: 5\r\n',
    'Content-Type: application/json\r\n',
    'Content-Encoding: gzip\r\n',
    '\r\n\r\n',
    '"Key"',
    '"Value"',
    '"ModifyIndex"',
    'null',
    '1e999',
  ],
  changedPercent: 40,
  generate: (random) => {
    const call = random.below(calls.length);
    const body = random.chance(80)
      ? strayJson(random, random.chance(70) ? (goods[call] ?? true) : random.pick(goods), random.pick([0, 3, 8]))
      : random.chance(50)
        ? JSON.stringify(randomJson(random))
        : 'rpc error';
    const status = random.pick([
      '200 OK',
      '200 OK',
      '404 Not Found',
      '409 Conflict',
      '403 Forbidden',
      '500 Internal Server Error',
      '302 Found\r\nLocation: /x',
      '100 Continue',
      '204 No Content',
    ]);
    const index = random.pick(['X-Consul-Index: 5\r\n', 'X-Consul-Index: 0\r\n', 'X-Consul-Index: x\r\n', '', 'X-Consul-Index: 99999999999999999999\r\n']);
    return Buffer.concat([
      Buffer.from([call]),
      Buffer.from(`HTTP/1.1 ${status}\r\nContent-Type: application/json\r\n${index}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`),
    ]);
  },
  open: async () => {
    let answer = Buffer.alloc(0);
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
      socket.once('data', () => socket.end(answer));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    return {
      run: async (input) => {
        const call = calls[(input[0] ?? 0) % calls.length] as (typeof calls)[number];
        answer = Buffer.from(input.subarray(1));
        await using transport = new ConsulTransport({ address: `http://127.0.0.1:${port}`, maxConnections: 2, clock: systemClock });
        return await outcomeOf(() => call(new ConsulClient({ transport, requestTimeoutMs: 5_000 })));
      },
      [Symbol.asyncDispose]: async () => {
        for (const socket of sockets) socket.destroy();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  },
};
