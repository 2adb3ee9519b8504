import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Connection } from 'mysql2/promise';
import type { StreamState } from '../../backends/backend.ts';
import { hasReason } from '../../core/switchyard-error.ts';
import { type MariaDbServer, startMariaDb } from '../support/servers/mariadb.ts';
import { LogBench } from './mariadb-log.ts';
import { batchOf, never } from './move-stores.ts';

/* Writers that do at random what the log must bring, all at once, while its reader is cut off and thrown out again and again: in the end both sides are alike. */

const WRITERS = 4;
const TRANSACTIONS = 120;
const KEYS = 40;

let server: MariaDbServer;

beforeAll(async () => {
  server = await startMariaDb({ name: 'histories', settings: { 'max-binlog-size': '65536' } });
}, 120_000);
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

const tables = [
  'CREATE TABLE t (id int PRIMARY KEY, name varchar(9) UNIQUE, n int, big longtext, at timestamp(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6), KEY (n))',
  'CREATE TABLE u (a varchar(9) COLLATE utf8mb4_general_ci, b int, v decimal(20,5), PRIMARY KEY (a, b))',
];
const beside = ['CREATE TABLE plain (id int) ENGINE = MyISAM', 'CREATE TABLE other (id int PRIMARY KEY AUTO_INCREMENT, v int)'];

/** Numbers that look random, always the same for a seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function statement(random: (below: number) => number): string {
  const id = (): number => random(KEYS);
  const name = (): string => `'n${random(KEYS)}'`;
  const text = (): string => `'${['a', 'A', 'b', 'ü'][random(4)]}${random(3)}'`;
  const statements: readonly (() => string)[] = [
    () => `INSERT IGNORE INTO t (id, name, n, big) VALUES (${id()}, ${name()}, ${random(9)}, REPEAT('x', ${random(3_000)})), (${id()}, NULL, 1, NULL)`,
    () => `REPLACE INTO t (id, name, n) VALUES (${id()}, ${name()}, ${random(9)})`,
    () => `INSERT INTO t (id, name) VALUES (${id()}, ${name()}) ON DUPLICATE KEY UPDATE n = n + 1, name = NULL`,
    () => `UPDATE t SET n = n + 1 WHERE n = ${random(9)}`,
    () => `UPDATE t SET n = ${random(9)} WHERE id = ${id()}`,
    () => `UPDATE IGNORE t SET id = ${id()} WHERE id = ${id()}`,
    () => `UPDATE IGNORE t SET name = ${name()} WHERE id = ${id()}`,
    () => `DELETE FROM t WHERE id = ${id()} OR n = ${random(30)}`,
    () => `INSERT INTO u VALUES (${text()}, ${random(3)}, ${random(1_000)} / 7) ON DUPLICATE KEY UPDATE a = VALUES(a), v = v + VALUES(v)`,
    () => `UPDATE IGNORE u SET a = ${text()}, b = ${random(3)} WHERE b = ${random(3)} LIMIT 1`,
    () => `DELETE FROM u WHERE a = ${text()}`,
    () => `UPDATE t JOIN u ON t.n = u.b SET t.big = CONCAT(u.a, t.id), u.v = u.v - 1`,
    () => `INSERT INTO other (v) VALUES (${random(9)})`,
    () => `INSERT INTO plain VALUES (${random(9)})`,
  ];
  return statements[random(statements.length)]?.() ?? '';
}

async function write(session: Connection, random: (below: number) => number): Promise<void> {
  for (let i = 0; i < TRANSACTIONS; i += 1) {
    const script: string[] = [];
    for (let count = 1 + random(5); count > 0; count -= 1) {
      script.push(statement(random));
      if (random(4) === 0) script.push(`SAVEPOINT s${random(2)}`);
      if (random(8) === 0) script.push('SAVEPOINT s0', statement(random), 'ROLLBACK TO s0');
    }
    const end = random(8) === 0 ? 'ROLLBACK' : 'COMMIT';
    // Somebody else's lock, or a twin: then all of it is taken back.
    await session.query(`BEGIN; ${script.join('; ')}; ${end}`).catch(() => session.query('ROLLBACK'));
    if (random(60) === 0) await session.query(random(2) === 0 ? 'TRUNCATE u' : 'FLUSH BINARY LOGS');
  }
}

test.each([1, 2, 3])(
  'a history at random, number %i',
  async (seed) => {
    await using source = await LogBench.make(server, `source_${seed}`, ['t', 'u'], [...tables, ...beside]);
    await using target = await LogBench.make(server, `target_${seed}`, ['t', 'u'], tables);
    const { id, workflow } = source.stream;
    await target.run(`INSERT INTO switchyard_stream (id, workflow, token, position, marker) VALUES ('${id}', '${workflow}', 1, '${source.start}', 0);
INSERT INTO switchyard_fence (table_name, state, attempt, peer, workflow) VALUES ('t', 'CLOSED', 0, 'old', '${workflow}'), ('u', 'CLOSED', 0, 'old', '${workflow}')`);
    const random = randomOf(seed * 7_919);
    let isWritten = false;
    const writing = Promise.all(Array.from({ length: WRITERS }, async (_, i) => write(await source.session(), randomOf(seed * 104_729 + i)))).then(async () => {
      isWritten = true;
      await source.player.writeWatermark(source.stream, 1, never());
    });

    let isOver = false;
    let attempts = 0;
    const play = async (state: StreamState, cut: AbortController, batches: number): Promise<void> => {
      let left = batches;
      for await (const transactions of source.player.follow(source.stream, source.schemas, state.position, cut.signal)) {
        if (transactions.length === 0) continue;
        await target.player.apply(source.stream, target.schemas, state.token, batchOf(transactions), never());
        isOver = transactions.some(({ events }) => events.some((event) => event.kind === 'watermark'));
        left -= 1;
        if (isOver || (left <= 0 && !isWritten)) return cut.abort();
      }
    };
    while (!isOver) {
      attempts += 1;
      const state = await target.player.takeStream(source.stream, never());
      await play(state, new AbortController(), 1 + random(3)).catch((error: unknown) => {
        if (!hasReason(error, 'CANCELLED', 'STORE_UNAVAILABLE')) throw error;
      });
      if (random(3) === 0)
        for (const [reader] of await source.run(`SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Binlog Dump'`)) await source.run(`KILL ${reader}`).catch(() => {});
    }
    await writing;
    expect(attempts).toBeGreaterThan(1);
    for (const table of ['t', 'u']) {
      const rows = await source.player.readChunk(source.schema(table), null, 10_000, never());
      expect(await target.player.readChunk(target.schema(table), null, 10_000, never())).toEqual(rows);
      const [[, sum] = [], [, sumThere] = []] = await source.run(`CHECKSUM TABLE ${source.database}.${table}, ${target.database}.${table}`);
      expect(sumThere).toBe(sum);
    }
  },
  240_000,
);
