import { Pool } from 'undici';
import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';

export interface EndpointsOptions {
  readonly addresses: readonly string[];
  /** One is called until it cannot be reached, and only then another: what is kept there between calls is found again. Left out: they take turns. */
  readonly isFaithful?: boolean;
  /** Connections to each, and calls at once. */
  readonly poolSize: number;
  /** Longest wait for one of them, and for a connection that is being made. */
  readonly acquireTimeoutMs: number;
  readonly clock: Clock;
}

/** An address that could not be reached is left out for so long, twice as long each time in a row. */
const firstRestMs = 100;
const longestRestMs = 2_000;

/** One process that is called, and its connections. */
export class Endpoint {
  readonly address: string;
  readonly pool: Pool;
  /** For what must not queue behind the calls that it is about. */
  readonly beside: Pool;
  restsUntil = 0;
  restMs = firstRestMs;

  constructor(address: string, { poolSize, acquireTimeoutMs }: EndpointsOptions) {
    this.address = address;
    // Calls end by their signals: how long one may take, only its caller knows.
    const options = { pipelining: 1, connectTimeout: acquireTimeoutMs, headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: 30_000 };
    this.pool = new Pool(`http://${address}`, { ...options, connections: poolSize });
    this.beside = new Pool(`http://${address}`, { ...options, connections: 1 });
  }
}

/** The processes of one service: calls take turns among those that could be reached last, and one that can be reached again is found out by a call. */
export class Endpoints {
  readonly #options: EndpointsOptions;
  readonly #endpoints: readonly Endpoint[];
  readonly #waiting: (() => void)[] = [];
  #next = 0;
  #busy = 0;

  constructor(options: EndpointsOptions) {
    this.#options = options;
    this.#endpoints = options.addresses.map((address) => new Endpoint(address, options));
  }

  get busy(): number {
    return this.#busy;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Connections that nothing uses now. */
  get idle(): number {
    return this.#endpoints.reduce((sum, { pool }) => sum + pool.stats.free, 0);
  }

  /** In what order to try them now: whose turn it is first, those that rest last. */
  inTurn(): readonly Endpoint[] {
    const now = this.#options.clock.monotonic();
    const turned = this.#endpoints.map((_, i) => this.#endpoints[(this.#next + i) % this.#endpoints.length] as Endpoint);
    if (this.#options.isFaithful !== true) this.#next = (this.#next + 1) % this.#endpoints.length;
    return turned.toSorted((a, b) => Number(a.restsUntil > now) - Number(b.restsUntil > now));
  }

  served(endpoint: Endpoint): void {
    if (this.#options.isFaithful === true) this.#next = this.#endpoints.indexOf(endpoint);
    endpoint.restMs = firstRestMs;
    endpoint.restsUntil = 0;
  }

  unreachable(endpoint: Endpoint): void {
    endpoint.restsUntil = this.#options.clock.monotonic() + endpoint.restMs;
    endpoint.restMs = Math.min(longestRestMs, 2 * endpoint.restMs);
  }

  /** A place among the calls at once; to be disposed of. STORE_OVERLOADED: none was free in time. Rejects with the signal's reason when it aborts first. */
  async enter(signal: AbortSignal): Promise<Disposable> {
    const { poolSize, acquireTimeoutMs, clock } = this.#options;
    if (this.#busy >= poolSize * this.#endpoints.length) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const stop = clock.after(acquireTimeoutMs, () => reject(new SwitchyardError('STORE_OVERLOADED', `no connection to the service was free within ${acquireTimeoutMs} ms`)));
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(resolve);
      try {
        await promise;
      } catch (error) {
        const at = this.#waiting.indexOf(resolve);
        // Let go by the last one just now: the place goes on to the next.
        if (at < 0) this.#waiting.shift()?.();
        else this.#waiting.splice(at, 1);
        throw error;
      } finally {
        stop();
        signal.removeEventListener('abort', onAbort);
      }
    }
    this.#busy += 1;
    let isOver = false;
    return {
      [Symbol.dispose]: () => {
        if (isOver) return;
        isOver = true;
        this.#busy -= 1;
        this.#waiting.shift()?.();
      },
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#endpoints.flatMap(({ pool, beside }) => [pool.destroy(), beside.destroy()]));
  }
}
