import type { Owner, Task, Timeline } from '../simulation/kernel/scheduler.ts';

/** Real time for simulated parts, so that the suites that stores over real connections pass can be asked of them. */
export class RealTimeline implements Timeline {
  readonly epochMs = Date.now();
  readonly #begunAt = performance.now();
  #order = 0;

  get now(): number {
    return performance.now() - this.#begunAt;
  }

  schedule(delayMs: number, owner: Owner | null, run: () => void): Task {
    this.#order += 1;
    const task: Task = { at: this.now + delayMs, order: this.#order, owner, run, cancelled: false };
    this.resume(task);
    return task;
  }

  resume(task: Task): void {
    const act = (): void => {
      if (task.cancelled || task.owner?.admission === 'drop') return;
      if (task.owner?.admission === 'defer') task.owner.defer(task);
      else task.run();
    };
    const leftMs = task.at - this.now;
    if (leftMs <= 1) setImmediate(act);
    else setTimeout(act, leftMs).unref();
  }
}
