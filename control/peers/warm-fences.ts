import type { FenceScope, FenceSession } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import { isDefinite } from '../time-limit.ts';
import type { PeerStores } from './peer-stores.ts';

/** A connection that nobody has used for so long is closed: a hold is far shorter. */
const idleMs = 15_000;
const lookEveryMs = 2_000;
/** Idle connections of one scope: whoever switches, watches and looks at the same time. */
const mostOfScope = 4;
/** Of all scopes; beyond it the one that was used longest ago goes. */
const mostIdle = 64;

interface Warm {
  readonly session: FenceSession;
  readonly usedAt: number;
}

/**
 * The connections on which peers' transitions run, warm between the calls of one cutover. Each call has one to itself: what it waits for, and that its caller gives it up, is nothing to another. One that a failure leaves in doubt is thrown away.
 */
export class WarmFences implements AsyncDisposable {
  readonly #stores: PeerStores;
  readonly #clock: Clock;
  /** Idle ones by scope, the one used last at the end. */
  readonly #idle = new Map<string, Warm[]>();
  #isClosed = false;
  #stop = (): void => {};

  constructor(stores: PeerStores, clock: Clock) {
    this.#stores = stores;
    this.#clock = clock;
    this.#closeIdle();
  }

  async use<T>(keyspace: string, scope: FenceScope, signal: AbortSignal, act: (session: FenceSession) => Promise<T>): Promise<T> {
    const key = JSON.stringify([keyspace, scope.workflow, scope.peer, scope.tables]);
    return await this.#stores.owner(keyspace, async (owner) => {
      const session = this.#take(key) ?? (await owner.openFence(scope, signal));
      try {
        const answer = await act(session);
        this.#keep(key, session);
        return answer;
      } catch (error) {
        if (isDefinite(error)) this.#keep(key, session);
        else close(session);
        throw error;
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#stop();
    for (const warm of this.#idle.values()) for (const { session } of warm) close(session);
    this.#idle.clear();
  }

  #take(key: string): FenceSession | null {
    const warm = this.#idle.get(key);
    const last = warm?.pop();
    if (warm?.length === 0) this.#idle.delete(key);
    return last?.session ?? null;
  }

  #keep(key: string, session: FenceSession): void {
    const warm = this.#idle.get(key) ?? [];
    if (this.#isClosed || warm.length >= mostOfScope) {
      close(session);
      return;
    }
    this.#idle.set(key, [...warm, { session, usedAt: this.#clock.monotonic() }]);
    const all = [...this.#idle].flatMap(([scope, list]) => list.map((each) => ({ scope, usedAt: each.usedAt })));
    if (all.length > mostIdle) this.#drop(Math.min(...all.map(({ usedAt }) => usedAt)));
  }

  /** Closes those that were last used then, or before. */
  #drop(usedAt: number): void {
    for (const [key, warm] of this.#idle) {
      for (const old of warm.filter((each) => each.usedAt <= usedAt)) close(old.session);
      const left = warm.filter((each) => each.usedAt > usedAt);
      if (left.length === 0) this.#idle.delete(key);
      else this.#idle.set(key, left);
    }
  }

  #closeIdle(): void {
    this.#stop = this.#clock.after(lookEveryMs, () => {
      this.#drop(this.#clock.monotonic() - idleMs);
      this.#closeIdle();
    });
  }
}

/** In the background: a connection that hangs must not keep its caller, and it is gone either way. */
function close(session: FenceSession): void {
  Promise.resolve(session[Symbol.asyncDispose]()).catch(() => undefined);
}
