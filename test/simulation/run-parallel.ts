import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { add, nothingRun, type RangeResult } from './run-range.ts';

/** Seeds that a thread is given at a time. */
const atOnce = 10;
/** Ranges after which another thread goes on: Node keeps a composite AbortSignal as long as somebody listens to it, and whoever is killed in a world listens for ever. */
const rangesOfOne = 20;

/** Runs seeds on so many threads, told of how many are done. Ends early when one fails; all below that one have been run then. */
export async function runParallel(args: readonly string[], threads: number, first: number, count: number, onProgress: (done: number) => void): Promise<RangeResult> {
  let next = first;
  let sum = nothingRun;
  const isMore = (): boolean => next < first + count && sum.failed === null;
  const work = async (): Promise<void> => {
    while (isMore()) await workAWhile();
  };
  const workAWhile = async (): Promise<void> => {
    const worker = new Worker(new URL('./range-worker.ts', import.meta.url), { workerData: args, resourceLimits: { maxYoungGenerationSizeMb: 64 } });
    try {
      for (let ranges = 0; ranges < rangesOfOne && isMore(); ranges += 1) {
        const range = { first: next, count: Math.min(atOnce, first + count - next) };
        next += range.count;
        const result = await ask(worker, range);
        sum = add(sum, result);
        onProgress(sum.seeds);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(threads, Math.ceil(count / atOnce)) }, work));
  return sum;
}

async function ask(worker: Worker, range: { readonly first: number; readonly count: number }): Promise<RangeResult> {
  const answered = once(worker, 'message');
  worker.postMessage(range);
  const [{ result, error }] = (await answered) as [{ readonly result?: RangeResult; readonly error?: string }];
  if (result === undefined) throw new Error(error);
  return result;
}
