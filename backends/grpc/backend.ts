import { randomUUID } from 'node:crypto';
import { type Identity, requirePeerOf, serviceShard } from '../../core/keyspace.ts';
import type { Backend, DataStore, StoreOptions } from '../backend.ts';
import { ServiceDataStore } from '../service/data-store.ts';
import { ForeignDataStore } from '../service/foreign-store.ts';
import { remoteGrants } from '../service/grants.ts';
import { ServiceOwnerStore } from '../service/owner-store.ts';
import { ServiceReplicationStore } from '../service/replication-store.ts';
import { foreignReasons } from './foreign-reasons.ts';
import { GrpcTransport } from './transport.ts';

/** The store of a keyspace of another Switchyard, passed on by its gateways and control processes over gRPC; or, without control, a foreign service that implements the data API. */
export const grpcBackend: Backend = {
  kind: 'grpc',
  shardForm: 'service',
  // Of the way; what the store at its end cannot do, it refuses itself.
  capabilities: { readFence: true, transactions: true, watching: true },
  openData: (options) => (serviceShard(options.shard).control === undefined ? foreign(options) : new ServiceDataStore(passedOn(options, 'gateway'))),
  openReplication: (options) => new ServiceReplicationStore(passedOn(options, 'player')),
  openOwner: (options) => new ServiceOwnerStore(passedOn(options, 'owner')),
  grantScript: remoteGrants,
};

function passedOn(options: StoreOptions, identity: Identity) {
  const { keyspace, password, acquireTimeoutMs, clock, onBackgroundError } = options;
  const shard = requirePeerOf(serviceShard(options.shard), keyspace);
  const addresses = identity === 'gateway' ? shard.gateways : shard.control;
  const login = { user: shard[identity].user, secret: password };
  const isFaithful = identity !== 'gateway';
  const transport = new GrpcTransport({ keyspace, addresses, login, isFaithful, connectTimeoutMs: acquireTimeoutMs, clock, newId: randomUUID });
  return { keyspace, remoteKeyspace: shard.keyspace, transport, clock, newId: randomUUID, onBackgroundError };
}

function foreign({ keyspace, shard, password, acquireTimeoutMs, clock }: StoreOptions): DataStore {
  const { gateways, gateway, keyspace: remoteKeyspace = null } = serviceShard(shard);
  const login = gateway === undefined ? null : { user: gateway.user, secret: password };
  const transport = new GrpcTransport({ keyspace, addresses: gateways, login, connectTimeoutMs: acquireTimeoutMs, clock, newId: randomUUID, reasonOfCode: foreignReasons });
  return new ForeignDataStore({ keyspace, remoteKeyspace, transport });
}
