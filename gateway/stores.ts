import type { Backend, Capabilities, DataStore, PoolStatus, StoreOptions } from '../backends/backend.ts';
import type { Clock } from '../core/clock.ts';
import { credentialOf, isForeign, type Keyspace } from '../core/keyspace.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { Logger } from '../runtime/logger.ts';
import { resolveSecret } from '../runtime/secret.ts';

export interface StoresOptions {
  /** This gateway, for messages. */
  readonly process: string;
  readonly backends: ReadonlyMap<string, Backend>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Connections to each keyspace for calls. */
  readonly poolSize: number;
  readonly acquireTimeoutMs: number;
  readonly applicationName: string;
}

/** Connections of their own for look-ups of fence rows: those must not wait behind the calls that wait for them. */
const lookUpConnections = 2;
const drainLimitMs = 30_000;
const drainStepMs = 20;

/** A keyspace's store, opened under the gateway's identity: for calls, and apart for look-ups of fence rows. */
interface OpenStore {
  readonly kind: 'open';
  readonly definition: string;
  readonly kindOfStore: string;
  /** It is behind a service, not this gateway's own. */
  readonly isBehindService: boolean;
  readonly isForeign: boolean;
  readonly capabilities: Capabilities;
  readonly data: DataStore;
  readonly lookUps: DataStore;
  callsUnderWay: number;
}
/** Keeps a keyspace's store open. */
export interface StoreLease extends Disposable {
  readonly store: DataStore;
}

/** A keyspace whose definition cannot be used in this process; its calls answer with the error. */
interface BrokenStore {
  readonly kind: 'broken';
  readonly definition: string;
  readonly keyspace: Keyspace;
  readonly error: SwitchyardError;
}

/**
 * The stores of all known keyspaces. A changed definition opens a new store for new calls; the old one ends when its calls are over (30 s at most). A keyspace that disappears from the topology stays: something missing there is an
 * alarm, never an instruction. Opening connects lazily, so that a dead store harms nobody else.
 */
export class Stores implements AsyncDisposable {
  readonly #options: StoresOptions;
  readonly #stores = new Map<string, OpenStore | BrokenStore>();
  readonly #closing = new Set<Promise<void>>();
  #isClosed = false;

  constructor(options: StoresOptions) {
    this.#options = options;
  }

