import { randomUUID } from 'node:crypto';
import { type Identity, requirePeerOf, serviceShard } from '../../core/keyspace.ts';
import type { Backend, StoreOptions } from '../backend.ts';
import { ServiceDataStore } from '../service/data-store.ts';
import { remoteGrants } from '../service/grants.ts';
import { ServiceOwnerStore } from '../service/owner-store.ts';
import { ServiceReplicationStore } from '../service/replication-store.ts';
import { GrpcTransport } from './transport.ts';

/** The store of a keyspace of another Switchyard, passed on by its gateways and control processes over gRPC. */
export const grpcBackend: Backend = {
  kind: 'grpc',
  shardForm: 'service',
  // Of the way; what the store at its end cannot do, it refuses itself.
  capabilities: { readFence: true, transactions: true, watching: true },
  openData: (options) => new ServiceDataStore(passedOn(options, 'gateway')),
  openReplication: (options) => new ServiceReplicationStore(passedOn(options, 'player')),
  openOwner: (options) => new ServiceOwnerStore(passedOn(options, 'owner')),
  grantScript: remoteGrants,
};

function passedOn(options: StoreOptions, identity: Identity) {
  const { keyspace, password, acquireTimeoutMs, clock } = options;
  const shard = requirePeerOf(serviceShard(options.shard), keyspace);
  const addresses = identity === 'gateway' ? shard.gateways : shard.control;
  const login = { user: shard[identity].user, secret: password };
  const transport = new GrpcTransport({ keyspace, addresses, login, connectTimeoutMs: acquireTimeoutMs, clock, newId: randomUUID });
  return { keyspace, remoteKeyspace: shard.keyspace, transport, newId: randomUUID, onBackgroundError: options.onBackgroundError };
}
