import type { Calls, Done, Failure, Seen } from './calls.ts';
import { GrpcCalls } from './grpc-calls.ts';
import { HttpCalls } from './http-calls.ts';
import type { LoadPlan, LoadProgress } from './load-protocol.ts';
import {
  type CallError,
  ColumnStore,
  type LoadRecord,
  type Observation,
  observationFields,
  type ReadRow,
  readFields,
  type Reconnect,
  type WriteRow,
  writeFields,
} from './load-record.ts';
import { Pace } from './pace.ts';
import { type PlannedRead, rowsPerRead, rowsPerWrite, Workload } from './workload.ts';

const keptErrors = 1_000;
const recentRows = 1_024;
const connectLimitMs = 10_000;
const defaultRampMs = 3_000;
const burstMs = 25;

/** Index into outcomes. */
const outcomeOf = (failure: Failure | null): number => (failure === null ? 1 : failure.refused ? 3 : 2);
const nowMs = (): number => performance.timeOrigin + performance.now();

/**
 * The clients: an open loop on a fixed schedule. When each call is due was settled before the first, whatever became of the calls before it; what the loop is late by counts as latency.
 */
export class LoadGenerator {
  readonly #plan: LoadPlan;
  readonly #secret: string;
  readonly #workload: Workload;
  #gateways: readonly GrpcCalls[] = [];
  /** The same gateways over HTTP; none: everything goes over gRPC. */
  #httpGateways: readonly HttpCalls[] = [];
  readonly #writePace: Pace;
  readonly #readPace: Pace;
  readonly #writes = new ColumnStore<WriteRow>(writeFields, 1 << 16);
  readonly #reads = new ColumnStore<ReadRow>(readFields, 1 << 16);
  readonly #observations = new ColumnStore<Observation>(observationFields, 1 << 17);
  readonly #errors: CallError[] = [];
  readonly #reconnects: Reconnect[] = [];
  /** Generated keys acknowledged last, a ring. */
  readonly #recentHids: number[] = [];
  #inserted = 0;
  #errorCount = 0;
  #pending = 0;
  #slowestWriteMs = 0;
  #slowestReadMs = 0;
  #startedMs = 0;
  #endedMs = 0;
  #stopping = false;

  constructor(plan: LoadPlan, secret: string) {
    this.#plan = plan;
    this.#secret = secret;
    this.#workload = new Workload(plan);
    const rampMs = plan.rampMs ?? defaultRampMs;
    this.#writePace = new Pace(plan.writesPerSecond / rowsPerWrite, rampMs, burstMs);
    this.#readPace = new Pace(plan.readsPerSecond / rowsPerRead, rampMs, burstMs);
  }

  async connect(): Promise<void> {
    const { deadlineMs, gateways } = this.#plan;
    const lost = (gateway: number) => (): void => void this.#reconnects.push({ gateway, atMs: nowMs() });
    this.#gateways = await Promise.all(gateways.map((address, gateway) => GrpcCalls.open(address, deadlineMs, this.#secret, connectLimitMs, lost(gateway))));
    this.#httpGateways = (this.#plan.httpGateways ?? []).map((address, gateway) => new HttpCalls(address, deadlineMs, this.#secret, lost(gateway)));
  }

  run(): void {
    this.#startedMs = nowMs();
    this.#tick();
  }

