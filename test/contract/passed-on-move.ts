import type { Server } from '@grpc/grpc-js';
import { fromBinary } from '@bufbuild/protobuf';
import { backends } from '../../backends/registry.ts';
import type { DataStore, OwnerStore, ReplicationStore, StoreOptions } from '../../backends/backend.ts';
import { maxStoreMessageBytes } from '../../core/message-limit.ts';
import type { Keyspace, Shard } from '../../core/keyspace.ts';
import type { WriteResult } from '../../core/operation.ts';
import { addPeerServices, peerServices, servePeerServices } from '../../control/peers/serve-peers.ts';
import { Stores } from '../../control/stores.ts';
import { MutateResponseSchema } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createGrpcServer } from '../../runtime/grpc-limits.ts';
import { closeGrpc, listenGrpc } from '../../runtime/grpc-server.ts';
import { createLogger } from '../../runtime/logger.ts';
import type { PeerHttpDoor } from '../../runtime/peers/http-door.ts';
import { PeerAccess } from '../../runtime/peers/access.ts';
import { decodeCell } from '../../runtime/wire/decode-cell.ts';
import { columnsOf } from '../../runtime/wire/cells.ts';
import { returningOf, schemaOf } from '../../runtime/wire/write-message.ts';
import type { Topology } from '../../topo/topology.ts';
import type { StoresSource } from './armed-stores.ts';
import { storeOptions } from './data-store-harness.ts';
import type { MoveDialect } from './move-dialect.ts';
import type { MoveStores, NamedStore, StoreUnderTest } from './move-stores.ts';
import { type Addresses, PassingGateway, passedOnShard, PEER } from './passed-on.ts';

const log = createLogger('test', 'silent');

/** A control process of another cluster as far as its peers see it. */
export class PassingControl implements AsyncDisposable {
  readonly #addresses: Addresses;
  readonly #server: Server;
  readonly #door: PeerHttpDoor;
  readonly #services: AsyncDisposable;

  private constructor(addresses: Addresses, server: Server, door: PeerHttpDoor, services: AsyncDisposable) {
    this.#addresses = addresses;
    this.#server = server;
    this.#door = door;
    this.#services = services;
  }

  /** Where stores of this kind call it. */
  addressFor(kind: string): string {
    return kind === 'http' ? this.#addresses.http : this.#addresses.grpc;
  }

  static async start(keyspaces: readonly Keyspace[], env: Readonly<Record<string, string>>, port = 0): Promise<PassingControl> {
    const topology = undefined as unknown as Topology; // nothing here looks keyspaces up in Consul
    const stores = new Stores({ topology, backends, env, clock: systemClock, log, controlId: 'there', poolSize: 3, acquireTimeoutMs: 5_000 });
    const known = new Map(keyspaces.map((keyspace) => [keyspace.name, keyspace]));
    const secrets = { PLAYER: PEER.player, OWNER: PEER.owner };
    const access = await PeerAccess.open([{ name: PEER.user, player: 'env:PLAYER', owner: 'env:OWNER' }], { env: secrets, process: 'control process "there"' });
    const services = peerServices({ keyspaces: () => known, stores, clock: systemClock, log }, access, systemClock);
    const server = createGrpcServer(maxStoreMessageBytes);
    const options = { clock: systemClock, onFault: (method: string, error: unknown) => console.error(method, error) };
    addPeerServices(server, services, options);
    const taken = await listenGrpc(server, { host: '127.0.0.1', port });
    const door = await servePeerServices(services, access, { host: '127.0.0.1', port: 0 }, options);
    return new PassingControl({ grpc: `127.0.0.1:${taken}`, http: door.address }, server, door, services);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#door.close(100);
    await closeGrpc(this.#server, 100, systemClock);
    await this.#services[Symbol.asyncDispose]();
  }
}

interface NamedSource extends AsyncDisposable {
  fresh(): Promise<MoveStores & { readonly source: NamedStore; readonly target: NamedStore }>;
}

/** The same two stores, each behind a cluster of its own, as a kind of service sees them. What is done by hand is done past that. */
export class PassedOnPairs implements StoresSource {
  readonly #inner: NamedSource;
  readonly #kind: string;

