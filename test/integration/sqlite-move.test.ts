import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Connection } from '../../backends/sqlite/connection.ts';
import type { RpcClient } from '../../client/rpc-client.ts';
import { hasReason } from '../../core/switchyard-error.ts';
import { type Workflow, WorkflowService, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { KeyspaceService } from '../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { KeyspaceCluster } from '../support/cluster/keyspace-cluster.ts';
import { postgresShard } from '../support/cluster/process-config.ts';
import { type PostgresServer, startPostgres } from '../support/servers/postgres.ts';
import { createShop, SHOP_LOGINS } from '../support/servers/shop.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/*
 * Whole moves by real processes. Between two SQLite files: copied, switched, back, switched again and completed while services write and read through the gateways, and another program writes past them; every acknowledged
 * write is counted. From SQLite to PostgreSQL, with the values that the two keep in different ways and the request ids of writes, and back.
 */

const TABLES_TEXT = `
CREATE TABLE account (id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL UNIQUE, balance BIGINT NOT NULL DEFAULT 0);
CREATE TABLE entry (account_id INTEGER NOT NULL REFERENCES account ON DELETE CASCADE ON UPDATE CASCADE, number BIGINT NOT NULL, note TEXT, PRIMARY KEY (account_id, number)) WITHOUT ROWID;
INSERT INTO account (owner) SELECT 'owner ' || value FROM json_each((SELECT json_group_array(i) FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) SELECT i FROM n)));
INSERT INTO entry SELECT id, 0, 'first of ' || owner FROM account;`;
const TABLES = ['account', 'entry'];

const READING_TEXT = `
CREATE TABLE reading (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sensor TEXT NOT NULL UNIQUE, exact DECIMAL_TEXT(12,4), ratio DOUBLE, part FLOAT32, taken TIMESTAMPTZ_TEXT, plain TIMESTAMP_TEXT, day DATE_TEXT, at TIME_TEXT, raw BLOB, doc JSON_TEXT,
  ok BOOLEAN, ref UUID_TEXT, wide BIGINT NOT NULL, narrow SMALLINT
);
INSERT INTO reading (sensor, exact, ratio, part, taken, plain, day, at, raw, doc, ok, ref, wide, narrow) VALUES
  ('all', '12.5000', 0.1, 0.5, '2026-02-03 02:05:06.789123Z', '0044-03-15 00:00:00.000000', '2024-02-29', '23:59:59.999999', x'00ff5c', '{"n":  1e400}', 1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 9223372036854775807, -32768),
  ('ends', '-99999999.9999', 9e999, -1.5, 'infinity', '-infinity', 'infinity', '00:00:00.000000', x'', '"ü"', 0, NULL, -9223372036854775808, 0),
  ('none', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL);`;

let folder: string;
let postgres: PostgresServer;
let database: string;
let cluster: KeyspaceCluster;
let workflows: RpcClient<typeof WorkflowService>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchyard-sqlite-move-'));
  // The target's file is made by the move.
  {
    using old = file('old');
    old.script(TABLES_TEXT + READING_TEXT);
  }
  const keyspaces = ['old', 'new'].map((name) => ({ name, shards: [{ kind: 'sqlite', path: pathOf(name) }] }));
  postgres = await startPostgres({ name: 'postgres' });
  ({ database } = await createShop(postgres, { tables: false }));
  cluster = await KeyspaceCluster.start({ gateways: 2, controls: 1, keyspaces: [...keyspaces, { name: 'postgres', shards: [postgresShard(postgres, database)] }] });
  const { script } = await cluster.control(KeyspaceService).getKeyspaceGrants({ name: 'postgres' });
  await postgres.psql(database, script);
  workflows = cluster.control(WorkflowService, 60_000);
}, 90_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const pathOf = (keyspace: string): string => join(folder, `${keyspace}.db`);
const file = (keyspace: string): Connection => Connection.open({ path: pathOf(keyspace), create: true });
/** A connection as any program has it. */
const otherProgram = (keyspace: string): DatabaseSync => new DatabaseSync(pathOf(keyspace), { timeout: 5_000 });
const int = (value: number | bigint) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });
const text = (value: string) => ({ kind: { case: 'textValue' as const, value } });

function rowsOf(keyspace: string): unknown {
  using connection = file(keyspace);
  return connection.transaction('DEFERRED', () => [
    connection.all('SELECT id, owner, balance FROM account ORDER BY id'),
    connection.all('SELECT account_id, number, note FROM entry ORDER BY account_id, number'),
  ]);
}

