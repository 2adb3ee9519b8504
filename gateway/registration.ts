import type { Clock } from '../core/clock.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Topology, TopologySession } from '../topo/topology.ts';
import type { Barrier } from './flow/barrier.ts';
import type { Routing } from './rules/routing.ts';
import type { StoreWatch } from './store-watch.ts';

export interface RegistrarOptions {
  readonly topology: Topology;
  readonly routing: Routing;
  readonly stores: Pick<StoreWatch, 'problems'>;
  readonly barrier: Pick<Barrier, 'settledVersion' | 'registered' | 'settled'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly newId: () => string;
  readonly id: string;
  readonly address: string;
}

const callLimitMs = 5_000;
const shortestRetryMs = 100;
const longestRetryMs = 5_000;

/**
 * Keeps this gateway's registration in Consul: under a session, with the version that it applies, what it refuses and which stores do not let it in, written at once whenever one of them changes. A lost session is replaced; while Consul is away it tries on. Registering is
 * information for others: nothing in the gateway waits for it.
 */
export class Registrar {
  readonly #options: RegistrarOptions;
  readonly #stop = new AbortController();
  #session: TopologySession | null = null;
  #dirty = true;
  #changed = Promise.withResolvers<void>();
  #running: Promise<void> | null = null;

  constructor(options: RegistrarOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Version or problems, of rules or stores, have changed: writes them at once. */
  update(): void {
    this.#dirty = true;
    this.#changed.resolve();
  }

  /** Leaves for good, once every write to stores that cannot fence has settled: the registration goes, and the session with it. */
  async leave(): Promise<void> {
    const { topology, barrier, id, log } = this.#options;
    this.#stop.abort();
    await this.#running;
    // Whoever counts the gateways must count this one for as long as a write of its may still be done.
    await barrier.settled();
    try {
      await this.#limited((signal) => topology.removeRegistration(id, signal));
      await this.#session?.[Symbol.asyncDispose]();
    } catch (error) {
      log.warn({ err: error }, 'the registration could not be removed; it will read as silent');
    }
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#stop;
    let retryMs = shortestRetryMs;
    while (!signal.aborted) {
      try {
        await this.#register();
        retryMs = shortestRetryMs;
        await this.#untilSomethingChanges();
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ err: error, retryMs }, 'the gateway could not be registered; it serves on');
        this.#dirty = true;
        await clock.sleep(retryMs, signal).catch(() => null); // an abort ends the loop
        retryMs = Math.min(retryMs * 2, longestRetryMs);
      }
    }
  }

  async #register(): Promise<void> {
    const { topology, routing, stores, barrier, clock, id, address, newId } = this.#options;
    if (this.#session === null || this.#session.lost.aborted) {
      this.#session = await this.#limited((signal) => topology.openSession(`switchyard gateway ${id}`, signal));
      this.#session.lost.addEventListener('abort', () => this.update(), { once: true });
      this.#dirty = true;
    }
    const session = this.#session.id;
    while (this.#dirty) {
      this.#dirty = false;
      this.#changed = Promise.withResolvers();
      const updatedAt = new Date(clock.now()).toISOString();
      const registration = {
        nonce: newId(),
        id,
        address,
        session,
        appliedVersion: routing.appliedVersion,
        settledVersion: barrier.settledVersion,
        updatedAt,
        problems: [...routing.problems],
        storeProblems: [...stores.problems],
      };
      await this.#limited((signal) => topology.putRegistration(registration, signal));
      barrier.registered();
    }
  }

  async #untilSomethingChanges(): Promise<void> {
    const { signal } = this.#stop;
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const onStop = (): void => resolve();
    signal.addEventListener('abort', onStop, { once: true });
    await Promise.race([this.#changed.promise, promise]);
    signal.removeEventListener('abort', onStop);
  }

  /** A call to the topology with a limit of its own; leaving must work after the stop. */
  async #limited<T>(act: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const cancel = this.#options.clock.after(callLimitMs, () => controller.abort(new SwitchyardError('TOPOLOGY_UNAVAILABLE', `Consul did not answer within ${callLimitMs} ms`)));
    try {
      return await act(controller.signal);
    } finally {
      cancel();
    }
  }
}
