import type { OwnerStore, ReplicationStore } from '../backends/backend.ts';
import type { Clock } from '../core/clock.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { within } from './time-limit.ts';

type Limits<Store, Left extends keyof Store> = Readonly<Record<Exclude<keyof Store, Left | typeof Symbol.asyncDispose>, number>>;

/** One look, or a short transaction. */
const ANSWER_MS = 10_000;
/** May wait 20 s for locks on tables in use, and for a reader that has to end. */
const LOCKS_MS = 60_000;
/** The same, and then for all the transactions that are open. */
const LOG_MS = 90_000;
/** Grows with the number of tables, and changes tables that are in use. */
const TABLES_MS = 600_000;
/** Of one table, however large it is. Whoever makes them waits beside everything else; that a connection is dead is found by the store itself, and that a service is silent by the calls which it is asked in. */
const INDEXES_MS = 86_400_000;

/**
 * What the owner is asked for. Each limit is longer than whatever the store itself may wait for, so that the store's own error, which knows why, comes first. Not `openFence`: a connection that comes too late has to be closed by whoever
 * asked for it, who has a limit of his own.
 */
const ownerLimits: Limits<OwnerStore, 'openFence'> = {
  install: TABLES_MS,
  expireRequests: LOCKS_MS,
  watch: LOCKS_MS,
  watched: ANSWER_MS,
  expireEvents: LOCKS_MS,
  checkStore: LOCKS_MS,
  checkTables: TABLES_MS,
  checkQuiet: ANSWER_MS,
  define: TABLES_MS,
  planTables: ANSWER_MS,
  createTables: TABLES_MS,
  createIndexes: INDEXES_MS,
  dropTables: TABLES_MS,
  claim: TABLES_MS,
  // Waits for writers whose transactions have looked at the row.
  disown: LOCKS_MS,
  saveRights: ANSWER_MS,
  gatewayRights: ANSWER_MS,
  createLog: LOG_MS,
  dropLog: LOCKS_MS,
  keptLogs: ANSWER_MS,
  dropKeptLog: LOCKS_MS,
  trimLogs: LOCKS_MS,
  streamToken: ANSWER_MS,
  beginStream: LOCKS_MS,
  dropStream: ANSWER_MS,
  sequences: ANSWER_MS,
  raiseSequences: ANSWER_MS,
  fenceRows: ANSWER_MS,
  relaxFence: LOCKS_MS,
};

/** Of the player only what it is asked for beside a stream. */
const playerLimits: Partial<Limits<ReplicationStore, 'follow'>> = { checkLogin: ANSWER_MS, describe: ANSWER_MS, estimateRows: ANSWER_MS };

/** The owner's store, of which no question is waited for for ever: a store that is silent, whose connections do not even break, would hang whoever asks. STORE_UNAVAILABLE names store and question; it may have been done all the same. */
export const limitedOwner = (store: OwnerStore, keyspace: string, clock: Clock): OwnerStore => limited(store, ownerLimits, keyspace, clock);

export const limitedPlayer = (store: ReplicationStore, keyspace: string, clock: Clock): ReplicationStore => limited(store, playerLimits, keyspace, clock);

type Call = (...args: readonly unknown[]) => Promise<unknown>;

function limited<Store extends object>(store: Store, limits: Readonly<Record<string, number>>, keyspace: string, clock: Clock): Store {
  const get = (target: Store, name: string | symbol): unknown => {
    const member: unknown = Reflect.get(target, name, target);
    if (typeof member !== 'function') return member;
    const call = member.bind(target) as Call;
    const limitMs = typeof name === 'string' && Object.hasOwn(limits, name) ? limits[name] : undefined;
    if (limitMs === undefined) return call;
    const late = (): SwitchyardError => new SwitchyardError('STORE_UNAVAILABLE', `"${keyspace}" did not answer within ${limitMs / 1_000} s (${String(name)})`);
    // Whatever waits is given its signal last.
    return (...args: readonly unknown[]) => within(clock, limitMs, late, args.at(-1) as AbortSignal, (signal) => call(...args.slice(0, -1), signal));
  };
  return new Proxy(store, { get });
}
