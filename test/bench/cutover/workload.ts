import type { LoadPlan } from './load-protocol.ts';
import { rowsOfWrite } from './load-record.ts';

/** A seeded generator of numbers (xorshift32): the same run can be had again. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** A whole number from 0 to `below` − 1. */
  roll(below: number): number {
    let x = this.#state;
    x ^= x << 13;
    x >>>= 0;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % below;
  }
}

export interface PlannedWrite {
  /** Index into writeKinds. */
  readonly kind: 0 | 1 | 2;
  readonly aid: number;
  readonly tid: number;
  readonly bid: number;
  readonly delta: number;
}

export type PlannedRead =
  | { readonly kind: 'account' | 'branch' | 'accounts' | 'tellers'; readonly key: number }
  /** The history row of a write that was acknowledged lately. */
  | { readonly kind: 'history' };
type ReadKind = PlannedRead['kind'];

const accountsPerScale = 100_000;
const tellersPerScale = 10;
const maxDelta = 5_000;
/** Rows of a range query. */
export const rangeRows = 5;
/** Of twenty write calls, how many are of each kind. */
const writeMix = [9, 8, 3] as const;
/** Of twenty reads, how many are of each kind, and the rows that one returns. */
const readMix: readonly { readonly kind: ReadKind; readonly share: number; readonly rows: number }[] = [
  { kind: 'account', share: 11, rows: 1 },
  { kind: 'branch', share: 3, rows: 1 },
  { kind: 'history', share: 4, rows: 1 },
  { kind: 'accounts', share: 1, rows: rangeRows },
  { kind: 'tellers', share: 1, rows: tellersPerScale },
];
const readKinds = readMix.flatMap(({ kind, share }) => new Array<ReadKind>(share).fill(kind));
/** Rows that a call of the mix writes or returns, on average. */
export const rowsPerWrite = writeMix.reduce((sum, share, kind) => sum + share * (rowsOfWrite[kind] ?? 0), 0) / 20;
export const rowsPerRead = readMix.reduce((sum, { share, rows }) => sum + share * rows, 0) / readKinds.length;

/**
 * The clients' mix. Write calls, of twenty: nine add to one account, eight insert into history with a generated key, three are pgbench's transaction, so that of the rows written two in five are in transactions. Reads: points (accounts, branches,
 * history rows just written) and, one in ten, queries (a range of accounts, a branch's tellers). Deltas are positive, so that every counter only grows.
 */
export class Workload {
  readonly #dice: Dice;
  readonly #plan: LoadPlan;

  constructor(plan: LoadPlan) {
    this.#plan = plan;
    this.#dice = new Dice(plan.seed);
  }

  nextWrite(): PlannedWrite {
    const dice = this.#dice.roll(20);
    const kind = dice < writeMix[0] ? 0 : dice < writeMix[0] + writeMix[1] ? 1 : 2;
    return {
      kind,
      aid: this.#account(),
      tid: 1 + this.#dice.roll(this.#plan.scale * tellersPerScale),
      bid: 1 + this.#dice.roll(this.#plan.scale),
      delta: 1 + this.#dice.roll(maxDelta),
    };
  }

  nextRead(): PlannedRead {
    const kind = readKinds[this.#dice.roll(readKinds.length)] ?? 'account';
    if (kind === 'history') return { kind };
    return { kind, key: kind === 'account' || kind === 'accounts' ? this.#account() : 1 + this.#dice.roll(this.#plan.scale) };
  }

  /** A gateway for a write, a gateway for a read: every one in turn at random. */
  writeGateway(): number {
    const { gateways, readOnlyGateways } = this.#plan;
    for (;;) {
      const index = this.#dice.roll(gateways.length);
      if (!readOnlyGateways.includes(index)) return index;
    }
  }

  /** How many rows the call must return: no table loses rows. */
  rowsOf(read: PlannedRead): number {
    if (read.kind === 'tellers') return tellersPerScale;
    if (read.kind !== 'accounts') return 1;
    return Math.min(rangeRows, this.#plan.scale * accountsPerScale - read.key + 1);
  }

  readGateway(): number {
    return this.#dice.roll(this.#plan.gateways.length);
  }

  pick(count: number): number {
    return this.#dice.roll(count);
  }

  /** Half of the time one of the hot accounts, which lie all over the table. */
  #account(): number {
    const all = this.#plan.scale * accountsPerScale;
    if (this.#dice.roll(2) === 0) return 1 + this.#dice.roll(all);
    return 1 + this.#dice.roll(this.#plan.hotAccounts) * Math.floor(all / this.#plan.hotAccounts);
  }
}
