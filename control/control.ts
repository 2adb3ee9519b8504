import { GatewayService } from '../gen/switchyard/control/v1/gateways_pb.ts';
import { KeyspaceService } from '../gen/switchyard/control/v1/keyspaces_pb.ts';
import { RulesService } from '../gen/switchyard/control/v1/rules_pb.ts';
import { WorkflowService } from '../gen/switchyard/control/v1/workflows_pb.ts';
import { createGrpcServer } from '../runtime/grpc-limits.ts';
import { addService, closeGrpc, listenGrpc, type RpcServiceOptions } from '../runtime/grpc-server.ts';
import { createMetrics, serveMetrics } from '../runtime/metrics.ts';
import { maxStoreMessageBytes } from '../core/message-limit.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { ConfigError } from '../runtime/config-file.ts';
import { PeerAccess } from '../runtime/peers/access.ts';
import type { ControlConfig } from './config.ts';
import { type ControlParts, startControlPlane } from './control-plane.ts';
import { ControlMetrics } from './metrics.ts';
import { formatHostPort } from '../runtime/host-port.ts';
import { PeerMeter, unobserved } from '../runtime/peers/observer.ts';
import type { PeerHttpDoor } from '../runtime/peers/http-door.ts';
import { addPeerServices, type PeerServices, peerServices, servePeerServices } from './peers/serve-peers.ts';
import { gatewaysService } from './services/gateways-service.ts';
import { keyspacesService } from './services/keyspaces-service.ts';
import { rulesService } from './services/rules-service.ts';
import { workflowsService } from './services/workflows-service.ts';
import { logLimits } from './upkeep/log-guard.ts';

/** A running control process. Disposing ends calls, hands its workflows to the others and closes every store; the topology stays the caller's. */
export interface Control extends AsyncDisposable {
  /** Port of the control API. */
  readonly port: number;
  /** Null when metrics are off. */
  readonly metricsPort: number | null;
}

const shortCallMs = 30_000;
/** Verification of large tables takes its time; a caller that wants less says so. */
const longCallMs = 3_600_000;
const drainMs = 2_000;
const maxRequestBytes = 4 * 1024 * 1024;

/** Starts everything that a control process does; resolves when it listens. */
export async function startControl(config: ControlConfig, parts: ControlParts): Promise<Control> {
  const { clock, log } = parts;
  await using starting = new AsyncDisposableStack();
  const registry = createMetrics();
  const { stores, view, upkeep } = starting.use(startControlPlane(config, parts, new ControlMetrics(registry)));

  const metricsServer = config.metrics === null ? null : starting.use(await serveMetrics(registry, config.metrics));
  const access = await PeerAccess.open(config.peers, { env: parts.env, process: `control process "${parts.controlId}"` }).catch(unusable);
  const server = createGrpcServer(access.isEmpty ? maxRequestBytes : maxStoreMessageBytes);
  const onFault = (method: string, error: unknown): void => log.error({ err: error, method }, 'a call failed with a fault of ours');
  const short: RpcServiceOptions = { clock, defaultDeadlineMs: shortCallMs, onFault };
  addService(server, RulesService, rulesService(parts), short);
  addService(server, KeyspaceService, keyspacesService(parts, stores, { problemOf: (keyspace) => upkeep.problem(keyspace), logLimits: logLimits(config.logs) }), short);
  addService(server, GatewayService, gatewaysService(parts), short);
  addService(server, WorkflowService, workflowsService({ deps: parts, stores, view }), { ...short, defaultDeadlineMs: longCallMs });
  const observer = access.isEmpty ? unobserved : new PeerMeter({ registry, clock, tracing: config.otlpEndpoint !== null });
  const peers = starting.use(peerServices({ keyspaces: () => view.keyspaces, stores, clock, log }, access, clock, observer));
  if (!access.isEmpty) addPeerServices(server, peers, { clock, onFault });
  const peersDoor = await openPeersHttp(config, peers, access, { clock, onFault });
  starting.defer(async () => peersDoor?.close(drainMs));
  const port = await listenGrpc(server, config.listen);
  starting.defer(() => closeGrpc(server, drainMs, clock));
  log.info({ port, metricsPort: metricsServer?.port, cluster: config.cluster, id: parts.controlId }, 'control listens');

  const started = starting.move();
  return { port, metricsPort: metricsServer?.port ?? null, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

async function openPeersHttp(
  { peersHttp: listen }: ControlConfig,
  services: PeerServices,
  access: PeerAccess,
  options: Pick<RpcServiceOptions, 'clock' | 'onFault'>,
): Promise<PeerHttpDoor | null> {
  if (listen === null) return null;
  if (access.isEmpty) throw new ConfigError('peersHttp: nobody could call there, for "peers" names nobody; name them, or leave it "off"');
  try {
    return await servePeerServices(services, access, listen, options);
  } catch (cause) {
    throw new ConfigError(`peersHttp: ${formatHostPort(listen)} cannot be served (${cause instanceof Error ? cause.message : String(cause)}); give another address, or "off"`, {
      cause,
    });
  }
}

/** A secret that is missing is a fault of the configuration. */
function unusable(cause: unknown): never {
  throw cause instanceof SwitchyardError ? new ConfigError(`peers: ${cause.message}`, { cause }) : cause;
}
