import type { TableDefinition } from '../../backends/backend.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { BUILDING_INDEXES, type WorkflowDocument } from '../../core/workflow-document.ts';
import { scopeOf } from '../cutover/direction.ts';
import type { ControlDeps, Move } from '../move.ts';
import { asSwitchyardError } from '../time-limit.ts';

/** A build that has failed is begun again after so long; one that may pass, sooner. */
const retryFailedMs = 30_000;
const retryMs = 1_000;

export type IndexBuildStatus =
  | { readonly kind: 'stopped' }
  /** `table`: whose indexes are being made; null before the first. */
  | { readonly kind: 'building'; readonly table: string | null }
  | { readonly kind: 'done' }
  /** Begun again by itself. */
  | { readonly kind: 'failed'; readonly table: string | null; readonly error: SwitchyardError };

/**
 * Makes the indexes of the tables that the workflow has made in its target, when these have their rows. It may take hours, and so runs beside the leader's passes, as the streams do: these go on seeing what an operator asks for. Disposing stops it; what was
 * made by then stays.
 */
export class IndexBuild implements AsyncDisposable {
  readonly #move: Move;
  readonly #deps: Pick<ControlDeps, 'clock' | 'log'>;
  #run: { readonly controller: AbortController; readonly ended: Promise<void> } | null = null;
  #status: IndexBuildStatus = { kind: 'stopped' };

  constructor(move: Move, deps: Pick<ControlDeps, 'clock' | 'log'>) {
    this.#move = move;
    this.#deps = deps;
  }

  get status(): IndexBuildStatus {
    return this.#status;
  }

  /** Begins if it is stopped. Resolves when it is done. Never rejects: a failure is begun again until it is stopped, which resolves it too. */
  begin(document: Pick<WorkflowDocument, 'createdTables'>): Promise<void> {
    if (this.#run === null) {
      const controller = new AbortController();
      this.#status = { kind: 'building', table: null };
      this.#run = { controller, ended: this.#loop(document.createdTables, controller.signal) };
    }
    return this.#run.ended;
  }

  /** Resolves when nothing more is asked of the stores. Can be begun again. */
  async stop(): Promise<void> {
    const run = this.#run;
    if (run === null) return;
    run.controller.abort(new SwitchyardError('CANCELLED', `the indexes of workflow ${this.#move.name} are no longer made`));
    await run.ended;
    if (this.#run !== run) return;
    this.#run = null;
    this.#status = { kind: 'stopped' };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #loop(tables: readonly string[], signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    let current: string | null = null;
    while (!signal.aborted) {
      try {
        const definitions = tables.length === 0 ? [] : await this.#move.source.owner.define(this.#move.tables, signal);
        for (const table of tables) {
          signal.throwIfAborted();
          current = table;
          this.#status = { kind: 'building', table };
          await this.#buildOf(table, definitions, signal);
        }
        this.#status = { kind: 'done' };
        return;
      } catch (error) {
        if (signal.aborted) return;
        const failure = asSwitchyardError(error);
        log.warn({ err: error, workflow: this.#move.name, table: current, reason: failure.reason }, 'the indexes could not be made; trying again');
        this.#status = { kind: 'failed', table: current, error: failure };
        await clock.sleep(failure.retryable ? retryMs : retryFailedMs, signal).catch(() => undefined); // only an abort rejects, which ends the loop
      }
    }
  }

  async #buildOf(table: string, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void> {
    const { owner } = this.#move.target;
    await owner.createIndexes({ ...scopeOf(this.#move, 'target'), tables: [table] }, definitions, signal);
  }
}

/** What the workflow says of itself meanwhile. */
export function buildMessage(status: IndexBuildStatus): string {
  switch (status.kind) {
    case 'building':
      return status.table === null ? BUILDING_INDEXES : `${BUILDING_INDEXES} of "${status.table}"`;
    case 'failed': {
      const { table, error } = status;
      const again = error.retryable ? 'tried again' : `tried again every ${retryFailedMs / 1_000} s, and the copy is kept`;
      return `${table === null ? 'indexes' : `indexes of "${table}"`} could not be built, ${again}: ${error.reason}: ${error.message}`;
    }
    default:
      return '';
  }
}
