import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Connection } from '../../backends/sqlite/connection.ts';
import type { RpcClient } from '../../client/rpc-client.ts';
import { type Workflow, WorkflowService, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { KeyspaceCluster } from '../support/cluster/keyspace-cluster.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/*
 * A whole move between two SQLite files by real processes: copied, switched, back, switched again and completed while services write and read through the gateways, and another program writes past them. Every acknowledged
 * write is counted.
 */

const TABLES_TEXT = `
CREATE TABLE account (id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL UNIQUE, balance BIGINT NOT NULL DEFAULT 0);
CREATE TABLE entry (account_id INTEGER NOT NULL REFERENCES account ON DELETE CASCADE ON UPDATE CASCADE, number BIGINT NOT NULL, note TEXT, PRIMARY KEY (account_id, number)) WITHOUT ROWID;
INSERT INTO account (owner) SELECT 'owner ' || value FROM json_each((SELECT json_group_array(i) FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) SELECT i FROM n)));
INSERT INTO entry SELECT id, 0, 'first of ' || owner FROM account;`;
const TABLES = ['account', 'entry'];

let folder: string;
let cluster: KeyspaceCluster;
let workflows: RpcClient<typeof WorkflowService>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchyard-sqlite-move-'));
  {
    using old = file('old');
    old.script(TABLES_TEXT);
    using target = file('new');
    target.script('SELECT 1');
  }
  const keyspaces = ['old', 'new'].map((name) => ({ name, shards: [{ kind: 'sqlite', path: pathOf(name) }] }));
  cluster = await KeyspaceCluster.start({ gateways: 2, controls: 1, keyspaces });
  workflows = cluster.control(WorkflowService, 60_000);
}, 90_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
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

async function untilState(state: WorkflowState): Promise<void> {
  let last: Workflow | undefined;
  await waitUntil(`the workflow in state ${state}`, { limitMs: 60_000, everyMs: 50, explain: () => `${last?.state} ${last?.message}` }, async () => {
    last = (await workflows.getWorkflow({ name: 'move' })).workflow;
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
  await using load = new Load(10);
  await workflows.createWorkflow({ workflow: { name: 'move', source: 'old', target: 'new', tables: TABLES } });
  // Another program, with statements of SQLite's own, beside the gateways.
  {
    using other = file('old');
    other.script(
      `INSERT OR REPLACE INTO account (id, owner, balance) VALUES (5000, 'owner 100', 7); DELETE FROM account WHERE id = 200; UPDATE account SET id = 6000 WHERE id = 300`,
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
