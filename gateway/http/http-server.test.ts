import { connect, type Socket } from 'node:net';
import { expect, test } from '@jest/globals';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { systemClock } from '../../runtime/clock.ts';
import { bindingsOf } from '../../runtime/http/bindings.ts';
import type { HttpAnswer } from '../../runtime/http/http-error.ts';
import { type HttpDoor, type HttpServerOptions, serveHttp } from './http-server.ts';

/* The door's connections, over plain sockets: what no well-behaved client does. */

const answerOf = (body: string): HttpAnswer => ({ status: 200, headers: { 'content-type': 'application/json' }, body });

const serve = (more: Partial<HttpServerOptions> = {}): Promise<HttpDoor> =>
  serveHttp({
    listen: { host: '127.0.0.1', port: 0 },
    clock: systemClock,
    api: { answer: async () => answerOf('{}') },
    bindings: bindingsOf(DataService),
    openApi: async () => '{}',
    isServing: () => true,
    defaultDeadlineMs: 10_000,
    streamDeadlineMs: 60_000,
    onFault: () => undefined,
    ...more,
  });

class Caller {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  text = '';
  bytes = 0;

  constructor({ address }: HttpDoor) {
    const { hostname, port } = new URL(`http://${address}`);
    this.socket = connect(Number(port), hostname);
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      if (this.text.length < 100_000) this.text += chunk.toString('latin1');
    });
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
  }

  /** Sends a request and takes nothing once the first of its answer has come. */
  sleepAt(path: string): Promise<void> {
    this.socket.write(request(path));
    return new Promise((resolve) =>
      this.socket.once('data', () => {
        this.socket.pause();
        resolve();
      }),
    );
  }

  async until(holds: () => boolean): Promise<void> {
    for (let i = 0; i < 500 && !holds(); i += 1) await systemClock.sleep(10);
    expect([this.text.slice(0, 2_000), this.bytes, holds()]).toEqual([expect.any(String), expect.any(Number), true]);
  }
}

const request = (path: string, host = 'localhost'): string => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
const put = (key: number): string => `PUT /v1/tables/t/rows/${key} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`;

