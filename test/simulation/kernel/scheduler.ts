/** Something that can be stopped or ended while its tasks wait. */
export interface Owner {
  /** `run`: now; `drop`: never; `defer`: the owner keeps the task and schedules it again. */
  readonly admission: 'run' | 'drop' | 'defer';
  defer(task: Task): void;
}

export interface Task {
  /** Virtual time in ms. */
  at: number;
  order: number;
  readonly owner: Owner | null;
  readonly run: () => void;
  cancelled: boolean;
}

/** Time as the simulated parts see it. */
export interface Timeline {
  /** In ms since the beginning. */
  readonly now: number;
  /** The beginning, in ms since 1970-01-01T00:00:00Z. */
  readonly epochMs: number;
  /** Runs `run` after `delayMs`, in the name of its owner. */
  schedule(delayMs: number, owner: Owner | null, run: () => void): Task;
  /** A deferred task is due now, after everything that was deferred before it. */
  resume(task: Task): void;
}

/** Immediates queued at once: Node empties the queue of microtasks between two of them without going through the event loop. */
const ahead = 64;

/**
 * Virtual time. One task runs at a time, and the next one only when no promise has anything left to do: so the order of everything is the order of the tasks, which the seed decides. Nothing that runs inside may wait for
 * anything real.
 */
export class Scheduler implements Timeline {
  /** 2026-01-01T00:00:00Z. */
  readonly epochMs = 1_767_225_600_000;
  readonly #heap: Task[] = [];
  #now = 0;
  #order = 0;
  #steps = 0;
  #hash = 0x811c9dc5;

  get now(): number {
    return this.#now;
  }

  /** Tasks run so far. */
  get steps(): number {
    return this.#steps;
  }

  /** Digest of everything that has happened so far, in its order. */
  get trace(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  /** Makes something part of the trace. */
  mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ (value | 0), 0x01000193);
    this.#hash ^= this.#hash >>> 15;
  }

  schedule(delayMs: number, owner: Owner | null, run: () => void): Task {
    const task: Task = { at: this.#now + Math.max(0, delayMs), order: this.#nextOrder(), owner, run, cancelled: false };
    this.#push(task);
    return task;
  }

  resume(task: Task): void {
    task.at = Math.max(task.at, this.#now);
    task.order = this.#nextOrder();
    this.#push(task);
  }

  /** Runs tasks until `isOver` says so, which is asked between tasks, or none is left. */
  run(isOver: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let queued = 0;
    let ended = false;
    const step = (): void => {
      queued -= 1;
      if (ended) return;
      try {
        if (isOver() || !this.#runNext()) {
          ended = true;
          resolve();
          return;
        }
      } catch (error) {
        ended = true;
        reject(error);
        return;
      }
      if (queued === 0) enqueue();
    };
    const enqueue = (): void => {
      for (; queued < ahead; queued += 1) setImmediate(step);
    };
    enqueue();
    return promise;
  }

  #runNext(): boolean {
    for (;;) {
      const task = this.#pop();
      if (task === null) return false;
      if (task.cancelled) continue;
      const admission = task.owner?.admission ?? 'run';
      if (admission === 'drop') continue;
      if (admission === 'defer') {
        task.owner?.defer(task);
        continue;
      }
      this.#now = Math.max(this.#now, task.at);
      this.#steps += 1;
      this.mix(Math.round(this.#now * 1_000));
      this.mix(task.order);
      task.run();
      return true;
    }
  }

  #nextOrder(): number {
    this.#order += 1;
    return this.#order;
  }

  #push(task: Task): void {
    const heap = this.#heap;
    let at = heap.push(task) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(task, heap[parent] as Task)) break;
      heap[at] = heap[parent] as Task;
      at = parent;
    }
    heap[at] = task;
  }

  #pop(): Task | null {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined) return null;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Task, heap[child] as Task)) child += 1;
      if (!isBefore(heap[child] as Task, last)) break;
      heap[at] = heap[child] as Task;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

const isBefore = (a: Task, b: Task): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);
