import { z } from 'zod';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import { CONSISTENT, type KvItem } from './kv-client.ts';
import { abortError } from './consul-transport.ts';
import { decodeDocument, encodeDocument } from './document-codec.ts';
import { withLimit } from './time-limit.ts';
import type { Lock, TopologySession } from './topology.ts';
import { CHANGE_LIMIT_MS, CHANGE_TRIES, type TopologyContext } from './topology-context.ts';

const RELEASE_LIMIT_MS = 2_000;
const holderSchema = z.looseObject({ holder: z.string() });

/** Advisory locks: a key that a session has acquired, its value naming the holder for people. */
export class Locks {
  readonly #context: TopologyContext;
  /** Consul lets one session acquire a key twice; two parts of one process must not both believe that they have it. */
  readonly #held = new Set<string>();

  constructor(context: TopologyContext) {
    this.#context = context;
  }

  async lock(name: string, session: TopologySession, holder: string, signal: AbortSignal): Promise<Lock> {
    const key = this.#context.keys.lock(name);
    const mark = `${session.id} ${key}`;
    if (this.#held.has(mark)) throw taken(name, holder, session.id);
    this.#held.add(mark);
    try {
      await withLimit(this.#context.clock, CHANGE_LIMIT_MS, signal, (limited) => this.#acquire(name, key, session, holder, limited));
    } catch (error) {
      this.#held.delete(mark);
      throw error;
    }
    return new HeldLock(name, session, async () => {
      this.#held.delete(mark);
      await this.#release(key, session.id);
    });
  }

  /** Acquiring again with the same session changes nothing, so an unanswered try is simply repeated. */
  async #acquire(name: string, key: string, session: TopologySession, holder: string, signal: AbortSignal): Promise<void> {
    const value = encodeDocument({ holder, since: new Date(this.#context.clock.now()).toISOString() });
    for (let tries = 1; tries <= CHANGE_TRIES; tries += 1) {
      if (session.lost.aborted) throw abortError(session.lost);
      try {
        const outcome = await this.#context.client.write([{ verb: 'lock', key, value, session: session.id }], signal);
        if (outcome.kind === 'written') return;
        const owner = (await this.#context.client.get(key, CONSISTENT, signal)).items[0];
        if (owner?.session !== undefined && owner.session !== session.id) throw taken(name, holderOf(owner), owner.session);
        if (!(await this.#context.client.sessionIds(signal)).has(session.id)) throw taken(name, 'nobody: the own session no longer exists', session.id);
        await this.#context.conflictBackOff.pause(tries, signal);
      } catch (error) {
        if (signal.aborted || !hasReason(error, 'TOPOLOGY_UNAVAILABLE')) throw error;
        await this.#context.faultBackOff.pause(tries, signal);
      }
    }
    throw new SwitchyardError('TOPOLOGY_CONFLICT', `lock ${name} could not be taken in ${CHANGE_TRIES} tries`);
  }

  /** The key stays, so that its count of acquisitions goes on. A release that does not arrive is made up for by the end of the session. */
  async #release(key: string, session: string): Promise<void> {
    try {
      const value = encodeDocument({ holder: '', since: new Date(this.#context.clock.now()).toISOString() });
      await withLimit(this.#context.clock, RELEASE_LIMIT_MS, new AbortController().signal, (limited) =>
        this.#context.client.write([{ verb: 'unlock', key, value, session }], limited),
      );
    } catch (error) {
      this.#context.report(new SwitchyardError('TOPOLOGY_UNAVAILABLE', `${key} could not be released; it is when its session ends`, { cause: error }));
    }
  }
}

class HeldLock implements Lock {
  readonly key: string;
  readonly session: string;
  readonly #lost = new AbortController();
  readonly #sessionLost: AbortSignal;
  readonly #onSessionLost: () => void;
  readonly #release: () => Promise<void>;
  #released = false;

  constructor(key: string, session: TopologySession, release: () => Promise<void>) {
    this.key = key;
    this.session = session.id;
    this.#release = release;
    this.#sessionLost = session.lost;
    this.#onSessionLost = () => this.#lost.abort(session.lost.reason);
    if (session.lost.aborted) this.#onSessionLost();
    else session.lost.addEventListener('abort', this.#onSessionLost, { once: true });
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    this.#sessionLost.removeEventListener('abort', this.#onSessionLost);
    await this.#release();
  }
}

function holderOf(item: KvItem): string {
  const decoded = decodeDocument(holderSchema, item.value);
  return decoded.kind === 'valid' ? decoded.value.holder : 'somebody unknown';
}

function taken(name: string, holder: string, session: string): SwitchyardError {
  return new SwitchyardError('LOCK_TAKEN', `lock ${name} is held by ${holder}`, { metadata: { holder, session } });
}
