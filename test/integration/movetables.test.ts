import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import type { RpcClient } from '../../client/rpc-client.ts';
import { RulesService } from '../../gen/switchyard/control/v1/rules_pb.ts';
import { type CutoverLimitsSchema, type Workflow, WorkflowService, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { editRules, getRules } from '../bench/cutover/consul-rules.ts';
import { type Cluster, startCluster } from '../support/cluster/cluster.ts';
import { changeDocs, createDocs, docsTable } from '../support/moves/docs-table.ts';
import { readFences, readSettledState } from '../support/moves/move-state.ts';
import { untilRowSetsAreEqual } from '../support/moves/row-sets.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/*
 * Moves by real control processes over two PostgreSQL servers and Consul, without gateways: what is copied under changes is equal, a difference is found, a killed runner's copy goes on elsewhere, and each way of ending leaves
 * both stores as it should.
 */

/** The one that is hard to copy first: its rows are changed from the beginning. */
const movedTables = [docsTable, 'pgbench_accounts', 'pgbench_branches', 'pgbench_history', 'pgbench_tellers'];

/** So many that a copy of them takes seconds: it begins with a small share of the time. */
const bigRows = 200_000;

let cluster: Cluster;
let workflows: RpcClient<typeof WorkflowService>;

beforeAll(async () => {
  cluster = await startCluster({ gateways: 0, controls: 2 });
  workflows = cluster.control(WorkflowService, 60_000);
  await createDocs(cluster);
}, 120_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

async function get(name: string): Promise<Workflow> {
  const { workflow } = await workflows.getWorkflow({ name });
  if (workflow === undefined) throw new Error('no workflow in the answer');
  return workflow;
}

async function untilState(name: string, state: WorkflowState, limitMs = 60_000): Promise<Workflow> {
  let last: Workflow | undefined;
  return waitUntil(`workflow ${name} in state ${state}`, { limitMs, everyMs: 50, explain: () => `${last?.state} ${last?.message}` }, async () => {
    last = await get(name);
    return last.state === state ? last : undefined;
  });
}

async function create(name: string, tables: readonly string[]): Promise<void> {
  await workflows.createWorkflow({ workflow: { name, source: 'old', target: 'new', tables: [...tables] } });
}

async function verify(name: string): Promise<NonNullable<Workflow['verification']>> {
  const { workflow } = await workflows.verifyWorkflow({ name });
  if (workflow?.verification === undefined) throw new Error('no verification in the answer');
  return workflow.verification;
}

const sql = (keyspace: 'old' | 'new', text: string): Promise<string> => cluster[keyspace].psql(cluster.database, text);
/** As the player, whom the fence of a closed table lets pass. */
const tamper = (keyspace: 'old' | 'new', text: string): Promise<string> => cluster[keyspace].psql(cluster.database, text, { login: cluster.logins.player });
const slots = (keyspace: 'old' | 'new'): Promise<string> => sql(keyspace, 'SELECT (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_publication);');
const rightsOfGateway = (keyspace: 'old' | 'new'): Promise<string> =>
  sql(keyspace, `SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = 'shop_gateway' AND table_schema = 'public' ORDER BY 1, 2;`);

/** Those in the target that are there to be used. */
const indexesOf = (table: string): Promise<string> =>
  sql('new', `SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = to_regclass('public.${table}') AND i.indisvalid ORDER BY 1;`);

test('a table that is in the way in the target is found before anything is claimed', async () => {
  const asOwner = (text: string): Promise<string> => cluster.new.psql(cluster.database, text, { login: cluster.logins.owner });
  const workflow = { name: 'barred', source: 'old', target: 'new', tables: ['pgbench_branches', 'pgbench_tellers'] };
  const refusals = async (): Promise<readonly unknown[]> => {
    const found = await Promise.all([true, false].map((validateOnly) => workflows.createWorkflow({ workflow, validateOnly }).catch((error: unknown) => error)));
    await expect(get('barred')).rejects.toMatchObject({ reason: 'WORKFLOW_UNKNOWN' });
    return found;
  };
  const refusal = (message: RegExp) => expect.objectContaining({ reason: 'PRECHECK_FAILED', message: expect.stringMatching(message) });
  await asOwner('CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int); CREATE TABLE pgbench_branches (bid int PRIMARY KEY); INSERT INTO pgbench_branches VALUES (1);');
  try {
    const rows = refusal(/^new\.pgbench_branches: it is there already and holds rows [^\n]* \(DROP TABLE [^\n]*\)$/);
    expect(await refusals()).toEqual([rows, rows]);
    await asOwner('DROP TABLE pgbench_branches;');
    const shape = refusal(/^new\.pgbench_tellers: it is there already, and differs from that of old: column "tbalance" is missing; column "filler" is missing \([^\n]*\)$/);
    expect(await refusals()).toEqual([shape, shape]);
  } finally {
    await asOwner('DROP TABLE IF EXISTS pgbench_tellers, pgbench_branches;');
  }
});

test('what is copied under changes of cells, keys and large values is equal, also while they go on', async () => {
  const changed = changeDocs(cluster, 8);
  const load = cluster.old.pgbench(cluster.database, ['-n', '-c', '2', '-T', '8', '-R', '200'], { login: cluster.logins.owner });
  await create('equal', movedTables);
  const running = await untilState('equal', WorkflowState.RUNNING);
  expect(running.progress.map(({ table, done }) => ({ table, done }))).toEqual(movedTables.map((table) => ({ table, done: true })));
  expect(Number(running.progress.find(({ table }) => table === 'pgbench_accounts')?.rowsCopied)).toBeGreaterThanOrEqual(100_000);

  const under = await verify('equal');
  expect({ differences: under.differences, error: under.error, sample: under.sample }).toEqual({ differences: 0n, error: '', sample: [] });
  expect(Number(under.rowsCompared)).toBeGreaterThan(100_000);
  await Promise.all([load, changed]);
  await untilRowSetsAreEqual(cluster, movedTables);
}, 120_000);

test('a planted difference of each sort is found and named', async () => {
  await tamper('new', 'UPDATE pgbench_accounts SET abalance = 4711 WHERE aid = 77; DELETE FROM pgbench_tellers WHERE tid = 3; INSERT INTO pgbench_branches VALUES (99, 5);');
  const found = await verify('equal');
  expect(found.differences).toBe(3n);
  const sample = found.sample.map(({ table, key, what }) => `${table} ${key}: ${what}`).toSorted();
  expect(sample).toEqual(['pgbench_accounts 77: abalance', 'pgbench_branches 99: missing in source', 'pgbench_tellers 3: missing in target']);
  expect(found.sample.find(({ table }) => table === 'pgbench_accounts')?.targetValue).toBe('4711');
  await expect(workflows.switchTraffic({ name: 'equal' })).rejects.toMatchObject({ reason: 'NOT_VERIFIED' });

  await tamper('new', 'DELETE FROM pgbench_branches WHERE bid = 99;');
  await sql(
    'old',
    'UPDATE pgbench_accounts SET abalance = abalance WHERE aid = 77; BEGIN; CREATE TEMP TABLE t AS SELECT * FROM pgbench_tellers WHERE tid = 3; DELETE FROM pgbench_tellers WHERE tid = 3; INSERT INTO pgbench_tellers SELECT * FROM t; COMMIT;',
  );
  expect((await verify('equal')).differences).toBe(0n);
}, 60_000);

test('a verification that is ordered while one repairs waits for that one and has its result', async () => {
  const repair = workflows.verifyWorkflow({ name: 'equal', repair: true });
  await waitUntil('the repair under way', { limitMs: 30_000, everyMs: 5 }, async () => ((await get('equal')).verifying?.repair === true ? true : undefined));
  const [first, second] = await Promise.all([repair, workflows.verifyWorkflow({ name: 'equal' })]);
  expect(first.workflow?.verification).toMatchObject({ differences: 0n, error: '' });
  expect(second.workflow?.verification).toEqual(first.workflow?.verification);
}, 60_000);

test('limits are changed one by one while it runs', async () => {
  const limitsAfter = async (limits: MessageInitShape<typeof CutoverLimitsSchema>) => (await workflows.updateLimits({ name: 'equal', limits })).workflow?.limits;
  const before = (await get('equal')).limits;
  expect(await limitsAfter({ mostCopyShare: 50, holdBudgetMs: 300 })).toEqual({ ...before, mostCopyShare: 50, holdBudgetMs: 300 });
  expect(await limitsAfter({ holdBudgetMs: before?.holdBudgetMs ?? 0 })).toEqual({ ...before, mostCopyShare: 50 });
  for (const wrong of [{ holdBudgetMs: 10 }, { leastCopyShare: 101 }, { leastCopyShare: 51 }])
    await expect(limitsAfter(wrong)).rejects.toMatchObject({ reason: 'ARGUMENT_INVALID', message: expect.stringContaining(`limits.${Object.keys(wrong)[0]}`) });
  await expect(workflows.updateLimits({ name: 'none', limits: { attempts: 1 } })).rejects.toMatchObject({ reason: 'WORKFLOW_UNKNOWN' });
  expect((await get('equal')).limits).toEqual({ ...before, mostCopyShare: 50 });
});

test('a table has at most one workflow, and the refusal names it', async () => {
  const second = workflows.createWorkflow({ workflow: { name: 'second', source: 'old', target: 'new', tables: ['pgbench_tellers'] } });
  await expect(second).rejects.toMatchObject({ reason: 'TABLE_OWNED', metadata: { workflow: 'equal', table: 'pgbench_tellers' } });
  await expect(workflows.getWorkflow({ name: 'second' })).rejects.toMatchObject({ reason: 'WORKFLOW_UNKNOWN' });
});

test('switch, back, the wish by plain Consul, and the end', async () => {
  const { workflow } = await workflows.switchTraffic({ name: 'equal' });
  expect(workflow?.state).toBe(WorkflowState.SWITCHED);
  expect(await readSettledState(cluster, movedTables)).toEqual({ kind: 'settled', primary: 'new' });
  const asGateway = (keyspace: 'old' | 'new', balance: number): Promise<string> =>
    cluster[keyspace].psql(cluster.database, `UPDATE pgbench_accounts SET abalance = ${balance} WHERE aid = 1;`, { login: cluster.logins.gateway });
  await expect(asGateway('old', 1)).rejects.toThrow();
  await asGateway('new', 2);
  expect(await verify('equal')).toMatchObject({ differences: 0n, error: '' });
  await untilRowSetsAreEqual(cluster, movedTables);

  expect((await workflows.reverseTraffic({ name: 'equal' })).workflow?.state).toBe(WorkflowState.RUNNING);
  await expect(asGateway('new', 3)).rejects.toThrow();
  await asGateway('old', 4);
  await untilRowSetsAreEqual(cluster, movedTables);

  const { version } = await editRules(cluster.consul, 'an operator flips', (document) => {
    const rule = document.tables[docsTable];
    if (rule?.movement === undefined) throw new Error('the rule names no workflow');
    document.tables = { ...document.tables, [docsTable]: { ...rule, movement: { ...rule.movement, want: 'target' } } };
  });
  await untilState('equal', WorkflowState.SWITCHED);
  expect(await readSettledState(cluster, movedTables)).toEqual({ kind: 'settled', primary: 'new' });
  const { rules } = await cluster.control(RulesService).listRulesHistory({ pageSize: 50 });
  expect(rules.find((document) => document.version === BigInt(version))?.external).toBe(true);

  expect((await workflows.completeWorkflow({ name: 'equal' })).workflow?.state).toBe(WorkflowState.COMPLETED);
  expect(await slots('old')).toBe('0|0\n');
  expect(await slots('new')).toBe('0|0\n');
  expect((await readFences(cluster, 'old')).map(({ state, workflow: owner }) => `${state} ${owner}`)).toEqual(movedTables.map(() => 'CLOSED null'));
  expect((await readFences(cluster, 'new')).map(({ state, workflow: owner }) => `${state} ${owner}`)).toEqual(movedTables.map(() => 'OPEN null'));
  await expect(asGateway('old', 5)).rejects.toThrow();
  const { document } = await getRules(cluster.consul);
  expect(document.tables.pgbench_accounts).toMatchObject({ primary: 'new', writes: 'open', names: ['old.pgbench_accounts', 'new.pgbench_accounts'] });
  expect(document.tables.pgbench_accounts?.movement).toBeUndefined();
}, 120_000);

test('a copy whose runner is killed goes on where it was; cancel leaves the source as it was', async () => {
  await cluster.old.psql(
    cluster.database,
    `CREATE TABLE big AS SELECT i AS id, md5(i::text) AS text FROM generate_series(1, ${bigRows}) i; ALTER TABLE big ADD PRIMARY KEY (id); CREATE INDEX big_text ON big (text);`,
    {
      login: cluster.logins.owner,
    },
  );
  await cluster.grant();
  const before = await rightsOfGateway('old');
  await create('killed', ['big']);
  const copying = await waitUntil('a part of the copy', { limitMs: 30_000, everyMs: 20 }, async () => {
    const workflow = await get('killed');
    return Number(workflow.progress[0]?.rowsCopied ?? 0n) > 20_000 ? workflow : undefined;
  });
  expect(copying.state).toBe(WorkflowState.COPYING);
  const runner = cluster.controls.find((control) => control.name === copying.runner);
  await runner?.kill();
  expect(await indexesOf('big')).toBe('big_pkey\n');
  workflows = cluster.control(WorkflowService, 60_000);
  const left = Number((await get('killed')).progress[0]?.rowsCopied);
  const resumed = await waitUntil('another runner', { limitMs: 40_000, everyMs: 50 }, async () => {
    const workflow = await get('killed');
    return workflow.runner === copying.runner ? undefined : workflow;
  });
  expect(Number(resumed.progress[0]?.rowsCopied)).toBeGreaterThanOrEqual(left);
  await untilState('killed', WorkflowState.RUNNING);
  expect(await indexesOf('big')).toBe('big_pkey\nbig_text\n');
  await runner?.start();
  expect(await verify('killed')).toMatchObject({ differences: 0n, rowsCompared: BigInt(bigRows) });

  expect((await workflows.cancelWorkflow({ name: 'killed' })).workflow?.state).toBe(WorkflowState.CANCELLED);
  expect(await rightsOfGateway('old')).toBe(before);
  expect(await slots('old')).toBe('0|0\n');
  expect(await sql('new', "SELECT to_regclass('public.big');")).toBe('\n');
  await cluster.old.psql(cluster.database, 'DELETE FROM big WHERE id = 1;', { login: cluster.logins.gateway });
  const fenceOf = async (keyspace: 'old' | 'new'): Promise<unknown> => (await readFences(cluster, keyspace)).find(({ table }) => table === 'big');
  expect(await fenceOf('old')).toMatchObject({ state: 'OPEN', workflow: null });
  expect(await fenceOf('new')).toMatchObject({ state: 'CLOSED', workflow: null });
  const { document } = await getRules(cluster.consul);
  expect(document.tables.big).toMatchObject({ primary: 'old', writes: 'open' });
  expect(document.tables.big?.movement).toBeUndefined();
}, 180_000);

test('a cancel in the middle of a copy does not wait for its end, and the tables can be moved again', async () => {
  await create('cut', ['big']);
  await waitUntil('the begin of the copy', { limitMs: 30_000, everyMs: 20 }, async () => ((await get('cut')).state === WorkflowState.COPYING ? true : undefined));
  await sleep(300);
  expect((await workflows.cancelWorkflow({ name: 'cut' })).workflow?.state).toBe(WorkflowState.CANCELLED);
  await create('again', ['big']);
  await untilState('again', WorkflowState.RUNNING);
  expect((await verify('again')).differences).toBe(0n);
  await workflows.cancelWorkflow({ name: 'again' });
}, 120_000);

test('indexes are built when all is copied; a cancel does not wait for them, and the tables can be moved again', async () => {
  await cluster.old.psql(
    cluster.database,
    'CREATE TABLE few AS SELECT i AS id, i % 7 AS day FROM generate_series(1, 100) i; ALTER TABLE few ADD PRIMARY KEY (id); CREATE INDEX by_day ON few (day);',
    {
      login: cluster.logins.owner,
    },
  );
  await cluster.grant();
  // A build waits for whoever may still see the table as it was.
  const reader = new pg.Client({ connectionString: cluster.new.url(cluster.database, cluster.logins.owner) });
  await reader.connect();
  await using _ = { [Symbol.asyncDispose]: () => reader.end() };
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
  await create('built', ['few']);
  const building = await waitUntil('the build', { limitMs: 60_000, everyMs: 50 }, async () => {
    const workflow = await get('built');
    return workflow.message === 'building indexes of "few"' && (await indexesOf('few')) === 'few_pkey\n' ? workflow : undefined;
  });
  expect([building.state, building.progress.every(({ done }) => done)]).toEqual([WorkflowState.COPYING, true]);
  expect((await workflows.cancelWorkflow({ name: 'built' })).workflow?.state).toBe(WorkflowState.CANCELLED);
  expect(await sql('new', "SELECT to_regclass('public.few');")).toBe('\n');
  await reader.query('COMMIT');
  await create('rebuilt', ['few']);
  expect((await untilState('rebuilt', WorkflowState.RUNNING)).message).toBe('');
  expect(await indexesOf('few')).toBe('by_day\nfew_pkey\n');
  await workflows.cancelWorkflow({ name: 'rebuilt' });
}, 120_000);

test("what a leader that slept past its workflow's end has claimed for it does not stand in the way of the next one", async () => {
  const claimFor = async (workflow: string): Promise<void> => {
    for (const keyspace of ['old', 'new'] as const) await sql(keyspace, `UPDATE switchyard.fence SET workflow = '${workflow}' WHERE table_name = 'big' AND workflow IS NULL;`);
  };
  await create('over', ['big']);
  await untilState('over', WorkflowState.RUNNING);
  await workflows.cancelWorkflow({ name: 'over' });
  await claimFor('over');
  await create('next', ['big']);
  await untilState('next', WorkflowState.RUNNING);
  await workflows.cancelWorkflow({ name: 'next' });
  // Of one that Consul does not know nobody can say that it has ended.
  await claimFor('somebody');
  await create('refused', ['big']);
  expect((await untilState('refused', WorkflowState.FAILED)).message).toContain('TABLE_OWNED: workflow "somebody"');
  await workflows.cancelWorkflow({ name: 'refused' });
}, 120_000);

test('a column that is renamed under the move ends it, and the message says where', async () => {
  const asOwner = (keyspace: 'old' | 'new', text: string): Promise<string> => cluster[keyspace].psql(cluster.database, text, { login: cluster.logins.owner });
  await asOwner('old', 'CREATE TABLE parcel (id int PRIMARY KEY, size int); INSERT INTO parcel VALUES (1, 1);');
  await cluster.grant();
  await create('altered', ['parcel']);
  await untilState('altered', WorkflowState.RUNNING);
  await asOwner('new', 'ALTER TABLE parcel RENAME COLUMN size TO width;');
  await asOwner('old', 'UPDATE parcel SET size = 2;');
  const { message } = await untilState('altered', WorkflowState.FAILED);
  expect(message).toMatch(
    /^(SCHEMA_CHANGED|COLUMN_UNKNOWN): [^\n]*; a table's definition was changed under the move: new\.parcel: column "size" is missing; column "width" is extra$/,
  );
  await expect(workflows.updateLimits({ name: 'altered', limits: { attempts: 2 } })).rejects.toMatchObject({ reason: 'WORKFLOW_STATE' });
  await workflows.cancelWorkflow({ name: 'altered' });
}, 60_000);
