import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowService, WorkflowState } from '../../../gen/switchyard/control/v1/workflows_pb.ts';
import { type Cluster, startCluster } from '../../support/cluster/cluster.ts';
import { waitUntil } from '../../support/servers/wait-until.ts';
import type { Bench, BenchContext, BenchResult } from '../bench.ts';
import { verifyMove, workflowName } from '../cutover/bench-move.ts';
import { describeMachine } from '../machine.ts';
import { fillText, tableText } from '../verify/planted-faults.ts';
import { follow, type FollowRun } from './follow.ts';
import { type Latency, LatencyProbe } from './latency-probe.ts';
import { byDump, bySubscription, type NativeCopy } from './native-copy.ts';

const sizes = {
  whole: { scale: 10, rows: 100_000, seconds: 20, changes: 10_000 },
  short: { scale: 1, rows: 10_000, seconds: 5, changes: 2_000 },
} as const;
const { whole } = sizes;
const quietS = 5;
const copyLimitMs = 1_800_000;
const followConnections = 4;

interface CopyRun {
  readonly what: string;
  readonly rows: number;
  readonly seconds: number;
  readonly rowsPerSecond: number;
  /** Of a service's calls to the source meanwhile. */
  readonly medianMs: number;
  readonly p99Ms: number;
}

async function run({ options, say }: BenchContext): Promise<BenchResult> {
  const size = options.short === true ? sizes.short : whole;
  const number = (name: keyof typeof whole): number => Number(options[name] ?? size[name]);
  const leastCopyShare = Number(options.leastCopyShare ?? 0);
  const config = { scale: number('scale'), rows: number('rows'), seconds: number('seconds'), changes: number('changes'), leastCopyShare };
  const accounts = config.scale * 100_000;
  const copies: CopyRun[] = [];
  const follows: FollowRun[] = [];
  const note = (what: string, rows: number, ms: number, latency: Latency): void => {
    const run = { what, rows, seconds: Math.round(ms / 10) / 100, rowsPerSecond: Math.round((rows * 1_000) / ms), medianMs: latency.medianMs, p99Ms: latency.p99Ms };
    copies.push(run);
    say(`${what}: ${rows} rows in ${run.seconds} s, ${run.rowsPerSecond} a second; the source answers in ${latency.medianMs} ms, 99 % within ${latency.p99Ms} ms`);
  };

  const pair = async (target: 'postgres' | 'mariadb', work: (cluster: Cluster, probe: LatencyProbe) => Promise<void>): Promise<void> => {
    await using cluster = await startCluster({ gateways: 1, controls: 1, scale: config.scale, durable: true, stores: { new: target }, say });
    if (target === 'postgres') {
      await cluster.old.psql(cluster.database, tableText + fillText(config.rows), { login: cluster.logins.owner, timeoutMs: 600_000 });
      await cluster.new.psql(cluster.database, "CREATE TYPE mood AS ENUM ('calm', 'so so');", { login: cluster.logins.owner });
      await cluster.grant();
    }
    await cluster.old.psql(cluster.database, 'VACUUM ANALYZE; CHECKPOINT;');
    await using probe = await LatencyProbe.start(cluster.old.url(cluster.database), accounts);
    await work(cluster, probe);
  };
  const moved = async (cluster: Cluster, probe: LatencyProbe, what: string, tables: readonly string[], rows: number): Promise<void> => {
    probe.take();
    note(what, rows, await copyMove(cluster, tables, leastCopyShare), probe.take());
  };

  await pair('postgres', async (cluster, probe) => {
    const tables = ['pgbench_accounts', 'verified'];
    const rows = accounts + config.rows;
    const native: NativeCopy = { source: cluster.old, target: cluster.new, database: cluster.database, tables };
    await sleep(quietS * 1_000);
    const quiet = probe.take();
    note('nothing', 0, quietS * 1_000, quiet);
    note('CREATE SUBSCRIPTION', rows, await bySubscription(native), probe.take());
    note('pg_dump | psql', rows, await byDump(native), probe.take());
    await moved(cluster, probe, 'Switchyard, PostgreSQL to PostgreSQL', tables, rows);
    for (const [what, rate] of [
      [`${config.changes} changes a second`, config.changes],
      ['as many changes as the source makes', Number.POSITIVE_INFINITY],
    ] as const) {
      const run = await follow(cluster, what, { rate, seconds: config.seconds, connections: followConnections, rows: accounts });
      follows.push(run);
      say(`${what}: ${run.changesPerSecond} a second, lag ${run.medianLagMs} ms, at most ${run.mostLagMs} ms, drained in ${run.drainMs} ms`);
    }
    await verifyMove(cluster);
  });
  await pair('mariadb', async (cluster, probe) => {
    await moved(cluster, probe, 'Switchyard, PostgreSQL to MariaDB', ['pgbench_accounts'], accounts);
    await verifyMove(cluster);
  });

  const rateOf = (what: string): number => copies.find((each) => each.what === what)?.rowsPerSecond ?? Number.NaN;
  const ratio = (value: number): number => Math.round(value * 100) / 100;
  const [native, ours] = [rateOf('CREATE SUBSCRIPTION'), rateOf('Switchyard, PostgreSQL to PostgreSQL')];
  const latency = (what: string): number => copies.find((each) => each.what === what)?.medianMs ?? Number.NaN;
  return {
    name: 'copy',
    machine: describeMachine(),
    config,
    totals: Object.fromEntries(follows.map(({ what, ...run }) => [what, run])),
    ratios: {
      'PostgreSQL to PostgreSQL to CREATE SUBSCRIPTION (aim 0.5)': ratio(ours / native),
      'PostgreSQL to PostgreSQL to pg_dump | psql': ratio(ours / rateOf('pg_dump | psql')),
      'PostgreSQL to MariaDB to CREATE SUBSCRIPTION (aim 0.5)': ratio(rateOf('Switchyard, PostgreSQL to MariaDB') / native),
      "median of the source's calls during our copy to that without": ratio(latency('Switchyard, PostgreSQL to PostgreSQL') / latency('nothing')),
      "median of the source's calls during a subscription's to that without": ratio(latency('CREATE SUBSCRIPTION') / latency('nothing')),
    },
    runs: copies,
    violations: [],
  };
}

