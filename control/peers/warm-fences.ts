import type { FenceScope, FenceSession } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import { isDefinite } from '../time-limit.ts';
import type { PeerStores } from './peer-stores.ts';

/** A connection that nobody has used for so long is closed: a hold is far shorter. */
const idleMs = 15_000;
const lookEveryMs = 2_000;
/** Scopes at once; beyond it the one that was used longest ago goes. */
const mostSessions = 64;

interface Warm {
  readonly session: FenceSession;
  usedAt: number;
  callsUnderWay: number;
}

/** The connections on which peers' transitions run, one a scope, warm between the calls of one cutover. One that a failure leaves in doubt is thrown away, so that a statement that hangs delays no later one. */
export class WarmFences implements AsyncDisposable {
  readonly #stores: PeerStores;
  readonly #clock: Clock;
  readonly #warm = new Map<string, Warm>();
  #stop = (): void => {};

  constructor(stores: PeerStores, clock: Clock) {
    this.#stores = stores;
    this.#clock = clock;
    this.#closeIdle();
  }

  async use<T>(keyspace: string, scope: FenceScope, signal: AbortSignal, act: (session: FenceSession) => Promise<T>): Promise<T> {
    const key = JSON.stringify([keyspace, scope.workflow, scope.peer, scope.tables]);
    // The store itself stays open as long as its sessions are used.
    return await this.#stores.owner(keyspace, async (owner) => {
      const warm = this.#warm.get(key) ?? this.#keep(key, await owner.openFence(scope, signal));
      warm.callsUnderWay += 1;
      try {
        return await act(warm.session);
      } catch (error) {
        if (!isDefinite(error)) this.#drop(key, warm);
        throw error;
      } finally {
        warm.callsUnderWay -= 1;
        warm.usedAt = this.#clock.monotonic();
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop();
    for (const [key, warm] of this.#warm) this.#drop(key, warm);
  }

  /** Two that were opened at once: the first stays. */
  #keep(key: string, session: FenceSession): Warm {
    const first = this.#warm.get(key);
    if (first !== undefined) {
      close(session);
      return first;
    }
    const warm: Warm = { session, usedAt: this.#clock.monotonic(), callsUnderWay: 0 };
    this.#warm.set(key, warm);
    if (this.#warm.size > mostSessions) this.#dropOldest();
    return warm;
  }

  #dropOldest(): void {
    const [oldest] = [...this.#warm].filter(([, { callsUnderWay }]) => callsUnderWay === 0).toSorted(([, a], [, b]) => a.usedAt - b.usedAt);
    if (oldest !== undefined) this.#drop(...oldest);
  }

  #drop(key: string, warm: Warm): void {
    if (this.#warm.get(key) === warm) this.#warm.delete(key);
    close(warm.session);
  }

  #closeIdle(): void {
    this.#stop = this.#clock.after(lookEveryMs, () => {
      const now = this.#clock.monotonic();
      for (const [key, warm] of this.#warm) if (warm.callsUnderWay === 0 && now - warm.usedAt > idleMs) this.#drop(key, warm);
      this.#closeIdle();
    });
  }
}

/** In the background: a connection that hangs must not keep its caller, and it is gone either way. */
function close(session: FenceSession): void {
  Promise.resolve(session[Symbol.asyncDispose]()).catch(() => undefined);
}
