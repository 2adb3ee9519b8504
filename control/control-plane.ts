import type { Backend } from '../backends/backend.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { ControlConfig } from './config.ts';
import { RepairWatch } from './cutover/repair-watch.ts';
import { watchExternalRules } from './external-rules.ts';
import type { ControlMetrics } from './metrics.ts';
import type { ControlDeps } from './move.ts';
import { Stores } from './stores.ts';
import { TopologyView } from './topology-view.ts';
import { logLimits } from './upkeep/log-guard.ts';
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

/** A control process without its protocols: everything that it does by itself. Disposing hands its workflows to the others and closes every store. */
export interface ControlPlane extends AsyncDisposable {
  readonly stores: Stores;
  readonly view: TopologyView;
  readonly upkeep: Upkeep;
  readonly watch: RepairWatch;
}

/** Starts everything that a control process does by itself. */
export function startControlPlane(config: Pick<ControlConfig, 'stores' | 'requestIds' | 'watch' | 'logs'>, parts: ControlParts, metrics: ControlMetrics): ControlPlane {
  const { topology, clock, log, backends, env, controlId } = parts;
  const stores = new Stores({ topology, backends, env, clock, log, controlId, ...config.stores });
  const view = new TopologyView(topology, clock, log);
  const armed = new ArmedMoves(parts, stores, view);
  const kept = { keptHours: config.requestIds.keptHours, watchedHours: config.watch.keptHours, logLimits: logLimits(config.logs) };
  const upkeep = new Upkeep({ stores, view, metrics, clock, log, ...kept });
  const takeOver = (workflow: string): void => {
    runners.takeOver(workflow, ending.signal).catch((error: unknown) => log.warn({ err: error, workflow }, 'the workflow could not be taken over yet'));
  };
  const runners: WorkflowRunners = new WorkflowRunners({ deps: parts, stores, view, metrics, takeOver, logAlarm: (keyspace, stream) => upkeep.logAlarm(keyspace, stream) });
  const watch = new RepairWatch({
    deps: parts,
    moves: () => armed.list(),
    isSwitching: (workflow) => runners.isSwitching(workflow),
    takeOver,
  });

  const ending = new AbortController();
  const { signal } = ending;
  const running = [view.run(signal), armed.run(signal), runners.run(signal), upkeep.run(signal), watchExternalRules(parts, metrics, signal)];
  for (const part of running) part.catch((error: unknown) => signal.aborted || log.error({ err: error }, 'a part of control ended: please report this'));
  watch.start();
  return {
    stores,
    view,
    upkeep,
    watch,
    async [Symbol.asyncDispose]() {
      await watch[Symbol.asyncDispose]();
      ending.abort(new SwitchyardError('CANCELLED', 'control is shutting down'));
      await Promise.allSettled(running);
    },
  };
}
