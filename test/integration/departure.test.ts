import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { RpcClient } from '../../client/rpc-client.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import { KeyspaceService } from '../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { type Workflow, WorkflowService, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { KeyspaceCluster } from '../support/cluster/keyspace-cluster.ts';
import { postgresShard } from '../support/cluster/process-config.ts';
import { findFreePorts } from '../support/servers/free-port.ts';
import { type PostgresServer, startPostgres } from '../support/servers/postgres.ts';
import { createShop } from '../support/servers/shop.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/* The ticket desk of the examples, a REST service with a file of its own, is left for PostgreSQL while its callers go on. */

const example = resolve('examples/leaving-a-service');
const limits = { holdBudgetMs: 1_000, attempts: 20 };
const rowsBefore = 450;

let folder: string;
let desk: ChildProcess;
let deskAddress: string;
let server: PostgresServer;
let database: string;
let cluster: KeyspaceCluster;
let workflows: RpcClient<typeof WorkflowService>;

const ask = async (method: string, path: string, body?: object): Promise<Response> =>
  await fetch(`http://${deskAddress}${path}`, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchyard-desk-'));
  const [port = 0] = await findFreePorts(1);
  deskAddress = `127.0.0.1:${port}`;
  desk = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(example, 'ticket-desk.ts'), String(port), join(folder, 'tickets.db')], { stdio: 'ignore' });
  server = await startPostgres({ name: 'own' });
  ({ database } = await createShop(server, { tables: false }));
  await waitUntil('the desk', { limitMs: 20_000 }, async () => await ask('GET', '/tickets?max=1').catch(() => undefined));
  for (let number = 1; number <= rowsBefore; number += 1)
    await ask('POST', '/tickets', { title: `ticket ${number}`, minutes: number % 7, fee: number % 3 === 0 ? null : `${number}.50` });
  cluster = await KeyspaceCluster.start({
    gateways: 2,
    controls: 2,
    gatewaySettings: { settleMs: 300, pool: { size: 6, acquireTimeoutMs: 30_000 }, buffer: { windowMs: 100_000 } },
    controlSettings: { stores: { acquireTimeoutMs: 30_000 } },
    keyspaces: [
      { name: 'desk', shards: [{ kind: 'http', gateways: [deskAddress], mapping: join(example, 'mapping.yaml') }] },
      { name: 'own', shards: [postgresShard(server, database)] },
    ],
  });
  await server.psql(database, (await cluster.control(KeyspaceService).getKeyspaceGrants({ name: 'own' })).script);
  workflows = cluster.control(WorkflowService, 200_000);
}, 240_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
  desk?.kill();
  await rm(folder, { recursive: true, force: true });
});

const int64 = (value: number | bigint) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });
const text = (value: string) => ({ kind: { case: 'textValue' as const, value } });

/** Callers, one at each gateway: each counts up the minutes of a ticket of its own, opens new ones, closes some for good, and reads its own writes back. */
class Callers implements AsyncDisposable {
  readonly minutes = new Map<number, number>();
  readonly opened = new Set<string>();
  readonly closed = new Set<string>();
  readonly failures: string[] = [];
  rounds = 0;
  stale = 0;
  #going = true;
  readonly #running: Promise<unknown>;

  constructor() {
    this.#running = Promise.all(cluster.gateways.map(({ address }, at) => this.#run(cluster.client(DataService, address, 100_000), at + 1)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#going = false;
    await this.#running;
  }

