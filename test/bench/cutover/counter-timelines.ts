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

/** How much of what is known of a write: acknowledged · done, though nobody acknowledged it · open: done or not · undone. */
export type Fate = 'acknowledged' | 'done' | 'open' | 'undone';

/** More open amounts than this have too many sums to try. */
const mostOpen = 16;

/** All that is known of one counter at the end. */
export interface CounterTimeline {
  /** What it holds at least: whatever is known to be done. */
  readonly done: number;
  /** What it holds at most: the open ones besides. */
  readonly sent: number;
  readonly lastEndedMs: number;
  /** Whether some choice of the open ones explains this value. */
  explains(value: number): boolean;
}

class Timeline implements CounterTimeline {
  readonly #acks: { atMs: number; amount: number }[] = [];
  readonly #sends: { atMs: number; amount: number }[] = [];
  readonly #open: number[] = [];
  done = 0;
  #sums: { acks: RunningSum; sends: RunningSum } | null = null;
  lastEndedMs = 0;

  add(delta: number, issuedMs: number, endedMs: number, fate: Exclude<Fate, 'undone'>): void {
    this.#sends.push({ atMs: issuedMs, amount: delta });
    if (fate === 'acknowledged') this.#acks.push({ atMs: endedMs, amount: delta });
    if (fate === 'open') this.#open.push(delta);
    else this.done += delta;
    this.lastEndedMs = Math.max(this.lastEndedMs, endedMs);
  }

  get sums(): { acks: RunningSum; sends: RunningSum } {
    this.#sums ??= { acks: new RunningSum(this.#acks), sends: new RunningSum(this.#sends) };
    return this.#sums;
  }

  explains(value: number): boolean {
    const missing = value - this.done;
    if (missing < 0 || value > this.sent) return false;
    if (this.#open.length > mostOpen) return true;
    let sums = new Set([0]);
    for (const amount of this.#open) sums = sums.union(new Set([...sums].map((sum) => sum + amount)));
    return sums.has(missing);
  }

  get sent(): number {
    return this.sums.sends.total;
  }
}

/** Lower and upper bounds of every counter at every instant, from the clients' writes and what became of them. Every counter begins at 0. */
export class CounterTimelines {
  readonly #byTable: Readonly<Record<CounterTable, Map<number, Timeline>>> = { pgbench_accounts: new Map(), pgbench_tellers: new Map(), pgbench_branches: new Map() };

  constructor(writes: Columns<WriteRow>, fateOf: (index: number) => Fate) {
    for (let index = 0; index < writes.length; index += 1) {
      const kind = writes.kind[index];
      const fate = fateOf(index);
      if (kind === 1 || fate === 'undone') continue; // an insert changes no counter
      this.#add('pgbench_accounts', writes.aid[index] ?? 0, writes, index, fate);
      if (kind !== 2) continue;
      this.#add('pgbench_tellers', writes.tid[index] ?? 0, writes, index, fate);
      this.#add('pgbench_branches', writes.bid[index] ?? 0, writes, index, fate);
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

  sums(table: CounterTable): { readonly done: number; readonly sent: number } {
    let [done, sent] = [0, 0];
    for (const timeline of this.#byTable[table].values()) {
      done += timeline.done;
      sent += timeline.sent;
    }
    return { done, sent };
  }

  #add(table: CounterTable, key: number, writes: Columns<WriteRow>, index: number, fate: Exclude<Fate, 'undone'>): void {
    let timeline = this.#byTable[table].get(key);
    if (timeline === undefined) {
      timeline = new Timeline();
      this.#byTable[table].set(key, timeline);
    }
    timeline.add(writes.delta[index] ?? 0, writes.issuedMs[index] ?? 0, writes.endedMs[index] ?? 0, fate);
  }
}
