import type { Calls, Failure, Seen } from './calls.ts';
import { Gateways, sendRead, sendWrite } from './gateways.ts';
import type { LoadPlan, LoadProgress } from './load-protocol.ts';
import {
  type CallError,
  ColumnStore,
  type FailedTry,
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
import { type Send, sendUntilAnswered } from './repeat.ts';
import { rowsPerRead, rowsPerWrite, Workload } from './workload.ts';

const keptErrors = 1_000;
const keptTries = 100_000;
const recentRows = 1_024;
const defaultRampMs = 3_000;
const burstMs = 25;
const busyPauseMs = 5;

/** Index into outcomes. */
const outcomeOf = (failure: Failure | null): number => (failure === null ? 1 : failure.refused ? 3 : 2);
const isUnknown = ({ reason }: Failure): boolean => reason === 'OUTCOME_UNKNOWN';
/** Nobody has said anything of the call: it may have been done. */
const isUnanswered = ({ reason }: Failure): boolean => reason === 'PEER_UNREACHABLE' || reason === 'DEADLINE_EXCEEDED' || reason === 'CANCELLED';
const nowMs = (): number => performance.timeOrigin + performance.now();

/**
 * The clients: an open loop on a fixed schedule. When each call is due was settled before the first, whatever became of the calls before it; what the loop is late by counts as latency. With a bound on the calls under way, the schedule is put off by the time in which it is reached.
 */
export class LoadGenerator {
  readonly #plan: LoadPlan;
  readonly #secret: string;
  readonly #workload: Workload;
  #gateways: Gateways | null = null;
  readonly #writePace: Pace;
  readonly #readPace: Pace;
  readonly #writes = new ColumnStore<WriteRow>(writeFields, 1 << 16);
  readonly #reads = new ColumnStore<ReadRow>(readFields, 1 << 16);
  readonly #observations = new ColumnStore<Observation>(observationFields, 1 << 17);
  readonly #errors: CallError[] = [];
  readonly #failedTries: FailedTry[] = [];
  readonly #reconnects: Reconnect[] = [];
  /** Generated keys acknowledged last, a ring. */
  readonly #recentHids: number[] = [];
  #inserted = 0;
  #errorCount = 0;
  #pending = 0;
  #slowestWriteMs = 0;
  #slowestReadMs = 0;
  #startedMs = 0;
  /** Where the schedule begins: the start, and later by every time in which it stood still. */
  #scheduleMs = 0;
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
    this.#gateways = await Gateways.connect(this.#plan, this.#secret, (gateway) => this.#reconnects.push({ gateway, atMs: nowMs() }));
  }

  run(): void {
    this.#startedMs = nowMs();
    this.#scheduleMs = this.#startedMs;
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
    this.#gateways?.close();
    return {
      secret: this.#secret,
      startedMs: this.#startedMs,
      endedMs: this.#endedMs,
      writes: this.#writes.snapshot(),
      reads: this.#reads.snapshot(),
      observations: this.#observations.snapshot(),
      errors: this.#errors,
      errorCount: this.#errorCount + this.#pending,
      failedTries: this.#failedTries,
      reconnects: this.#reconnects,
    };
  }

  #tick(): void {
    if (this.#stopping) return;
    const { mostPending = Number.POSITIVE_INFINITY } = this.#plan;
    const beganMs = nowMs();
    const passedMs = beganMs - this.#scheduleMs;
    for (;;) {
      if (this.#pending >= mostPending) {
        setTimeout(() => {
          this.#scheduleMs += nowMs() - beganMs;
          this.#tick();
        }, busyPauseMs);
        return;
      }
      const writeMs = this.#writePace.timeOf(this.#writes.length);
      const readMs = this.#readPace.timeOf(this.#reads.length);
      const nextMs = Math.min(writeMs, readMs);
      if (nextMs > passedMs) {
        setTimeout(() => this.#tick(), Math.max(1, this.#scheduleMs + nextMs - nowMs()));
        return;
      }
      if (writeMs <= readMs) this.#write(this.#scheduleMs + writeMs);
      else this.#read(this.#scheduleMs + readMs);
    }
  }

  #write(scheduledMs: number): void {
    const { deadlineMs, requestIds = false, repeats = false, persistent = false, tryLimitMs = deadlineMs } = this.#plan;
    const write = this.#workload.nextWrite();
    let gateway = this.#workload.writeGateway();
    const gateways = this.#pickGateways();
    const issuedMs = nowMs();
    const index = this.#writes.push({ ...write, gateway, scheduledMs, issuedMs, endedMs: 0, outcome: 0, hid: 0, tries: 0, unknown: 0 });
    let [tries, unknown, mayBeDone, sentMs] = [0, 0, false, issuedMs];
    const send: Send = (limitMs, answered) => {
      if (tries > 0) gateway = this.#workload.writeGateway();
      tries += 1;
      sentMs = nowMs();
      sendWrite(write, index, gateways[gateway], Math.min(limitMs, tryLimitMs), answered);
    };
    const again = (failure: Failure): boolean => {
      if (isUnknown(failure)) unknown += 1;
      mayBeDone ||= isUnknown(failure) || isUnanswered(failure);
      this.#tryFailed('write', gateway, sentMs, failure);
      if (isUnanswered(failure)) return repeats && persistent && requestIds;
      return repeats && (isUnknown(failure) ? requestIds : failure.refused);
    };
    this.#pending += 1;
    sendUntilAnswered(deadlineMs, send, again, (failure, seen) => {
      const endedMs = nowMs();
      this.#pending -= 1;
      this.#slowestWriteMs = Math.max(this.#slowestWriteMs, endedMs - scheduledMs);
      // A refusal speaks of its own try only.
      const outcome = failure !== null && mayBeDone ? 2 : outcomeOf(failure);
      this.#writes.update(index, { gateway, endedMs, outcome, tries, unknown });
      if (failure !== null && repeats && !requestIds && isUnknown(failure)) return;
      if (failure !== null) return this.#fail('write', index, gateway, endedMs, failure);
      for (const row of seen) {
        if (row.table === 3) this.#acknowledgeHistory(index, row.key);
        else this.#observations.push({ ...row, issuedMs, endedMs });
      }
    });
  }

  #tryFailed(call: FailedTry['call'], gateway: number, issuedMs: number, { reason, message }: Failure): void {
    if (this.#plan.repeats === true && this.#failedTries.length < keptTries) this.#failedTries.push({ call, gateway, issuedMs, endedMs: nowMs(), reason, message });
  }

  #pickGateways(): readonly Calls[] {
    return this.#gateways?.overEither((below) => this.#workload.pick(below)) ?? [];
  }

  #acknowledgeHistory(index: number, hid: number): void {
    this.#writes.update(index, { hid });
    this.#recentHids[this.#inserted % recentRows] = hid;
    this.#inserted += 1;
  }

  #read(scheduledMs: number): void {
    const read = this.#workload.nextRead();
    let gateway = this.#workload.readGateway();
    const gateways = this.#pickGateways();
    const hid = this.#recentHids[this.#workload.pick(Math.max(this.#recentHids.length, 1))];
    let issuedMs = nowMs();
    const index = this.#reads.push({ gateway, scheduledMs, issuedMs, endedMs: 0, outcome: 0, rows: 0, tries: 0 });
    const wanted = this.#workload.rowsOf(read);
    const { deadlineMs, repeats = false, persistent = false, tryLimitMs = deadlineMs } = this.#plan;
    let tries = 0;
    const send: Send = (limitMs, answered) => {
      if (tries > 0) gateway = this.#workload.readGateway();
      tries += 1;
      issuedMs = nowMs();
      sendRead(read, hid, gateways[gateway], Math.min(limitMs, tryLimitMs), answered);
    };
    const again = (failure: Failure): boolean => {
      this.#tryFailed('read', gateway, issuedMs, failure);
      return repeats && (failure.refused || (persistent && isUnanswered(failure)));
    };
    this.#pending += 1;
    sendUntilAnswered(deadlineMs, send, again, (given, seen: readonly Seen[]) => {
      const isShort = given === null && seen.length !== wanted;
      const failure: Failure | null = isShort ? { reason: 'ROWS_MISSING', message: `${read.kind} answered ${seen.length} rows of ${wanted}`, refused: false } : given;
      const endedMs = nowMs();
      this.#pending -= 1;
      this.#slowestReadMs = Math.max(this.#slowestReadMs, endedMs - scheduledMs);
      this.#reads.update(index, { gateway, endedMs, outcome: outcomeOf(failure), rows: failure === null ? seen.length : 0, tries });
      if (failure !== null) return this.#fail('read', index, gateway, endedMs, failure);
      for (const row of seen) this.#observations.push({ ...row, issuedMs, endedMs });
    });
  }

  #fail(call: CallError['call'], index: number, gateway: number, endedMs: number, failure: Failure): void {
    this.#errorCount += 1;
    const { reason, message } = failure;
    if (this.#errors.length < keptErrors) this.#errors.push({ call, index, gateway, endedMs, reason, message });
  }
}