  async #run(client: RpcClient<typeof DataService>, own: number): Promise<void> {
    const key = { cells: { no: int64(own) } };
    for (let number = 1; this.#going; number += 1) {
      try {
        await client.update({ table: 'ticket', key, row: { cells: { minutes: int64(1_000 + number) } } });
        this.minutes.set(own, 1_000 + number);
        const { row } = await client.get({ table: 'ticket', key });
        if (row?.cells.minutes?.kind.value !== BigInt(1_000 + number)) this.stale += 1;
        const opened = await client.insert({ table: 'ticket', row: { cells: { title: text(`of caller ${own}, ${number}`), minutes: int64(0) } } });
        const no = opened.row?.cells.no ?? int64(0);
        this.opened.add(String(no.kind.value));
        if (number % 3 === 0) {
          await client.delete({ table: 'ticket', key: { cells: { no } } });
          this.closed.add(String(no.kind.value));
        }
        this.rounds += 1;
      } catch (error) {
        this.failures.push(String(error));
      }
      await new Promise((again) => setTimeout(again, 20));
    }
  }
}

async function untilState(name: string, state: WorkflowState): Promise<void> {
  let last: Workflow | undefined;
  await waitUntil(`workflow ${name} in state ${state}`, { limitMs: 120_000, everyMs: 100, explain: () => `${last?.state} ${last?.message}` }, async () => {
    last = (await workflows.getWorkflow({ name })).workflow;
    return last?.state === state ? true : undefined;
  });
}

const inDatabase = async (columns: string): Promise<string> => (await server.psql(database, `SELECT ${columns} FROM ticket ORDER BY no`)).trim();
const atDesk = async (no: number): Promise<Record<string, unknown>> => (await (await ask('GET', `/tickets/${no}`)).json()) as Record<string, unknown>;

test('a table leaves the service for PostgreSQL under load: nothing is lost, nothing stale, and it does not go back', async () => {
  await using callers = new Callers();
  await workflows.createWorkflow({ workflow: { name: 'leave', source: 'desk', target: 'own', tables: ['ticket'], limits } });
  await untilState('leave', WorkflowState.RUNNING);
  const roundsBefore = callers.rounds;
  const { workflow } = await waitUntil('the switch', { limitMs: 200_000, everyMs: 500 }, async () => {
    try {
      return await workflows.switchTraffic({ name: 'leave' });
    } catch (error) {
      if (error instanceof SwitchyardError && error.retryable) return undefined;
      throw error;
    }
  });
  expect(workflow?.state).toBe(WorkflowState.SWITCHED);
  const left = await atDesk(1);
  const roundsThen = callers.rounds;
  await waitUntil('more calls', { limitMs: 30_000 }, async () => (callers.rounds > roundsThen + 10 ? true : undefined));
  await callers[Symbol.asyncDispose]();

  expect(callers.failures).toEqual([]);
  expect(callers.stale).toBe(0);
  expect(roundsBefore).toBeGreaterThan(0);
  // The service has heard of nothing since.
  expect(await atDesk(1)).toEqual(left);
  const rows = (await inDatabase('no, minutes')).split('\n').map((line) => line.split('|'));
  const minutes = new Map(rows.map(([no = '', value = '']) => [no, Number(value)]));
  for (const [own, value] of callers.minutes) expect(minutes.get(String(own))).toBe(value);
  const missing = [...callers.opened].filter((no) => !callers.closed.has(no) && !minutes.has(no));
  const undead = [...callers.closed].filter((no) => minutes.has(no));
  expect({ missing, undead }).toEqual({ missing: [], undead: [] });
  expect(rows).toHaveLength(rowsBefore + callers.opened.size - callers.closed.size);
  expect(await server.psql(database, `SELECT fee FROM ticket WHERE no IN (3, 4) ORDER BY no`)).toBe('\n4.50\n');

  const back = await workflows.reverseTraffic({ name: 'leave' }).catch((error: unknown) => error);
  expect(hasReason(back, 'NOT_SUPPORTED')).toBe(true);
  expect((await workflows.completeWorkflow({ name: 'leave' })).workflow?.state).toBe(WorkflowState.COMPLETED);
  const client = cluster.client(DataService, cluster.gateways[0]?.address ?? '');
  await client.update({ table: 'desk.ticket', key: { cells: { no: int64(2) } }, row: { cells: { title: text('under its old name') } } });
  expect(await server.psql(database, 'SELECT title FROM ticket WHERE no = 2')).toBe('under its old name\n');
}, 240_000);
