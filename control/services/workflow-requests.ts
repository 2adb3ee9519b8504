import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { WorkflowDocument, WorkflowRequest } from '../../core/workflow-document.ts';
import { gaveWay, requestProblem } from '../workflow/machine.ts';
import { requireWorkflow, type ServiceContext, waitForWorkflow } from './service-context.ts';
import { reasonOf } from './traffic.ts';

export interface RequestCall {
  readonly name: string;
  readonly kind: WorkflowRequest['kind'];
  readonly keepData: boolean;
  readonly repair: boolean;
  readonly validateOnly: boolean;
}

/** Asks the workflow's runner for something and waits until it is done. A call that is repeated waits for the request that is there, and a verification for the one that runs. */
export async function requestAndWait(context: ServiceContext, call: RequestCall, signal: AbortSignal): Promise<WorkflowDocument> {
  const { deps } = context;
  const { value: before } = await requireWorkflow(context, call.name, signal);
  if (isDone(before, call.kind)) return before;
  if (call.validateOnly) {
    placed(before, call, '', '');
    return before;
  }
  let id = deps.newId();
  await deps.topology.updateWorkflow(
    call.name,
    (current) => {
      const request = placed(current, call, id, new Date(deps.clock.now()).toISOString());
      if (request === current.request) {
        id = request.id;
        return null;
      }
      return { ...current, request };
    },
    signal,
  );
  return waitForWorkflow(context, call.name, signal, async (document) => {
    if (document.finished?.id === id) return finished(document);
    if (document.request?.id === id) return undefined;
    throw new SwitchyardError('WORKFLOW_STATE', gaveWay(call, document.request));
  });
}

/** An ending that is repeated after it was done. */
const isDone = ({ state }: WorkflowDocument, kind: WorkflowRequest['kind']): boolean =>
  (kind === 'complete' && state === 'completed') || (kind === 'cancel' && state === 'cancelled');

/** The request to put into the document, or the one that is there and does this too. WORKFLOW_STATE. */
function placed(current: WorkflowDocument, { kind, keepData, repair }: RequestCall, id: string, at: string): WorkflowRequest {
  const problem = requestProblem(current.state, kind);
  if (problem !== null) throw new SwitchyardError('WORKFLOW_STATE', problem);
  const { request } = current;
  // A verification that repairs compares as well.
  if (request?.kind === kind && (request.repair || !repair)) return request;
  // A comparison changes nothing and may be cut off, by a repair or by whatever ends the workflow.
  if (request !== undefined && request.kind !== 'verify') throw new SwitchyardError('WORKFLOW_STATE', `the workflow is busy with "${request.kind}": wait for its end`);
  return { kind, id, at, keepData, repair };
}

function finished(document: WorkflowDocument): WorkflowDocument {
  const error = document.finished?.error;
  if (error !== undefined) throw new SwitchyardError(reasonOf(error.reason), error.message);
  return document;
}
