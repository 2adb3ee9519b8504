import type { Attempt } from './ids.ts';
import type { Row } from './operation.ts';
import type { SwitchyardError } from './switchyard-error.ts';

/** Where an event stands among all events of its table, in whichever store: by attempt, then by number. */
export interface EventPlace {
  readonly attempt: Attempt;
  readonly number: bigint;
}

/** One change of a watched table, as its writer wrote it down. */
export interface TableEvent extends EventPlace {
  readonly kind: 'insert' | 'update' | 'delete' | 'truncate';
  /** Null for an insert. */
  readonly before: Row | null;
  /** Null for a delete. */
  readonly after: Row | null;
  /** On the store's clock, in µs since 1970-01-01T00:00:00Z. */
  readonly changedAtMicros: bigint;
}

export const isBehind = (a: EventPlace, b: EventPlace): boolean => a.attempt > b.attempt || (a.attempt === b.attempt && a.number > b.number);

/** Events of one look, in order. */
export interface TableEvents {
  readonly events: readonly TableEvent[];
  /** Events behind them were left out, for they had become too large together, or the next one is `unreadable`. */
  readonly cut: boolean;
  /** The event behind these, where a value of it cannot be read (VALUE_UNSUPPORTED); null: there is none such. */
  readonly unreadable: (EventPlace & { readonly error: SwitchyardError }) | null;
}

/** How far a store's events can be read. */
export interface EventLine {
  /** Up to this number nothing can come any more. */
  readonly complete: bigint;
  /** The highest number that has been given. */
  readonly last: bigint;
}
