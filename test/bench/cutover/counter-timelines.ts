import type { Columns, WriteRow } from './load-record.ts';

export const counterTables = ['pgbench_accounts', 'pgbench_tellers', 'pgbench_branches'] as const;
export type CounterTable = (typeof counterTables)[number];

/** Sums of positive amounts by time: what had happened before an instant. */
class RunningSum {
  readonly #times: Float64Array;
  readonly #sums: Float64Array;

  constructor(events: { readonly atMs: number; readonly amount: number }[]) {
    const ordered = events.toSorted((a, b) => a.atMs - b.atMs);
    this.#times = Float64Array.from(ordered, (event) => event.atMs);
    let sum = 0;
    this.#sums = Float64Array.from(ordered, (event) => {
      sum += event.amount;
      return sum;
    });
  }

  get total(): number {
    return this.#sums.at(-1) ?? 0;
  }

  before(atMs: number): number {
    let [low, high] = [0, this.#times.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#times[middle] ?? 0) < atMs) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : (this.#sums[low - 1] ?? 0);
  }
}

/** All that the clients know of one counter. */
export interface CounterTimeline {
  readonly acknowledged: number;
  readonly sent: number;
  readonly lastEndedMs: number;
}

class Timeline implements CounterTimeline {
  readonly #acks: { atMs: number; amount: number }[] = [];
  readonly #sends: { atMs: number; amount: number }[] = [];
  #sums: { acks: RunningSum; sends: RunningSum } | null = null;
  lastEndedMs = 0;

  add(delta: number, issuedMs: number, endedMs: number, isAcknowledged: boolean): void {
    this.#sends.push({ atMs: issuedMs, amount: delta });
    if (isAcknowledged) this.#acks.push({ atMs: endedMs, amount: delta });
    this.lastEndedMs = Math.max(this.lastEndedMs, endedMs);
  }

  get sums(): { acks: RunningSum; sends: RunningSum } {
    this.#sums ??= { acks: new RunningSum(this.#acks), sends: new RunningSum(this.#sends) };
    return this.#sums;
  }

  get acknowledged(): number {
    return this.sums.acks.total;
  }

  get sent(): number {
    return this.sums.sends.total;
  }
}

/** Lower and upper bounds of every counter at every instant, from the clients' writes alone. Every counter begins at 0. */
export class CounterTimelines {
  readonly #byTable: Readonly<Record<CounterTable, Map<number, Timeline>>> = { pgbench_accounts: new Map(), pgbench_tellers: new Map(), pgbench_branches: new Map() };

  constructor(writes: Columns<WriteRow>) {
    for (let index = 0; index < writes.length; index += 1) {
      const kind = writes.kind[index];
      if (kind === 1 || writes.outcome[index] === 3) continue; // an insert changes no counter, a refused write nothing
      this.#add('pgbench_accounts', writes.aid[index] ?? 0, writes, index);
      if (kind !== 2) continue;
      this.#add('pgbench_tellers', writes.tid[index] ?? 0, writes, index);
      this.#add('pgbench_branches', writes.bid[index] ?? 0, writes, index);
    }
  }

  of(table: CounterTable): ReadonlyMap<number, CounterTimeline> {
    return this.#byTable[table];
  }

  /** What a read between these instants may return. */
  bounds(table: CounterTable, key: number, issuedMs: number, endedMs: number): { readonly low: number; readonly high: number } {
    const timeline = this.#byTable[table].get(key);
    if (timeline === undefined) return { low: 0, high: 0 };
    return { low: timeline.sums.acks.before(issuedMs), high: timeline.sums.sends.before(endedMs) };
  }

  sums(table: CounterTable): { readonly acknowledged: number; readonly sent: number } {
    let [acknowledged, sent] = [0, 0];
    for (const timeline of this.#byTable[table].values()) {
      acknowledged += timeline.acknowledged;
      sent += timeline.sent;
    }
    return { acknowledged, sent };
  }

  #add(table: CounterTable, key: number, writes: Columns<WriteRow>, index: number): void {
    let timeline = this.#byTable[table].get(key);
    if (timeline === undefined) {
      timeline = new Timeline();
      this.#byTable[table].set(key, timeline);
    }
    timeline.add(writes.delta[index] ?? 0, writes.issuedMs[index] ?? 0, writes.endedMs[index] ?? 0, writes.outcome[index] === 1);
  }
}
