import { randomUUID } from 'node:crypto';
import { type Identity, requirePeerOf, serviceShard } from '../../core/keyspace.ts';
import { isBearer } from '../../core/peer-call.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { Backend, DataStore, StoreOptions } from '../backend.ts';
import { ServiceDataStore } from '../service/data-store.ts';
import { ForeignDataStore } from '../service/foreign-store.ts';
import { remoteGrants } from '../service/grants.ts';
import { ServiceOwnerStore } from '../service/owner-store.ts';
import { ServiceReplicationStore } from '../service/replication-store.ts';
import { MappedStore } from './mapped-store.ts';
import { loadMapping } from './mapping.ts';
import { RowTransport } from './row-transport.ts';
import { HttpTransport } from './transport.ts';

/** The store of a keyspace of another Switchyard, passed on by its gateways and control processes as JSON over HTTP; or, without control, a foreign service that speaks the data API as JSON over HTTP. */
export const httpBackend: Backend = {
  kind: 'http',
  shardForm: 'service',
  // Of the way: a transaction is a conversation, which HTTP has no calls for. What the store at its end cannot do, it refuses itself.
  capabilities: { readFence: true, transactions: false, watching: true },
  openData: (options) => (serviceShard(options.shard).control === undefined ? foreign(options) : new ServiceDataStore(passedOn(options, 'gateway'))),
  openReplication: (options) => new ServiceReplicationStore(passedOn(options, 'player')),
  openOwner: (options) => new ServiceOwnerStore(passedOn(options, 'owner')),
  grantScript: remoteGrants,
};

/** A log that is followed has a connection to itself, beside what is read and applied. */
const leastConnections = 8;

function passedOn(options: StoreOptions, identity: Identity) {
  const { keyspace, password, poolSize, acquireTimeoutMs, clock, onBackgroundError } = options;
  const shard = requirePeerOf(serviceShard(options.shard), keyspace);
  const addresses = identity === 'gateway' ? shard.gateways : shard.control;
  const login = { user: shard[identity].user, secret: password };
  const isFaithful = identity !== 'gateway';
  const transport = new HttpTransport({ keyspace, addresses, login, isFaithful, poolSize: Math.max(poolSize, leastConnections), acquireTimeoutMs, clock, newId: randomUUID });
  return { keyspace, remoteKeyspace: shard.keyspace, transport, clock, newId: randomUUID, onBackgroundError };
}

function foreign({ keyspace, shard, password, poolSize, acquireTimeoutMs, clock }: StoreOptions): DataStore {
  const { gateways: addresses, gateway, mapping, keyspace: remoteKeyspace = null } = serviceShard(shard);
  if (gateway !== undefined && !isBearer(password))
    throw new SwitchyardError('KEYSPACE_INVALID', `keyspace "${keyspace}": the gateway's secret is not of visible ASCII characters without spaces, and cannot be sent`);
  const headers = { accept: 'application/json', ...(gateway === undefined ? {} : { authorization: `Bearer ${password}` }) };
  const options = { keyspace, addresses, headers, poolSize, acquireTimeoutMs, clock };
  if (mapping === undefined) return new ForeignDataStore({ keyspace, remoteKeyspace, transport: new RowTransport(options) });
  return new MappedStore({ ...options, load: () => loadMapping(mapping, keyspace) });
}
