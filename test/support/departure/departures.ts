import type { RpcClient } from '../../../client/rpc-client.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { type Workflow, WorkflowService, WorkflowState } from '../../../gen/switchyard/control/v1/workflows_pb.ts';
import type { KeyspaceCluster } from '../cluster/keyspace-cluster.ts';
import { waitUntil } from '../servers/wait-until.ts';

const workflowsOf = (cluster: KeyspaceCluster): RpcClient<typeof WorkflowService> => cluster.control(WorkflowService, 30_000);

export async function untilState(cluster: KeyspaceCluster, name: string, state: WorkflowState): Promise<Workflow> {
  let last: Workflow | undefined;
  return await waitUntil(`workflow ${name} in state ${state}`, { limitMs: 120_000, everyMs: 100, explain: () => `${last?.state} ${last?.message}` }, async () => {
    last = (
      await workflowsOf(cluster)
        .getWorkflow({ name })
        .catch(() => ({ workflow: undefined }))
    ).workflow;
    return last?.state === state ? last : undefined;
  });
}

/** Switches as often as it takes: a control process may die, and an attempt come to nothing for want of time. */
export async function switched(cluster: KeyspaceCluster, name: string): Promise<Workflow> {
  let last: unknown;
  return await waitUntil(`traffic of ${name} switched`, { limitMs: 200_000, everyMs: 500, explain: () => String(last) }, async () => {
    try {
      const { workflow } = await workflowsOf(cluster).switchTraffic({ name });
      return workflow?.state === WorkflowState.SWITCHED ? workflow : undefined;
    } catch (error) {
      last = error;
      if (error instanceof SwitchyardError && error.retryable) return undefined;
      throw error;
    }
  });
}
