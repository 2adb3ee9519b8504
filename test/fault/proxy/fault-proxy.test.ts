import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Dice } from '../../bench/cutover/workload.ts';
import { FaultProxy } from './fault-proxy.ts';
import { Link } from './link.ts';

/** Sends back what it gets. */
let server: Server;
let far: Socket[];
let link: Link;
let proxy: FaultProxy;

/** One end of a connection: what it has got and whether it knows of its end. */
class End {
  readonly socket: Socket;
  text = '';
  ended = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.text += bytes.toString();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.ended = true;
    });
  }

  async until(done: () => boolean): Promise<void> {
    for (let i = 0; i < 400 && !done(); i += 1) await sleep(5);
    expect(done()).toBe(true);
  }
}

const dial = (): End => new End(connect({ host: '127.0.0.1', port: proxy.port, noDelay: true }));
async function dialled(): Promise<End> {
  const end = dial();
  end.socket.write('hello');
  await end.until(() => end.text === 'hello');
  return end;
}

beforeEach(async () => {
  far = [];
  server = createServer((socket) => {
    far.push(socket);
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  link = new Link('a', 'b', new Dice(1));
  proxy = await FaultProxy.open({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, oneParty: true, linkOf: () => link });
});
afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  for (const socket of far) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

describe('a link', () => {
  test('that is cut ends its connections and every new one, until it is not', async () => {
    const end = await dialled();
    link.treat({ kind: 'cut' });
    await end.until(() => end.ended);
    const again = dial();
    await again.until(() => again.ended);
    link.treat({ kind: 'pass' });
    await dialled();
  });

  test('with a delay keeps the order', async () => {
    const end = await dialled();
    link.treat({ kind: 'delay', leastMs: 0, mostMs: 30 });
    const startMs = performance.now();
    let wanted = 'hello';
    for (let i = 0; i < 30; i += 1) {
      end.socket.write(`${i},`);
      wanted += `${i},`;
      await sleep(2);
    }
    await end.until(() => end.text.length === wanted.length);
    expect(end.text).toBe(wanted);
    expect(performance.now() - startMs).toBeGreaterThan(60);
  });

  test('that resets passes a part of a piece', async () => {
    const end = await dialled();
    link.treat({ kind: 'reset', oneIn: 1 });
    end.socket.write('x'.repeat(1_000));
    await end.until(() => end.ended);
    expect(end.text.length).toBeLessThan(1_005);
  });

  test.each(['forth', 'back', 'both'] as const)('that is held %s brings everything afterwards', async (way) => {
    const end = await dialled();
    link.treat({ kind: 'hold', way });
    end.socket.write(' world');
    await sleep(100);
    expect(end.text).toBe('hello');
    expect(far[0]?.bytesRead).toBe(way === 'back' ? 11 : 5);
    link.treat({ kind: 'pass' });
    await end.until(() => end.text === 'hello world');
  });

  test.each(['near', 'far'] as const)('half open tells the other end nothing when the %s one is gone, then or later', async (gone) => {
    const end = await dialled();
    let farEnded = false;
    far[0]?.once('close', () => {
      farEnded = true;
    });
    link.treat({ kind: 'half-open', gone });
    const meanwhile = dial();
    meanwhile.socket.write('anybody?');
    await end.until(() => (gone === 'near' ? end.ended : farEnded));
    link.treat({ kind: 'pass' });
    await sleep(100);
    expect(gone === 'near' ? farEnded : end.ended).toBe(false);
    expect({ ended: meanwhile.ended, text: meanwhile.text }).toEqual({ ended: false, text: '' });
    await dialled();
  });
});

test('a proxy tells the parties by what they say first', async () => {
  const links = { left: new Link('left', 'b', new Dice(1)), right: new Link('right', 'b', new Dice(1)) };
  await using shared = await FaultProxy.open({
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    oneParty: false,
    linkOf: (first) => (first.toString().startsWith('left') ? links.left : links.right),
  });
  links.right.treat({ kind: 'cut' });
  const [left, right] = ['left', 'right'].map((name) => {
    const end = new End(connect({ host: '127.0.0.1', port: shared.port }));
    end.socket.write(name);
    return end;
  });
  await left?.until(() => left.text === 'left');
  await right?.until(() => right.ended);
  expect([links.left.size, links.right.size]).toEqual([1, 0]);
});
