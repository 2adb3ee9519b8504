import { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { Backend } from '../backends/backend.ts';
import type { Clock } from '../core/clock.ts';
import { DataService } from '../gen/switchyard/data/v1/data_service_pb.ts';
import { ConfigError } from '../runtime/config-file.ts';
import { addService, closeGrpc, listenGrpc } from '../runtime/grpc-server.ts';
import { formatHostPort } from '../runtime/host-port.ts';
import type { Logger } from '../runtime/logger.ts';
import { createMetrics, serveMetrics } from '../runtime/metrics.ts';
import type { Topology } from '../topo/topology.ts';
import type { GatewayConfig } from './config.ts';
import { dataService } from './data-service.ts';
import { WriteBuffer } from './flow/buffer.ts';
import { Executor } from './flow/executor.ts';
import { Holds } from './flow/hold.ts';
import { InFlight } from './flow/in-flight.ts';
import { bindingsOf } from './http/bindings.ts';
import { type HttpDoor, serveHttp } from './http/http-server.ts';
import { JsonApi } from './http/json-api.ts';
import { openApiSource } from './http/openapi/live-document.ts';
import { TableList } from './list-tables.ts';
import { GatewayMetrics } from './metrics.ts';
import { CallObserver } from './observed-call.ts';
import { Registrar } from './registration.ts';
import { FenceView } from './rules/fence-view.ts';
import { Routing } from './rules/routing.ts';
import { RulesFollower } from './rules/rules-follower.ts';
import { RulesFile } from './rules/saved-rules.ts';
import { Schemas } from './schemas.ts';
import { StoreWatch } from './store-watch.ts';
import { Stores } from './stores.ts';
import { WarmUp } from './warm-up.ts';

export interface GatewayDeps {
  /** Stays the caller's: the gateway does not dispose of it. */
  readonly topology: Topology;
  readonly backends: ReadonlyMap<string, Backend>;
  readonly clock: Clock;
  readonly log: Logger;
  /** A new random text every time, at most 64 characters. */
  readonly newId: () => string;
  /** Where secrets named "env:NAME" are found. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A running gateway. Disposing of it drains it: no new calls, those under way finish within the configured limit, the registration goes. */
export interface Gateway extends AsyncDisposable {
  readonly id: string;
  /** "host:port" of the data API, with the port that was taken. */
  readonly address: string;
  /** "host:port" of JSON over HTTP; null where it is not served. */
  readonly httpAddress: string | null;
  /** Port of `GET /metrics`; null where it is not served. */
  readonly metricsPort: number | null;
  /** Version of the rules that every request is routed by; 0 before the first. */
  readonly appliedVersion: number;
}

const warmConnections = 8;
const maxMessageBytes = 16 * 1024 * 1024;
const dataServiceName = DataService.typeName;

/** Starts a gateway. Resolves when it listens and has applied the first rules, or knows that there are none yet: then it answers GATEWAY_NOT_READY and its health is NOT_SERVING until there are. */
export async function startGateway(config: GatewayConfig, deps: GatewayDeps): Promise<Gateway> {
  const { topology, clock, log, newId } = deps;
  const parts = assemble(config, deps);
  const { routing, stores, buffer, holds, follower, warmUp, health, server } = parts;
  const port = await listenGrpc(server, config.listen);
  const address = formatHostPort({ host: config.listen.host, port });
  const door = await openHttp(config, parts.http, clock).catch((error: unknown) => {
    server.forceShutdown();
    throw error;
  });
  const id = config.id ?? `gateway-${address}`;
  const metricsServer = config.metrics === null ? null : await serveMetrics(parts.registry, config.metrics);
  const storeWatch: StoreWatch = new StoreWatch({ stores, clock, onChange: () => registrar.update() });
  const registrar = new Registrar({ topology, routing, stores: storeWatch, clock, log, newId, id, address });
  parts.onRules(() => {
    for (const name of ['', dataServiceName]) health.setStatus(name, routing.table === null ? 'NOT_SERVING' : 'SERVING');
    registrar.update();
    warmUp.rulesApplied();
  });
  await follower.start();
  registrar.start();
  warmUp.start();
  storeWatch.start();
  log.info({ id, address, http: door?.address, version: routing.appliedVersion }, 'gateway listens');

  return {
    id,
    address,
    httpAddress: door?.address ?? null,
    metricsPort: metricsServer?.port ?? null,
    get appliedVersion() {
      return routing.appliedVersion;
    },
    async [Symbol.asyncDispose]() {
      log.info('gateway drains');
      parts.onRules(() => {});
      for (const name of ['', dataServiceName]) health.setStatus(name, 'NOT_SERVING');
      await Promise.all([closeGrpc(server, config.drainLimitMs, clock), door?.close(config.drainLimitMs)]);
      buffer.close();
      await storeWatch.close();
      await registrar.leave();
      warmUp.close();
      await follower[Symbol.asyncDispose]();
      holds.close();
      await stores[Symbol.asyncDispose]();
      await metricsServer?.[Symbol.asyncDispose]();
      log.info('gateway has ended');
    },
  };
}

async function openHttp(config: GatewayConfig, parts: ReturnType<typeof assemble>['http'], clock: Clock): Promise<HttpDoor | null> {
  const { http: listen, httpHosts: hostNames, defaultDeadlineMs } = config;
  if (listen === null) return null;
  try {
    return await serveHttp({ ...parts, listen, hostNames, clock, defaultDeadlineMs });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`http: ${formatHostPort(listen)} cannot be served (${why}); give another address with --http, or "off"`, { cause });
  }
}

function assemble(config: GatewayConfig, { topology, backends, clock, log, env }: GatewayDeps) {
  const registry = createMetrics();
  const inFlight = new InFlight();
  const routing = new Routing();
  const { size: poolSize, acquireTimeoutMs } = config.pool;
  const applicationName = `switchyard ${config.id ?? 'gateway'}`;
  const stores = new Stores({ process: `gateway "${config.id ?? formatHostPort(config.listen)}"`, backends, env, clock, log, poolSize, acquireTimeoutMs, applicationName });
  const schemas = new Schemas(stores, clock, log);
  const buffer = new WriteBuffer({ clock, ...config.buffer });
  const metrics = new GatewayMetrics(registry, { routing, inFlight, buffer: () => buffer.counts, pools: () => stores.poolStatus() });
  const fenceView = new FenceView({ read: (keyspace, tables, signal) => stores.lookUp(keyspace, (store) => store.fenceRows(tables, signal)), clock, log });
  const onEnd = (group: string, heldMs: number, how: 'rows' | 'expired' | 'rules' | 'unused'): void => {
    metrics.holdEnded(how, heldMs);
    log.info({ group, heldMs, how }, 'hold ended');
  };
  const holds = new Holds({ clock, log, fenceView, buffer, tablesOf: (group) => routing.tablesOf(group), onEnd });
  let onChange = (): void => {};
  const file = new RulesFile(config.stateDir ?? null, (error) =>
    log.error({ err: error }, 'the last good rules could not be saved; this gateway could not start while Consul is away'),
  );
  const follower = new RulesFollower({ topology, stores, routing, fenceView, holds, file, clock, log, onChange: () => onChange() });
  const warmUp = new WarmUp({ routing, schemas, stores, fenceView, clock, log, connections: Math.min(warmConnections, poolSize) });
  const executor = new Executor({ routing, fenceView, holds, buffer, schemas, stores, inFlight, clock, onFenced: (key, operation) => metrics.fenced(key, operation) });
  const observer = new CallObserver({ clock, metrics, routing, schemas, tracing: config.otlpEndpoint !== null });

  const server = new Server({ 'grpc.max_receive_message_length': maxMessageBytes, 'grpc.max_send_message_length': maxMessageBytes, 'grpc.enable_channelz': 0 });
  const onFault = (method: string, error: unknown): void => log.error({ method, err: error }, 'a call failed by a fault of the gateway');
  const tables = new TableList(stores, routing, fenceView);
  const service = dataService({ executor, observer, tables });
  addService(server, DataService, service, { clock, defaultDeadlineMs: config.defaultDeadlineMs, onFault });
  const bindings = bindingsOf(DataService);
  const openApi = openApiSource({ bindings, tables, executor });
  const http = { api: new JsonApi({ service, executor, observer }), bindings, openApi, isServing: () => routing.table !== null, onFault };
  const health = new HealthImplementation({ '': 'NOT_SERVING', [dataServiceName]: 'NOT_SERVING' });
  health.addToServer(server);
  const onRules = (act: () => void): void => {
    onChange = act;
  };
  return { registry, routing, stores, buffer, holds, follower, warmUp, health, server, http, onRules };
}
