import { Worker } from 'node:worker_threads';

interface Sample {
  readonly atMs: number;
  /** Time that passed for each part of processor time. */
  readonly slowdown: number;
}

/** Beyond this a machine says nothing of what runs on it. */
const mostSlowdown = 8;

/** How much slower than alone whoever wants a processor is served on this machine just now: a limit in seconds means seconds of a machine that has time for it. */
export class MachineShare implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #samples: Sample[] = [];

  constructor() {
    this.#worker = new Worker(new URL('./machine-share-worker.ts', import.meta.url));
    this.#worker.unref();
    this.#worker.on('message', (slowdown: number) => this.#samples.push({ atMs: performance.now(), slowdown }));
  }

  /** The mean since then, from 1 to 8; `sinceMs` of `performance.now`. */
  slowdown(sinceMs: number): number {
    const recent = this.#samples.filter(({ atMs }) => atMs >= sinceMs);
    const samples = recent.length > 0 ? recent : this.#samples.slice(-1);
    const mean = samples.reduce((sum, sample) => sum + sample.slowdown, 0) / Math.max(1, samples.length);
    return Math.min(mostSlowdown, Math.max(1, mean));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}
