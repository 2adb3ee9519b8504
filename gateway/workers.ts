import type { Cluster, Worker } from 'node:cluster';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../runtime/logger.ts';

const firstRestMs = 500;
const longestRestMs = 30_000;
/** A worker that has lived so long has started well. */
const healthyMs = 60_000;

export interface WorkersOptions {
  readonly cluster: Pick<Cluster, 'fork'>;
  readonly count: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Resolves with the signal that asks this process to stop. */
  readonly terminated: Promise<NodeJS.Signals>;
}

/** Runs workers until this process is asked to stop, then has them drain; one that ends by itself is started anew, after a rest that grows. Resolves to whether all of them ended well. */
export async function superviseWorkers({ cluster, count, clock, log, terminated }: WorkersOptions): Promise<boolean> {
  const stopping = new AbortController();
  const running = new Map<number, Worker>();
  let allWell = true;
  const keep = async (number: number): Promise<void> => {
    for (let restMs = firstRestMs; !stopping.signal.aborted; ) {
      const begunAt = clock.monotonic();
      const worker = cluster.fork({ SWITCHYARD_WORKER: String(number) });
      running.set(number, worker);
      const code = await new Promise<number | null>((resolve) => worker.once('exit', (exitCode) => resolve(exitCode)));
      running.delete(number);
      if (stopping.signal.aborted) {
        allWell &&= code === 0;
        return;
      }
      if (clock.monotonic() - begunAt > healthyMs) restMs = firstRestMs;
      log.error({ worker: number, code, restMs }, 'a worker ended by itself; it is started anew after a rest');
      await clock.sleep(restMs, stopping.signal).catch(() => {}); // only the signal rejects, which ends the loop
      restMs = Math.min(2 * restMs, longestRestMs);
    }
  };
  const kept = Array.from({ length: count }, (_, index) => keep(index + 1));
  const signal = await terminated;
  log.info({ signal, workers: running.size }, 'told to stop');
  stopping.abort();
  for (const worker of running.values()) worker.process.kill('SIGTERM');
  await Promise.all(kept);
  return allWell;
}
