import { expect, test } from '@jest/globals';
import { startMariaDb } from '../support/servers/mariadb.ts';
import { LogBench } from './mariadb-log.ts';
import { never } from './move-stores.ts';

const WRITERS = 12;
const LOOKS = 60;

test('whoever reads when a watermark has been written sees all that the log has in front of it', async () => {
  // Commits wait for the disk, in groups.
  await using server = await startMariaDb({ name: 'visibility', durable: true });
  await using log = await LogBench.make(server, 'visibility', ['t'], ['CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, w int)']);
  const table = log.schema('t');
  let isOver = false;
  const writing = Array.from({ length: WRITERS }, async (_, w) => {
    const session = await log.session();
    while (!isOver) await session.query(`INSERT INTO t (w) VALUES (${w})`);
  });
  const seenAt: ReadonlySet<unknown>[] = [];
  for (let id = 1; id <= LOOKS; id += 1) {
    await log.player.writeWatermark(log.stream, id, never());
    const rows = await log.player.readChunk(table, null, 1_000_000, never());
    seenAt.push(new Set(rows.map(([key]) => key)));
  }
  isOver = true;
  await Promise.all(writing);
  const logged: unknown[] = [];
  let looked = 0;
  for await (const transactions of log.follow()) {
    for (const event of transactions.flatMap(({ events }) => events)) {
      if (event.kind === 'insert') logged.push(event.row[0]);
      if (event.kind !== 'watermark') continue;
      const seen = seenAt[looked];
      expect(event.id).toBe(looked + 1);
      expect(logged.filter((key) => seen?.has(key) !== true)).toEqual([]);
      looked += 1;
    }
    if (looked === LOOKS) break;
  }
  expect(logged.length).toBeGreaterThan(LOOKS);
}, 120_000);
