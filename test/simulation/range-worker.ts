import { parentPort, workerData } from 'node:worker_threads';
import { readOptions } from './options.ts';
import { runRange } from './run-range.ts';

/* A thread that runs the ranges of seeds that it is sent; each world is on one thread alone. */

Error.stackTraceLimit = 0;
const options = readOptions(workerData as readonly string[]);
parentPort?.on('message', ({ first, count }: { readonly first: number; readonly count: number }) => {
  runRange(options, first, count).then(
    (result) => parentPort?.postMessage({ result }),
    (error: unknown) => parentPort?.postMessage({ error: String(error) }),
  );
});
