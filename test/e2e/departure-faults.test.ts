import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { DepartureStepName } from '../../control/departure/steps.ts';
import { KeyspaceService } from '../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { WorkflowService, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { readWorkflow } from '../bench/cutover/consul-rules.ts';
import { untilServing } from '../support/cluster/cluster.ts';
import { KeyspaceCluster } from '../support/cluster/keyspace-cluster.ts';
import { postgresShard } from '../support/cluster/process-config.ts';
import { switched, untilState } from '../support/departure/departures.ts';
import { Desk } from '../support/departure/desk.ts';
import { DeskCallers } from '../support/departure/desk-callers.ts';
import { firedFile, plannedFile } from '../support/faults/fault-plan.ts';
import { faultyControlOptions } from '../support/faults/faulty-controls.ts';
import { type PostgresServer, startPostgres } from '../support/servers/postgres.ts';
import { createShop } from '../support/servers/shop.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/*
 * The control process that leaves a service is killed or frozen right after a step of it, while callers write and read: the other one takes back what was not decided and goes on with what was; nothing is lost, nothing stale, and the frozen one wakes and does no
 * harm.
 */

const cases: readonly (readonly [DepartureStepName, 'SIGKILL' | 'SIGSTOP'])[] = [
  ['rules-hold', 'SIGKILL'],
  ['barrier', 'SIGSTOP'],
  ['compare', 'SIGSTOP'],
  ['decide', 'SIGKILL'],
  ['ready', 'SIGSTOP'],
  ['leases', 'SIGSTOP'],
  ['open', 'SIGKILL'],
  ['flip', 'SIGSTOP'],
];
const limitMs = 60_000;

let folder: string;
let server: PostgresServer;
let database: string;
let cluster: KeyspaceCluster;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchyard-faults-'));
  server = await startPostgres({ name: 'own' });
  ({ database } = await createShop(server, { tables: false }));
  cluster = await KeyspaceCluster.start({
    ...faultyControlOptions(folder),
    gateways: 2,
    gatewaySettings: { settleMs: 300, pool: { size: 6, acquireTimeoutMs: 30_000 }, buffer: { windowMs: 100_000 } },
    controlSettings: { stores: { acquireTimeoutMs: 30_000 } },
    keyspaces: [{ name: 'own', shards: [postgresShard(server, database)] }],
  });
  await server.psql(database, (await cluster.control(KeyspaceService).getKeyspaceGrants({ name: 'own' })).script);
}, 240_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const untilAnswering = async (control: KeyspaceCluster['controls'][number]): Promise<void> => {
  const client = cluster.client(KeyspaceService, control.address, 2_000);
  await untilServing(control, () => client.listKeyspaces({}));
};

test.each(cases)(
  'after %s, %s',
  async (step, signal) => {
    const table = `ticket_${step.replace('-', '_')}`;
    await using desk = await Desk.start(table, 120);
    await cluster.control(KeyspaceService).applyKeyspace({ keyspace: desk.keyspace });
    await using callers = new DeskCallers(cluster, `desk_${table}.${table}`);
    const workflows = cluster.control(WorkflowService, 30_000);
    await workflows.createWorkflow({ workflow: { name: table, source: `desk_${table}`, target: 'own', tables: [table], limits: { holdBudgetMs: 1_000, attempts: 20 } } });
    await untilState(cluster, table, WorkflowState.RUNNING);

    const runner = (await readWorkflow(cluster.consul, table)).runner?.id;
    const struck = cluster.controls.find(({ name }) => name === runner);
    const other = cluster.controls.find(({ name }) => name !== runner);
    if (struck === undefined || other === undefined) throw new Error(`"${runner}" runs ${table}`);
    await writeFile(join(folder, 'part'), JSON.stringify({ step, to: 'target', signal }));
    await rename(join(folder, 'part'), plannedFile(folder, struck.name));
    const beginning = cluster
      .client(WorkflowService, other.address, 30_000)
      .switchTraffic({ name: table })
      .catch(() => null);
    await waitUntil('the fault', { limitMs, everyMs: 20 }, async () => (existsSync(firedFile(folder, struck.name)) ? true : undefined));
    await beginning;
    if (signal === 'SIGKILL') {
      await struck.kill();
      await struck.start();
      await untilAnswering(struck);
    }
    await waitUntil('another runner', { limitMs, everyMs: 100, explain: async () => await other.logTail() }, async () => {
      const { runner: now, state } = await readWorkflow(cluster.consul, table);
      return now?.id === other.name || state === 'switched' ? true : undefined;
    });
    if (signal === 'SIGSTOP') struck.resume();
    await untilAnswering(struck);
    await switched(cluster, table);
    const rounds = callers.rounds;
    await waitUntil('more calls', { limitMs }, async () => (callers.rounds > rounds + 20 ? true : undefined));
    await callers[Symbol.asyncDispose]();
    expect(callers.violations(await server.psql(database, `SELECT no, minutes FROM ${table}`), desk.rows)).toEqual([]);
    expect((await cluster.control(WorkflowService, 30_000).completeWorkflow({ name: table })).workflow?.state).toBe(WorkflowState.COMPLETED);
    await rm(firedFile(folder, struck.name), { force: true });
  },
  240_000,
);
