import type { Clock } from '../../core/clock.ts';
import { mayRead } from '../../core/fence.ts';
import { placeOf, type TableRef } from '../../core/routing-table.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { FenceView, Look } from '../rules/fence-view.ts';
import type { Routing } from '../rules/routing.ts';
import type { Holds } from './hold.ts';

export interface BouncesOptions {
  readonly routing: Routing;
  readonly fenceView: FenceView;
  readonly holds: Holds;
  readonly clock: Clock;
}

/**
 * Whether a store says that nothing was applied because it may not serve the table: its fence stands in the way, or the table is not there, as when a workflow has ended and dropped it where it is served no more.
 */
export const isBounce = (error: unknown): error is SwitchyardError => hasReason(error, 'FENCED', 'TABLE_UNKNOWN');

/** What the rows said after a call's last bounce. */
export interface Bounce {
  /** Keyspace, state and attempt of rows that do not explain the bounce; empty where they do. */
  readonly unexplained: string;
  /** Looks in a row that did not get an answer of the store that bounced the call. */
  readonly unanswered: number;
}

const lookLimitMs = 250;
/** A torn look at two stores, one before and one after a switch, shows both CLOSED: the next one does not. */
const tornMs = 2;
const unansweredMs = 10;
const mostUnanswered = 20;

/**
 * Decides what becomes of a call that has bounced off a store. That may have had another reason than a cutover: it is so when the table has no fence row at all, or when the row of the store that rejected the call has twice
 * in a row allowed what was rejected, at one and the same attempt. Then a fence's rejection is STORE_DENIED, and an unknown table is just that.
 */
export class Bounces {
  readonly #options: BouncesOptions;

  constructor(options: BouncesOptions) {
    this.#options = options;
  }

  /** What a table is held together with; null where it can neither be held by a rule nor has fence rows. */
  groupOf(ref: TableRef): string | null {
    return ref.group ?? this.#options.fenceView.find(ref)?.group ?? null;
  }

  /** Looks at the rows of these tables and all that move with them. */
  async lookAgain(signal: AbortSignal, refs: readonly TableRef[]): Promise<void> {
    await this.#look(signal, refs, 'write');
  }

  /** Returns when the read may be tried again where the table is readable now. */
  async read(signal: AbortSignal, ref: TableRef, keyspace: string, last: Bounce | null, error: SwitchyardError): Promise<Bounce> {
    const { fenceView, clock } = this.#options;
    for (;;) {
      const look = await this.#look(signal, [ref], 'read');
      const fenced = fenceView.find(ref);
      if (!look.answered.has(keyspace) && (fenced === null || fenced.home === keyspace)) return await this.#unanswered(signal, look, keyspace, last, error);
      if (fenced === null) throw noCutover(ref, keyspace, error);
      if (fenced.readable) return this.#judge(look, [ref], keyspace, fenced.home, (row) => mayRead(row.state), last, error);
      await clock.sleep(tornMs, signal);
    }
  }

  /** Returns when the write may be tried again, or must wait for a hold that has begun. */
  async write(signal: AbortSignal, refs: readonly TableRef[], keyspace: string, last: Bounce | null, error: SwitchyardError): Promise<Bounce> {
    const { fenceView, holds } = this.#options;
    const look = await this.#look(signal, refs, 'write');
    const fenced = refs.map((ref) => fenceView.find(ref));
    const open = fenced.every((table) => table === null || table.openRow !== null);
    const home = fenced.find((table) => table !== null)?.home ?? keyspace;
    if (!look.answered.has(keyspace) && home === keyspace && open) return await this.#unanswered(signal, look, keyspace, last, error);
    const first = refs[0];
    if (first !== undefined && fenced.every((table) => table === null)) throw noCutover(first, keyspace, error);
    if (open) return this.#judge(look, refs, keyspace, home, (row) => row.state === 'OPEN', last, error);
    for (const ref of refs) {
      const table = fenceView.find(ref);
      const group = this.groupOf(ref);
      if (group !== null && table !== null && table.openRow === null) holds.bounced(group, [ref]);
    }
    return { unexplained: '', unanswered: 0 };
  }

  async #look(signal: AbortSignal, refs: readonly TableRef[], purpose: 'read' | 'write'): Promise<Look> {
    const { routing, fenceView, holds } = this.#options;
    const together = new Set(refs);
    for (const ref of refs) for (const other of routing.tablesOf(this.groupOf(ref) ?? '')) together.add(other);
    const look = await fenceView.look(fenceView.subjectOf([...together]), purpose, lookLimitMs, signal);
    holds.rowsLearned();
    return look;
  }

  #judge(
    look: Look,
    refs: readonly TableRef[],
    keyspace: string,
    home: string,
    allows: (row: { readonly state: 'OPEN' | 'FROZEN' | 'SEALED' | 'CLOSED' | 'READABLE' }) => boolean,
    last: Bounce | null,
    error: SwitchyardError,
  ): Bounce {
    if (home !== keyspace) return { unexplained: '', unanswered: 0 };
    const rows = refs.flatMap((ref) => look.rows.get(placeOf(keyspace, ref.table)) ?? []);
    if (!rows.every(allows)) return { unexplained: '', unanswered: 0 };
    const unexplained = rows.map((row) => `${keyspace}.${row.table} ${row.state} ${row.attempt}`).join(', ');
    const first = refs[0];
    if (unexplained !== '' && unexplained === last?.unexplained && first !== undefined) throw noCutover(first, keyspace, error);
    return { unexplained, unanswered: 0 };
  }

  /** The store that rejected the call does not tell why: tries again for a while, then gives the rejection itself. */
  async #unanswered(signal: AbortSignal, look: Look, keyspace: string, last: Bounce | null, error: SwitchyardError): Promise<Bounce> {
    const unanswered = (last?.unanswered ?? 0) + 1;
    if (unanswered > mostUnanswered) {
      if (error.reason !== 'FENCED') throw error;
      const cause = look.failed.get(keyspace) ?? error;
      throw new SwitchyardError('FENCED', `keyspace "${keyspace}" rejected the call by its fence, and its fence rows cannot be read; not applied`, { cause, retryAfterMs: 200 });
    }
    await this.#options.clock.sleep(unansweredMs, signal);
    return { unexplained: last?.unexplained ?? '', unanswered };
  }
}

/** What the caller is told of a bounce that no cutover explains. */
export function noCutover(ref: TableRef, keyspace: string, error: SwitchyardError): SwitchyardError {
  if (error.reason !== 'FENCED') return error;
  const message = `the store of keyspace "${keyspace}" denies the gateway a right on table "${ref.table}" that no cutover has taken away: ${error.message} (run the script that "switchyard keyspace grants ${keyspace}" prints)`;
  return new SwitchyardError('STORE_DENIED', message, { metadata: { table: ref.table, keyspace }, cause: error });
}
