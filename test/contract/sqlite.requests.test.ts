import { expect, test } from '@jest/globals';
import { arm, catchUp, never } from './move-stores.ts';
import { insertNamed, writeOnce } from './once.ts';
import { requestReplicationContract } from './request-replication.ts';
import { SqliteFiles, sqliteDialect } from './sqlite-move.ts';

requestReplicationContract(sqliteDialect, () => SqliteFiles.start());

test('a record that has expired before the stream came to it is left out, and what was written with it comes', async () => {
  await using files = await SqliteFiles.start();
  await using stores = await files.fresh();
  const schemas = await arm(stores);
  await using store = stores.source.openData();
  for (const id of ['expired', 'kept']) {
    await writeOnce(store, schemas, id, [insertNamed(id)]);
    if (id === 'expired') expect(await stores.source.owner.expireRequests(0, 10, never())).toBe(1);
  }
  // The number of the one that is gone is not given to another.
  const seen = (await catchUp(stores, schemas, 1)).flatMap((each) => each.events);
  expect(seen.map((event) => (event.kind === 'request' ? event.record.id : event.kind))).toEqual(['insert', 'insert', 'kept', 'watermark']);
});
