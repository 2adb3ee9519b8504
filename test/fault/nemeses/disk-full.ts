import { statfs, writeFile, rm, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCommand } from '../../support/servers/command.ts';
import type { PostgresServer } from '../../support/servers/postgres.ts';
import { waitUntil } from '../../support/servers/wait-until.ts';
import { durationMs, type Nemesis, oneOf, seconds } from './nemesis.ts';
import { storeDown, storeNames } from './stores.ts';

const recoveryLimitMs = 30_000;
const pieceBytes = 1 << 20;

/** Takes what is free, to the last page. */
async function fill(directory: string): Promise<string> {
  const file = join(directory, 'ballast');
  await writeFile(file, '');
  await using handle = await open(file, 'a');
  const piece = Buffer.alloc(pieceBytes);
  try {
    for (;;) {
      const { bavail, bsize } = await statfs(directory);
      await handle.write(piece, 0, Math.min(pieceBytes, Math.max(bsize, bavail * bsize)));
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
  return file;
}

/** Whoever makes room starts the server again where it has given up. */
async function untilAnswering(server: PostgresServer, database: string): Promise<void> {
  await waitUntil('a store that answers again', { limitMs: recoveryLimitMs, everyMs: 100, explain: () => server.logTail() }, async () => {
    if (!server.isRunning) await server.start();
    return server.psql(database, 'SELECT 1;').then(
      () => true,
      () => undefined,
    );
  });
}

export const diskFull: Nemesis = {
  name: 'disk-full',
  needs: {
    disks: true,
    unavailable: () =>
      runCommand('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'switchyard-test', '/mnt']).then(
        () => null,
        () => 'a disk of its own needs root and mount',
      ),
  },
  async strike({ cluster }, dice) {
    const [store, forMs] = [oneOf(storeNames, dice), durationMs(dice)];
    const server = cluster[store];
    const ballast = await fill(server.directory);
    await sleep(forMs);
    await rm(ballast);
    const gaveUp = !server.isRunning;
    await untilAnswering(server, cluster.database);
    return { what: `the disk of store "${store}" full for ${seconds(forMs)}${gaveUp ? ', which ended it' : ''}`, excuses: storeDown(store) };
  },
};
