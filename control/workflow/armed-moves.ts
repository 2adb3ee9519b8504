import { isActive, type WorkflowDocument } from '../../core/workflow-document.ts';
import type { ArmedMove, ControlDeps } from '../move.ts';
import type { OpenedMove, Stores } from '../stores.ts';
import type { TopologyView } from '../topology-view.ts';
import { hasStep } from './machine.ts';

const lookEveryMs = 1_000;

/**
 * Whether its tables are claimed and it has not ended: then fence rows exist that may need repair. While it is being ended too: a coordinator that was thought dead may fence until the row that serves is given up, and nobody else
 * would take that back.
 */
export const isArmed = (document: WorkflowDocument): boolean => isActive(document.state) && hasStep(document, 'claim-source');

/** Every workflow whose fence rows this process watches, whoever runs it, with stores of its own that are opened once. */
export class ArmedMoves {
  readonly #deps: ControlDeps;
  readonly #stores: Stores;
  readonly #view: TopologyView;
  readonly #opened = new Map<string, OpenedMove>();

  constructor(deps: ControlDeps, stores: Stores, view: TopologyView) {
    this.#deps = deps;
    this.#stores = stores;
    this.#view = view;
  }

  /** The workflows now, with their newest documents. */
  list(): readonly ArmedMove[] {
    return [...this.#opened].flatMap(([name, { move }]) => {
      const document = this.#view.workflows.get(name)?.value;
      return document !== undefined && isArmed(document) ? [{ move, document }] : [];
    });
  }

  /** Opens and closes stores as workflows come and go, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const { value } of this.#view.workflows.values()) if (isArmed(value) && !this.#opened.has(value.name)) await this.#open(value, signal);
      for (const name of this.#opened.keys()) {
        const document = this.#view.workflows.get(name)?.value;
        if (document === undefined || !isArmed(document)) await this.#close(name);
      }
      await this.#view.changed(lookEveryMs, signal).catch(() => undefined); // only an abort rejects, which ends the loop
    }
    await Promise.all([...this.#opened.keys()].map((name) => this.#close(name)));
  }

  async #open(document: WorkflowDocument, signal: AbortSignal): Promise<void> {
    try {
      this.#opened.set(document.name, await this.#stores.openMove(document, signal));
    } catch (error) {
      if (!signal.aborted) this.#deps.log.error({ err: error, workflow: document.name }, 'the stores of a workflow cannot be opened: it is not watched for repair');
    }
  }

  async #close(name: string): Promise<void> {
    const opened = this.#opened.get(name);
    this.#opened.delete(name);
    try {
      await opened?.[Symbol.asyncDispose]();
    } catch (error) {
      this.#deps.log.info({ err: error, workflow: name }, 'stores were not closed in order');
    }
  }
}
