import { isActive } from '../../core/workflow-document.ts';
import type { RunnerContext } from './leader.ts';
import { WorkflowRunner } from './runner.ts';

/** One runner for every workflow that has not ended. */
export class WorkflowRunners {
  readonly #context: RunnerContext;
  readonly #runners = new Map<string, { readonly runner: WorkflowRunner; readonly done: Promise<void> }>();

  constructor(context: RunnerContext) {
    this.#context = context;
  }

  /** Runs until the signal aborts; resolves when every runner has let go. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const { value } of this.#context.view.workflows.values()) {
        if (isActive(value.state) && !this.#runners.has(value.name)) this.#start(value.name, signal);
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
    const stored = await deps.topology.workflow(name, signal);
    const recorded = stored?.value.runner;
    if (recorded !== undefined && recorded.id !== deps.controlId) {
      deps.log.warn({ workflow: name, runner: recorded.id }, 'the runner of the workflow seems to be gone: taking over');
      await deps.topology.destroySession(recorded.session, signal);
    }
    this.#runners.get(name)?.runner.tryNow();
  }

  #start(name: string, signal: AbortSignal): void {
    const runner = new WorkflowRunner(this.#context, name);
    const done = runner.run(signal).finally(() => this.#runners.delete(name));
    this.#runners.set(name, { runner, done });
  }
}
