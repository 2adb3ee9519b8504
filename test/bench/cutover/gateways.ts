import type { Calls, CallsOptions, Done } from './calls.ts';
import { GrpcCalls } from './grpc-calls.ts';
import { HttpCalls } from './http-calls.ts';
import type { LoadPlan } from './load-protocol.ts';
import type { PlannedRead, PlannedWrite } from './workload.ts';

const connectLimitMs = 10_000;

/** The way to every gateway, over one protocol or two. */
export class Gateways {
  readonly #grpc: readonly Calls[];
  readonly #http: readonly Calls[];

  private constructor(grpc: readonly Calls[], http: readonly Calls[]) {
    this.#grpc = grpc;
    this.#http = http;
  }

  /** Connects to each, once. `onLost` is called with the gateway's index whenever a connection breaks that was up. */
  static async connect({ gateways, httpGateways = [], requestIds = false, silenceLimitMs }: LoadPlan, secret: string, onLost: (gateway: number) => void): Promise<Gateways> {
    const optionsOf = (address: string, gateway: number): CallsOptions => ({ address, secret, requestIds, silenceLimitMs: silenceLimitMs ?? null, onLost: () => onLost(gateway) });
    const grpc = await Promise.all(gateways.map((address, gateway) => GrpcCalls.open(optionsOf(address, gateway), connectLimitMs)));
    return new Gateways(
      grpc,
      httpGateways.map((address, gateway) => new HttpCalls(optionsOf(address, gateway))),
    );
  }

  /** All of them, each over the same protocol: HTTP for half of the calls where it is served. `pick`: a whole number below the given one. */
  overEither(pick: (below: number) => number): readonly Calls[] {
    return this.#http.length > 0 && pick(2) === 0 ? this.#http : this.#grpc;
  }

  close(): void {
    for (const calls of [...this.#grpc, ...this.#http]) calls.close();
  }
}

/** The write with this index of the record. */
export function sendWrite(write: PlannedWrite, index: number, calls: Calls | undefined, limitMs: number, done: Done): void {
  if (write.kind === 0) calls?.add(write, index, limitMs, done);
  else if (write.kind === 1) calls?.insert(write, index, limitMs, done);
  else calls?.transact(write, index, limitMs, done);
}

/** `hid`: key of a history row that was acknowledged lately; undefined as long as there is none. */
export function sendRead(read: PlannedRead, hid: number | undefined, calls: Calls | undefined, limitMs: number, done: Done): void {
  if (read.kind === 'history' && hid !== undefined) calls?.history(hid, limitMs, done);
  else if (read.kind === 'history') calls?.branch(1, limitMs, done);
  else if (read.kind === 'account') calls?.account(read.key, limitMs, done);
  else if (read.kind === 'branch') calls?.branch(read.key, limitMs, done);
  else if (read.kind === 'accounts') calls?.accounts(read.key, limitMs, done);
  else calls?.tellers(read.key, limitMs, done);
}
