import type { Clock } from '../../../core/clock.ts';
import type { Draft } from './draft.ts';
import { deleteKey, unlockKey } from './key-operations.ts';
import type { Session } from './topology-state.ts';
import type { TopologyStore } from './topology-store.ts';

/** A session expires when it was not renewed for this many times its TTL: not before the TTL, and before twice of it, as Consul promises. */
const EXPIRY_FACTOR = 1.5;

/**
 * Ends sessions that are not renewed, and keeps keys of ended ones closed for their lock delay. Both times begin anew when the server does, as they do with a new leader of
 * Consul's.
 */
export class SessionKeeper implements Disposable {
  readonly #store: TopologyStore;
  readonly #clock: Clock;
  readonly #onExpired: (session: Session) => void;
  readonly #expiries = new Map<string, () => void>();
  /** Key: how to stop the end of its delay. */
  readonly #delays = new Map<string, () => void>();

  constructor(store: TopologyStore, clock: Clock, onExpired: (session: Session) => void) {
    this.#store = store;
    this.#clock = clock;
    this.#onExpired = onExpired;
    for (const session of store.state.sessions()) this.#await(session);
  }

  create(session: Omit<Session, 'createIndex'>): void {
    const created = this.#store.write((draft) => {
      const whole = { ...session, createIndex: draft.index };
      draft.putSession(whole);
      return whole;
    });
    this.#await(created);
  }

  /** Undefined: there is no such session. */
  renew(id: string): Session | undefined {
    const session = this.#store.state.session(id);
    if (session !== undefined) this.#await(session);
    return session;
  }

  /** None of that id is success. */
  destroy(id: string): void {
    const session = this.#store.state.session(id);
    if (session === undefined) return;
    const held = this.#store.write((draft) => endSession(draft, session));
    this.#stop(id);
    if (session.lockDelayMs > 0) for (const key of held) this.#delay(key, session.lockDelayMs);
  }

  /** Whether a session that held the key ended so short a time ago that nobody may lock it yet. */
  isDelayed(key: string): boolean {
    return this.#delays.has(key);
  }

  [Symbol.dispose](): void {
    for (const stop of [...this.#expiries.values(), ...this.#delays.values()]) stop();
    this.#expiries.clear();
    this.#delays.clear();
  }

  #await(session: Session): void {
    this.#stop(session.id);
    if (session.ttlMs > 0)
      this.#expiries.set(
        session.id,
        this.#clock.after(session.ttlMs * EXPIRY_FACTOR, () => this.#expire(session)),
      );
  }

  #stop(id: string): void {
    this.#expiries.get(id)?.();
    this.#expiries.delete(id);
  }

  #expire(session: Session): void {
    try {
      this.destroy(session.id);
      this.#onExpired(session);
    } catch {
      // The log has failed, of which its owner knows; the session is still in it.
      this.#expiries.delete(session.id);
    }
  }

  #delay(key: string, ms: number): void {
    this.#delays.get(key)?.();
    this.#delays.set(
      key,
      this.#clock.after(ms, () => this.#delays.delete(key)),
    );
  }
}

/** Returns the keys that it held. */
function endSession(draft: Draft, session: Session): readonly string[] {
  const held = draft.heldBy(session.id);
  for (const entry of held) {
    if (session.behavior === 'delete') deleteKey(draft, entry.key);
    else unlockKey(draft, entry, session.id);
  }
  draft.removeSession(session.id);
  return held.map(({ key }) => key);
}
