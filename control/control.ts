import { Server } from '@grpc/grpc-js';
import type { Backend } from '../backends/backend.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { GatewayService } from '../gen/switchyard/control/v1/gateways_pb.ts';
import { KeyspaceService } from '../gen/switchyard/control/v1/keyspaces_pb.ts';
import { RulesService } from '../gen/switchyard/control/v1/rules_pb.ts';
import { WorkflowService } from '../gen/switchyard/control/v1/workflows_pb.ts';
import { addService, closeGrpc, listenGrpc, type RpcServiceOptions } from '../runtime/grpc-server.ts';
import { createMetrics, serveMetrics } from '../runtime/metrics.ts';
import type { ControlConfig } from './config.ts';
import { RepairWatch } from './cutover/repair-watch.ts';
import { watchExternalRules } from './external-rules.ts';
import { ControlMetrics } from './metrics.ts';
import type { ControlDeps } from './move.ts';
import { gatewaysService } from './services/gateways-service.ts';
import { keyspacesService } from './services/keyspaces-service.ts';
import { rulesService } from './services/rules-service.ts';
import { workflowsService } from './services/workflows-service.ts';
import { Stores } from './stores.ts';
import { TopologyView } from './topology-view.ts';
import { Upkeep } from './upkeep/upkeep.ts';
import { ArmedMoves } from './workflow/armed-moves.ts';
import { WorkflowRunners } from './workflow/runners.ts';

/** What a control process is made from beside its configuration. A test may decorate any of it. */
export interface ControlParts extends ControlDeps {
  /** Kinds of stores by name. */
  readonly backends: ReadonlyMap<string, Backend>;
  /** Where credentials "env:NAME" are looked up. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

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

/** Starts everything that a control process does; resolves when it listens. */
export async function startControl(config: ControlConfig, parts: ControlParts): Promise<Control> {
  const { topology, clock, log, backends, env } = parts;
  await using starting = new AsyncDisposableStack();
  const registry = createMetrics();
  const metrics = new ControlMetrics(registry);
  const stores = new Stores({ topology, controlId: parts.controlId, backends, env, clock, log, ...config.stores });
  const view = new TopologyView(topology, clock, log);
  const armed = new ArmedMoves(parts, stores, view);
  const upkeep = new Upkeep({ stores, view, metrics, clock, log, keptHours: config.requestIds.keptHours });
  const runners = new WorkflowRunners({ deps: parts, stores, view, metrics });
  const watch = new RepairWatch({
    deps: parts,
    moves: () => armed.list(),
    isSwitching: (workflow) => runners.isSwitching(workflow),
    takeOver: (workflow) => {
      runners.takeOver(workflow, ending.signal).catch((error: unknown) => log.warn({ err: error, workflow }, 'the workflow could not be taken over yet'));
    },
  });

  const ending = new AbortController();
  const { signal } = ending;
  const running = [view.run(signal), armed.run(signal), runners.run(signal), upkeep.run(signal), watchExternalRules(parts, metrics, signal)];
  for (const part of running) part.catch((error: unknown) => signal.aborted || log.error({ err: error }, 'a part of control ended: please report this'));
  starting.defer(async () => {
    ending.abort(new SwitchyardError('CANCELLED', 'control is shutting down'));
    await Promise.allSettled(running);
  });
  starting.use(watch);
  watch.start();

  const metricsServer = config.metrics === null ? null : starting.use(await serveMetrics(registry, config.metrics));
  const server = new Server({ 'grpc.max_receive_message_length': 4 * 1024 * 1024 });
  const onFault = (method: string, error: unknown): void => log.error({ err: error, method }, 'a call failed with a fault of ours');
  const short: RpcServiceOptions = { clock, defaultDeadlineMs: shortCallMs, onFault };
  addService(server, RulesService, rulesService(parts), short);
  addService(
    server,
    KeyspaceService,
    keyspacesService(parts, stores, (keyspace) => upkeep.problem(keyspace)),
    short,
  );
  addService(server, GatewayService, gatewaysService(parts), short);
  addService(server, WorkflowService, workflowsService({ deps: parts, stores, view }), { ...short, defaultDeadlineMs: longCallMs });
  const port = await listenGrpc(server, config.listen);
  starting.defer(() => closeGrpc(server, drainMs, clock));
  log.info({ port, metricsPort: metricsServer?.port, cluster: config.cluster, id: parts.controlId }, 'control listens');

  const started = starting.move();
  return { port, metricsPort: metricsServer?.port ?? null, [Symbol.asyncDispose]: () => started.disposeAsync() };
}
