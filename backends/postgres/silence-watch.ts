import type pg from 'pg';
import type { Clock } from '../../core/clock.ts';
import { connectClient, dropClient, type LoginConfig } from './connection.ts';

/** An answer that has not begun to come by then is asked after. */
const SUSPECT_AFTER_MS = 1_000;
const LOOK_EVERY_MS = 500;
/** Of one look, connecting included. */
const LOOK_LIMIT_MS = 1_000;
/** So many looks in a row must have found the server without anything to do for a connection from which we wait to hear. */
const WANTED_LOOKS = 2;
/** What the server sent before it was looked at may still be on its way to us. */
const ARRIVAL_MS = 100;

const workingStates: ReadonlySet<string> = new Set(['active', 'fastpath function call', 'disabled']);
const lookText = 'SELECT pid, state FROM pg_catalog.pg_stat_activity WHERE pid = ANY ($1::int[])';

/** Why what waited on a dead connection fails. */
export class DeadConnection extends Error {
  constructor() {
    super('the server neither works for this connection nor answers on it: the connection is dead');
  }
}

/** A connection that waits for an answer. */
export interface Waiting {
  readonly processId: number;
  /** Bytes that have come from the server so far. */
  readonly heard: () => number;
  /** Told once: the answer will never come. */
  readonly onDead: () => void;
}

interface Suspect extends Waiting {
  readonly sinceMs: number;
  heardBefore: number;
  idleLooks: number;
}

/**
 * Finds connections whose other end is gone, or has answered, without our having been told: after a failover of a router, a partition, a machine that was switched off. TCP tells that only after minutes, or never. While somebody waits for an answer, the server
 * itself is asked over a connection of its own whether it works for that connection; when it does not, in two looks, the connection is dead. A statement that takes long, or waits for a lock, is at work and is let alone, and a server that does not answer the
 * question tells nothing. Needs a connection to the server itself: behind a pooler that gives out process ids of its own, every long statement would look dead.
 */
export class SilenceWatch {
  readonly #config: LoginConfig;
  readonly #clock: Clock;
  readonly #suspects = new Set<Suspect>();
  #looking = false;

  /** `config`: as whom to ask, which must be who is watched. */
  constructor(config: LoginConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  /** From now until the returned function is called. */
  watch(waiting: Waiting): () => void {
    const suspect: Suspect = { ...waiting, sinceMs: this.#clock.monotonic(), heardBefore: waiting.heard(), idleLooks: 0 };
    const stop = this.#clock.after(SUSPECT_AFTER_MS, () => {
      this.#suspects.add(suspect);
      if (!this.#looking) void this.#look();
    });
    return () => {
      stop();
      this.#suspects.delete(suspect);
    };
  }

  /** As long as there are suspects. Never rejects. */
  async #look(): Promise<void> {
    this.#looking = true;
    let client: pg.Client | null = null;
    while (this.#suspects.size > 0) {
      const limit = new AbortController();
      const stop = this.#clock.after(LOOK_LIMIT_MS, () => limit.abort());
      const looked = [...this.#suspects];
      try {
        client ??= await connectClient(this.#config, limit.signal, () => {});
        await this.#judge(looked, await statesOf(client, looked, limit.signal));
      } catch {
        // No answer, no judgement.
        if (client !== null) dropClient(client);
        client = null;
      } finally {
        stop();
      }
      if (this.#suspects.size > 0) await this.#pause(LOOK_EVERY_MS);
    }
    this.#looking = false;
    if (client !== null) dropClient(client);
  }

  async #judge(looked: readonly Suspect[], states: ReadonlyMap<number, string | null>): Promise<void> {
    await this.#pause(ARRIVAL_MS);
    for (const suspect of looked) {
      if (!this.#suspects.has(suspect)) continue;
      const state = states.get(suspect.processId);
      // A state that we may not see tells nothing.
      const isAtWork = state === null || (state !== undefined && workingStates.has(state));
      const heard = suspect.heard();
      suspect.idleLooks = isAtWork || heard !== suspect.heardBefore ? 0 : suspect.idleLooks + 1;
      suspect.heardBefore = heard;
      if (suspect.idleLooks < WANTED_LOOKS) continue;
      this.#suspects.delete(suspect);
      suspect.onDead();
    }
  }

  #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#clock.after(ms, resolve);
    return promise;
  }
}

/** What the server does for each of them; no entry: it knows no such connection. */
async function statesOf(client: pg.Client, suspects: readonly Suspect[], signal: AbortSignal): Promise<ReadonlyMap<number, string | null>> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const asked = client.query<{ pid: string; state: string | null }>(lookText, [`{${suspects.map(({ processId }) => processId).join(',')}}`]);
    const { rows } = await Promise.race([asked, promise]);
    return new Map(rows.map(({ pid, state }) => [Number(pid), state]));
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
