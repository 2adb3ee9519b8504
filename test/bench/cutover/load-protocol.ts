// What a bench and the process of its clients say to each other over the IPC channel.
import type { LoadRecord } from './load-record.ts';

export interface LoadPlan {
  /** Addresses of the gateways, one connection each. */
  readonly gateways: readonly string[];
  /** The same gateways' addresses for JSON over HTTP, which takes half of the calls then. Left out: gRPC takes all. */
  readonly httpGateways?: readonly string[];
  /** Indexes of gateways that are given reads only; the others share the writes. */
  readonly readOnlyGateways: readonly number[];
  /** Rows written: a transaction counts as four. */
  readonly writesPerSecond: number;
  /** Rows read. */
  readonly readsPerSecond: number;
  /** pgbench's scale factor: 100,000 accounts, 10 tellers, 1 branch each. */
  readonly scale: number;
  /** Accounts that half of the calls go to, so that reads meet rows that were just written. */
  readonly hotAccounts: number;
  /** Of every call, all its tries together. */
  readonly deadlineMs: number;
  /** Every write has a request id. Default false. */
  readonly requestIds?: boolean;
  /** A refused call is sent again, to any gateway, until its deadline; a write of unknown outcome too where it has a request id, and where it has none that is no error. Default false: no call is repeated, and every one that fails is an error. */
  readonly repeats?: boolean;
  /** Calls under way at once, as of a service with so many workers: while all are busy the schedule stands still. Default: no bound, and what the clients are late by counts as latency. */
  readonly mostPending?: number;
  /** Longest time of one try. Default: what is left of the deadline. */
  readonly tryLimitMs?: number;
  /** With `repeats`: what got no answer at all is sent again too, a read always, a write where it has a request id. Default false. */
  readonly persistent?: boolean;
  /** A connection on which nothing has come back for so long is opened anew. Default: never. */
  readonly silenceLimitMs?: number;
  /** Time in which the rates grow from nothing to what was asked for: cold processes would not bear them. Default 3,000. */
  readonly rampMs?: number;
  readonly seed: number;
}

export type LoadRequest = { readonly kind: 'connect'; readonly plan: LoadPlan } | { readonly kind: 'run' } | { readonly kind: 'stop' };

export interface LoadProgress {
  /** When it was so, on the clients' clock. */
  readonly atMs: number;
  readonly writes: number;
  readonly reads: number;
  readonly pending: number;
  readonly errors: number;
  /** Longest latency, from the scheduled time, of the calls that ended since the progress before. */
  readonly slowestWriteMs: number;
  readonly slowestReadMs: number;
}

export const noProgress: LoadProgress = { atMs: 0, writes: 0, reads: 0, pending: 0, errors: 0, slowestWriteMs: 0, slowestReadMs: 0 };

export type LoadReport =
  | { readonly kind: 'connected' }
  /** Twice a second. */
  | { readonly kind: 'progress'; readonly progress: LoadProgress }
  /** After `stop`, when every call has ended. */
  | { readonly kind: 'record'; readonly record: LoadRecord };
