import type { OwnerStore, ReplicationStore } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import type { Keyspace } from '../../core/keyspace.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { OpenedKeyspace, Stores } from '../stores.ts';

export interface PeerStoresOptions {
  /** What is known of the keyspaces now, without asking Consul: no transition waits for that. */
  readonly keyspaces: () => ReadonlyMap<string, Keyspace>;
  readonly stores: Pick<Stores, 'open'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A keyspace's store, kept open until disposed of. */
export interface PeerStoreLease extends Disposable {
  readonly store: OpenedKeyspace;
}

/** A store that nobody has asked for anything for so long is closed. */
const idleMs = 60_000;
const lookEveryMs = 5_000;

interface Entry {
  readonly definition: string;
  readonly opened: Promise<OpenedKeyspace>;
  usedAt: number;
  leases: number;
}

/** This cluster's own stores, kept open for the control processes of peers as long as these use them. A store that is behind a service itself is passed on to nobody. */
export class PeerStores implements AsyncDisposable {
  readonly #options: PeerStoresOptions;
  readonly #entries = new Map<string, Entry>();
  /** Of definitions that have changed: closed with their last lease. */
  readonly #replaced = new Set<Entry>();
  #stop = (): void => {};
  #isClosed = false;

  constructor(options: PeerStoresOptions) {
    this.#options = options;
    this.#closeIdle();
  }

  /** KEYSPACE_UNKNOWN, KEYSPACE_INVALID; NOT_SUPPORTED: it is behind another service. */
  async lease(keyspace: string): Promise<PeerStoreLease> {
    const entry = this.#entry(keyspace);
    entry.leases += 1;
    let isOver = false;
    const leave = (): void => {
      if (isOver) return;
      isOver = true;
      entry.leases -= 1;
      entry.usedAt = this.#options.clock.monotonic();
      if (entry.leases === 0 && this.#replaced.delete(entry)) void this.#close(entry);
    };
    try {
      return { store: await entry.opened, [Symbol.dispose]: leave };
    } catch (error) {
      leave();
      // A secret that was missing may be there the next time.
      if (this.#entries.get(keyspace) === entry) this.#entries.delete(keyspace);
      throw error;
    }
  }

  /** Runs one call under the owner's login. */
  readonly owner = async <T>(keyspace: string, act: (store: OwnerStore) => Promise<T>): Promise<T> => {
    using lease = await this.lease(keyspace);
    return await act(lease.store.owner);
  };

  /** Runs one call under the player's login. */
  readonly player = async <T>(keyspace: string, act: (store: ReplicationStore) => Promise<T>): Promise<T> => {
    using lease = await this.lease(keyspace);
    return await act(lease.store.player);
  };

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#stop();
    const entries = [...this.#entries.values(), ...this.#replaced];
    this.#entries.clear();
    this.#replaced.clear();
    await Promise.all(entries.map((entry) => this.#close(entry)));
  }

  #entry(name: string): Entry {
    if (this.#isClosed) throw new SwitchyardError('STORE_UNAVAILABLE', 'control is shutting down');
    const { keyspaces, stores, clock } = this.#options;
    const known = this.#entries.get(name);
    const keyspace = keyspaces().get(name);
    if (keyspace === undefined) {
      // One that disappears while it is used is an alarm, never an instruction.
      if (known !== undefined) return known;
      throw new SwitchyardError('KEYSPACE_UNKNOWN', `there is no keyspace "${name}"`, { metadata: { keyspace: name } });
    }
    const definition = JSON.stringify(keyspace);
    if (known?.definition === definition) return known;
    requireOwn(keyspace);
    const entry: Entry = { definition, opened: stores.open(keyspace), usedAt: clock.monotonic(), leases: 0 };
    entry.opened.catch(() => {}); // told to whoever leases it
    this.#entries.set(name, entry);
    if (known !== undefined && known.leases > 0) this.#replaced.add(known);
    else if (known !== undefined) void this.#close(known);
    return entry;
  }

  #closeIdle(): void {
    const { clock } = this.#options;
    this.#stop = clock.after(lookEveryMs, () => {
      const now = clock.monotonic();
      for (const [keyspace, entry] of this.#entries) {
        if (entry.leases > 0 || now - entry.usedAt < idleMs) continue;
        this.#entries.delete(keyspace);
        void this.#close(entry);
      }
      this.#closeIdle();
    });
  }

  async #close({ opened }: Entry): Promise<void> {
    try {
      await (await opened)[Symbol.asyncDispose]();
    } catch (error) {
      this.#options.log.info({ err: error }, 'a store that was open for a peer did not close cleanly');
    }
  }
}

function requireOwn({ name, shards }: Keyspace): void {
  if (!shards.some((shard) => 'gateways' in shard)) return;
  throw new SwitchyardError('NOT_SUPPORTED', `the store of keyspace "${name}" is behind another service itself, and passed on by nobody else`, {
    fix: 'name that service in the keyspace instead',
  });
}
