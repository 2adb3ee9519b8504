import type { Server } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.ts';
import { maxStoreMessageBytes } from '../../core/message-limit.ts';
import { CallService } from '../../gen/switchyard/store/v1/calls_pb.ts';
import { OwnerStoreService } from '../../gen/switchyard/store/v1/owner_store_pb.ts';
import { ReplicationStoreService } from '../../gen/switchyard/store/v1/replication_store_pb.ts';
import { addService, type RpcImplementation, type RpcServiceOptions } from '../../runtime/grpc-server.ts';
import type { HostPort } from '../../runtime/host-port.ts';
import type { PeerAccess } from '../../runtime/peers/access.ts';
import { callService, guarded, PeerCalls } from '../../runtime/peers/guarded.ts';
import { httpService, type PeerHttpDoor, servePeersHttp } from '../../runtime/peers/http-door.ts';
import type { PeerObserver } from '../../runtime/peers/observer.ts';
import { PeerIndexBuilds } from './index-builds.ts';
import { ownerStoreService } from './owner-store-service.ts';
import { PeerStores, type PeerStoresOptions } from './peer-stores.ts';
import { replicationStoreService } from './replication-store-service.ts';
import { WarmFences } from './warm-fences.ts';

/** Limit of a call of a peer, which cancels what takes it too long; a log is followed for as long as it may be. */
const deadlineMs = 3_600_000;
const followMs = 0x7fff_ffff;

/** What a control process serves to its peers. Disposing closes the stores and connections that were open for them. */
export interface PeerServices extends AsyncDisposable {
  readonly owner: RpcImplementation<typeof OwnerStoreService>;
  readonly player: RpcImplementation<typeof ReplicationStoreService>;
  readonly calls: RpcImplementation<typeof CallService>;
}

export function peerServices(options: PeerStoresOptions, access: PeerAccess, clock: Clock, observer?: PeerObserver): PeerServices {
  const calls = new PeerCalls();
  const stores = new PeerStores(options);
  const fences = new WarmFences(stores, clock);
  const builds = new PeerIndexBuilds(stores, clock);
  return {
    owner: guarded(OwnerStoreService, ownerStoreService(stores, fences, builds), access, 'owner', calls, observer),
    player: guarded(ReplicationStoreService, replicationStoreService(stores), access, 'player', calls, observer),
    calls: callService(access, ['player', 'owner'], calls),
    async [Symbol.asyncDispose]() {
      await builds[Symbol.asyncDispose]();
      await fences[Symbol.asyncDispose]();
      await stores[Symbol.asyncDispose]();
    },
  };
}

/** Serves it over gRPC. */
export function addPeerServices(server: Server, { owner, player, calls }: PeerServices, { clock, onFault }: Pick<RpcServiceOptions, 'clock' | 'onFault'>): void {
  const options: RpcServiceOptions = { clock, onFault, defaultDeadlineMs: deadlineMs, streamDeadlineMs: followMs, maxAnswerBytes: maxStoreMessageBytes };
  addService(server, OwnerStoreService, owner, options);
  addService(server, ReplicationStoreService, player, options);
  addService(server, CallService, calls, options);
}

/** Serves it over HTTP, at an address of its own. */
export function servePeerServices(
  { owner, player, calls }: PeerServices,
  access: PeerAccess,
  listen: HostPort,
  options: Pick<RpcServiceOptions, 'clock' | 'onFault'>,
): Promise<PeerHttpDoor> {
  const services = [httpService(OwnerStoreService, owner), httpService(ReplicationStoreService, player), httpService(CallService, calls)];
  return servePeersHttp(services, { ...options, listen, admit: (facts) => void access.authorize(facts, 'player', 'owner') });
}