  constructor(kind: string, inner: NamedSource) {
    this.#kind = kind;
    this.#inner = inner;
  }

  async fresh(): Promise<MoveStores> {
    const stack = new AsyncDisposableStack();
    const inner = stack.use(await this.#inner.fresh());
    const source = stack.use(await PassedOnStore.open(this.#kind, inner.source));
    const target = stack.use(await PassedOnStore.open(this.#kind, inner.target));
    return { source, target, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
  }
}

class PassedOnStore implements StoreUnderTest, AsyncDisposable {
  readonly owner: OwnerStore;
  readonly player: ReplicationStore;
  readonly #kind: string;
  readonly #shard: Shard;
  readonly #inner: StoreUnderTest;
  readonly #stack: AsyncDisposableStack;

  private constructor(kind: string, shard: Shard, inner: StoreUnderTest, stack: AsyncDisposableStack) {
    this.#kind = kind;
    this.#shard = shard;
    this.#inner = inner;
    this.#stack = stack;
    this.owner = stack.use(this.#backend.openOwner(this.#options('owner')));
    this.player = stack.use(this.#backend.openReplication(this.#options('player')));
  }

  static async open(kind: string, inner: NamedStore): Promise<PassedOnStore> {
    const stack = new AsyncDisposableStack();
    const keyspaces = [{ name: 'there', shards: [inner.shard] }];
    const gateway = stack.use(await PassingGateway.start(keyspaces, inner.env));
    const control = stack.use(await PassingControl.start(keyspaces, inner.env));
    return new PassedOnStore(kind, passedOnShard(kind, { gateways: [gateway.addressFor(kind)], control: [control.addressFor(kind)], keyspace: 'there' }), inner, stack);
  }

  openData(options: Partial<StoreOptions> = {}): DataStore {
    return readingAnswers(this.#backend.openData({ ...this.#options('gateway'), ...options }));
  }

  session = (identity: Parameters<StoreUnderTest['session']>[0]) => this.#inner.session(identity);

  sql = (text: string, identity?: Parameters<StoreUnderTest['sql']>[1]) => this.#inner.sql(text, identity);

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  get #backend() {
    const backend = backends.get(this.#kind);
    if (backend === undefined) throw new Error(`no kind ${this.#kind}`);
    return backend;
  }

  #options(identity: 'gateway' | 'player' | 'owner'): StoreOptions {
    return storeOptions({ shard: this.#shard, password: PEER[identity] });
  }
}

/** The suites write down what their own function makes of the results. Over there the data API's message is written down: here it is read again, and given to that function. */
function readingAnswers(store: DataStore): DataStore {
  const writeOnce = store.writeOnce.bind(store);
  store.writeOnce = async (schemas, operations, request, signal) => {
    const { result, repeated } = await writeOnce(schemas, operations, request, signal);
    const { results } = fromBinary(MutateResponseSchema, result);
    const read = operations.map((operation, index): WriteResult => {
      const { row, deleted } = results[index] ?? { deleted: false };
      if (operation.kind === 'delete') return { row: null, found: deleted };
      const columns = returningOf(operation);
      const cells = columnsOf(schemaOf(schemas, operation.table), columns).map((column) => decodeCell(row?.cells[column.name], column, 'row'));
      return { row: { columns, cells }, found: true };
    });
    return { result: request.encode(read), repeated };
  };
  return store;
}

/** What a kind of store calls things, where it is passed on by a service of this kind. */
export const passedOn = (dialect: MoveDialect, kind: string): MoveDialect => ({
  ...dialect,
  name: `${dialect.name} passed on over ${kind}`,
  has: { ...dialect.has, ownEncoding: false, ownConnections: false },
});
