import type { MessageShape } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { RpcClient } from '../../../client/rpc-client.ts';
import { type CutoverSchema, WorkflowService, WorkflowState } from '../../../gen/switchyard/control/v1/workflows_pb.ts';
import type { Cluster } from '../../support/cluster/cluster.ts';
import { waitUntil } from '../../support/servers/wait-until.ts';
import type { Direction, OrderedCutover } from './summary.ts';

export const workflowName = 'bench';
export const movedTables = ['pgbench_accounts', 'pgbench_branches', 'pgbench_history', 'pgbench_tellers'] as const;

const copyLimitMs = 900_000;
const verifyLimitMs = 900_000;
const orderLimitMs = 120_000;
/** The limit of the lag, five times the product's own: with everything on few processors a stream is often as late as its turn on one of them. */
const lagMs = 100;

/** The bench's clock: that of the clients, so far as two processes of one machine can have one. */
export const benchNowMs = (): number => performance.timeOrigin + performance.now();

type Workflows = RpcClient<typeof WorkflowService>;

/** Creates the workflow over all four tables and waits until the copy is done and follows closely. */
export async function startMove(cluster: Cluster, holdBudgetMs: number | null = null, tables: readonly string[] = movedTables): Promise<void> {
  const workflows = cluster.control(WorkflowService, 60_000);
  await workflows.createWorkflow({ workflow: { name: workflowName, source: 'old', target: 'new', tables: [...tables], limits: { holdBudgetMs: holdBudgetMs ?? 0, lagMs } } });
  await waitUntil('the end of the copy', { limitMs: copyLimitMs, everyMs: 200, explain: () => explain(workflows) }, async () => {
    const { workflow } = await workflows.getWorkflow({ name: workflowName });
    if (workflow?.state === WorkflowState.FAILED) throw new Error(`the workflow failed: ${workflow.message}`);
    return workflow?.state === WorkflowState.RUNNING && workflow.lagMs !== undefined && workflow.lagMs < lagMs ? true : undefined;
  });
}

async function explain(workflows: Workflows): Promise<string> {
  const { workflow } = await workflows.getWorkflow({ name: workflowName });
  const progress = workflow?.progress.map(({ table, rowsCopied, rowsTotal }) => `${table} ${rowsCopied}/${rowsTotal}`).join(', ');
  const state = Object.entries(WorkflowState).find(([, value]) => value === workflow?.state)?.[0];
  return `state ${state}, lag ${workflow?.lagMs}, ${progress} ${workflow?.message}`;
}

/** Has the stores compared; throws when they differ. */
export async function verifyMove(cluster: Cluster): Promise<{ readonly rows: number; readonly seconds: number }> {
  const { workflow } = await cluster.control(WorkflowService, verifyLimitMs).verifyWorkflow({ name: workflowName });
  const result = workflow?.verification;
  if (result === undefined || result.error !== '' || result.differences > 0n)
    throw new Error(`the verification found ${result?.differences} differences: ${result?.error} ${JSON.stringify(result?.sample ?? [])}`);
  return { rows: Number(result.rowsCompared), seconds: Number(result.durationMs) / 1_000 };
}

/** Orders a cutover and resolves when it is done. Throws when it was refused or gave up. */
export type Door = (direction: Direction) => Promise<void>;

/** The control RPC. */
export function rpcDoor(cluster: Cluster): Door {
  const workflows = cluster.control(WorkflowService, orderLimitMs);
  return async (direction) => {
    if (direction === 'switch') await workflows.switchTraffic({ name: workflowName });
    else await workflows.reverseTraffic({ name: workflowName });
  };
}

type CutoverMessage = MessageShape<typeof CutoverSchema>;

/** The newest cutover of control's journal, once it is not running any more; for times only. */
export async function journalled(cluster: Cluster): Promise<CutoverMessage | null> {
  const workflows = cluster.control(WorkflowService);
  let last: CutoverMessage | undefined;
  try {
    return await waitUntil('the journal of the cutover', { limitMs: 10_000, everyMs: 50 }, async () => {
      const { workflow } = await workflows.getWorkflow({ name: workflowName });
      last = workflow?.cutovers.at(-1);
      return last === undefined || last.outcome === 'running' ? undefined : last;
    });
  } catch {
    return last ?? null; // judged by the clients' records all the same
  }
}

const rounded = (ms: number): number => Math.round(ms * 100) / 100;

/** What a cutover's journal says of its times, beside when the bench gave its order and had its answer. */
export function orderedCutover(direction: Direction, orderedMs: number, answeredMs: number, entry: CutoverMessage | null): OrderedCutover {
  const startedMs = entry?.startedAt === undefined ? orderedMs : timestampMs(entry.startedAt);
  const steps = entry?.steps ?? [];
  // An aborted attempt's steps may stand before the last one's: the hold that counts is the last.
  const held = steps.findLast((step) => step.name === 'rules-hold');
  return {
    direction,
    orderedMs,
    answeredMs,
    attempts: entry?.attempts ?? 0,
    holdStartMs: startedMs + (held?.startMs ?? 0),
    holdMs: rounded(entry?.holdMs ?? 0),
    stepsMs: Object.fromEntries(steps.map((step) => [step.name, rounded(step.durationMs)])),
  };
}