async function untilEqual(): Promise<void> {
  await waitUntil('both files holding the same rows', { limitMs: 15_000, everyMs: 50 }, async () =>
    JSON.stringify(rowsOf('old'), shown) === JSON.stringify(rowsOf('new'), shown) ? true : undefined,
  );
}
const shown = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);

async function untilState(state: WorkflowState, name = 'move'): Promise<void> {
  let last: Workflow | undefined;
  await waitUntil(`the workflow in state ${state}`, { limitMs: 60_000, everyMs: 50, explain: () => `${last?.state} ${last?.message}` }, async () => {
    last = (await workflows.getWorkflow({ name })).workflow;
    return last?.state === state ? true : undefined;
  });
}

function fencesOf(keyspace: string): string {
  using connection = file(keyspace);
  return connection.all('SELECT state, workflow FROM switchyard_fence ORDER BY table_name').join(' ');
}

/** Services: each adds 1 to a balance and writes an entry, and reads its own writes back. */
class Load implements AsyncDisposable {
  readonly added = new Map<number, number>();
  readonly failures: string[] = [];
  stale = 0;
  reads = 0;
  #going = true;
  readonly #running: Promise<unknown>;

  constructor(everyMs: number) {
    this.#running = Promise.all(cluster.gateways.map(({ address }, at) => this.#run(cluster.client(DataService, address), at + 1, everyMs)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#going = false;
    await this.#running;
  }

  async #run(client: RpcClient<typeof DataService>, account: number, everyMs: number): Promise<void> {
    for (let number = 1; this.#going; number += 1) {
      try {
        await client.update({ table: 'account', key: { cells: { id: int(account) } }, add: { cells: { balance: int(1) } } });
        this.added.set(account, (this.added.get(account) ?? 0) + 1);
        await client.insert({ table: 'entry', row: { cells: { account_id: int(account), number: int(number), note: text('of a service') } } });
        const { row } = await client.get({ table: 'account', key: { cells: { id: int(account) } } });
        this.reads += 1;
        if (Number(row?.cells.balance?.kind.value) !== this.added.get(account)) this.stale += 1;
      } catch (error) {
        this.failures.push(String(error));
      }
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  }
}

test('copied, switched, back, switched again and completed under load: nothing is lost, stale or refused', async () => {
  // A look ahead makes nothing, not even the target's file.
  const planned = await workflows.createWorkflow({ workflow: { name: 'move', source: 'old', target: 'new', tables: TABLES }, validateOnly: true });
  expect(planned.workflow?.message).toContain('CREATE TABLE account');
  expect(existsSync(pathOf('new'))).toBe(false);
  await using load = new Load(10);
  await workflows.createWorkflow({ workflow: { name: 'move', source: 'old', target: 'new', tables: TABLES } });
  // Another program, with statements of SQLite's own, beside the gateways.
  {
    using other = file('old');
    other.script(
      `PRAGMA busy_timeout = 10000; INSERT OR REPLACE INTO account (id, owner, balance) VALUES (5000, 'owner 100', 7); DELETE FROM account WHERE id = 200; UPDATE account SET id = 6000 WHERE id = 300`,
    );
  }
  await untilState(WorkflowState.RUNNING);
  const verified = (await workflows.verifyWorkflow({ name: 'move' })).workflow?.verification;
  expect({ differences: verified?.differences, error: verified?.error, sample: verified?.sample }).toEqual({ differences: 0n, error: '', sample: [] });

  expect((await workflows.switchTraffic({ name: 'move' })).workflow?.state).toBe(WorkflowState.SWITCHED);
  expect([fencesOf('old'), fencesOf('new')]).toEqual(['CLOSED,move CLOSED,move', 'OPEN,move OPEN,move']);
  {
    using other = otherProgram('old');
    expect(() => other.exec(`INSERT OR IGNORE INTO account (owner) VALUES ('late')`)).toThrow('switchyard: fenced');
  }
  expect((await workflows.reverseTraffic({ name: 'move' })).workflow?.state).toBe(WorkflowState.RUNNING);
  expect([fencesOf('old'), fencesOf('new')]).toEqual(['OPEN,move OPEN,move', 'CLOSED,move CLOSED,move']);
  await workflows.verifyWorkflow({ name: 'move' });
  expect((await workflows.switchTraffic({ name: 'move' })).workflow?.state).toBe(WorkflowState.SWITCHED);
  await load[Symbol.asyncDispose]();
  await untilEqual();

  expect(load.failures).toEqual([]);
  expect(load.stale).toBe(0);
  expect(load.reads).toBeGreaterThan(50);
  {
    using target = file('new');
    for (const [account, added] of load.added) expect(target.all('SELECT balance FROM account WHERE id = ?', [BigInt(account)])).toEqual([[BigInt(added)]]);
    expect(target.all(`SELECT id FROM account WHERE owner IN ('owner 100', 'owner 200', 'owner 300') ORDER BY id`)).toEqual([[5000n], [6000n]]);
    expect(target.all('SELECT account_id FROM entry WHERE account_id IN (100, 200, 300, 6000)')).toEqual([[6000n]]);
  }
  const gateway = cluster.client(DataService, cluster.gateways[0]?.address ?? '');
  const { row } = await gateway.insert({ table: 'account', row: { cells: { owner: text('new') } }, returning: ['id'] });
  expect(Number(row?.cells.id?.kind.value)).toBeGreaterThan(6000);

  expect((await workflows.completeWorkflow({ name: 'move' })).workflow?.state).toBe(WorkflowState.COMPLETED);
  expect([fencesOf('old'), fencesOf('new')]).toEqual(['CLOSED, CLOSED,', 'OPEN, OPEN,']);
  for (const keyspace of ['old', 'new']) {
    using connection = file(keyspace);
    expect(connection.all('SELECT count(*) FROM switchyard_log')).toEqual([[0n]]);
    expect(connection.all('SELECT count(*) FROM switchyard_change')).toEqual([[0n]]);
  }
}, 120_000);

