import { isActive, type WorkflowDocument } from '../../core/workflow-document.ts';
import type { RunnerContext } from './leader.ts';
import { WorkflowRunner } from './runner.ts';

/** One runner for every workflow that has not ended. */
export class WorkflowRunners {
  readonly #context: RunnerContext;
  readonly #runners = new Map<string, { readonly runner: WorkflowRunner; readonly done: Promise<void> }>();

  /** Workflows that this process has had a runner for. */
  readonly #begun = new Set<string>();

  constructor(context: RunnerContext) {
    this.#context = context;
  }

  /** Runs until the signal aborts; resolves when every runner has let go. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const { value } of this.#context.view.workflows.values()) {
        if (isActive(value.state) && !this.#runners.has(value.name)) this.#start(value, signal);
      }
      await this.#context.view.changed(5_000, signal).catch(() => undefined); // only an abort rejects, which ends the loop
    }
    await Promise.all([...this.#runners.values()].map(({ done }) => done));
  }

  /** Whether a cutover of the workflow runs in this process. */
  isSwitching(name: string): boolean {
    return this.#runners.get(name)?.runner.switching ?? false;
  }

  /**
   * For a repair that has found the workflow's recorded runner to be gone: ends that runner's session, which frees its lock, and tries the lock at once. Nothing happens when the recorded runner is this process.
   */
  async takeOver(name: string, signal: AbortSignal): Promise<void> {
    const { deps } = this.#context;
    const runner = this.#runners.get(name)?.runner;
    const recorded = (await deps.topology.workflow(name, signal))?.value.runner;
    if (recorded !== undefined && recorded.session !== runner?.session) {
      deps.log.warn({ workflow: name, runner: recorded.id }, 'the runner of the workflow seems to be gone: taking over');
      await deps.topology.destroySession(recorded.session, signal);
    }
    runner?.tryNow();
  }

  #start(document: WorkflowDocument, signal: AbortSignal): void {
    const { name } = document;
    const runner = new WorkflowRunner(this.#context, name);
    const done = this.#endFormerSelf(document, signal)
      .then(() => runner.run(signal))
      .finally(() => this.#runners.delete(name));
    this.#runners.set(name, { runner, done });
  }

  /** A process of this id that is recorded when this one has only begun was this one before it died: its session need not run out first. */
  async #endFormerSelf({ name, runner }: WorkflowDocument, signal: AbortSignal): Promise<void> {
    const { topology, controlId, log } = this.#context.deps;
    const first = !this.#begun.has(name);
    this.#begun.add(name);
    if (!first || runner?.id !== controlId) return;
    try {
      await topology.destroySession(runner.session, signal);
    } catch (error) {
      if (!signal.aborted) log.info({ err: error, workflow: name }, 'the session of before could not be ended; it runs out by itself');
    }
  }
}
