import type { Server } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.ts';
import { maxStoreMessageBytes } from '../../core/message-limit.ts';
import { CallService } from '../../gen/switchyard/store/v1/calls_pb.ts';
import { DataStoreService } from '../../gen/switchyard/store/v1/data_store_pb.ts';
import { addService, type RpcImplementation, type RpcServiceOptions } from '../../runtime/grpc-server.ts';
import type { HostPort } from '../../runtime/host-port.ts';
import type { PeerAccess } from '../../runtime/peers/access.ts';
import { callService, guarded, PeerCalls } from '../../runtime/peers/guarded.ts';
import { httpService, type PeerHttpDoor, servePeersHttp } from '../../runtime/peers/http-door.ts';
import type { PeerObserver } from '../../runtime/peers/observer.ts';
import type { Stores } from '../stores.ts';
import { dataStoreService } from './data-store-service.ts';

/** Limit of a call of a peer: its own callers' deadlines end it by cancelling. */
const deadlineMs = 3_600_000;

export interface PeerServices {
  readonly data: RpcImplementation<typeof DataStoreService>;
  readonly calls: RpcImplementation<typeof CallService>;
}

/** What a gateway serves to its peers, to whom else it says no. */
export function peerServices(stores: Stores, access: PeerAccess, clock: Clock, observer?: PeerObserver): PeerServices {
  const calls = new PeerCalls();
  return { data: guarded(DataStoreService, dataStoreService(stores, clock), access, 'gateway', calls, observer), calls: callService(access, ['gateway'], calls) };
}

/** Serves it over gRPC. */
export function addPeerServices(server: Server, { data, calls }: PeerServices, { clock, onFault }: Pick<RpcServiceOptions, 'clock' | 'onFault'>): void {
  const options: RpcServiceOptions = { clock, onFault, defaultDeadlineMs: deadlineMs, maxAnswerBytes: maxStoreMessageBytes };
  addService(server, DataStoreService, data, options);
  addService(server, CallService, calls, options);
}

/** Serves it over HTTP, at an address of its own. */
export function servePeerServices(
  { data, calls }: PeerServices,
  access: PeerAccess,
  listen: HostPort,
  options: Pick<RpcServiceOptions, 'clock' | 'onFault'> & { readonly isShared?: boolean },
): Promise<PeerHttpDoor> {
  const services = [httpService(DataStoreService, data), httpService(CallService, calls)];
  return servePeersHttp(services, { ...options, listen, admit: (facts) => void access.authorize(facts, 'gateway') });
}
