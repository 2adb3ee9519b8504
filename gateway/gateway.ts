import type { Server } from '@grpc/grpc-js';
import type { Registry } from 'prom-client';
import { HealthImplementation } from 'grpc-health-check';
import type { Clock } from '../core/clock.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { Health } from '../gen/grpc/health/v1/health_pb.ts';
import { DataService } from '../gen/switchyard/data/v1/data_service_pb.ts';
import { ConfigError } from '../runtime/config-file.ts';
import { createGrpcServer } from '../runtime/grpc-limits.ts';
import { addReflection } from '../runtime/grpc-reflection.ts';
import { addService, closeGrpc, listenGrpc, listenGrpcShared } from '../runtime/grpc-server.ts';
import { formatHostPort } from '../runtime/host-port.ts';
import { cannotServe } from '../runtime/listen.ts';
import type { Logger } from '../runtime/logger.ts';
import { createMetrics, serveMetrics } from '../runtime/metrics.ts';
import type { GatewayConfig } from './config.ts';
import { type DataPlane, type GatewayDeps, openDataPlane } from './data-plane.ts';
import { bindingsOf } from '../runtime/http/bindings.ts';
import { type HttpDoor, serveHttp } from './http/http-server.ts';
import { JsonApi } from './http/json-api.ts';
import { openApiSource } from './http/openapi/live-document.ts';
import { maxMessageBytes } from '../core/message-limit.ts';
import { PeerAccess } from '../runtime/peers/access.ts';
import { PeerMeter, unobserved } from '../runtime/peers/observer.ts';
import type { PeerHttpDoor } from '../runtime/peers/http-door.ts';
import { addPeerServices, peerServices, servePeerServices } from './peers/serve-peers.ts';
import { rulesDirectory } from './rules/rules-directory.ts';

/** A running gateway. Disposing of it drains it: no new calls, those under way finish within the configured limit, the registration goes. */
export interface Gateway extends AsyncDisposable {
  readonly id: string;
  /** "host:port" of the data API, with the port that was taken. */
  readonly address: string;
  /** "host:port" of JSON over HTTP; null where it is not served. */
  readonly httpAddress: string | null;
  /** "host:port" at which peers are served over HTTP; null where they are not. */
  readonly peersHttpAddress: string | null;
  /** Port of `GET /metrics`; null where it is not served. */
  readonly metricsPort: number | null;
  /** Version of the rules that every request is routed by; 0 before the first. */
  readonly appliedVersion: number;
}

const dataServiceName = DataService.typeName;

/** Starts a gateway. Resolves when it listens and has applied the first rules, or knows that there are none yet: then it answers GATEWAY_NOT_READY and its health is NOT_SERVING until there are. */
export async function startGateway(config: GatewayConfig, deps: GatewayDeps): Promise<Gateway> {
  const { clock, log, env } = deps;
  const access = await PeerAccess.open(config.peers, { env, process: `gateway "${config.id ?? formatHostPort(config.listen)}"` }).catch(unusable);
  const registry = createMetrics();
  const plane = openDataPlane(config, deps, registry, config.stateDir === undefined ? null : rulesDirectory(config.stateDir));
  const { routing } = plane;
  const { health, server, http, peers } = protocols(config, plane, access, clock, log, registry);
  await using starting = new AsyncDisposableStack();
  const { address, shared } = await openGrpc(config, server);
  starting.defer(() => {
    shared?.[Symbol.dispose]();
    server.forceShutdown();
  });
  const door = await openHttp(config, http, clock);
  starting.defer(() => door?.close(0));
  const peersDoor = await openPeersHttp(config, peers, access);
  starting.defer(() => peersDoor?.close(0));
  const id = config.id ?? `gateway-${address}`;
  const metricsServer = config.metrics === null ? null : await serveMetrics(registry, config.metrics);
  let isDraining = false;
  await plane.start({ id, address }, () => {
    if (isDraining) return;
    for (const name of ['', dataServiceName]) health.setStatus(name, routing.table === null ? 'NOT_SERVING' : 'SERVING');
  });
  starting.move();
  log.info({ id, address, http: door?.address, version: routing.appliedVersion }, 'gateway listens');

  return {
    id,
    address,
    httpAddress: door?.address ?? null,
    peersHttpAddress: peersDoor?.address ?? null,
    metricsPort: metricsServer?.port ?? null,
    get appliedVersion() {
      return routing.appliedVersion;
    },
    async [Symbol.asyncDispose]() {
      log.info('gateway drains');
      isDraining = true;
      for (const name of ['', dataServiceName]) health.setStatus(name, 'NOT_SERVING');
      plane.stop();
      shared?.[Symbol.dispose]();
      await Promise.all([closeGrpc(server, config.drainLimitMs, clock), door?.close(config.drainLimitMs), peersDoor?.close(config.drainLimitMs)]);
      await plane[Symbol.asyncDispose]();
      await metricsServer?.[Symbol.asyncDispose]();
      log.info('gateway has ended');
    },
  };
}