/** The records of requests that name `reading`, in the store of either kind. */
function recordsInFile(): readonly string[] {
  using connection = file('old');
  return connection
    .all(`SELECT caller, request_id, table_name, digest, lower(hex(result)), recorded_at FROM switchyard_request WHERE table_name = 'reading' ORDER BY request_id`)
    .map((row) => row.join('|'));
}
async function recordsInPostgres(): Promise<readonly string[]> {
  const select = `SELECT caller, request_id, table_name, digest, encode(result, 'hex'), recorded_at FROM switchyard.request WHERE table_name = 'reading' ORDER BY request_id`;
  return (await postgres.psql(database, select)).trim().split('\n');
}

test('from SQLite to PostgreSQL and back: every value as it was, ids that go on, writes that are done once', async () => {
  const name = 'across';
  const gateway = cluster.client(DataService, cluster.gateways[0]?.address ?? '');
  const inserted = new Map<string, number>();
  const send = async (sensor: string): Promise<number> => {
    const { row } = await gateway.insert({ table: 'reading', row: { cells: { sensor: text(sensor), wide: int(7) } }, returning: ['id'], requestId: sensor.replaceAll(' ', '-') });
    return Number(row?.cells.id?.kind.value);
  };
  const insert = async (sensor: string): Promise<number> => {
    inserted.set(sensor, await send(sensor));
    return inserted.get(sensor) ?? 0;
  };
  const expectRepeated = async (): Promise<void> => {
    for (const [sensor, id] of inserted) expect([sensor, await send(sensor)]).toEqual([sensor, id]);
  };
  const all = async (): Promise<readonly unknown[]> =>
    (await gateway.query({ table: 'reading', orderBy: [{ column: 'id' }] })).rows.map(({ cells }) =>
      Object.fromEntries(Object.entries(cells).map(([column, { kind }]) => [column, kind.value])),
    );
  const before = await all();
  expect(before).toHaveLength(3);
  // Control prepares the file by itself, a moment after it has started.
  await waitUntil('the file keeping request ids', { limitMs: 15_000, everyMs: 50 }, () =>
    insert('before the move').catch((error: unknown) => {
      if (!hasReason(error, 'REQUEST_IDS_NOT_KEPT')) throw error;
      return undefined;
    }),
  );

  await workflows.createWorkflow({ workflow: { name, source: 'old', target: 'postgres', tables: ['reading'] } });
  expect(await insert('while it is copied')).toBe(5);
  await untilState(WorkflowState.RUNNING, name);
  const verified = (await workflows.verifyWorkflow({ name })).workflow?.verification;
  expect({ differences: verified?.differences, error: verified?.error, sample: verified?.sample }).toEqual({ differences: 0n, error: '', sample: [] });
  expect((await workflows.switchTraffic({ name })).workflow?.state).toBe(WorkflowState.SWITCHED);
  await expectRepeated();
  expect((await all()).slice(0, 3)).toEqual(before);
  expect(await insert('in PostgreSQL')).toBeGreaterThan(5);
  const inPostgres = await all();
  expect(inPostgres).toHaveLength(6);

  await workflows.verifyWorkflow({ name });
  expect((await workflows.reverseTraffic({ name })).workflow?.state).toBe(WorkflowState.RUNNING);
  await expectRepeated();
  expect(await all()).toEqual(inPostgres);
  const records = await recordsInPostgres();
  expect(records).toHaveLength(3);
  expect(recordsInFile()).toEqual(records);
  expect(await insert('in SQLite again')).toBeGreaterThan(6);
  expect((await workflows.cancelWorkflow({ name })).workflow?.state).toBe(WorkflowState.CANCELLED);
}, 90_000);

