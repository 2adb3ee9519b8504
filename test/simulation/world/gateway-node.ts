import { Metadata } from '@grpc/grpc-js';
import type { Backend } from '../../../backends/backend.ts';
import { CALLER_KEY } from '../../../core/request-record.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { gatewayConfigSchema } from '../../../gateway/config.ts';
import { type DataPlane, openDataPlane } from '../../../gateway/data-plane.ts';
import type { RulesDisk } from '../../../gateway/rules/saved-rules.ts';
import type { RpcContext } from '../../../runtime/grpc-server.ts';
import { createMetrics } from '../../../runtime/metrics.ts';
import type { Connection, Host, ServerSession } from '../kernel/connection.ts';
import type { SimProcess } from '../kernel/process.ts';
import type { ProcessParts } from './parts.ts';

const config = gatewayConfigSchema.parse({});

/** A call at the gateway. */
export class GatewaySession implements ServerSession {
  readonly #node: GatewayNode;
  #controller: AbortController | null = null;

  constructor(node: GatewayNode) {
    this.#node = node;
  }

  /** Runs a method of the data API under a deadline, as the server of the protocol does. */
  async call<T>(deadlineMs: number, caller: string, act: (service: DataPlane['service'], context: RpcContext) => Promise<T>): Promise<T> {
    const { clock } = this.#node.process;
    const controller = new AbortController();
    this.#controller = controller;
    const stop = clock.after(deadlineMs, () => controller.abort(new SwitchyardError('DEADLINE_EXCEEDED', "the call's deadline passed")));
    const metadata = new Metadata();
    metadata.set(CALLER_KEY, caller);
    try {
      return await act(this.#node.plane.service, { signal: controller.signal, deadline: clock.monotonic() + deadlineMs, metadata });
    } finally {
      stop();
    }
  }

  cancel(): void {
    this.#controller?.abort(new SwitchyardError('CANCELLED', 'the caller cancelled the call'));
  }

  close(): void {
    this.cancel();
  }
}

/** A machine on which one gateway after another runs. Its disk outlives them. */
export class GatewayNode implements Host<GatewaySession> {
  readonly place: string;
  readonly connections = new Set<Connection<GatewaySession>>();
  readonly #parts: ProcessParts;
  #process: SimProcess;
  #plane: DataPlane;
  #saved: string | null = null;
  #isReady = false;

  constructor(place: string, parts: ProcessParts) {
    this.place = place;
    this.#parts = parts;
    [this.#process, this.#plane] = this.#start();
  }

  get process(): SimProcess {
    return this.#process;
  }

  get plane(): DataPlane {
    return this.#plane;
  }

  /** Whether it has come as far as to take calls. */
  get isReady(): boolean {
    return this.#isReady;
  }

  openSession(): GatewaySession {
    return new GatewaySession(this);
  }

  kill(): void {
    this.#parts.kill(this.#process, this.connections);
    this.connections.clear();
  }

  restart(): void {
    [this.#process, this.#plane] = this.#start();
  }

  #start(): [SimProcess, DataPlane] {
    const { process, topology, backend, log, newId } = this.#parts.start(this.place);
    const disk: RulesDisk = {
      read: async () => this.#saved,
      write: async (text) => {
        await process.clock.sleep(1);
        this.#saved = text;
      },
    };
    const backends = new Map<string, Backend>([[backend.kind, backend]]);
    const plane = openDataPlane({ ...config, id: this.place }, { topology, backends, clock: process.clock, log, newId, env: this.#parts.env }, createMetrics(), disk);
    this.#isReady = false;
    plane
      .start({ id: this.place, address: this.place }, () => {})
      .then(
        () => {
          if (process === this.#process) this.#isReady = true;
        },
        (error: unknown) => log.error({ err: error }, 'the gateway could not start'),
      );
    return [process, plane];
  }
}
