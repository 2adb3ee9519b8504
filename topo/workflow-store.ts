import { SwitchyardError } from '../core/switchyard-error.ts';
import { type WorkflowDocument, workflowDocumentSchema } from '../core/workflow-document.ts';
import { compareAndSet } from './compare-and-set.ts';
import { KvDocuments } from './kv-documents.ts';
import { withLimit } from './time-limit.ts';
import type { Stored } from './topology.ts';
import { CHANGE_LIMIT_MS, CHANGE_TRIES, type TopologyContext } from './topology-context.ts';

/** Workflow documents: each is changed under a compare-and-set of its own. */
export class WorkflowStore {
  readonly documents: KvDocuments<WorkflowDocument>;
  readonly #context: TopologyContext;

  constructor(context: TopologyContext) {
    this.#context = context;
    this.documents = new KvDocuments(context, {
      prefix: context.keys.workflows,
      schema: workflowDocumentSchema,
      nameOf: (document) => document.name,
      invalid: 'ARGUMENT_INVALID',
    });
  }

  async write(document: WorkflowDocument, index: number, signal: AbortSignal): Promise<Stored<WorkflowDocument>> {
    const written = await withLimit(this.#context.clock, CHANGE_LIMIT_MS, signal, (limited) => this.#tryToWrite(document, index, limited));
    if (written === null) throw new SwitchyardError('TOPOLOGY_CONFLICT', `workflow ${document.name} was changed meanwhile`, { metadata: { workflow: document.name } });
    return written;
  }

  update(name: string, change: (current: WorkflowDocument) => WorkflowDocument | null, signal: AbortSignal): Promise<Stored<WorkflowDocument>> {
    return withLimit(this.#context.clock, CHANGE_LIMIT_MS, signal, async (limited) => {
      for (let tries = 1; tries <= CHANGE_TRIES; tries += 1) {
        const current = await this.documents.read(name, limited);
        if (current === null) throw new SwitchyardError('WORKFLOW_UNKNOWN', `there is no workflow ${name}`, { metadata: { workflow: name } });
        const wanted = change(current.value);
        if (wanted === null) return current;
        if (wanted.name !== name) throw new SwitchyardError('ARGUMENT_INVALID', `workflow ${name} cannot be renamed to ${wanted.name}`);
        const written = await this.#tryToWrite(wanted, current.index, limited);
        if (written !== null) return written;
        await this.#context.conflictBackOff.pause(tries, limited);
      }
      throw new SwitchyardError('TOPOLOGY_CONFLICT', `workflow ${name} could not be changed: others were faster ${CHANGE_TRIES} times`, { metadata: { workflow: name } });
    });
  }

  /** Null: somebody else changed it. */
  async #tryToWrite(document: WorkflowDocument, index: number, signal: AbortSignal): Promise<Stored<WorkflowDocument> | null> {
    const value = { ...document, nonce: this.#context.newNonce() };
    const outcome = await compareAndSet(this.#context, this.documents.keyOf(document.name), this.documents.encode(value), index, signal);
    return outcome.kind === 'written' ? { value, index: outcome.index } : null;
  }
}
