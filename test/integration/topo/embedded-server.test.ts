import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../../runtime/clock.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { type EmbeddedTopology, type EmbeddedTopologyOptions, startEmbeddedTopology } from '../../../topo/embedded/embedded-topology.ts';
import { runCommand } from '../../support/servers/command.ts';
import { EmbeddedTopologyServer } from '../../support/servers/embedded-topology.ts';

/* What the embedded topology is beside what Consul is: inside a process, bounded, durable, and plain about what it does not serve. */

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchyard-embedded-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const start = (options: Partial<EmbeddedTopologyOptions> = {}): Promise<EmbeddedTopology> =>
  startEmbeddedTopology({ dataDir: directory, clock: systemClock, log: createLogger('topology', 'silent'), newId: randomUUID, random: Math.random, ...options });
const put = async (address: string, key: string, value: string): Promise<void> => {
  const response = await fetch(`${address}/v1/kv/${key}`, { method: 'PUT', body: value });
  if ((await response.text()) !== 'true') throw new Error(`not put: ${response.status}`);
};
const get = (address: string, path: string): Promise<Response> => fetch(`${address}/v1/${path}`, { signal: AbortSignal.timeout(10_000) });

describe('inside a process', () => {
  test('it listens on loopback, and a second one begins where the first one ended', async () => {
    {
      await using topology = await start();
      expect(topology.address).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
      await put(topology.address, 'a', '1');
      await expect(start()).rejects.toThrow(/is in use by another/);
      expect(topology.failed.aborted).toBe(false);
    }
    await using topology = await start();
    expect(await (await get(topology.address, 'kv/a?raw')).text()).toBe('1');
  });

  test('its end answers those who wait, and does not take long', async () => {
    const topology = await start();
    await put(topology.address, 'a', '1');
    const index = Number((await get(topology.address, 'kv/a')).headers.get('x-consul-index'));
    const waiting = get(topology.address, `kv/a?index=${index}&wait=60s`).then((response) => response.text());
    await systemClock.sleep(100);
    const begunAtMs = performance.now();
    await topology[Symbol.asyncDispose]();
    await waiting.catch(() => undefined);
    expect(performance.now() - begunAtMs).toBeLessThan(1_900);
    await expect(get(topology.address, 'kv/a')).rejects.toThrow();
  });

  test('more blocking queries than it takes are refused, and the others go on', async () => {
    await using topology = await start({ maxBlockingQueries: 3 });
    await put(topology.address, 'a', '1');
    const index = Number((await get(topology.address, 'kv/a')).headers.get('x-consul-index'));
    const ask = () => get(topology.address, `kv/a?index=${index}&wait=30s`).then((response) => response.status);
    const waiting = [ask(), ask(), ask()];
    await systemClock.sleep(100);
    expect(await ask()).toBe(429);
    await put(topology.address, 'a', '2');
    expect(await Promise.all(waiting)).toEqual([200, 200, 200]);
  });

  test('more connections than it takes are closed, and it goes on when some have left', async () => {
    await using topology = await start({ maxConnections: 2 });
    const { hostname, port } = new URL(topology.address);
    const open = async (): Promise<{ readonly socket: Socket; readonly closed: Promise<boolean> }> => {
      const socket = connect(Number(port), hostname);
      const closed = new Promise<boolean>((resolve) => socket.once('close', () => resolve(true)));
      socket.on('error', () => undefined);
      await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
      return { socket, closed };
    };
    const [first, second] = [await open(), await open()];
    await systemClock.sleep(50);
    const third = await open();
    expect(await Promise.race([third.closed, systemClock.sleep(5_000).then(() => false)])).toBe(true);
    for (const { socket, closed } of [first, second]) {
      socket.destroy();
      await closed;
    }
    await systemClock.sleep(50);
    await put(topology.address, 'a', '1');
  });

  test("a name that is somebody else's is refused, in the header Host", async () => {
    await using topology = await start();
    const { hostname, port } = new URL(topology.address);
    const statusOf = (host: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect(Number(port), hostname, () => socket.write(`GET /v1/status/leader HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`));
        let text = '';
        socket.on('data', (chunk) => {
          text += chunk.toString();
        });
        socket.once('error', reject);
        socket.once('close', () => resolve(text));
      });
    expect(await statusOf(`localhost:${port}`)).toMatch(/^HTTP\/1\.1 200 /);
    expect(await statusOf(`evil.example:${port}`)).toMatch(/^HTTP\/1\.1 421 .*Host: got "evil\.example:\d+"/s);
  });

  const valueBytes = 500_000;
  /** Asks for many megabytes and takes nothing once the first of them have come. */
  async function sleepingReader(address: string) {
    for (let n = 0; n < 40; n += 1) await put(address, `large/${n}`, 'x'.repeat(valueBytes));
    const { hostname, port } = new URL(address);
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const chunks: Buffer[] = [];
    const begun = Promise.withResolvers<void>();
    socket.on('data', (chunk) => {
      if (chunks.push(chunk) > 1) return;
      socket.pause();
      begun.resolve();
    });
    socket.write('GET /v1/kv/large/?recurse HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await begun.promise;
    return { socket, closed, text: () => Buffer.concat(chunks).toString('latin1') };
  }

  test('its end sends to the end what it has begun to send', async () => {
    const topology = await start();
    const { socket, closed, text } = await sleepingReader(topology.address);
    const ended = topology[Symbol.asyncDispose]();
    await systemClock.sleep(300);
    socket.resume();
    await closed;
    await ended;
    const [head = '', body = ''] = text().split('\r\n\r\n');
    expect(body).toHaveLength(Number(/content-length: (\d+)/i.exec(head)?.[1]));
  });

  test('a reader that sleeps is let go', async () => {
    await using topology = await start({ sendLimitMs: 200 });
    const { socket, closed, text } = await sleepingReader(topology.address);
    await systemClock.sleep(1_000);
    socket.resume();
    await Promise.race([closed, systemClock.sleep(5_000).then(() => Promise.reject(new Error('not let go')))]);
    expect(text().length).toBeLessThan(40 * valueBytes);
  });

  test.each([
    ['GET', 'catalog/nodes', 501, '/v1/catalog/nodes is not served', ''],
    ['GET', 'snapshot', 501, '/v1/snapshot is not served', ''],
    ['PUT', 'acl/token', 501, 'not served', ''],
    ['GET', 'kv/a?dc=dc2', 501, '"dc"', ''],
    ['GET', 'kv/a?ns=other', 501, '"ns"', ''],
    ['GET', 'unheard/of', 404, 'there is nothing at /v1/unheard/of', ''],
    ['GET', 'kv//a', 400, 'slash', ''],
    ['GET', 'kv/%ff', 400, 'percent-encoded', ''],
    ['PUT', 'kv/a?cas=1.5', 400, '"cas"', ''],
    ['PUT', 'kv/a?flags=18446744073709551615', 400, '"flags"', ''],
    ['PUT', 'session/renew/nobody', 400, 'UUID', ''],
    ['PUT', 'session/create', 501, 'health checks', '{"Checks":["service:web"]}'],
    ['PUT', 'txn', 501, '"Node"', '[{"Node":{"Verb":"get","Node":{}}}]'],
  ])('%s %s: %i, %s', async (method, path, status, text, body) => {
    await using topology = await start();
    const response = await fetch(`${topology.address}/v1/${path}`, { method, ...(method === 'PUT' ? { body } : {}) });
    expect(response.status).toBe(status);
    expect(await response.text()).toContain(text);
  });
});