test('what a table has beside its columns works on both sides: numbers, defaults, labels, foreign keys and indexes', async () => {
  {
    using old = file('old');
    old.script(`CREATE TABLE buyer (id INTEGER PRIMARY KEY CONSTRAINT "switchyard_int32" CHECK ("id" BETWEEN -2147483648 AND 2147483647), name TEXT NOT NULL);
CREATE TABLE purchase (id INTEGER PRIMARY KEY AUTOINCREMENT, buyer_id INT32 NOT NULL REFERENCES buyer, state ENUM_TEXT NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'done')), units SMALLINT NOT NULL DEFAULT 1,
  made TIMESTAMPTZ_TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000Z', 'now')));
CREATE INDEX by_buyer ON purchase (buyer_id, made DESC);
INSERT INTO buyer (name) VALUES ('a'), ('b'); INSERT INTO purchase (buyer_id) SELECT 1 + value % 2 FROM json_each('[1,2,3,4,5]');`);
  }
  const name = 'purchases';
  const workflow = { name, source: 'old', target: 'postgres', tables: ['purchase', 'buyer'] };
  const planned = (await workflows.createWorkflow({ workflow, validateOnly: true })).workflow?.message ?? '';
  for (const statement of [
    '"id" integer NOT NULL GENERATED BY DEFAULT AS IDENTITY',
    'CREATE INDEX CONCURRENTLY ON public."purchase" ("buyer_id", "made" DESC)',
    'ADD FOREIGN KEY ("buyer_id")',
  ])
    expect(planned).toContain(statement);
  const gateway = cluster.client(DataService, cluster.gateways[0]?.address ?? '');
  const returning = ['id', 'state', 'units', 'made'];
  const buy = async (buyer: number | bigint) => (await gateway.insert({ table: 'purchase', row: { cells: { buyer_id: int(buyer) } }, returning })).row?.cells ?? {};
  const use = async (): Promise<void> => {
    const since = BigInt(Date.now() - 60_000) * 1_000n;
    const { row } = await gateway.insert({ table: 'buyer', row: { cells: { name: text('new') } }, returning: ['id'] });
    const bought = await buy(row?.cells.id?.kind.value as bigint);
    expect([bought.state?.kind, bought.units?.kind]).toEqual([{ case: 'enumValue', value: 'new' }, int(1).kind]);
    expect(bought.made?.kind.value as bigint).toBeGreaterThan(since);
    await expect(buy(99)).rejects.toMatchObject({ reason: 'FOREIGN_KEY_VIOLATION' });
  };
  await use();
  await workflows.createWorkflow({ workflow });
  await untilState(WorkflowState.RUNNING, name);
  for (const move of [() => workflows.switchTraffic({ name }), () => workflows.reverseTraffic({ name })]) {
    const verified = (await workflows.verifyWorkflow({ name })).workflow?.verification;
    expect({ differences: verified?.differences, error: verified?.error, sample: verified?.sample }).toEqual({ differences: 0n, error: '', sample: [] });
    await move();
    await use();
  }
  expect((await gateway.query({ table: 'buyer' })).rows).toHaveLength(5);
  expect((await workflows.cancelWorkflow({ name })).workflow?.state).toBe(WorkflowState.CANCELLED);
}, 90_000);

