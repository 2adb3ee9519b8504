import { SwitchyardError } from '../core/switchyard-error.ts';
import type { TopologySession } from './topology.ts';
import type { TopologyContext } from './topology-context.ts';

/** Consul's least. It may keep an expired session for as long again. */
const TTL_MS = 10_000;
const RENEW_EVERY_MS = 3_000;
const RETRY_EVERY_MS = 500;
const CALL_LIMIT_MS = 2_000;

/**
 * A session that renews itself until it is disposed of or lost. It counts as lost when Consul says so, and when the TTL has passed on our monotonic clock since the last successful renewal was *sent*: from then on Consul may
 * give its locks to somebody else. Once lost it stays lost.
 */
export class RenewedSession implements TopologySession {
  readonly id: string;
  readonly #context: TopologyContext;
  readonly #onEnd: (session: RenewedSession) => void;
  readonly #lost = new AbortController();
  readonly #stop = new AbortController();
  #cancelExpiry: () => void = () => {};
  #renewing: Promise<void> = Promise.resolve();

  private constructor(context: TopologyContext, id: string, onEnd: (session: RenewedSession) => void) {
    this.#context = context;
    this.#onEnd = onEnd;
    this.id = id;
  }

  /** `onEnd` is called when it has been disposed of. */
  static async open(context: TopologyContext, name: string, onEnd: (session: RenewedSession) => void, signal: AbortSignal): Promise<RenewedSession> {
    const sentAtMs = context.clock.monotonic();
    const session = new RenewedSession(context, await context.client.createSession(name, TTL_MS, signal), onEnd);
    session.#extend(sentAtMs);
    session.#renewing = session.#renew();
    return session;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Ends the session, which releases its locks; Consul ends it by itself after a while when it cannot be told within 2 s. `lost` does not abort. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#cancelExpiry();
    await this.#renewing;
    try {
      await this.#context.client.destroySession(this.id, new AbortController().signal, CALL_LIMIT_MS);
    } catch (error) {
      this.#context.report(new SwitchyardError('TOPOLOGY_UNAVAILABLE', `session ${this.id} could not be ended; it expires by itself`, { cause: error }));
    } finally {
      this.#onEnd(this);
    }
  }

  async #renew(): Promise<void> {
    let reported = false;
    let pauseMs = RENEW_EVERY_MS;
    while (await this.#sleep(pauseMs)) {
      const sentAtMs = this.#context.clock.monotonic();
      try {
        if (!(await this.#context.client.renewSession(this.id, this.#stop.signal, CALL_LIMIT_MS))) return this.#lose('Consul no longer knows it');
        this.#extend(sentAtMs);
        reported = false;
        pauseMs = RENEW_EVERY_MS;
      } catch (error) {
        if (this.#isOver()) return;
        if (!reported) this.#context.report(new SwitchyardError('TOPOLOGY_UNAVAILABLE', `session ${this.id} could not be renewed`, { cause: error }));
        reported = true;
        pauseMs = RETRY_EVERY_MS;
      }
    }
  }

  /** False: there is nothing more to renew. */
  async #sleep(ms: number): Promise<boolean> {
    try {
      await this.#context.clock.sleep(ms, this.#stop.signal);
      return !this.#isOver();
    } catch {
      return false;
    }
  }

  #isOver(): boolean {
    return this.#stop.signal.aborted || this.#lost.signal.aborted;
  }

  #extend(sentAtMs: number): void {
    this.#cancelExpiry();
    if (this.#isOver()) return;
    const leftMs = sentAtMs + TTL_MS - this.#context.clock.monotonic();
    this.#cancelExpiry = this.#context.clock.after(Math.max(0, leftMs), () => this.#lose(`it could not be renewed for ${TTL_MS} ms`));
  }

  #lose(why: string): void {
    this.#cancelExpiry();
    if (!this.#isOver()) this.#lost.abort(new SwitchyardError('LOCK_TAKEN', `session ${this.id} is lost: ${why}`, { metadata: { session: this.id } }));
  }
}
