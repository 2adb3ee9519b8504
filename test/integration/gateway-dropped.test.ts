import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { transact } from '../../client/transact.ts';
import type { Row } from '../../gen/switchyard/data/v1/value_pb.ts';
import { GatewayStage, type RunningGateway } from '../support/gateway/gateway-stage.ts';

/*
 * A gateway that has missed how a table went back to "old" and its workflow ended: it remembers it in "new", where it has been dropped since. Every call must find it, as it would behind a fence.
 */
const schema = 'CREATE TABLE item (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); CREATE TABLE line (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);';
const tables = ['item', 'line'];
const never = new AbortController().signal;
const int = (value: number) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });
const key = (id: number) => ({ cells: { id: int(id) } });
const n = (row: Row | undefined) => row?.cells.n?.kind.value;
const movement = { workflow: 'move', source: 'old', target: 'new', want: 'source' as const };

let stage: GatewayStage;
let running: RunningGateway;
let client: RunningGateway['client'];
let attempt = 0;

beforeAll(async () => {
  stage = await GatewayStage.open(schema);
  await stage.claim('move', tables);
});
afterAll(async () => {
  await stage?.[Symbol.asyncDispose]();
});

async function fence(keyspace: 'old' | 'new', state: Parameters<GatewayStage['fence']>[2], at: number): Promise<void> {
  for (const table of tables) await stage.fence(keyspace, table, state, at);
}

async function setTables(primary: 'old' | 'new'): Promise<number> {
  const rules = Object.fromEntries(tables.map((table) => [table, { primary, attempt: 0, writes: 'open' as const, movement, names: [`old.${table}`, `new.${table}`] }]));
  return (await stage.topology.updateRules({ by: 'test', reason: 'test' }, (current) => ({ ...current, tables: rules }), never)).version;
}

/** Whether the tables are there under their names in "new". */
async function there(exist: boolean): Promise<void> {
  for (const table of tables) await stage.sql('new', exist ? `ALTER TABLE IF EXISTS ${table}_gone RENAME TO ${table}` : `ALTER TABLE ${table} RENAME TO ${table}_gone`);
}

beforeEach(async () => {
  attempt += 10;
  await there(true);
  for (const keyspace of ['old', 'new'] as const)
    await stage.sql(keyspace, 'ALTER TABLE item DISABLE TRIGGER USER; ALTER TABLE line DISABLE TRIGGER USER; TRUNCATE item, line; INSERT INTO item VALUES (1, 1), (2, 2)');
  await fence('old', 'CLOSED', attempt);
  await fence('new', 'OPEN', attempt);
  await setTables('new');
  running = await stage.start();
  client = running.client;
  await client.update({ table: 'item', key: key(1), row: { cells: { n: int(1) } } });
  await client.query({ table: 'line' });
  await fence('new', 'CLOSED', attempt + 1);
  await fence('old', 'OPEN', attempt + 1);
  await there(false);
});
afterEach(async () => {
  await running?.[Symbol.asyncDispose]();
});

const update = { table: 'item', key: key(1), row: { cells: { n: int(5) } } };
const insert = { table: 'line', row: { cells: { id: int(7), n: int(5) } } };

const calls: Readonly<Record<string, () => Promise<unknown>>> = {
  Get: async () => expect(n((await client.get({ table: 'item', key: key(1) })).row)).toBe(1n),
  BatchGet: async () => expect((await client.batchGet({ table: 'item', keys: [key(2), key(3)] })).entries).toHaveLength(2),
  Query: async () => expect((await client.query({ table: 'item' })).rows).toHaveLength(2),
  Aggregate: async () => expect((await client.aggregate({ table: 'item', aggregations: [{ kind: { case: 'count', value: {} } }] })).groups[0]?.values[0]?.kind.value).toBe(2n),
  StreamQuery: async () => {
    let rows = 0;
    for await (const piece of client.streamQuery({ table: 'item' })) rows += piece.rows.length;
    expect(rows).toBe(2);
  },
  DescribeTable: async () => expect((await client.describeTable({ table: 'item' })).schema?.columns).toHaveLength(2),
  Insert: () => client.insert(insert),
  Update: () => client.update(update),
  'Update that must fit nothing but the schema': () => client.update({ ...update, validateOnly: true }),
  'Update with a request id': () => client.update({ ...update, requestId: `dropped-${attempt}` }),
  Delete: () => client.delete({ table: 'item', key: key(2) }),
  Mutate: () => client.mutate({ mutations: [{ kind: { case: 'update', value: update } }, { kind: { case: 'insert', value: insert } }] }),
  InsertMany: () => client.insertMany({ table: 'line', rows: [insert.row] }),
  'Transact that reads': () =>
    transact(client, async (tx) => {
      expect(n((await tx.get({ table: 'item', key: key(1) })).row)).toBe(1n);
    }),
  'Transact that writes': () =>
    transact(client, async (tx) => {
      await tx.update(update);
      await tx.insert(insert);
    }),
};

describe('a table that has been dropped where a gateway remembers it', () => {
  test.each(Object.entries(calls))('%s finds it where it is served', async (_, call) => {
    await call();
  });

  test('keeps writes waiting for as long as no store says that it serves it', async () => {
    await fence('old', 'FROZEN', attempt + 2);
    let isDone = false;
    const written = client.update(update).then(() => {
      isDone = true;
    });
    expect(n((await client.get({ table: 'item', key: key(1) })).row)).toBe(1n);
    expect(isDone).toBe(false);
    await fence('old', 'OPEN', attempt + 2);
    await written;
    expect(n((await client.get({ table: 'item', key: key(1) })).row)).toBe(5n);
  });

  test('is unknown where its rows say that it is served and it is not there', async () => {
    await fence('old', 'CLOSED', attempt + 2);
    await stage.sql('new', `UPDATE switchyard.fence SET state = 'OPEN', attempt = ${attempt + 2}`);
    await expect(client.get({ table: 'item', key: key(1) })).rejects.toMatchObject({ reason: 'TABLE_UNKNOWN' });
    await expect(client.update(update)).rejects.toMatchObject({ reason: 'TABLE_UNKNOWN' });
    await expect(client.query({ table: 'nothing' })).rejects.toMatchObject({ reason: 'TABLE_UNKNOWN' });
  });
});

test('rules that were refused because a store could not be asked are followed when it can be, though nobody calls', async () => {
  // Back where the gateway remembers them, and only then to "old", behind its back: it may have looked meanwhile.
  await there(true);
  await fence('old', 'CLOSED', attempt + 2);
  await fence('new', 'OPEN', attempt + 2);
  for (const table of tables) await client.query({ table });
  await stage.sql('old', 'REVOKE SELECT ON switchyard.fence FROM shop_gateway');
  try {
    await fence('new', 'CLOSED', attempt + 3);
    await fence('old', 'OPEN', attempt + 3);
    await there(false);
    const version = await setTables('old');
    await stage.registration(running.gateway, ({ appliedVersion, problems }) => appliedVersion === version && problems.length === tables.length);
  } finally {
    await stage.sql('old', 'GRANT SELECT ON switchyard.fence TO shop_gateway');
  }
  await stage.registration(running.gateway, ({ problems }) => problems.length === 0);
});