test('a table with rules of its own kind waits for one that was made by hand', async () => {
  {
    using old = file('old');
    old.script(`CREATE TABLE rated (id INTEGER NOT NULL PRIMARY KEY, stars BIGINT CHECK (stars BETWEEN 1 AND 5)); INSERT INTO rated VALUES (1, 5)`);
  }
  const workflow = { name: 'rated', source: 'old', target: 'postgres', tables: ['rated'] };
  const plan = async (): Promise<string> => (await workflows.createWorkflow({ workflow, validateOnly: true })).workflow?.message ?? '';
  await expect(plan()).rejects.toMatchObject({ reason: 'PRECHECK_FAILED', message: expect.stringContaining('CHECK (stars BETWEEN 1 AND 5)') });
  // What is no dry run asks the same before it does anything: the name stays free.
  await expect(workflows.createWorkflow({ workflow })).rejects.toMatchObject({ reason: 'PRECHECK_FAILED', message: expect.stringContaining('CHECK (stars BETWEEN 1 AND 5)') });
  await expect(workflows.getWorkflow({ name: 'rated' })).rejects.toMatchObject({ reason: 'WORKFLOW_UNKNOWN' });
  await postgres.psql(database, 'CREATE TABLE rated (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, stars bigint CHECK (stars BETWEEN 1 AND 5));', {
    login: SHOP_LOGINS.owner,
  });
  expect(await plan()).not.toContain('CREATE TABLE');
  await workflows.createWorkflow({ workflow });
  await untilState(WorkflowState.RUNNING, 'rated');
  expect((await workflows.verifyWorkflow({ name: 'rated' })).workflow?.verification).toMatchObject({ differences: 0n, error: '' });
  expect((await workflows.cancelWorkflow({ name: 'rated' })).workflow?.state).toBe(WorkflowState.CANCELLED);
});

test('a table that was made by hand has to number its rows like the one that it takes the place of', async () => {
  {
    using old = file('old');
    old.script('CREATE TABLE numbered (id INTEGER PRIMARY KEY AUTOINCREMENT, v BIGINT); INSERT INTO numbered (v) VALUES (1)');
  }
  const workflow = { name: 'numbered', source: 'old', target: 'postgres', tables: ['numbered'] };
  await postgres.psql(database, 'CREATE TABLE numbered (id bigint PRIMARY KEY, v bigint);', { login: SHOP_LOGINS.owner });
  for (const validateOnly of [true, false])
    await expect(workflows.createWorkflow({ workflow, validateOnly })).rejects.toMatchObject({
      reason: 'PRECHECK_FAILED',
      message: expect.stringContaining('ALTER TABLE numbered ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY'),
    });
  await postgres.psql(database, 'ALTER TABLE numbered ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY;', { login: SHOP_LOGINS.owner });
  await workflows.createWorkflow({ workflow });
  await untilState(WorkflowState.RUNNING, 'numbered');
  expect((await workflows.cancelWorkflow({ name: 'numbered' })).workflow?.state).toBe(WorkflowState.CANCELLED);
});

test('a watched table does not move to where nobody would write down its changes', async () => {
  const keyspaces = cluster.control(KeyspaceService, 60_000);
  await postgres.psql(database, 'CREATE TABLE seen (id bigint PRIMARY KEY);', { login: SHOP_LOGINS.owner });
  const workflow = { name: 'seen', source: 'postgres', target: 'new', tables: ['seen'] };
  expect((await keyspaces.watchTables({ name: 'postgres', tables: ['seen'] })).tables).toEqual(['seen']);
  await expect(workflows.createWorkflow({ workflow })).rejects.toMatchObject({
    reason: 'PRECHECK_FAILED',
    message: expect.stringContaining('switchyard keyspace watch postgres --tables seen --off'),
  });
  expect((await keyspaces.watchTables({ name: 'postgres', tables: ['seen'], off: true })).tables).toEqual([]);
  await workflows.createWorkflow({ workflow });
  await untilState(WorkflowState.RUNNING, 'seen');
  await expect(keyspaces.watchTables({ name: 'postgres', tables: ['seen'] })).rejects.toMatchObject({ reason: 'NOT_SUPPORTED', message: expect.stringContaining('"new"') });
  expect((await keyspaces.watchTables({ name: 'postgres' })).tables).toEqual([]);
  expect((await workflows.cancelWorkflow({ name: 'seen' })).workflow?.state).toBe(WorkflowState.CANCELLED);
});