test.each([
  ['without a Host', 'GET /healthz HTTP/1.1\r\n\r\n', 400],
  ['that expects something unknown', 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: wonders\r\n\r\n', 417],
])('a request %s is refused with a reason', async (_, text, status) => {
  const door = await serve();
  const caller = new Caller(door);
  caller.socket.end(text);
  await caller.closed;
  await door.close(0);
  expect(caller.text).toMatch(new RegExp(`^HTTP/1.1 ${status} .*"reason":"HTTP_REQUEST_INVALID"`, 's'));
});

/** An API whose calls, named by their keys, end when they are told to. */
function gated() {
  const events: string[] = [];
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const gate = (key: string): PromiseWithResolvers<void> => {
    const found = gates.get(key) ?? Promise.withResolvers<void>();
    gates.set(key, found);
    return found;
  };
  const api: HttpServerOptions['api'] = {
    answer: async ({ call }, readBody) => {
      const key = call.variables.get('key') ?? '';
      events.push(`begins ${key}`);
      if (call.binding.body !== null) await readBody();
      await gate(key).promise;
      events.push(`ends ${key}`);
      return answerOf(`{"key":${key}}`);
    },
  };
  return { events, api, end: (key: string): void => gate(key).resolve() };
}

test('requests that come at once down one connection are done one after the other, however long one takes', async () => {
  const { events, api, end } = gated();
  const door = await serve({ api, sendLimitMs: 100 });
  const caller = new Caller(door);
  caller.socket.write(put(1) + put(2) + request('/v1/tables/t/rows/3'));
  end('2');
  end('3');
  while (events.length === 0) await systemClock.sleep(5);
  await systemClock.sleep(50);
  expect(events).toEqual(['begins 1']);
  end('1');
  await caller.until(() => caller.text.includes('{"key":3}'));
  expect(events).toEqual([1, 2, 3].flatMap((key) => [`begins ${key}`, `ends ${key}`]));
  expect(caller.text.match(/\{"key":\d\}/g)).toEqual(['{"key":1}', '{"key":2}', '{"key":3}']);
  // Behind an answer that was sent, the limit of sending no longer counts.
  caller.socket.write(put(4) + put(5));
  end('4');
  await caller.until(() => caller.text.includes('{"key":4}'));
  await systemClock.sleep(400);
  end('5');
  await caller.until(() => caller.text.includes('{"key":5}'));
  await door.close(1_000);
});

test("a connection's error is never written in the place of an answer that is still to come", async () => {
  const { events, api, end } = gated();
  const door = await serve({ api });
  const caller = new Caller(door);
  caller.socket.write(put(1) + put(2));
  end('1');
  await caller.until(() => events.includes('begins 2'));
  caller.socket.write('no HTTP at all\r\n\r\n');
  await caller.closed;
  expect(caller.text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200']);
  const alone = new Caller(door);
  alone.socket.write('no HTTP at all\r\n\r\n');
  await alone.closed;
  expect(alone.text).toContain('HTTP/1.1 400');
  end('2');
  await door.close(1_000);
});

test('what waits behind a connection that is closed, or behind an answer that closes it, is not begun', async () => {
  const { events, api, end } = gated();
  const door = await serve({ api });
  const gone = new Caller(door);
  gone.socket.write(put(1) + put(2));
  await gone.until(() => events.includes('begins 1'));
  gone.socket.destroy();
  const last = new Caller(door);
  last.socket.write(put(3).replace('\r\n', '\r\nConnection: close\r\n') + put(4));
  end('3');
  await last.closed;
  end('1');
  await systemClock.sleep(50);
  expect(events.filter((event) => event.startsWith('begins'))).toEqual(['begins 1', 'begins 3']);
  const greedy = new Caller(door);
  greedy.socket.write(put(5) + request('/healthz').repeat(200));
  await greedy.closed;
  expect(greedy.text).toBe('');
  end('5');
  await door.close(1_000);
});

const large = 24 * 1024 * 1024;
const largeBody = `"${'x'.repeat(large)}"`;

test('a door that closes sends what it has begun to send, and lets go of idle connections at once', async () => {
  const door = await serve({ openApi: async () => largeBody });
  const idle = new Caller(door);
  idle.socket.write(request('/healthz'));
  await idle.until(() => idle.text.includes('SERVING'));
  const caller = new Caller(door);
  await caller.sleepAt('/openapi.json');
  await systemClock.sleep(100);
  const closed = door.close(8_000);
  await idle.closed;
  await systemClock.sleep(100);
  caller.socket.resume();
  await caller.closed;
  expect(caller.bytes).toBeGreaterThan(large);
  await closed;
});

test('a door that closes cuts at its limit who does not read', async () => {
  const door = await serve({ openApi: async () => largeBody });
  const caller = new Caller(door);
  await caller.sleepAt('/openapi.json');
  const startedAt = performance.now();
  await door.close(300);
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  caller.socket.destroy();
});

test('a reader that sleeps is let go, one that is slow is not', async () => {
  const door = await serve({ openApi: async () => largeBody, sendLimitMs: 700 });
  const [asleep, slow] = [new Caller(door), new Caller(door)];
  await Promise.all([asleep, slow].map((caller) => caller.sleepAt('/openapi.json')));
  for (let i = 0; i < 12 && slow.bytes < large; i += 1) {
    slow.socket.pause();
    await systemClock.sleep(100);
    const before = slow.bytes;
    slow.socket.resume();
    await slow.until(() => slow.bytes > Math.min(before + 1_000_000, large));
  }
  await slow.until(() => slow.bytes > large);
  await systemClock.sleep(1_700); // twice the limit, and some more
  asleep.socket.resume();
  await asleep.closed;
  expect(asleep.bytes).toBeLessThan(large);
  await door.close(1_000);
});

test('more connections than are taken are closed at once', async () => {
  const door = await serve({ maxConnections: 1 });
  const first = new Caller(door);
  first.socket.write(request('/healthz'));
  await first.until(() => first.text.includes('SERVING'));
  const second = new Caller(door);
  second.socket.write(request('/healthz'));
  await second.closed;
  expect(second.text).toBe('');
  await door.close(1_000);
});

test("a name that is somebody else's is refused, whatever is asked", async () => {
  const door = await serve({ hostNames: ['Gateway.Internal'] });
  const caller = new Caller(door);
  caller.socket.write(['127.0.0.1:7111', 'gateway.internal:7111', 'evil.example:7111'].map((host) => request('/healthz', host)).join(''));
  await caller.until(() => caller.text.includes('evil.example'));
  expect(caller.text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 421']);
  expect(caller.text).toMatch(/Host: got \\"evil\.example:7111\\"; must be an IP address/);
  await door.close(1_000);
});
