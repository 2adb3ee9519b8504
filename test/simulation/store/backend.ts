import type { Backend, StoreOptions } from '../../../backends/backend.ts';
import { serverShard } from '../../../core/keyspace.ts';
import type { Network } from '../kernel/network.ts';
import type { SimProcess } from '../kernel/process.ts';
import type { Timeline } from '../kernel/scheduler.ts';
import { SimDataStore } from './data-store.ts';
import { SimOwnerStore } from './owner-store.ts';
import { SimReplicationStore } from './replication-store.ts';
import type { StoreServer } from './server.ts';
import { StoreLink } from './store-link.ts';

/** The kind of store that a process of the simulation opens: a shard's host is the server's place. */
export function simulatedBackend(process: SimProcess, servers: ReadonlyMap<string, StoreServer>, network: Network, scheduler: Timeline): Backend {
  const link = ({ shard }: StoreOptions): StoreLink => {
    const { host } = serverShard(shard);
    const server = servers.get(host);
    if (server === undefined) throw new Error(`there is no server at ${host}`);
    return new StoreLink(process, server, network, scheduler);
  };
  return {
    kind: 'simulated',
    shardForm: 'server',
    capabilities: { readFence: true, transactions: false, watching: false },
    openData: (options) => new SimDataStore(link(options)),
    openReplication: (options) => new SimReplicationStore(link(options)),
    openOwner: (options) => new SimOwnerStore(link(options)),
    grantScript: () => '',
  };
}
