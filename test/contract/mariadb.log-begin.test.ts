import { expect, test } from '@jest/globals';
import { attempt } from '../../core/ids.ts';
import { MariaDbPair } from './mariadb-move.ts';
import { arm, begin, catchUp, FORWARD, never } from './move-stores.ts';

test('no log begins while a distributed transaction is prepared, whose rows would be before the beginning', async () => {
  await using pair = await MariaDbPair.start();
  await using stores = await pair.fresh();
  const { source, target } = stores;
  const schemas = await arm(stores);
  const session = await source.session('admin');
  await session.query(`XA START 'early'; INSERT INTO item (name) VALUES ('early'); XA END 'early'; XA PREPARE 'early'`);
  await expect(source.owner.createLog(FORWARD, attempt(0), never())).rejects.toMatchObject({ reason: 'PRECHECK_FAILED', message: expect.stringContaining('prepared') });
  await session.query(`XA COMMIT 'early'`);
  await session.close();
  await begin(target.owner, FORWARD, await source.owner.createLog(FORWARD, attempt(0), never()));
  await source.sql(`INSERT INTO item (name) VALUES ('late')`);
  expect((await catchUp(stores, schemas, 1)).flatMap(({ events }) => events.map(({ kind }) => kind))).toEqual(['insert', 'watermark']);
}, 120_000);
