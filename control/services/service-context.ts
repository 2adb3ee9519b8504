import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { WorkflowDocument } from '../../core/workflow-document.ts';
import type { Stored } from '../../topo/topology.ts';
import type { ControlDeps } from '../move.ts';
import type { Stores } from '../stores.ts';
import type { TopologyView } from '../topology-view.ts';

/** What the handlers of workflows work with. They keep nothing between calls: any control process answers. */
export interface ServiceContext {
  readonly deps: ControlDeps;
  readonly stores: Stores;
  readonly view: TopologyView;
}

/** The stored document. WORKFLOW_UNKNOWN. */
export async function requireWorkflow({ deps }: ServiceContext, name: string, signal: AbortSignal): Promise<Stored<WorkflowDocument>> {
  const stored = await deps.topology.workflow(name, signal);
  if (stored === null) throw new SwitchyardError('WORKFLOW_UNKNOWN', `there is no workflow "${name}"`, { metadata: { workflow: name } });
  return stored;
}

const lookEveryMs = 1_000;

/** What was read, undefined where the topology does not answer: for whoever looks again. */
export async function whenReadable<T>({ deps }: ServiceContext, signal: AbortSignal, read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (signal.aborted || !hasReason(error, 'TOPOLOGY_UNAVAILABLE')) throw error;
    deps.log.info({ err: error }, 'the topology did not answer while a call waits for a workflow');
    return undefined;
  }
}

/**
 * Reads the document again after every change until `ended` answers something else than undefined, and resolves to that. Bounded by the signal, which carries the call's deadline: a topology that does not answer for a while keeps whoever waits
 * waiting, for what was ordered goes on all the same.
 */
export async function waitForWorkflow<T>(context: ServiceContext, name: string, signal: AbortSignal, ended: (document: WorkflowDocument) => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const stored = await whenReadable(context, signal, () => requireWorkflow(context, name, signal));
    const answer = stored === undefined ? undefined : await ended(stored.value);
    if (answer !== undefined) return answer;
    await context.view.changed(lookEveryMs, signal);
  }
}
