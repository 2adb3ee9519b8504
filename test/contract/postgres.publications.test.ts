import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { attempt } from '../../core/ids.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { arm, begin, catchUp, FORWARD, type MoveStores, never } from './move-stores.ts';
import { insertNamed, writeOnce } from './once.ts';
import { PostgresPair } from './postgres-move.ts';

/* The publications through which the records of requests leave a store. */

let servers: PostgresPair;
let stores: MoveStores;
let schemas: ReadonlyMap<string, TableSchema>;

beforeAll(async () => {
  servers = await PostgresPair.start();
  stores = await servers.fresh();
  schemas = await arm(stores);
});
afterAll(async () => {
  await stores?.[Symbol.asyncDispose]();
  await servers?.[Symbol.asyncDispose]();
});

test('one that a control of an older release has made holds the records when it is asked for again', async () => {
  const { owner } = stores.source;
  const [[name] = []] = await stores.source.sql('SELECT pubname FROM pg_publication', 'owner');
  await stores.source.sql(`ALTER PUBLICATION ${name} DROP TABLE switchyard.request`, 'owner');
  await begin(stores.target.owner, FORWARD, await owner.createLog(FORWARD, attempt(0), never()));
  await using store = stores.source.openData();
  await writeOnce(store, schemas, 'a', [insertNamed('a')]);
  const seen = await catchUp(stores, schemas, 1);
  expect(seen.flatMap(({ events }) => events.map(({ kind }) => kind))).toEqual(['insert', 'request', 'watermark']);
});

test('goes without waiting for a write of another table that records its request', async () => {
  const { owner } = stores.source;
  const lines = { ...FORWARD, id: 'lines', tables: ['line'] };
  await owner.createLog(lines, attempt(0), never());
  const writer = await stores.source.session('gateway');
  await writer.query(`BEGIN; INSERT INTO switchyard.request (caller, request_id, table_name, digest, result) VALUES ('', 'open', 'item', '', '')`);
  await owner.dropLog(lines, null, AbortSignal.timeout(10_000));
  await writer.query('COMMIT');
  await writer.close();
});

test('a log that transactions keep from beginning says which', async () => {
  const writer = await stores.source.session('gateway');
  await writer.query(`BEGIN; INSERT INTO item (name) VALUES ('open')`);
  const refused = stores.source.owner.createLog({ ...FORWARD, id: 'waiting' }, attempt(0), AbortSignal.timeout(50_000));
  await expect(refused).rejects.toMatchObject({
    reason: 'PRECHECK_FAILED',
    message: expect.stringMatching(
      /stayed open: end them and try again \(transaction of role "[^"]*gateway" .* idle in transaction\) has been open for .*pg_terminate_backend\(\d+\)/,
    ),
  });
  await writer.query('ROLLBACK');
  await writer.close();
}, 60_000);