  /** Names of all keyspaces seen so far. */
  known(): ReadonlySet<string> {
    return new Set(this.#stores.keys());
  }

  /** Whether the keyspace's store is a foreign service's, which cannot fence. */
  isForeign(keyspace: string): boolean {
    const found = this.#stores.get(keyspace);
    return found?.kind === 'open' && found.isForeign;
  }

  hasForeign(): boolean {
    return [...this.#stores.values()].some((store) => store.kind === 'open' && store.isForeign);
  }

  /** Each keyspace's definition, as a text that differs whenever it does. */
  definitions(): ReadonlyMap<string, string> {
    return new Map([...this.#stores].map(([keyspace, { definition }]) => [keyspace, definition]));
  }

  /** See `DataStore.checkLogin`. KEYSPACE_INVALID: this gateway cannot open the store at all. */
  checkLogin(keyspace: string, signal: AbortSignal): Promise<void> {
    return this.lookUp(keyspace, (store) => store.checkLogin(signal));
  }

  /** Opens what is new or changed, and tries again what was broken. Returns whether a keyspace is new. */
  async apply(keyspaces: readonly Keyspace[]): Promise<boolean> {
    let grown = false;
    for (const keyspace of keyspaces) {
      const definition = JSON.stringify(keyspace);
      const old = this.#stores.get(keyspace.name);
      if (old?.kind === 'open' && old.definition === definition) continue;
      const opened = await this.#open(keyspace, definition);
      this.#stores.set(keyspace.name, opened);
      grown ||= old === undefined;
      if (old?.kind === 'open') this.#retire(keyspace.name, old);
      if (opened.kind === 'open') this.#options.log.info({ keyspace: keyspace.name }, old === undefined ? 'keyspace opened' : 'keyspace opened anew: its definition changed');
    }
    return grown;
  }

  /** Tries again to open what was broken, such as a secret's file that was missing. */
  async retryBroken(): Promise<void> {
    const broken = [...this.#stores.values()].filter((store) => store.kind === 'broken');
    if (broken.length > 0) await this.apply(broken.map((store) => store.keyspace));
  }

  /** Runs one call on a keyspace's store; the store stays open for it. KEYSPACE_INVALID, KEYSPACE_UNKNOWN. */
  async use<T>(keyspace: string, act: (store: DataStore) => Promise<T>): Promise<T> {
    using lease = this.lease(keyspace);
    return await act(lease.store);
  }

  /** A keyspace's store for more than one call; it stays open until the lease is disposed of. KEYSPACE_INVALID, KEYSPACE_UNKNOWN; NOT_SUPPORTED: `needs` is nothing that its kind has. */
  lease(keyspace: string, needs?: keyof Capabilities): StoreLease {
    const found = this.#usable(keyspace);
    if (needs !== undefined && !found.capabilities[needs])
      throw new SwitchyardError('NOT_SUPPORTED', `the store of keyspace "${keyspace}" is of kind "${found.kindOfStore}", which has no ${needs}`);
    found.callsUnderWay += 1;
    let isOver = false;
    return {
      store: found.data,
      [Symbol.dispose]: () => {
        if (!isOver) found.callsUnderWay -= 1;
        isOver = true;
      },
    };
  }

  /** Kind of the keyspace's store, which is this cluster's own. KEYSPACE_INVALID, KEYSPACE_UNKNOWN; NOT_SUPPORTED: it is behind another service: whoever wants it goes there, and no call goes in a circle. */
  ownKind(keyspace: string): string {
    const { kindOfStore, isBehindService } = this.#usable(keyspace);
    if (!isBehindService) return kindOfStore;
    throw new SwitchyardError('NOT_SUPPORTED', `the store of keyspace "${keyspace}" is behind another service itself, and passed on by nobody else`, {
      fix: 'name that service in the keyspace instead',
    });
  }

  /** Like `use`, over the connections kept for look-ups of fence rows. */
  async lookUp<T>(keyspace: string, act: (store: DataStore) => Promise<T>): Promise<T> {
    const store = this.#usable(keyspace);
    store.callsUnderWay += 1;
    try {
      return await act(store.lookUps);
    } finally {
      store.callsUnderWay -= 1;
    }
  }

  /** Connections for calls by keyspace. */
  poolStatus(): ReadonlyMap<string, PoolStatus> {
    const status = new Map<string, PoolStatus>();
    for (const [keyspace, store] of this.#stores) if (store.kind === 'open') status.set(keyspace, store.data.poolStatus());
    return status;
  }

  /** Closes every store; calls still under way may finish within 30 s. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const [keyspace, store] of this.#stores) if (store.kind === 'open') this.#retire(keyspace, store);
    this.#stores.clear();
    await Promise.all(this.#closing);
  }

  #usable(keyspace: string): OpenStore {
    const store = this.#stores.get(keyspace);
    if (this.#isClosed) throw new SwitchyardError('GATEWAY_NOT_READY', 'the gateway is shutting down');
    if (store === undefined) throw new SwitchyardError('KEYSPACE_UNKNOWN', `there is no keyspace "${keyspace}"`);
    if (store.kind === 'broken') throw store.error;
    return store;
  }

  async #open(keyspace: Keyspace, definition: string): Promise<OpenStore | BrokenStore> {
    const { backends, env, clock, log, poolSize, acquireTimeoutMs, applicationName, process } = this.#options;
    const shard = keyspace.shards[0];
    try {
      if (shard === undefined) throw new SwitchyardError('KEYSPACE_INVALID', `keyspace "${keyspace.name}" has no shard`);
      const backend = backends.get(shard.kind);
      if (backend === undefined) {
        throw new SwitchyardError('KEYSPACE_INVALID', `keyspace "${keyspace.name}": shards[0].kind is "${shard.kind}"; this gateway knows ${[...backends.keys()].join(', ')}`);
      }
      const onBackgroundError = (error: Error): void => log.warn({ keyspace: keyspace.name, err: error }, 'a store connection failed in the background');
      const credential = credentialOf(shard, 'gateway');
      const password =
        credential === null ? '' : await resolveSecret(credential.password, { env, what: `the password of gateway "${credential.user}" of keyspace "${keyspace.name}"`, process });
      const options: StoreOptions = { keyspace: keyspace.name, openedBy: process, shard, password, poolSize, acquireTimeoutMs, applicationName, clock, onBackgroundError };
      const lookUps = backend.openData({ ...options, poolSize: lookUpConnections, applicationName: `${applicationName} look-ups` });
      const { kind: kindOfStore, capabilities } = backend;
      return {
        kind: 'open',
        definition,
        kindOfStore,
        isBehindService: 'gateways' in shard,
        isForeign: isForeign(shard),
        capabilities,
        data: backend.openData(options),
        lookUps,
        callsUnderWay: 0,
      };
    } catch (error) {
      if (!(error instanceof SwitchyardError)) throw error;
      log.error({ keyspace: keyspace.name, err: error }, 'the keyspace cannot be used by this gateway');
      return { kind: 'broken', definition, keyspace, error };
    }
  }

  #retire(keyspace: string, store: OpenStore): void {
    const { clock, log } = this.#options;
    const close = async (): Promise<void> => {
      const limit = clock.monotonic() + drainLimitMs;
      while (store.callsUnderWay > 0 && clock.monotonic() < limit) await clock.sleep(drainStepMs);
      const results = await Promise.allSettled([store.data[Symbol.asyncDispose](), store.lookUps[Symbol.asyncDispose]()]);
      for (const result of results) if (result.status === 'rejected') log.warn({ keyspace, err: result.reason }, 'a store did not close cleanly');
    };
    const closing = close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
