import { type ErrorReason, errorCatalogue } from '../../core/error-catalogue.ts';
import type { FailedTry } from '../bench/cutover/load-record.ts';
import type { KeyspaceName } from '../support/moves/move-state.ts';
import { flowLimitMs } from './flow.ts';
import type { Excuses } from './nemeses/nemesis.ts';
import { keyspaceOf, type Order } from './shuttle.ts';

/** A strike as the clients' clock has it. */
export interface Strike {
  readonly name: string;
  readonly fromMs: number;
  /** When all was healed. */
  readonly toMs: number;
  /** When all was seen to flow again. */
  readonly flowingMs: number;
  readonly excuses: Excuses;
}

export interface Accounts {
  /** Failed tries by reason, excused or not. */
  readonly byReason: Readonly<Record<string, number>>;
  /** Those that nothing explains. */
  readonly unexplained: readonly FailedTry[];
}

/** What the client's own end of the connection says, or a gateway that is about to start or to stop. */
const connectionReasons: ReadonlySet<string> = new Set(['PEER_UNREACHABLE', 'DEADLINE_EXCEEDED', 'CANCELLED', 'GATEWAY_NOT_READY']);
const storeReasons: ReadonlySet<string> = new Set(['OUTCOME_UNKNOWN', 'DEADLINE_EXCEEDED']);
const isRetryable = (reason: string): boolean => Object.hasOwn(errorCatalogue, reason) && errorCatalogue[reason as ErrorReason].retryable;

/** Stores that a call of this time may have needed: the one that serves, and the one that a cutover goes to. `orders`: all of the run, the tables begin in "old". */
function needed(orders: readonly Order[], fromMs: number, toMs: number): ReadonlySet<KeyspaceName> {
  const stores = new Set<KeyspaceName>();
  let serving: KeyspaceName = 'old';
  let certain = true;
  for (const { to, orderedMs, answeredMs, reason } of orders) {
    if (orderedMs > toMs) break;
    if (reason === null && answeredMs < fromMs) {
      serving = keyspaceOf(to);
      certain = true;
      continue;
    }
    // Under way then, or without a known end before.
    certain = false;
  }
  stores.add(serving);
  if (!certain) for (const store of ['old', 'new'] as const) stores.add(store);
  return stores;
}

/** A call may fail on a connection to a gateway that is killed or cut, or with a retryable reason while the store that it needs is down; in both cases until traffic has to flow again. Nothing else. */
export function settleAccounts(tries: readonly FailedTry[], strikes: readonly Strike[], orders: readonly Order[]): Accounts {
  const byReason: Record<string, number> = {};
  const unexplained: FailedTry[] = [];
  for (const failed of tries) {
    byReason[failed.reason] = (byReason[failed.reason] ?? 0) + 1;
    const explains = ({ fromMs, toMs, flowingMs, excuses }: Strike): boolean => {
      const { gateways, stores, lingersMs = 0 } = excuses;
      if (failed.endedMs < fromMs || failed.issuedMs > Math.max(toMs + flowLimitMs + lingersMs, flowingMs)) return false;
      if (connectionReasons.has(failed.reason) && gateways.includes(failed.gateway)) return true;
      if (!isRetryable(failed.reason) && !storeReasons.has(failed.reason)) return false;
      const wanted = needed(orders, failed.issuedMs, failed.endedMs);
      return stores.some(({ store, gateways: through }) => wanted.has(store) && (through === null || through.includes(failed.gateway)));
    };
    if (!strikes.some(explains)) unexplained.push(failed);
  }
  return { byReason, unexplained };
}
