import type { Server } from '@grpc/grpc-js';
import type { StoreOptions } from '../../backends/backend.ts';
import { backends } from '../../backends/registry.ts';
import type { Keyspace, Shard } from '../../core/keyspace.ts';
import { addPeerServices, peerServices, servePeerServices } from '../../gateway/peers/serve-peers.ts';
import { Stores } from '../../gateway/stores.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createGrpcServer } from '../../runtime/grpc-limits.ts';
import { closeGrpc, listenGrpc } from '../../runtime/grpc-server.ts';
import { maxMessageBytes } from '../../core/message-limit.ts';
import { createLogger } from '../../runtime/logger.ts';
import type { PeerHttpDoor } from '../../runtime/peers/http-door.ts';
import { PeerAccess } from '../../runtime/peers/access.ts';

/** As whom the calling side of these tests is known to the serving one, and its secrets. */
export const PEER = { user: 'caller', gateway: 'secret-of-gateways', player: 'secret-of-players', owner: 'secret-of-owners' } as const;
const log = createLogger('test', 'silent');

export interface Addresses {
  readonly grpc: string;
  readonly http: string;
}

/** A gateway of another cluster as far as its peers see it: its stores, and the services over them. */
export class PassingGateway implements AsyncDisposable {
  readonly #addresses: Addresses;
  readonly stores: Stores;
  readonly #server: Server;
  readonly #door: PeerHttpDoor;

  private constructor(addresses: Addresses, stores: Stores, server: Server, door: PeerHttpDoor) {
    this.#addresses = addresses;
    this.stores = stores;
    this.#server = server;
    this.#door = door;
  }

  /** Where stores of this kind call it. */
  addressFor(kind: string): string {
    return kind === 'http' ? this.#addresses.http : this.#addresses.grpc;
  }

  /** `env`: of that cluster's processes. `port` 0: a free one. */
  static async start(
    keyspaces: readonly Keyspace[],
    env: Readonly<Record<string, string>>,
    options: Partial<Pick<StoreOptions, 'poolSize' | 'acquireTimeoutMs'>> = {},
    port = 0,
    httpPort = 0,
  ): Promise<PassingGateway> {
    const { poolSize = 4, acquireTimeoutMs = 5_000 } = options;
    const stores = new Stores({ process: 'gateway "there"', backends, env, clock: systemClock, log, poolSize, acquireTimeoutMs, applicationName: 'contract' });
    await stores.apply(keyspaces);
    const access = await PeerAccess.open([{ name: PEER.user, gateway: 'env:PEER' }], { env: { PEER: PEER.gateway }, process: 'gateway "there"' });
    const server = createGrpcServer(maxMessageBytes);
    const services = peerServices(stores, access, systemClock);
    const parts = { clock: systemClock, onFault: (method: string, error: unknown) => console.error(method, error) };
    addPeerServices(server, services, parts);
    const taken = await listenGrpc(server, { host: '127.0.0.1', port });
    const door = await servePeerServices(services, access, { host: '127.0.0.1', port: httpPort }, parts);
    return new PassingGateway({ grpc: `127.0.0.1:${taken}`, http: door.address }, stores, server, door);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#door.close(100);
    await closeGrpc(this.#server, 100, systemClock);
    await this.stores[Symbol.asyncDispose]();
  }
}

/** The shard with which a cluster names a store that others pass on. */
export function passedOnShard(
  kind: string,
  { gateways, control = ['127.0.0.1:1'], keyspace = 'shop' }: { gateways: readonly string[]; control?: readonly string[]; keyspace?: string },
): Shard {
  const by = { user: PEER.user, password: 'env:PEER' };
  return { kind, gateways: [...gateways], control: [...control], keyspace, gateway: by, player: by, owner: by };
}
