import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { WorkflowDocument } from '../../core/workflow-document.ts';
import type { WorkflowService } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import type { RpcImplementation } from '../../runtime/grpc-server.ts';
import { repairOnce } from '../cutover/repair.ts';
import { within } from '../time-limit.ts';
import { isArmed } from '../workflow/armed-moves.ts';
import { createWorkflow } from './create-workflow.ts';
import { encodeWorkflow, type PlacedFenceRow } from './encode-workflow.ts';
import { updateLimits } from './limits.ts';
import { pageLimit } from './paging.ts';
import { requireWorkflow, type ServiceContext } from './service-context.ts';
import { type Switched, switchTo } from './traffic.ts';
import { requestAndWait } from './workflow-requests.ts';

const fencesLimitMs = 2_000;
const watchEveryMs = 5_000;

/** Workflows. Handlers ask the topology and wait for what the workflow's runner, wherever it is, writes there. */
export function workflowsService(context: ServiceContext): RpcImplementation<typeof WorkflowService> {
  return {
    createWorkflow: async ({ workflow, validateOnly }, { signal }) => ({ workflow: encodeWorkflow(await createWorkflow(context, workflow, validateOnly, signal)) }),

    async getWorkflow({ name }, { signal }) {
      const { value } = await requireWorkflow(context, name, signal);
      return { workflow: encodeWorkflow(value, await readFences(context, value, signal)) };
    },

    async listWorkflows({ pageSize, pageToken }, { signal }) {
      const limit = pageLimit(pageSize, 100, 1_000);
      const stored = await context.deps.topology.workflows(signal);
      const later = stored.map((entry) => entry.value).filter(({ name }) => name > pageToken);
      const page = later.toSorted((a, b) => (a.name < b.name ? -1 : 1)).slice(0, limit);
      return { workflows: page.map((document) => encodeWorkflow(document)), nextPageToken: page.length < later.length ? (page.at(-1)?.name ?? '') : '' };
    },

    updateLimits: async ({ name, limits }, { signal }) => ({ workflow: encodeWorkflow(await updateLimits(context, name, limits, signal)) }),

    async *watchWorkflow({ name }, { signal }) {
      let shown = '';
      for (;;) {
        const { value } = await requireWorkflow(context, name, signal);
        if (value.nonce !== shown) yield { workflow: encodeWorkflow(value) };
        shown = value.nonce;
        await context.view.changed(watchEveryMs, signal);
      }
    },

    verifyWorkflow: async ({ name, repair }, { signal }) => ({
      workflow: encodeWorkflow(await requestAndWait(context, { name, kind: 'verify', keepData: false, repair, validateOnly: false }, signal)),
    }),
    switchTraffic: async ({ name, validateOnly }, { signal }) => switched(await switchTo(context, name, 'target', validateOnly, signal)),
    reverseTraffic: async ({ name, validateOnly }, { signal }) => switched(await switchTo(context, name, 'source', validateOnly, signal)),
    completeWorkflow: async ({ name, validateOnly }, { signal }) => ({
      workflow: encodeWorkflow(await requestAndWait(context, { name, kind: 'complete', keepData: false, repair: false, validateOnly }, signal)),
    }),
    cancelWorkflow: async ({ name, keepData, validateOnly }, { signal }) => ({
      workflow: encodeWorkflow(await requestAndWait(context, { name, kind: 'cancel', keepData, repair: false, validateOnly }, signal)),
    }),

    async repairWorkflow({ name }, { signal }) {
      const { value } = await requireWorkflow(context, name, signal);
      if (!isArmed(value)) throw new SwitchyardError('WORKFLOW_STATE', `the workflow is ${value.state}: it holds no tables that could need repair`);
      await using opened = await context.stores.openMove(value, signal);
      const { lines } = await repairOnce({ move: opened.move, document: value }, context.deps, signal);
      return { workflow: encodeWorkflow((await requireWorkflow(context, name, signal)).value), actions: [...lines] };
    },
  };
}

const switched = ({ document, unchanged }: Switched) => ({ workflow: encodeWorkflow(document), unchanged });

/** What both stores say; of a store that does not answer in time nothing. */
async function readFences({ deps, stores }: ServiceContext, document: WorkflowDocument, signal: AbortSignal): Promise<readonly PlacedFenceRow[]> {
  const late = (): SwitchyardError => new SwitchyardError('STORE_UNAVAILABLE', 'the fence rows could not be read in time');
  const rowsOf = async (keyspace: string): Promise<readonly PlacedFenceRow[]> => {
    try {
      await using store = await stores.openKeyspace(keyspace, signal);
      const rows = await within(deps.clock, fencesLimitMs, late, signal, (limited) => store.owner.fenceRows(document.tables, limited));
      return rows.map((row) => ({ ...row, keyspace }));
    } catch (error) {
      signal.throwIfAborted();
      deps.log.info({ err: error, keyspace }, 'fence rows cannot be shown');
      return [];
    }
  };
  return (await Promise.all([rowsOf(document.source), rowsOf(document.target)])).flat();
}
