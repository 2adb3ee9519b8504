import type { Backend } from '../../../backends/backend.ts';
import { controlConfigSchema } from '../../../control/config.ts';
import { type ControlPlane, startControlPlane } from '../../../control/control-plane.ts';
import { ControlMetrics } from '../../../control/metrics.ts';
import type { SideName } from '../../../control/move.ts';
import type { ServiceContext } from '../../../control/services/service-context.ts';
import { createMetrics } from '../../../runtime/metrics.ts';
import type { Connection, Host, ServerSession } from '../kernel/connection.ts';
import type { SimProcess } from '../kernel/process.ts';
import type { ProcessParts } from './parts.ts';

const config = controlConfigSchema.parse({});

/** An operator's call. */
export class ControlSession implements ServerSession {
  readonly context: ServiceContext;
  readonly #controller = new AbortController();

  constructor(context: ServiceContext) {
    this.context = context;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  cancel(): void {
    this.#controller.abort();
  }

  close(): void {
    this.cancel();
  }
}

/** A machine on which one control process after another runs, always under the same id. */
export class ControlNode implements Host<ControlSession> {
  readonly place: string;
  readonly connections = new Set<Connection<ControlSession>>();
  readonly #parts: ProcessParts;
  readonly #onStep: (place: string, to: SideName, step: string) => void;
  #process: SimProcess;
  #context: ServiceContext;
  #plane: ControlPlane;

  constructor(place: string, parts: ProcessParts, onStep: (place: string, to: SideName, step: string) => void) {
    this.place = place;
    this.#parts = parts;
    this.#onStep = onStep;
    [this.#process, this.#plane, this.#context] = this.#start();
  }

  get process(): SimProcess {
    return this.#process;
  }

  get plane(): ControlPlane {
    return this.#plane;
  }

  openSession(): ControlSession {
    return new ControlSession(this.#context);
  }

  kill(): void {
    this.#parts.kill(this.#process, this.connections);
    this.connections.clear();
  }

  restart(): void {
    [this.#process, this.#plane, this.#context] = this.#start();
  }

  #start(): [SimProcess, ControlPlane, ServiceContext] {
    const { process, topology, backend, log, newId } = this.#parts.start(this.place);
    const backends = new Map<string, Backend>([[backend.kind, backend]]);
    const { clock } = process;
    const deps = { topology, clock, log, newId, controlId: this.place };
    const onStep = async (_: string, to: SideName, step: string): Promise<void> => this.#onStep(this.place, to, step);
    const plane = startControlPlane(config, { ...deps, onStep, backends, env: this.#parts.env }, new ControlMetrics(createMetrics()));
    return [process, plane, { deps, stores: plane.stores, view: plane.view }];
  }
}