  /** How it stands; the slowest calls are counted anew from here on. */
  takeProgress(): LoadProgress {
    const [slowestWriteMs, slowestReadMs] = [this.#slowestWriteMs, this.#slowestReadMs];
    this.#slowestWriteMs = 0;
    this.#slowestReadMs = 0;
    return { atMs: nowMs(), writes: this.#writes.length, reads: this.#reads.length, pending: this.#pending, errors: this.#errorCount, slowestWriteMs, slowestReadMs };
  }

  /** Sends nothing more, waits for what is under way (at most a deadline and a second) and gives everything away. */
  async finish(): Promise<LoadRecord> {
    this.#stopping = true;
    this.#endedMs = nowMs();
    const limit = nowMs() + this.#plan.deadlineMs + 1_000;
    while (this.#pending > 0 && nowMs() < limit) await new Promise((resolve) => setTimeout(resolve, 5));
    for (const calls of [...this.#gateways, ...this.#httpGateways]) calls.close();
    return {
      secret: this.#secret,
      startedMs: this.#startedMs,
      endedMs: this.#endedMs,
      writes: this.#writes.snapshot(),
      reads: this.#reads.snapshot(),
      observations: this.#observations.snapshot(),
      errors: this.#errors,
      errorCount: this.#errorCount + this.#pending,
      reconnects: this.#reconnects,
    };
  }

  #tick(): void {
    if (this.#stopping) return;
    const passedMs = nowMs() - this.#startedMs;
    for (;;) {
      const writeMs = this.#writePace.timeOf(this.#writes.length);
      const readMs = this.#readPace.timeOf(this.#reads.length);
      const nextMs = Math.min(writeMs, readMs);
      if (nextMs > passedMs) {
        setTimeout(() => this.#tick(), Math.max(1, this.#startedMs + nextMs - nowMs()));
        return;
      }
      if (writeMs <= readMs) this.#write(this.#startedMs + writeMs);
      else this.#read(this.#startedMs + readMs);
    }
  }

  #write(scheduledMs: number): void {
    const write = this.#workload.nextWrite();
    const gateway = this.#workload.writeGateway();
    const issuedMs = nowMs();
    const index = this.#writes.push({ ...write, gateway, scheduledMs, issuedMs, endedMs: 0, outcome: 0, hid: 0 });
    const done: Done = (failure, seen) => {
      const endedMs = nowMs();
      this.#pending -= 1;
      this.#writes.set('endedMs', index, endedMs);
      this.#slowestWriteMs = Math.max(this.#slowestWriteMs, endedMs - scheduledMs);
      this.#writes.set('outcome', index, outcomeOf(failure));
      if (failure !== null) return this.#fail('write', index, gateway, endedMs, failure);
      for (const row of seen) {
        if (row.table === 3) this.#acknowledgeHistory(index, row.key);
        else this.#observations.push({ ...row, issuedMs, endedMs });
      }
    };
    this.#pending += 1;
    const calls = this.#callsOf(gateway);
    if (write.kind === 0) calls?.add(write, done);
    else if (write.kind === 1) calls?.insert(write, index, done);
    else calls?.transact(write, index, done);
  }

  /** Half of the calls go over HTTP where it is served. */
  #callsOf(gateway: number): Calls | undefined {
    const overHttp = this.#httpGateways[gateway];
    return overHttp !== undefined && this.#workload.pick(2) === 0 ? overHttp : this.#gateways[gateway];
  }

  #acknowledgeHistory(index: number, hid: number): void {
    this.#writes.set('hid', index, hid);
    this.#recentHids[this.#inserted % recentRows] = hid;
    this.#inserted += 1;
  }

  #read(scheduledMs: number): void {
    const read = this.#workload.nextRead();
    const gateway = this.#workload.readGateway();
    const issuedMs = nowMs();
    const index = this.#reads.push({ gateway, scheduledMs, issuedMs, endedMs: 0, outcome: 0, rows: 0 });
    this.#pending += 1;
    const wanted = this.#workload.rowsOf(read);
    this.#send(read, this.#callsOf(gateway), (given, seen: readonly Seen[]) => {
      const isShort = given === null && seen.length !== wanted;
      const failure: Failure | null = isShort ? { reason: 'ROWS_MISSING', message: `${read.kind} answered ${seen.length} rows of ${wanted}`, refused: false } : given;
      const endedMs = nowMs();
      this.#pending -= 1;
      this.#reads.set('endedMs', index, endedMs);
      this.#slowestReadMs = Math.max(this.#slowestReadMs, endedMs - scheduledMs);
      this.#reads.set('outcome', index, outcomeOf(failure));
      if (failure !== null) return this.#fail('read', index, gateway, endedMs, failure);
      this.#reads.set('rows', index, seen.length);
      for (const row of seen) this.#observations.push({ ...row, issuedMs, endedMs });
    });
  }

  #send(read: PlannedRead, calls: Calls | undefined, done: Done): void {
    const hid = this.#recentHids[this.#workload.pick(Math.max(this.#recentHids.length, 1))];
    if (read.kind === 'history' && hid !== undefined) calls?.history(hid, done);
    else if (read.kind === 'history') calls?.branch(1, done);
    else if (read.kind === 'account') calls?.account(read.key, done);
    else if (read.kind === 'branch') calls?.branch(read.key, done);
    else if (read.kind === 'accounts') calls?.accounts(read.key, done);
    else calls?.tellers(read.key, done);
  }

  #fail(call: CallError['call'], index: number, gateway: number, endedMs: number, failure: Failure): void {
    this.#errorCount += 1;
    const { reason, message } = failure;
    if (this.#errors.length < keptErrors) this.#errors.push({ call, index, gateway, endedMs, reason, message });
  }
}
