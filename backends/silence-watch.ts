import type { Clock } from '../core/clock.ts';
import { unlessAborted } from './abort-error.ts';

/** An answer that has not begun to come by then is asked after. */
const SUSPECT_AFTER_MS = 1_000;
const LOOK_EVERY_MS = 500;
/** Of one look, connecting included. */
const LOOK_LIMIT_MS = 1_000;
/** So many looks in a row must have found the server without anything to do for a connection from which we wait to hear. */
const WANTED_LOOKS = 2;
/** What the server sent before it was looked at may still be on its way to us. */
const ARRIVAL_MS = 100;

/** Why what waited on a dead connection fails. */
export class DeadConnection extends Error {
  constructor() {
    super('the server neither works for this connection nor answers on it: the connection is dead');
  }
}

/** What the server does for a connection. One that it does not know is at rest. */
export type Activity = 'working' | 'resting' | 'untold';

/** A connection of its own to the server, over which it is asked. */
export interface Lookout {
  /** What it does for each of these connections; one that it does not know is left out. May wait for ever. */
  activities(connectionIds: readonly number[]): Promise<ReadonlyMap<number, Activity>>;
  /** Closes it at once. */
  drop(): void;
}

/** A connection that waits for an answer. */
export interface Waiting {
  /** The server's own number of it. */
  readonly connectionId: number;
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
  readonly #connect: (signal: AbortSignal) => Promise<Lookout>;
  readonly #clock: Clock;
  readonly #suspects = new Set<Suspect>();
  #looking = false;

  /** `connect`: as whom to ask, which must be who is watched. */
  constructor(connect: (signal: AbortSignal) => Promise<Lookout>, clock: Clock) {
    this.#connect = connect;
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
    let lookout: Lookout | null = null;
    while (this.#suspects.size > 0) {
      const next = this.#pause(LOOK_EVERY_MS);
      const limit = new AbortController();
      const stop = this.#clock.after(LOOK_LIMIT_MS, () => limit.abort());
      const looked = [...this.#suspects];
      try {
        lookout ??= await this.#connect(limit.signal);
        await this.#judge(looked, await activitiesOf(lookout, looked, limit.signal));
      } catch {
        // No answer, no judgement.
        lookout?.drop();
        lookout = null;
      } finally {
        stop();
      }
      if (this.#suspects.size > 0) await next;
    }
    this.#looking = false;
    lookout?.drop();
  }

  async #judge(looked: readonly Suspect[], activities: ReadonlyMap<number, Activity>): Promise<void> {
    await this.#pause(ARRIVAL_MS);
    for (const suspect of looked) {
      if (!this.#suspects.has(suspect)) continue;
      const isAtRest = (activities.get(suspect.connectionId) ?? 'resting') === 'resting';
      const heard = suspect.heard();
      suspect.idleLooks = !isAtRest || heard !== suspect.heardBefore ? 0 : suspect.idleLooks + 1;
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

async function activitiesOf(lookout: Lookout, suspects: readonly Suspect[], signal: AbortSignal): Promise<ReadonlyMap<number, Activity>> {
  const asked = lookout.activities(suspects.map(({ connectionId }) => connectionId)).then(
    (activities) => ({ activities }),
    (error: unknown) => ({ error }),
  );
  const answer = await unlessAborted(asked, signal);
  if (answer !== null && 'activities' in answer) return answer.activities;
  throw answer?.error ?? signal.reason;
}
