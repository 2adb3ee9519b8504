import type { FenceSession } from '../../backends/backend.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ControlDeps, Move, SideName } from '../move.ts';
import { scopeOf, type SideView, sideView } from './direction.ts';
import { abortError, asSwitchyardError, isDefinite, type LateError, within } from '../time-limit.ts';

const OPEN_LIMIT_MS = 5_000;
const WARM_UP_LIMIT_MS = 2_000;

/**
 * The transitions' connection to one store, warm as long as it answers. After a failure that leaves the connection in doubt it is thrown away, and the next use opens another: so a statement that
 * hangs never delays a later one. Opening has a limit of its own: a store that lets us in more slowly than a use may take serves the next use.
 */
export class FenceLink implements AsyncDisposable {
  readonly side: SideName;
  readonly #move: Move;
  readonly #deps: ControlDeps;
  readonly #end = new AbortController();
  #session: FenceSession | null = null;
  #opening: Promise<FenceSession> | null = null;

  constructor(move: Move, side: SideName, deps: ControlDeps) {
    this.#move = move;
    this.side = side;
    this.#deps = deps;
  }

  /** Runs one statement within `limitMs`, the wait for a missing connection included; fails with `late()` after that. What the store did when this fails with anything but a definite refusal is unknown. */
  async use<T>(limitMs: number, signal: AbortSignal | null, act: (session: FenceSession, signal: AbortSignal) => Promise<T>, late: LateError = this.#late(limitMs)): Promise<T> {
    let session = this.#session;
    try {
      return await within(this.#deps.clock, limitMs, late, signal, async (limited) => {
        session ??= await this.#opened();
        limited.throwIfAborted();
        return await act(session, limited);
      });
    } catch (error) {
      if (!isDefinite(error) && session !== null) this.#drop(session);
      throw asSwitchyardError(error);
    }
  }

  /** Opens the connection now, so that the next use finds it warm. */
  async warmUp(signal: AbortSignal): Promise<void> {
    await this.use(WARM_UP_LIMIT_MS, signal, (session, limited) => session.fenceRows(limited));
  }

  /** The move's rows in this store; unreachable when it does not answer in time. */
  async view(limitMs: number, signal: AbortSignal | null): Promise<SideView> {
    try {
      return sideView(this.#move, this.side, await this.use(limitMs, signal, (session, limited) => session.fenceRows(limited)));
    } catch (error) {
      if (signal?.aborted) throw error;
      return { kind: 'unreachable', message: asSwitchyardError(error).message };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort(new SwitchyardError('CANCELLED', 'the connection is no longer needed'));
    if (this.#session !== null) this.#drop(this.#session);
  }

  #late(limitMs: number): LateError {
    return () => new SwitchyardError('STORE_UNAVAILABLE', `"${this.#move[this.side].keyspace}" did not answer within ${Math.round(limitMs)} ms`);
  }

  /** The connection, or the one that is being opened for whoever needs it. */
  #opened(): Promise<FenceSession> {
    if (this.#session !== null) return Promise.resolve(this.#session);
    this.#opening ??= within(this.#deps.clock, OPEN_LIMIT_MS, this.#late(OPEN_LIMIT_MS), this.#end.signal, (limited) => this.#open(limited)).finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #open(signal: AbortSignal): Promise<FenceSession> {
    const session = await this.#move[this.side].owner.openFence(scopeOf(this.#move, this.side), signal);
    if (signal.aborted) {
      this.#drop(session);
      throw abortError(signal);
    }
    this.#session = session;
    return session;
  }

  /** Not waited for: closing a connection to a store that hangs may hang as well. */
  #drop(session: FenceSession): void {
    if (this.#session === session) this.#session = null;
    const dispose = async (): Promise<void> => {
      try {
        await session[Symbol.asyncDispose]();
      } catch (error) {
        this.#deps.log.debug({ err: error, keyspace: this.#move[this.side].keyspace }, 'closing a fence connection failed');
      }
    };
    void dispose();
  }
}

/** Both stores of a move. */
export interface FenceLinks extends AsyncDisposable {
  readonly source: FenceLink;
  readonly target: FenceLink;
}

export function fenceLinks(move: Move, deps: ControlDeps): FenceLinks {
  const source = new FenceLink(move, 'source', deps);
  const target = new FenceLink(move, 'target', deps);
  return {
    source,
    target,
    async [Symbol.asyncDispose]() {
      await source[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
    },
  };
}
