import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ChangeTransaction } from '../../core/change.ts';
import type { Position } from '../../core/ids.ts';
import { type MariaDbServer, startMariaDb } from '../support/servers/mariadb.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { LogBench, texts } from './mariadb-log.ts';

/* A log's life: its files come and go, its server stops and breaks down, its readers are slow, many, or gone. */

const LIMIT_MS = 120_000;

let server: MariaDbServer;
let benches = 0;

beforeAll(async () => {
  server = await startMariaDb({ name: 'log-life' });
}, LIMIT_MS);
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

const bench = (statements: readonly string[] = []): Promise<LogBench> => {
  benches += 1;
  return LogBench.make(server, `life_${benches}`, ['t'], ['CREATE TABLE t (id int PRIMARY KEY, v longtext)', ...statements]);
};

test('goes on over the ends of files, from any place', async () => {
  await using log = await bench();
  for (let id = 1; id <= 6; id += 1) await log.run(`INSERT INTO t (id) VALUES (${id}); FLUSH BINARY LOGS`);
  const all = await log.read();
  expect(texts(all)).toEqual(['+1', '+2', '+3', '+4', '+5', '+6']);
  for (const [i, { position }] of all.entries()) expect(texts(await log.read(position))).toEqual(texts(all).slice(i + 1));
  // Files before the place may go; the one behind it may not.
  const [[last] = []] = (await log.run('SHOW BINARY LOGS')).slice(-1);
  // A file that a reader has open stays, also where the reader has gone and the server has not noticed.
  await waitUntil('the end of all readers', { limitMs: 30_000, everyMs: 50 }, async () => {
    await log.run(`PURGE BINARY LOGS TO '${last}'`);
    return (await log.run('SHOW BINARY LOGS')).length === 1 ? true : undefined;
  });
  expect(texts(await log.read(all[5]?.position))).toEqual([]);
  expect((await log.failure(undefined, all[3]?.position)).error).toMatchObject({ reason: 'STREAM_FAILED', metadata: { problem: 'LOG_LOST' } });
});

test(
  'a log that was thrown away, or is of another server, is lost',
  async () => {
    await using log = await bench();
    await log.run('INSERT INTO t (id) VALUES (1)');
    const one = (await log.read())[0]?.position as Position;
    // Whoever reads it is sent nothing more, and told nothing.
    const thrown = await log.failure(() => log.run('RESET MASTER; INSERT INTO t (id) VALUES (10)'), one);
    expect(thrown.error).toMatchObject({ reason: 'STREAM_FAILED', metadata: { problem: 'LOG_LOST' } });
    await log.run('RESET MASTER');
    expect((await log.failure(undefined, one)).error).toMatchObject({ reason: 'STREAM_FAILED', metadata: { problem: 'LOG_LOST' } });
    await log.run('INSERT INTO t (id) VALUES (2)');
    await log.begin();
    expect((await log.failure(undefined, '0-1-999999' as Position)).error).toMatchObject({ reason: 'STREAM_FAILED', metadata: { problem: 'LOG_LOST' } });
    expect((await log.failure(undefined, 'nonsense' as Position)).error).toMatchObject({ reason: 'STREAM_FAILED', metadata: { problem: 'POSITION' } });
    await log.run('INSERT INTO t (id) VALUES (3)');
    expect(texts(await log.read())).toEqual(['+3']);
  },
  LIMIT_MS,
);

test('several domains, each with its own numbers, and a transaction of another server', async () => {
  await using log = await bench();
  await log.run(
    'INSERT INTO t (id) VALUES (1); SET gtid_domain_id = 7; INSERT INTO t (id) VALUES (2); SET server_id = 55; INSERT INTO t (id) VALUES (3); SET gtid_domain_id = 3; INSERT INTO t (id) VALUES (4)',
  );
  await log.run('INSERT INTO t (id) VALUES (5); SET gtid_seq_no = 100000; INSERT INTO t (id) VALUES (6)');
  const all = await log.read();
  expect(texts(all)).toEqual(['+1', '+2', '+3', '+4', '+5', '+6']);
  expect(all[3]?.position).toMatch(/^0-1-\d+,3-55-1,7-55-2$/);
  for (const [i, { position }] of all.entries()) expect(texts(await log.read(position))).toEqual(texts(all).slice(i + 1));
});

test(
  'says something every second, moves its position on where others write, and ends at once',
  async () => {
    await using log = await bench();
    const cut = new AbortController();
    const groups: (readonly ChangeTransaction[])[] = [];
    const begin = performance.now();
    const reading = (async () => {
      for await (const group of log.follow(log.start, cut.signal)) {
        groups.push(group);
        if (groups.length === 4) await log.run('CREATE TABLE u (id int); INSERT INTO u VALUES (1)');
        if (group.some(({ events }) => events.length === 0)) cut.abort();
      }
    })();
    await expect(reading).rejects.toMatchObject({ reason: 'CANCELLED' });
    expect(performance.now() - begin).toBeGreaterThan(3_000);
    expect(groups.flat()).toEqual([{ id: null, position: expect.stringMatching(/^0-1-\d+/), ageMs: 0, events: [] }]);
    expect(groups.flat()[0]?.position).not.toBe(log.start);
    await using feed = log.follow();
    const ended = (async () => {
      for await (const _ of feed) await feed[Symbol.asyncDispose]();
    })();
    await ended;
  },
  LIMIT_MS,
);

