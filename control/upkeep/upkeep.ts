import type { TopologyView } from '../topology-view.ts';
import { KeyspaceUpkeep, type KeyspaceUpkeepOptions } from './keyspace-upkeep.ts';

const lookEveryMs = 5_000;

export interface UpkeepOptions extends KeyspaceUpkeepOptions {
  readonly view: TopologyView;
}

interface Running {
  /** The keyspace as it was when this began; one that is defined anew begins anew. */
  readonly definition: string;
  readonly upkeep: KeyspaceUpkeep;
  readonly end: AbortController;
  readonly done: Promise<void>;
}

/** Upkeep of every keyspace, each by itself: a store that hangs keeps no other waiting. Runs in every control process; what is done twice changes nothing. */
export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #running = new Map<string, Running>();

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  /** Why the keyspace's store does not keep request ids, null when it does or nothing is known yet. */
  problem(keyspace: string): string | null {
    return this.#running.get(keyspace)?.upkeep.problem ?? null;
  }

  /** What is to be said of the stream's log in the keyspace's store, as of the last look: it has become large. Null otherwise. */
  logAlarm(keyspace: string, stream: string): string | null {
    return this.#running.get(keyspace)?.upkeep.logAlarm(stream) ?? null;
  }

  /** Runs until the signal aborts; resolves when every store is let go. */
  async run(signal: AbortSignal): Promise<void> {
    const { view } = this.#options;
    while (!signal.aborted) {
      await this.#follow(signal);
      await view.changed(lookEveryMs, signal).catch(() => undefined); // only an abort rejects, which ends the loop
    }
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  async #follow(signal: AbortSignal): Promise<void> {
    // What is behind a service is kept prepared, and free of old records, by whoever serves it there: how long its records are kept is no decision of ours.
    const keyspaces = new Map([...this.#options.view.keyspaces].filter(([, { shards }]) => !shards.some((shard) => 'gateways' in shard)));
    for (const [name, running] of this.#running) {
      const keyspace = keyspaces.get(name);
      if (keyspace !== undefined && JSON.stringify(keyspace) === running.definition) continue;
      running.end.abort();
      await running.done;
      this.#running.delete(name);
    }
    for (const [name, keyspace] of keyspaces) {
      if (this.#running.has(name)) continue;
      const upkeep = new KeyspaceUpkeep(this.#options, keyspace);
      const end = new AbortController();
      this.#running.set(name, { definition: JSON.stringify(keyspace), upkeep, end, done: upkeep.run(AbortSignal.any([signal, end.signal])) });
    }
  }
}
