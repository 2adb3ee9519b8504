import type { Registry } from 'prom-client';
import { APPLICATION_PREFIX, type Backend } from '../backends/backend.ts';
import type { Clock } from '../core/clock.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { DataService } from '../gen/switchyard/data/v1/data_service_pb.ts';
import type { RpcImplementation } from '../runtime/grpc-server.ts';
import { formatHostPort } from '../runtime/host-port.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Topology } from '../topo/topology.ts';
import type { GatewayConfig } from './config.ts';
import { dataService } from './data-service.ts';
import { Barrier } from './flow/barrier.ts';
import { WriteBuffer } from './flow/buffer.ts';
import { Executor } from './flow/executor.ts';
import { type HoldEnd, Holds } from './flow/hold.ts';
import { InFlight } from './flow/in-flight.ts';
import { Transactions } from './flow/open-transaction.ts';
import { TableList } from './list-tables.ts';
import { GatewayMetrics } from './metrics.ts';
import { CallObserver } from './observed-call.ts';
import { Registrar } from './registration.ts';
import { FenceView } from './rules/fence-view.ts';
import { Routing } from './rules/routing.ts';
import { RulesFollower } from './rules/rules-follower.ts';
import { type RulesDisk, SavedRulesKeeper } from './rules/saved-rules.ts';
import { Schemas } from './schemas.ts';
import { StoreWatch } from './store-watch.ts';
import { Stores } from './stores.ts';
import { WarmUp } from './warm-up.ts';

/** Everything from outside that a gateway works with. */
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

/** How the gateway is known to the others. */
export interface GatewayIdentity {
  readonly id: string;
  readonly address: string;
}

/** A gateway without its protocols: from the decoded call to the stores and back. Disposing of it gives up what is held, leaves the cluster and closes the stores; calls should have ended by then. */
export interface DataPlane extends AsyncDisposable {
  readonly service: RpcImplementation<typeof DataService>;
  readonly stores: Stores;
  readonly executor: Executor;
  readonly observer: CallObserver;
  readonly tables: TableList;
  readonly routing: Routing;
  readonly fenceView: FenceView;
  readonly holds: Holds;
  readonly buffer: WriteBuffer;
  /** Ends the streams that have no end of their own: their callers go on elsewhere. To be called before the protocols wait for the end of calls. */
  stop(): void;
  /** Follows the rules from here on; resolves when the first are applied, or when it is known that there are none yet. `onRules` is told of every applied version and of every change of the problems. */
  start(identity: GatewayIdentity, onRules: () => void): Promise<void>;
}

const warmConnections = 8;

/** Puts a gateway together under its protocols. `disk` null: the last good rules are not kept. */
export function openDataPlane(config: GatewayConfig, deps: GatewayDeps, registry: Registry, disk: RulesDisk | null): DataPlane {
  const { topology, backends, clock, log, newId, env } = deps;
  const inFlight = new InFlight();
  const routing = new Routing();
  const { size: poolSize, acquireTimeoutMs } = config.pool;
  const applicationName = `${APPLICATION_PREFIX}${config.id ?? 'gateway'}`;
  const stores = new Stores({ process: `gateway "${config.id ?? formatHostPort(config.listen)}"`, backends, env, clock, log, poolSize, acquireTimeoutMs, applicationName });
  const schemas = new Schemas(stores, clock, log);
  const buffer = new WriteBuffer({ clock, ...config.buffer });
  const metrics = new GatewayMetrics(registry, { routing, inFlight, buffer: () => buffer.counts, pools: () => stores.poolStatus() });
  const fenceView = new FenceView({ read: (keyspace, tables, signal) => stores.lookUp(keyspace, (store) => store.fenceRows(tables, signal)), clock, log });
  const onEnd = (group: string, heldMs: number, how: HoldEnd): void => {
    metrics.holdEnded(how, heldMs);
    log.info({ group, heldMs, how }, 'hold ended');
  };
  const holds = new Holds({ clock, log, fenceView, buffer, tablesOf: (group) => routing.tablesOf(group), onBegin: (group) => transactions.holdBegins(group), onEnd });
  const onFenced = (key: string, operation: 'read' | 'write'): void => metrics.fenced(key, operation);
  let onChange = (): void => {};
  const saved = new SavedRulesKeeper(disk, (error) => log.error({ err: error }, 'the last good rules could not be saved; this gateway could not start while Consul is away'));
  const follower = new RulesFollower({ topology, stores, routing, fenceView, holds, saved, clock, log, onChange: () => onChange() });
  const barrier = new Barrier({ topology, routing, stores, clock, log, settleMs: config.settleMs, onSettled: () => registrar?.update() });
  const warmUp = new WarmUp({ routing, schemas, stores, fenceView, clock, log, connections: Math.min(warmConnections, poolSize) });
  const executor = new Executor({ routing, fenceView, holds, buffer, schemas, stores, inFlight, barrier, clock, onFenced });
  const transactions = new Transactions({ routing, fenceView, holds, buffer, schemas, stores, clock, limits: config.transactions, onFenced });
  const observer = new CallObserver({ clock, metrics, routing, schemas, tracing: config.otlpEndpoint !== null });
  const tables = new TableList(stores, routing, fenceView);
  const storeWatch = new StoreWatch({ stores, clock, onChange: () => registrar?.update() });
  let registrar: Registrar | null = null;
  const stopping = new AbortController();

  return {
    service: dataService({ executor, transactions, watching: { routing, fenceView, schemas, stores, clock }, observer, tables, stopping: stopping.signal }),
    stores,
    executor,
    observer,
    tables,
    routing,
    fenceView,
    holds,
    buffer,
    stop: () => stopping.abort(new SwitchyardError('GATEWAY_NOT_READY', 'the gateway is shutting down: go on at another one')),
    async start(identity, onRules) {
      const registering = new Registrar({ topology, routing, stores: storeWatch, barrier, clock, log, newId, ...identity });
      registrar = registering;
      onChange = () => {
        onRules();
        barrier.rulesApplied();
        registering.update();
        warmUp.rulesApplied();
      };
      await follower.start();
      registering.start();
      warmUp.start();
      storeWatch.start();
    },
    async [Symbol.asyncDispose]() {
      onChange = () => {};
      buffer.close();
      await storeWatch.close();
      await registrar?.leave();
      barrier.close();
      warmUp.close();
      await follower[Symbol.asyncDispose]();
      holds.close();
      await stores[Symbol.asyncDispose]();
    },
  };
}
