import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { TableSchema } from '../../core/table-schema.ts';
import { arm, catchUp, FORWARD, type MoveStores, never } from './move-stores.ts';
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
  await stores.target.owner.createStream(FORWARD, await owner.createLog(FORWARD, true, never()), true, never());
  await using store = stores.source.openData();
  await writeOnce(store, schemas, 'a', [insertNamed('a')]);
  const seen = await catchUp(stores, schemas, 1);
  expect(seen.flatMap(({ events }) => events.map(({ kind }) => kind))).toEqual(['insert', 'request', 'watermark']);
});

test('come and go under writes, to tables that are not theirs too, none of which fails', async () => {
  await using store = stores.source.openData();
  const over = new AbortController();
  const write = async (writer: number): Promise<number> => {
    for (let i = 0; ; i += 1) {
      if (over.signal.aborted) return i;
      await writeOnce(store, schemas, `${writer} ${i}`, [insertNamed(`${writer} ${i}`)]);
    }
  };
  const writers = [1, 2, 3].map(write);
  for (let round = 0; round < 10; round += 1) {
    const stream = { ...FORWARD, id: `round${round}`, tables: round % 2 === 0 ? FORWARD.tables : ['line'] };
    await stores.source.owner.createLog(stream, false, never());
    await stores.source.owner.dropLog(stream, never());
  }
  over.abort();
  for (const written of await Promise.all(writers)) expect(written).toBeGreaterThan(0);
});
