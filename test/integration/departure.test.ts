import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { RpcClient } from '../../client/rpc-client.ts';
import { hasReason } from '../../core/switchyard-error.ts';
import { KeyspaceService } from '../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { WorkflowService, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { KeyspaceCluster } from '../support/cluster/keyspace-cluster.ts';
import { postgresShard } from '../support/cluster/process-config.ts';
import { switched, untilState } from '../support/departure/departures.ts';
import { Desk } from '../support/departure/desk.ts';
import { DeskCallers, int64, text } from '../support/departure/desk-callers.ts';
import { type PostgresServer, startPostgres } from '../support/servers/postgres.ts';
import { createShop } from '../support/servers/shop.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/* The ticket desk of the examples, a REST service with a file of its own, is left for PostgreSQL while its callers go on. */

const limits = { holdBudgetMs: 1_000, attempts: 20 };

let desk: Desk;
let server: PostgresServer;
let database: string;
let cluster: KeyspaceCluster;
let workflows: RpcClient<typeof WorkflowService>;

beforeAll(async () => {
  desk = await Desk.start('ticket', 450);
  server = await startPostgres({ name: 'own' });
  ({ database } = await createShop(server, { tables: false }));
  cluster = await KeyspaceCluster.start({
    gateways: 2,
    gatewaySettings: { settleMs: 300, pool: { size: 6, acquireTimeoutMs: 30_000 }, buffer: { windowMs: 100_000 } },
    controlSettings: { stores: { acquireTimeoutMs: 30_000 } },
    keyspaces: [desk.keyspace, { name: 'own', shards: [postgresShard(server, database)] }],
  });
  await server.psql(database, (await cluster.control(KeyspaceService).getKeyspaceGrants({ name: 'own' })).script);
  workflows = cluster.control(WorkflowService, 60_000);
}, 240_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
  await desk?.[Symbol.asyncDispose]();
});

const create = (name: string, more: object = {}) => workflows.createWorkflow({ workflow: { name, source: 'desk_ticket', target: 'own', tables: ['ticket'], limits, ...more } });
const reasonOf = async (call: Promise<unknown>): Promise<unknown> => {
  const error = await call.then(
    () => null,
    (failure: unknown) => failure,
  );
  return (error as { readonly reason?: unknown } | null)?.reason ?? error;
};

test('what cannot leave is refused by name, and a gateway that does not hold keeps the table where it is', async () => {
  const other = { name: 'alias', shards: [{ kind: 'http', gateways: [desk.address, '127.0.0.1:1'] }] };
  await cluster.control(KeyspaceService).applyKeyspace({ keyspace: other });
  expect(await reasonOf(create('aliased'))).toBe('PRECHECK_FAILED');
  await cluster.control(KeyspaceService).applyKeyspace({ keyspace: { ...other, shards: [{ kind: 'http', gateways: ['127.0.0.1:1'] }] } });

  await create('stopped', { limits: { ...limits, attempts: 1 } });
  await untilState(cluster, 'stopped', WorkflowState.RUNNING);
  expect(await reasonOf(workflows.verifyWorkflow({ name: 'stopped' }))).toBe('NOT_SUPPORTED');
  const [first, second] = cluster.gateways;
  await second?.process.pause();
  expect(await reasonOf(workflows.switchTraffic({ name: 'stopped' }))).toBe('HOLD_BUDGET');
  // What was held goes on where it was.
  const client = cluster.client(DataService, first?.address ?? '');
  await client.update({ table: 'ticket', key: { cells: { no: int64(9) } }, row: { cells: { title: text('still here') } } });
  expect((await desk.ticket(9)).title).toBe('still here');
  second?.process.resume();

  // Without Consul nobody knows whether the table is still there.
  await cluster.consul.pause();
  await new Promise((later) => setTimeout(later, 1_500));
  expect(await reasonOf(client.get({ table: 'ticket', key: { cells: { no: int64(9) } } }))).toBe('TOPOLOGY_UNAVAILABLE');
  await cluster.consul.resume();
  await waitUntil('the table', { limitMs: 30_000 }, async () => await client.get({ table: 'ticket', key: { cells: { no: int64(9) } } }).catch(() => undefined));
  await waitUntil('the end', { limitMs: 60_000, everyMs: 500 }, async () => await workflows.cancelWorkflow({ name: 'stopped' }).catch(() => undefined));
  expect(await server.psql(database, `SELECT to_regclass('ticket') IS NULL`)).toBe('t\n');
  // The table is nobody's again.
  expect((await client.get({ table: 'ticket', key: { cells: { no: int64(9) } } })).row?.cells.title?.kind.value).toBe('still here');
}, 240_000);

test('a table leaves the service for PostgreSQL under load: nothing is lost, nothing stale, and it does not go back', async () => {
  await using callers = new DeskCallers(cluster, 'ticket');
  await create('leave');
  await untilState(cluster, 'leave', WorkflowState.RUNNING);
  await switched(cluster, 'leave');
  const left = await desk.ticket(1);
  const roundsThen = callers.rounds;
  expect(roundsThen).toBeGreaterThan(0);
  await waitUntil('more calls', { limitMs: 30_000 }, async () => (callers.rounds > roundsThen + 10 ? true : undefined));
  await callers[Symbol.asyncDispose]();

  expect(callers.violations(await server.psql(database, 'SELECT no, minutes FROM ticket'), desk.rows)).toEqual([]);
  // The service has heard of nothing since.
  expect(await desk.ticket(1)).toEqual(left);
  expect(await server.psql(database, 'SELECT fee FROM ticket WHERE no IN (3, 4) ORDER BY no')).toBe('\n4.50\n');

  expect(hasReason(await workflows.reverseTraffic({ name: 'leave' }).catch((error: unknown) => error), 'NOT_SUPPORTED')).toBe(true);
  expect((await workflows.completeWorkflow({ name: 'leave' })).workflow?.state).toBe(WorkflowState.COMPLETED);
  const client = cluster.client(DataService, cluster.gateways[0]?.address ?? '');
  await client.update({ table: 'desk_ticket.ticket', key: { cells: { no: int64(2) } }, row: { cells: { title: text('under its old name') } } });
  expect(await server.psql(database, 'SELECT title FROM ticket WHERE no = 2')).toBe('under its old name\n');
}, 240_000);
