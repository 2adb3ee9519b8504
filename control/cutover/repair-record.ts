import type { WorkflowDocument } from '../../core/workflow-document.ts';
import type { ControlDeps, SideName } from '../move.ts';

export interface RepairedAttempt {
  /** The side that is open now. */
  readonly primary: SideName;
  /** Attempts that this settles: that of the side's rows, and that of a hold which never came to its fence. `all`: whoever holds the workflow's lock knows that no coordinator is left. */
  readonly attempts: readonly number[] | 'all';
  readonly message: string;
}

/** Closes the records that a dead coordinator left for these attempts, and sets the workflow's state to what the stores say. */
export async function recordRepair(deps: ControlDeps, workflow: string, repaired: RepairedAttempt, signal: AbortSignal): Promise<void> {
  await deps.topology.updateWorkflow(workflow, (document) => withRepair(document, repaired), signal);
}

/** The document with the record closed; null when it says so already. */
export function withRepair(document: WorkflowDocument, repaired: RepairedAttempt): WorkflowDocument | null {
  const { primary, attempts, message } = repaired;
  const cutovers = document.cutovers.map((record) => {
    if (record.outcome !== 'running' || (attempts !== 'all' && !attempts.includes(record.attempt))) return record;
    return { ...record, outcome: record.to === primary ? ('repaired' as const) : ('aborted' as const), ...(message === '' ? {} : { message }) };
  });
  const moves = document.state === 'running' || document.state === 'switched';
  const state = moves ? (primary === 'target' ? 'switched' : 'running') : document.state;
  const same = state === document.state && cutovers.every((record, index) => record === document.cutovers[index]);
  return same ? null : { ...document, cutovers, state };
}
