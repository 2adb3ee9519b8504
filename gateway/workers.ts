import type { ChildProcess } from 'node:child_process';
import { platform } from 'node:os';
import type { Clock } from '../core/clock.ts';
import { ConfigError } from '../runtime/config-file.ts';
import { cannotServe, refuseTaken } from '../runtime/listen.ts';
import type { Logger } from '../runtime/logger.ts';
import type { GatewayConfig } from './config.ts';

const firstRestMs = 500;
const longestRestMs = 30_000;
/** A worker that has lived so long has started well. */
const healthyMs = 60_000;

export interface WorkersOptions {
  /** Starts a worker, counted from 1, as a process that ends with this one. */
  readonly start: (worker: number) => ChildProcess;
  readonly clock: Clock;
  readonly log: Logger;
  /** Resolves with the signal that asks this process to stop. */
  readonly terminated: Promise<NodeJS.Signals>;
}

/** Runs the configuration's workers until this process is asked to stop, then has them drain; one that ends by itself is started anew, after a rest that grows. Resolves to whether all of them ended well. ConfigError: several cannot share an address. */
export async function superviseWorkers(config: GatewayConfig, { start, clock, log, terminated }: WorkersOptions): Promise<boolean> {
  await checkAddresses(config);
  const stopping = new AbortController();
  const running = new Set<ChildProcess>();
  let allWell = true;
  /** Exit code; null for one that was killed or could not be started. */
  const endOf = async (number: number): Promise<number | null> => {
    let worker: ChildProcess | null = null;
    try {
      const started = start(number);
      worker = started;
      running.add(started);
      return await new Promise<number | null>((resolve, reject) => started.once('exit', resolve).once('error', reject));
    } catch (error) {
      log.error({ worker: number, err: error }, 'a worker cannot be started');
      return null;
    } finally {
      if (worker !== null) running.delete(worker);
    }
  };
  const keep = async (number: number): Promise<void> => {
    for (let restMs = firstRestMs; !stopping.signal.aborted; ) {
      const begunAt = clock.monotonic();
      const code = await endOf(number);
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
  const kept = Array.from({ length: config.workers }, (_, index) => keep(index + 1));
  const signal = await terminated;
  log.info({ signal, workers: running.size }, 'told to stop');
  stopping.abort();
  for (const worker of running) worker.kill('SIGTERM');
  await Promise.all(kept);
  return allWell;
}

/** Workers may share an address with each other, and with nobody else. */
async function checkAddresses({ listen, http }: GatewayConfig): Promise<void> {
  if (platform() !== 'linux') throw new ConfigError('workers: several processes can share an address on Linux only; leave it out, or run several gateways');
  for (const [name, address] of Object.entries({ listen, http })) {
    if (address === null) continue;
    if (address.port === 0) throw new ConfigError(`${name}: port 0 is another one for each worker; give the port that they share`);
    await refuseTaken(address).catch((cause: Error) => {
      throw cannotServe(name, address, cause, 'give another address');
    });
  }
}