describe('as a process', () => {
  test('killed under load it has every write that it answered, with the index that was seen', async () => {
    await using server = await EmbeddedTopologyServer.launch({ persistent: true });
    const answered = new Map<string, string>();
    let highestSeen = 0;
    let killed = false;
    const write = async (writer: number): Promise<void> => {
      for (let i = 0; !killed; i += 1) {
        const key = `load/${writer}/${i % 20}`;
        try {
          await put(server.address, key, `${i}`);
          answered.set(key, `${i}`);
        } catch {
          // Not answered: it may be there or not.
          answered.delete(key);
          return;
        }
      }
    };
    const read = async (): Promise<void> => {
      for (; !killed; ) {
        const response = await get(server.address, 'kv/load/?recurse').catch(() => null);
        const text = await response?.text().catch(() => null);
        if (response?.ok === true && typeof text === 'string') highestSeen = Math.max(highestSeen, Number(response.headers.get('x-consul-index')));
      }
    };
    const load = Promise.all([read(), ...Array.from({ length: 16 }, (_unused, writer) => write(writer))]);
    await systemClock.sleep(600);
    await server.stop();
    killed = true;
    await load;
    await server.start();
    const entries = (await (await get(server.address, 'kv/load/?recurse')).json()) as readonly { Key: string; Value: string; ModifyIndex: number }[];
    const kept = new Map(entries.map(({ Key, Value }) => [Key, Buffer.from(Value, 'base64').toString()]));
    expect(answered.size).toBeGreaterThan(20);
    for (const [key, value] of answered) expect([key, kept.get(key)]).toEqual([key, value]);
    expect(Math.max(...entries.map(({ ModifyIndex }) => ModifyIndex))).toBeGreaterThanOrEqual(highestSeen);
  });

  test('its data directory is refused to another, until it has ended; SIGTERM ends it well', async () => {
    await using server = await EmbeddedTopologyServer.launch({ persistent: true });
    await put(server.address, 'a', '1');
    const second = runCommand('cli/bin/switchyard', ['topology', '--listen', '127.0.0.1:0', '--data-dir', server.dataDirectory]);
    await expect(second).rejects.toThrow(/is in use by another topology server/);
    await expect(start({ dataDir: server.dataDirectory })).rejects.toThrow(/is in use by another topology server/);
    await server.terminate();
    expect(await server.logTail()).toContain('told to stop');
    await using _successor = await start({ dataDir: server.dataDirectory });
  });

  test('a disk that takes no more ends it, and what it answered is there when it comes back', async () => {
    // A limit of the kernel's on the size of a file, in KiB: the log meets it as it would a full disk.
    const script = 'trap "" XFSZ; ulimit -f 64; exec "$0" topo/embedded/main.ts --listen 127.0.0.1:0 --data-dir "$1" --log-level info';
    const child = spawn('bash', ['-c', script, process.execPath, directory], { stdio: ['ignore', 'ignore', 'pipe'] });
    try {
      const exited = Promise.withResolvers<number | null>();
      child.once('exit', exited.resolve);
      const serving = Promise.withResolvers<string>();
      let output = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const address = /"address":"([^"]+)"/.exec(output)?.[1];
        if (address !== undefined) serving.resolve(address);
      });
      void exited.promise.then(() => serving.reject(new Error(output)));
      const address = await serving.promise;
      let written = 0;
      const failure = await (async () => {
        for (; ; written += 1) await put(address, `full/${written}`, 'x'.repeat(3_000));
      })().catch((error: Error) => error);
      expect(failure).toBeInstanceOf(Error);
      expect(written).toBeGreaterThan(5);
      expect(await exited.promise).toBe(1);
      expect(output).toContain('cannot be written');
      await using back = await start();
      const entries = (await (await get(back.address, 'kv/full/?recurse')).json()) as readonly unknown[];
      expect(entries).toHaveLength(written);
    } finally {
      child.kill('SIGKILL');
    }
  });
});
