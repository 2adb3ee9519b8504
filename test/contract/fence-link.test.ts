import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import type { OwnerStore } from '../../backends/backend.ts';
import { FenceLink } from '../../control/cutover/fence-link.ts';
import type { ControlDeps, Move, Side } from '../../control/move.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/logger.ts';
import { altered } from '../bench/broken/altered.ts';
import { arm, TABLES } from './move-stores.ts';
import { SqliteFiles } from './sqlite-move.ts';

test('a store that lets nobody in as fast as a look may take is seen at a later look, by the connection that the first one began', async () => {
  await using files = await SqliteFiles.start();
  await using stores = await files.fresh();
  await arm(stores);
  let opened = 0;
  const slow = (owner: OwnerStore): OwnerStore =>
    altered(owner, {
      openFence: async (scope, signal) => {
        opened += 1;
        await sleep(300, undefined, { signal });
        return owner.openFence(scope, signal);
      },
    });
  const side = (name: 'source' | 'target', keyspace: string): Side => ({ name, keyspace, kind: 'sqlite', owner: slow(stores[name].owner), player: stores[name].player });
  const move: Move = { name: 'move1', tables: TABLES, source: side('source', 'old'), target: side('target', 'new') };
  const deps = { clock: systemClock, log: createLogger('test', 'silent') } as ControlDeps;
  await using link = new FenceLink(move, 'source', deps);
  const kinds: string[] = [];
  for (let look = 0; look < 10 && kinds.at(-1) !== 'rows'; look += 1) kinds.push((await link.view(100, null)).kind);
  expect([kinds[0], kinds.at(-1), opened]).toEqual(['unreachable', 'rows', 1]);
});
