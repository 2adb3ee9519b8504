import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { WorkflowService } from '../../../gen/switchyard/control/v1/workflows_pb.ts';
import type { Cluster } from '../../support/cluster/cluster.ts';
import { waitUntil } from '../../support/servers/wait-until.ts';
import { workflowName } from '../cutover/bench-move.ts';

/** Rows that one transaction of the source changes. */
const batchRows = 100;
const looksMs = 100;
const drainLimitMs = 300_000;

export interface FollowRun {
  readonly what: string;
  readonly changesPerSecond: number;
  readonly medianLagMs: number;
  readonly p95LagMs: number;
  readonly mostLagMs: number;
  /** From the last commit of the source until the target had it. */
  readonly drainMs: number;
}

const changes = 'UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid > $1 AND aid <= $1 + $2';

/** Changes rows of the source at an even rate (Infinity: as fast as it goes), by as many connections, for so long, while the workflow follows. */
export async function follow(
  cluster: Cluster,
  what: string,
  options: { readonly rate: number; readonly seconds: number; readonly connections: number; readonly rows: number },
): Promise<FollowRun> {
  const workflows = cluster.control(WorkflowService, 60_000);
  const lags: number[] = [];
  const looking = new AbortController();
  const look = (async () => {
    while (!looking.signal.aborted) {
      const { workflow } = await workflows.getWorkflow({ name: workflowName });
      if (workflow?.lagMs !== undefined) lags.push(workflow.lagMs);
      await sleep(looksMs);
    }
  })();
  const { changed, seconds } = await change(cluster, options);
  const endedMs = performance.now();
  looking.abort();
  await look;
  await untilEqual(cluster);
  const sorted = lags.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  return {
    what,
    changesPerSecond: Math.round(changed / seconds),
    medianLagMs: at(0.5),
    p95LagMs: at(0.95),
    mostLagMs: at(1),
    drainMs: Math.round(performance.now() - endedMs),
  };
}

async function change(
  cluster: Cluster,
  { rate, seconds, connections, rows }: { readonly rate: number; readonly seconds: number; readonly connections: number; readonly rows: number },
): Promise<{ readonly changed: number; readonly seconds: number }> {
  const begunMs = performance.now();
  let batches = 0;
  const left = (): number => begunMs + seconds * 1_000 - performance.now();
  const run = async (): Promise<void> => {
    const client = new pg.Client({ connectionString: cluster.old.url(cluster.database) });
    await client.connect();
    try {
      while (left() > 0) {
        const mine = batches;
        batches += 1;
        const dueMs = begunMs + (mine * batchRows * 1_000) / rate;
        if (dueMs > performance.now()) await sleep(dueMs - performance.now());
        await client.query({ name: 'change', text: changes, values: [(mine * batchRows) % rows, batchRows] });
      }
    } finally {
      await client.end();
    }
  };
  await Promise.all(Array.from({ length: connections }, run));
  return { changed: batches * batchRows, seconds: (performance.now() - begunMs) / 1_000 };
}

/** Until the target has what the source has now. Balances only grow, and go on doing so: of what the probe of latency writes. */
async function untilEqual(cluster: Cluster): Promise<void> {
  const sum = 'SELECT sum(abalance) FROM pgbench_accounts';
  const [[wanted] = []] = await cluster.stores.old.rows(sum);
  await waitUntil('the last change on the target', { limitMs: drainLimitMs, everyMs: 20 }, async () => {
    const [[present] = []] = await cluster.stores.new.rows(sum);
    return BigInt(present ?? 0) >= BigInt(wanted ?? 0) ? true : undefined;
  });
}