test('two readers of one stream do not disturb each other', async () => {
  await using log = await bench();
  await using first = log.follow();
  const early = first[Symbol.asyncIterator]();
  await early.next();
  await log.run('INSERT INTO t (id) VALUES (1)');
  expect(texts(await log.read())).toEqual(['+1']);
  const seen: ChangeTransaction[] = [];
  while (seen.length < 2) seen.push(...((await early.next()).value as readonly ChangeTransaction[]));
  expect(texts(seen)).toEqual(['+1', 'watermark']);
});

test(
  'what is confirmed is written down, which is no news to the log',
  async () => {
    await using log = await bench();
    await log.run('INSERT INTO t (id) VALUES (1)');
    const [one] = await log.read();
    await using feed = log.follow();
    feed.confirm(one?.position as Position);
    let beats = 0;
    for await (const group of feed) {
      expect(texts(group).filter((text) => text !== '+1' && text !== 'watermark')).toEqual([]);
      beats += 1;
      if (beats === 9) break;
    }
    expect(await log.run('SELECT position FROM switchyard_log')).toEqual([[one?.position]]);
    expect((await log.failure()).error).toMatchObject({ reason: 'STREAM_FAILED', metadata: { problem: 'LOG_LOST' } });
  },
  LIMIT_MS,
);

test(
  'a large transaction comes whole, and a consumer that is slow keeps the server waiting instead of filling memory',
  async () => {
    await using log = await bench(['CREATE TABLE numbers (i int PRIMARY KEY)', 'INSERT INTO numbers SELECT seq FROM seq_1_to_100000']);
    await log.run('INSERT INTO t SELECT i, CONCAT(i) FROM numbers');
    const [whole] = await log.read();
    expect(whole?.events).toHaveLength(100_000);
    await log.begin();
    // 200 MB in 100 transactions.
    await log.run(Array.from({ length: 100 }, (_, i) => `UPDATE t SET v = REPEAT('${i % 10}', 2000) WHERE id BETWEEN ${i * 1_000 + 1} AND ${i * 1_000 + 500}`).join('; '));
    await using feed = log.follow();
    let transactions = 0;
    let most = 0;
    for await (const group of feed) {
      transactions += group.length;
      most = Math.max(most, group.length);
      await new Promise((resolve) => setTimeout(resolve, 50));
      if (transactions === 100) break;
    }
    // The buffer's bound, and what was on its way.
    expect(most).toBeLessThan(40);
  },
  LIMIT_MS,
);

test(
  'a server that stops, breaks down or throws the reader out is unavailable, and nothing is lost or doubled',
  async () => {
    await using log = await bench();
    let from = log.start;
    const applied: string[] = [];
    for (const [i, end] of (['fast', 'immediate', 'kill'] as const).entries()) {
      const begun = Promise.withResolvers<void>();
      const reading = (async () => {
        for await (const group of log.follow(from)) {
          applied.push(...texts(group).filter((text) => text !== ''));
          from = group.at(-1)?.position ?? from;
          begun.resolve();
        }
      })();
      reading.catch(() => {});
      await begun.promise;
      await log.run(`INSERT INTO t (id) VALUES (${i * 2})`);
      await waitUntil('the first', { limitMs: 30_000, everyMs: 20 }, async () => (applied.includes(`+${i * 2}`) ? true : undefined));
      const writing = log.run(`INSERT INTO t (id) VALUES (${i * 2 + 1})`).catch(() => {});
      if (end === 'kill') {
        const [[id] = []] = (await log.run('SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = "Binlog Dump"')) as [unknown][];
        await log.run(`KILL ${id}`);
      } else await server.stop(end);
      await expect(reading).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
      if (end !== 'kill') await server.start();
      await writing;
    }
    const rest = texts(await log.read(from));
    const rows = (await log.run('SELECT id FROM t ORDER BY id')).map(([id]) => `+${id}`);
    expect([...applied, ...rest].toSorted()).toEqual(rows.toSorted());
  },
  LIMIT_MS,
);

test(
  'tables in memory, which a server empties when it starts, are of no concern',
  async () => {
    await using log = await bench(['CREATE TABLE fleeting (id int) ENGINE = MEMORY', 'INSERT INTO fleeting VALUES (1)']);
    await server.stop();
    await server.start();
    await log.run('SELECT * FROM fleeting; INSERT INTO t (id) VALUES (1)');
    expect(texts(await log.read())).toEqual(['+1']);
  },
  LIMIT_MS,
);

test(
  'a server that says nothing any more is unavailable',
  async () => {
    await using log = await bench();
    await using feed = log.follow();
    const groups = feed[Symbol.asyncIterator]();
    // It has found the place, which it may take longer for.
    for (let beats = 0; beats < 4; beats += 1) await groups.next();
    await server.pause();
    try {
      await expect(
        (async () => {
          for (;;) await groups.next();
        })(),
      ).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE', message: expect.stringContaining('silent') });
    } finally {
      server.resume();
    }
  },
  LIMIT_MS,
);

test(
  'while the server is away there is no log',
  async () => {
    await using log = await bench();
    await server.stop();
    await expect(log.follow()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
    await server.start();
    expect(texts(await log.read())).toEqual([]);
  },
  LIMIT_MS,
);

test('a player without the right to read the log says so', async () => {
  await using log = await bench();
  await server.sql('', "REVOKE REPLICATION SLAVE ON *.* FROM 'shop_player'@'%';");
  const { error } = await log.failure();
  expect(error).toMatchObject({ reason: 'STORE_DENIED', message: expect.stringContaining('grant script') });
});
