import type { Clock } from '../../../core/clock.ts';
import { type Call, durationMs, numberOf, Refusal } from './http-exchange.ts';
import type { Change } from '../state/topology-state.ts';
import type { TopologyStore } from '../state/topology-store.ts';

const DEFAULT_WAIT_MS = 300_000;
const MAX_WAIT_MS = 600_000;
/** A wait gets up to a sixteenth longer, so that many waiters do not come back together. */
const JITTER_FRACTION = 16;

/** Parts of Consul's API that have no meaning with one server and one namespace. Obeying them is not possible and ignoring them would be wrong. */
const NOT_SERVED = ['dc', 'ns', 'partition', 'filter', 'near', 'node-meta', 'cached', 'hash', 'peer'] as const;

export interface Query {
  readonly store: TopologyStore;
  readonly clock: Clock;
  /** At most this many wait; the next is refused with 429. */
  readonly maxBlockingQueries: number;
  /** From 0 up to 1. */
  readonly random: () => number;
}

/** Refuses what is not served, by name. */
export function checkParameters(query: URLSearchParams): void {
  for (const name of NOT_SERVED) if (query.has(name)) throw new Refusal(501, `the parameter "${name}" is not served by the embedded topology`);
  if (query.has('consistent') && query.has('stale')) throw new Refusal(400, 'Cannot specify ?stale with ?consistent, conflicting semantics.');
}

/**
 * Asks `read`, and again when a change wakes it, until its index is above the one that the client has or the client's time is over. What comes back may not be answered before
 * the store has settled.
 */
export async function blockingQuery<T extends { readonly index: number }>(query: Query, call: Call, read: () => T, wakesAt: (change: Change) => boolean): Promise<T> {
  const seen = numberOf(call.query, 'index', 'Invalid index') ?? 0;
  const waitMs = waitOf(call.query);
  const endsAtMs = query.clock.monotonic() + waitMs * (1 + query.random() / JITTER_FRACTION);
  for (;;) {
    const reading = read();
    const leftMs = endsAtMs - query.clock.monotonic();
    if (seen === 0 || reading.index > seen || leftMs <= 0 || call.signal.aborted) return reading;
    if (query.store.waiters.count >= query.maxBlockingQueries) throw new Refusal(429, `more than ${query.maxBlockingQueries} blocking queries at once`);
    await query.store.waiters.wait(wakesAt, leftMs, call.signal);
  }
}

function waitOf(query: URLSearchParams): number {
  const text = query.get('wait') ?? '';
  if (text === '') return DEFAULT_WAIT_MS;
  const waitMs = durationMs(text);
  if (waitMs === undefined) throw new Refusal(400, 'Invalid wait time');
  return waitMs === 0 ? DEFAULT_WAIT_MS : Math.min(waitMs, MAX_WAIT_MS);
}

/** What every read is answered with. Index 0 would mean "do not wait" to the client that sends it back. */
export function readHeaders(index: number): Readonly<Record<string, string>> {
  return { 'X-Consul-Index': String(Math.max(1, index)), 'X-Consul-KnownLeader': 'true', 'X-Consul-LastContact': '0' };
}
