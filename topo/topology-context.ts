import type { Clock } from '../core/clock.ts';
import type { BackOff } from './back-off.ts';
import type { KvClient } from './kv-client.ts';
import type { ConsulKeys } from './consul-keys.ts';

/** What every part of the topology works with. */
export interface TopologyContext {
  readonly client: KvClient;
  readonly keys: ConsulKeys;
  readonly clock: Clock;
  readonly newNonce: () => string;
  /** Between two tries of a compare-and-set that lost. */
  readonly conflictBackOff: BackOff;
  /** Between two tries when Consul does not answer. */
  readonly faultBackOff: BackOff;
  /** Longest wait of one blocking query; a frozen agent is noticed a little later than this. */
  readonly watchWaitMs: number;
  /** For faults with no caller to tell. */
  readonly report: (error: Error) => void;
}

/** Longest time that a change takes, retries and the question what became of an unanswered write included. */
export const CHANGE_LIMIT_MS = 5_000;
/** How often a change is begun again when somebody else was faster. */
export const CHANGE_TRIES = 10;
