import type { PlannedWrite } from './workload.ts';

/** A call that failed. */
export interface Failure {
  readonly reason: string;
  readonly message: string;
  /** The answer said that nothing was done. */
  readonly refused: boolean;
}

/** One row of an answer: index into observedTables, key, value as the record's Observation has them. */
export interface Seen {
  readonly table: number;
  readonly key: number;
  readonly value: number;
}

export interface CallsOptions {
  readonly address: string;
  /** Of the run; part of every op_id. */
  readonly secret: string;
  /** Every write has its op_id for a request id. */
  readonly requestIds: boolean;
  /** A connection on which nothing has come back for so long is given up. Null: none is. HTTP has the limit of the call. */
  readonly silenceLimitMs: number | null;
  /** Called whenever a connection breaks that was up. */
  readonly onLost: () => void;
}

export type Done = (failure: Failure | null, seen: readonly Seen[]) => void;

/** What the clients of a bench ask of one gateway, over either protocol: no retry, every call ends within `limitMs`. A write with the same index is the same write, which is what its request id says where there are such ids. */
export interface Calls {
  /** Adds to an account. */
  add(write: PlannedWrite, index: number, limitMs: number, done: Done): void;
  /** A row of history. What it sees is the acknowledgement: the generated key with the write's index. */
  insert(write: PlannedWrite, index: number, limitMs: number, done: Done): void;
  /** pgbench's transaction, atomically. */
  transact(write: PlannedWrite, index: number, limitMs: number, done: Done): void;
  account(aid: number, limitMs: number, done: Done): void;
  branch(bid: number, limitMs: number, done: Done): void;
  /** A history row by its generated key. That there is none is an answer, not a failure. */
  history(hid: number, limitMs: number, done: Done): void;
  /** Accounts in order of their key, from this one on. */
  accounts(from: number, limitMs: number, done: Done): void;
  /** The ten tellers of a branch. */
  tellers(bid: number, limitMs: number, done: Done): void;
  close(): void;
}
