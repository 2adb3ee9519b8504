import { APPLICATION_PREFIX, type Backend, type Capabilities, type DataStore, type OwnerStore, type ReplicationStore, type StoreOptions } from '../backends/backend.ts';
import type { Clock } from '../core/clock.ts';
import { credentialOf, type Identity, isForeign, type Keyspace, requireForm, type Shard } from '../core/keyspace.ts';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import type { WorkflowDocument } from '../core/workflow-document.ts';
import type { Logger } from '../runtime/logger.ts';
import { resolveSecret } from '../runtime/secret.ts';
import type { Topology } from '../topo/topology.ts';
import type { Departure } from './departure/departure.ts';
import type { Move, Side, SideName } from './move.ts';
import { limitedOwner, limitedPlayer } from './store-limits.ts';

export type Backends = ReadonlyMap<string, Backend>;

export interface StoresOptions {
  /** Id of this control process, for messages and for whoever looks at a store's sessions. */
  readonly controlId: string;
  readonly topology: Topology;
  readonly clock: Clock;
  readonly backends: Backends;
  /** Where credentials by reference are looked up. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  /** Connections to one store under one identity, at most. */
  readonly poolSize: number;
  readonly acquireTimeoutMs: number;
}

/** One keyspace's store opened under both of control's identities. */
export interface OpenedKeyspace extends AsyncDisposable {
  readonly kind: string;
  readonly owner: OwnerStore;
  readonly player: ReplicationStore;
}

/** A move with its stores open until it is disposed. */
export interface OpenedMove extends AsyncDisposable {
  readonly move: Move;
}

/** A departure with its stores open until it is disposed. */
export interface OpenedDeparture extends AsyncDisposable {
  readonly departure: Departure;
}

/** Opens stores by the keyspaces' names. Each call opens a set of its own: what is slow or broken for one caller is not for another. Opening connects lazily. */
export class Stores {
  readonly #options: StoresOptions;

  constructor(options: StoresOptions) {
    this.#options = options;
  }

  /** KEYSPACE_UNKNOWN; otherwise as `open`. */
  async openKeyspace(name: string, signal: AbortSignal): Promise<OpenedKeyspace> {
    return this.open(await this.#find(name, signal));
  }

  /** Both ends of a workflow whose source is a foreign service; null: it is none. */
  async openDeparture(document: Pick<WorkflowDocument, 'name' | 'source' | 'target' | 'tables'>, signal: AbortSignal): Promise<OpenedDeparture | null> {
    const { name, source, target, tables } = document;
    const shard = (await this.#find(source, signal)).shards[0];
    if (shard === undefined || !isForeign(shard)) return null;
    await using opening = new AsyncDisposableStack();
    const { kind, owner, player } = opening.use(await this.openKeyspace(target, signal));
    const backend = this.backendOf(shard, source);
    const store: DataStore = opening.use(backend.openData(await this.#storeOptions(source, shard, 'gateway')));
    const departure: Departure = { name, tables, source: { keyspace: source, kind: backend.kind, store }, target: { name: 'target', keyspace: target, kind, owner, player } };
    const opened = opening.move();
    return { departure, [Symbol.asyncDispose]: () => opened.disposeAsync() };
  }

  /** Both ends of a workflow. */
  async openMove(document: Pick<WorkflowDocument, 'name' | 'source' | 'target' | 'tables'>, signal: AbortSignal): Promise<OpenedMove> {
    await using opening = new AsyncDisposableStack();
    const side = async (name: SideName): Promise<Side> => {
      const opened = opening.use(await this.openKeyspace(document[name], signal));
      return { name, keyspace: document[name], kind: opened.kind, owner: opened.owner, player: opened.player };
    };
    const move: Move = { name: document.name, tables: document.tables, source: await side('source'), target: await side('target') };
    const opened = opening.move();
    return { move, [Symbol.asyncDispose]: () => opened.disposeAsync() };
  }

  /** KEYSPACE_INVALID: no such kind, or the shard names another sort of place than the kind's stores have. */
  backendOf(shard: Shard, keyspace: string): Backend {
    const backend = this.#options.backends.get(shard.kind);
    if (backend !== undefined) {
      requireForm(shard, backend.shardForm);
      return backend;
    }
    const known = [...this.#options.backends.keys()].join(', ');
    throw new SwitchyardError('KEYSPACE_INVALID', `keyspace "${keyspace}": there is no kind of store "${shard.kind}"; known are ${known}`, { metadata: { keyspace } });
  }

  /** What stores of an opened kind can do. */
  capabilitiesOf(kind: string): Capabilities {
    const backend = this.#options.backends.get(kind);
    if (backend === undefined) throw new Error(`no kind of store "${kind}" is known`);
    return backend.capabilities;
  }

  /** KEYSPACE_INVALID when its kind or a secret is not known to this process. */
  async open({ name, shards }: Keyspace): Promise<OpenedKeyspace> {
    const shard = shards[0];
    if (shard === undefined) throw new SwitchyardError('KEYSPACE_INVALID', `keyspace "${name}" has no shard`);
    const backend = this.backendOf(shard, name);
    const [owner, player] = await Promise.all([this.#storeOptions(name, shard, 'owner'), this.#storeOptions(name, shard, 'player')]);
    const stack = new AsyncDisposableStack();
    const { clock } = this.#options;
    const stores = { owner: limitedOwner(stack.use(backend.openOwner(owner)), name, clock), player: limitedPlayer(stack.use(backend.openReplication(player)), name, clock) };
    return { ...stores, kind: backend.kind, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  }

  /** Why this process cannot log in as the player or the owner of the keyspace: passwords that it does not have. */
  async missingSecrets({ name, shards }: Keyspace): Promise<readonly SwitchyardError[]> {
    const missing: SwitchyardError[] = [];
    for (const shard of shards) {
      for (const identity of ['owner', 'player'] as const) {
        await this.#password(name, shard, identity).catch((error: unknown) => {
          if (!hasReason(error, 'KEYSPACE_INVALID')) throw error;
          missing.push(error);
        });
      }
    }
    return missing;
  }

  async #find(name: string, signal: AbortSignal): Promise<Keyspace> {
    const stored = (await this.#options.topology.keyspaces(signal)).find((entry) => entry.value.name === name);
    if (stored === undefined) throw new SwitchyardError('KEYSPACE_UNKNOWN', `there is no keyspace "${name}"`, { metadata: { keyspace: name } });
    return stored.value;
  }

  async #storeOptions(keyspace: string, shard: Shard, identity: Identity): Promise<StoreOptions> {
    const { clock, log, poolSize, acquireTimeoutMs, controlId } = this.#options;
    return {
      keyspace,
      openedBy: this.#process,
      shard,
      clock,
      password: await this.#password(keyspace, shard, identity),
      poolSize,
      acquireTimeoutMs,
      applicationName: `${APPLICATION_PREFIX}${controlId} ${identity}`,
      onBackgroundError: (error) => log.info({ err: error, keyspace, identity }, 'a connection to a store was lost'),
    };
  }

  get #process(): string {
    return `control process "${this.#options.controlId}"`;
  }

  /** KEYSPACE_INVALID: this process does not have it. Empty for a store that knows no logins. */
  async #password(keyspace: string, shard: Shard, identity: Identity): Promise<string> {
    const credential = credentialOf(shard, identity);
    if (credential === null) return '';
    return resolveSecret(credential.password, {
      env: this.#options.env,
      what: `the password of ${identity} "${credential.user}" of keyspace "${keyspace}"`,
      process: this.#process,
    });
  }
}
