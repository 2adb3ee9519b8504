import { startConsul } from './consul.ts';
import { EmbeddedTopologyServer } from './embedded-topology.ts';
import type { TopologyServer, TopologyServerKind, TopologyServerOptions } from './topology-server.ts';

/** Starts one of either kind with the same options, and waits until it serves. */
export function startTopologyServer(kind: TopologyServerKind, options: TopologyServerOptions = {}): Promise<TopologyServer> {
  if (kind === 'embedded') return EmbeddedTopologyServer.launch(options);
  const { leastTtlMs, ...rest } = options;
  return startConsul({ ...rest, ...(leastTtlMs === undefined ? {} : { settings: { session_ttl_min: `${leastTtlMs}ms` } }) });
}
