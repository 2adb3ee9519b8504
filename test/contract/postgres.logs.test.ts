import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { attempt } from '../../core/ids.ts';
import { keptLogsContract, MIB } from './kept-logs.ts';
import { FORWARD, type MoveStores, never, type StoreUnderTest } from './move-stores.ts';
import { PostgresPair } from './postgres-move.ts';

const grow = (store: StoreUnderTest) => store.sql(`SELECT pg_logical_emit_message(false, 'test', repeat('x', ${MIB})) FROM generate_series(1, 5)`, 'admin');

keptLogsContract({ name: 'PostgreSQL', grow, settle: (store) => store.sql('CHECKPOINT', 'admin') }, () => PostgresPair.start());

let servers: PostgresPair;
let stores: MoveStores;

beforeAll(async () => {
  servers = await PostgresPair.start();
  stores = await servers.fresh();
  await stores.source.owner.install(never());
});
afterAll(async () => {
  await stores?.[Symbol.asyncDispose]();
  await servers?.[Symbol.asyncDispose]();
});

test('slots of other databases, other people and other sorts are neither shown nor dropped', async () => {
  await using other = await servers.fresh();
  await other.source.owner.install(never());
  const ours = 'switchyard_move1_forward_0123456789';
  await other.source.sql(`SELECT pg_create_logical_replication_slot('${ours}', 'pgoutput')`, 'admin');
  const theirs = ['switchyard_reports', 'switchyardx_move_0123456789', 'debezium'];
  for (const slot of theirs) await stores.source.sql(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`, 'admin');
  await stores.source.sql(`SELECT pg_create_physical_replication_slot('switchyard_standby_0123456789', true)`, 'admin');
  const { owner } = stores.source;
  await grow(stores.source);
  expect(await owner.keptLogs(never())).toEqual([]);
  for (const slot of [...theirs, ours, 'switchyard_standby_0123456789']) expect(await owner.dropKeptLog(slot, 0, never())).toBe(false);
  expect(await stores.source.sql('SELECT count(*) FROM pg_replication_slots', 'admin')).toEqual([['5']]);
  expect(await other.source.owner.keptLogs(never())).toEqual([
    { name: ours, stream: null, bytes: expect.any(Number), followed: false, dropText: `SELECT pg_drop_replication_slot('${ours}')` },
  ]);
  await stores.source.sql(`SELECT pg_drop_replication_slot('switchyard_standby_0123456789')`, 'admin');
});

test('one of an older release, which did not write down who begins a log, is shown and dropped by its name', async () => {
  const { owner } = stores.source;
  await owner.createLog(FORWARD, attempt(0), never());
  await stores.source.sql('DELETE FROM switchyard.log', 'owner');
  const [log] = await owner.keptLogs(never());
  expect(log).toMatchObject({ name: expect.stringMatching(/^switchyard_move1_forward_/), stream: null });
  expect(await owner.dropKeptLog(log?.name ?? '', 0, never())).toBe(true);
});