/** From the order to the moment that all tables are copied and followed, in ms. */
async function copyMove(cluster: Cluster, tables: readonly string[], leastCopyShare: number): Promise<number> {
  const workflows = cluster.control(WorkflowService, 60_000);
  const begunMs = performance.now();
  await workflows.createWorkflow({ workflow: { name: workflowName, source: 'old', target: 'new', tables: [...tables], limits: { leastCopyShare } } });
  await waitUntil('the end of the copy', { limitMs: copyLimitMs, everyMs: 20 }, async () => {
    const { workflow } = await workflows.getWorkflow({ name: workflowName });
    if (workflow?.state === WorkflowState.FAILED) throw new Error(`the workflow failed: ${workflow.message}`);
    return workflow?.state === WorkflowState.RUNNING ? true : undefined;
  });
  return performance.now() - begunMs;
}

/** How fast tables are copied and followed, beside what PostgreSQL's own tools do, and what the source's callers feel of it. */
export const copyBench: Bench = {
  name: 'copy',
  summary: "a million rows and a table of every type: PostgreSQL's own subscription, pg_dump | psql, Switchyard into PostgreSQL and into MariaDB; then changes that are followed",
  options: [
    { flags: '--scale <n>', summary: "pgbench's scale factor: 100,000 accounts each", default: whole.scale },
    { flags: '--rows <n>', summary: 'rows of a table of every type', default: whole.rows },
    { flags: '--seconds <n>', summary: 'how long changes are followed, at each rate', default: whole.seconds },
    { flags: '--changes <n>', summary: 'changes a second', default: whole.changes },
    { flags: '--least-copy-share <n>', summary: 'percent of the time that the copy takes at least', default: 5 },
    { flags: '--short', summary: 'a minute or two' },
  ],
  run,
};