/** Where there are several workers, their listeners are their own: the server itself does not know them. */
async function openGrpc({ listen, workers }: GatewayConfig, server: Server): Promise<{ readonly address: string; readonly shared: Disposable | null }> {
  if (workers > 1) return { address: formatHostPort(listen), shared: await listenGrpcShared(server, listen) };
  return { address: formatHostPort({ ...listen, port: await listenGrpc(server, listen) }), shared: null };
}

async function openHttp(config: GatewayConfig, parts: ReturnType<typeof protocols>['http'], clock: Clock): Promise<HttpDoor | null> {
  const { http: listen, httpHosts: hostNames, workers, defaultDeadlineMs, streamDeadlineMs } = config;
  if (listen === null) return null;
  try {
    return await serveHttp({ ...parts, listen, isShared: workers > 1, hostNames, clock, defaultDeadlineMs, streamDeadlineMs });
  } catch (cause) {
    throw cannotServe('http', listen, cause, 'give another address with --http, or "off"');
  }
}

async function openPeersHttp(
  { peersHttp: listen, workers }: GatewayConfig,
  { services, ...options }: ReturnType<typeof protocols>['peers'],
  access: PeerAccess,
): Promise<PeerHttpDoor | null> {
  if (listen === null) return null;
  if (access.isEmpty) throw new ConfigError('peersHttp: nobody could call there, for "peers" names nobody; name them, or leave it "off"');
  try {
    return await servePeerServices(services, access, listen, { ...options, isShared: workers > 1 });
  } catch (cause) {
    throw cannotServe('peersHttp', listen, cause, 'give another address, or "off"');
  }
}

/** A secret that is missing is a fault of the configuration. */
function unusable(cause: unknown): never {
  throw cause instanceof SwitchyardError ? new ConfigError(`peers: ${cause.message}`, { cause }) : cause;
}

/** The data API over gRPC, not yet listening, and what serves it over HTTP. */
function protocols(config: GatewayConfig, { executor, observer, routing, service, stores, tables }: DataPlane, access: PeerAccess, clock: Clock, log: Logger, registry: Registry) {
  const server = createGrpcServer(maxMessageBytes, { 'grpc.enable_channelz': 0 });
  const { defaultDeadlineMs, streamDeadlineMs } = config;
  const onFault = (method: string, error: unknown): void => log.error({ method, err: error }, 'a call failed by a fault of the gateway');
  addService(server, DataService, service, { clock, defaultDeadlineMs, streamDeadlineMs, maxAnswerBytes: maxMessageBytes, onFault });
  const meter = access.isEmpty ? unobserved : new PeerMeter({ registry, clock, tracing: config.otlpEndpoint !== null });
  const peers = { services: peerServices(stores, access, clock, meter), clock, onFault };
  if (!access.isEmpty) addPeerServices(server, peers.services, peers);
  const bindings = bindingsOf(DataService);
  const openApi = openApiSource({ bindings, tables, executor });
  const http = { api: new JsonApi({ service, executor, observer }), bindings, openApi, isServing: () => routing.table !== null, onFault };
  const health = new HealthImplementation({ '': 'NOT_SERVING', [dataServiceName]: 'NOT_SERVING' });
  health.addToServer(server);
  addReflection(server, [DataService, Health]);
  return { server, health, http, peers };
}
