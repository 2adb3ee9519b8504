import { ConsulClient } from './consul-client.ts';
import { ConsulTransport } from './consul-transport.ts';
import { type KvTopologyOptions, openKvTopology } from './kv-topology.ts';
import type { Topology } from './topology.ts';

export interface ConsulTopologyOptions extends KvTopologyOptions {
  /** Of the agent: scheme, host and port. Default http://127.0.0.1:8500. */
  readonly address?: string;
  readonly token?: string;
  /** Limit of one call to Consul. Default 2,000. */
  readonly requestTimeoutMs?: number;
  /** Connections to the agent, of which every watch occupies one. Default 64. */
  readonly maxConnections?: number;
}

/** The topology in Consul KV. Connects with the first call. Disposing ends watches, sessions and connections. */
export function openConsulTopology(options: ConsulTopologyOptions): Topology {
  const transport = new ConsulTransport({
    address: options.address ?? 'http://127.0.0.1:8500',
    maxConnections: options.maxConnections ?? 64,
    clock: options.clock,
    ...(options.token === undefined ? {} : { token: options.token }),
  });
  return openKvTopology(new ConsulClient({ transport, requestTimeoutMs: options.requestTimeoutMs ?? 2_000 }), options);
}
