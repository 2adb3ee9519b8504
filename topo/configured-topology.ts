import type { Clock } from '../core/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { resolveSecret } from '../runtime/secret.ts';
import { openConsulTopology } from './consul-topology.ts';
import type { Topology } from './topology.ts';

/** The part of a process's configuration that says where its topology is. */
export interface TopologyConfig {
  readonly consul: string;
  readonly cluster: string;
  readonly consulToken?: string | undefined;
}

/** Opens the topology that a process's configuration names; faults with no caller to tell go into its log. Rejects when the token that it refers to cannot be read. */
export async function openConfiguredTopology(
  config: TopologyConfig,
  parts: { readonly clock: Clock; readonly log: Logger; readonly newNonce: () => string; readonly env: Readonly<Record<string, string | undefined>> },
): Promise<Topology> {
  const { clock, env, log, newNonce } = parts;
  return openConsulTopology({
    address: config.consul,
    cluster: config.cluster,
    clock,
    newNonce,
    onBackgroundError: (error) => log.warn({ err: error }, 'Consul'),
    ...(config.consulToken === undefined ? {} : { token: await resolveSecret(config.consulToken, { env, what: 'consulToken', process: 'this process' }) }),
  });
}
