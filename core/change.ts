import type { Cell } from './cell.ts';
import type { Attempt, Position } from './ids.ts';
import type { RequestRecord } from './request-record.ts';

/** Stands in an update's row for a column whose value the source did not send because it did not change (PostgreSQL: an out-of-line TOAST value). */
export const unchanged: unique symbol = Symbol('unchanged');
export type ChangedCell = Cell | typeof unchanged;

/** One change of one row. `row` is positional in the table's column order (generated columns included), `key` in primary key order. */
export type RowChange =
  | { readonly kind: 'insert'; readonly table: string; readonly row: readonly Cell[] }
  /** `oldKey` is set only when the primary key changed. */
  | { readonly kind: 'update'; readonly table: string; readonly row: readonly ChangedCell[]; readonly oldKey: readonly Cell[] | null }
  | { readonly kind: 'delete'; readonly table: string; readonly key: readonly Cell[] }
  | { readonly kind: 'truncate'; readonly tables: readonly string[] };

/** What a source's log holds beside rows. */
export type LogSignal =
  /** Attempt whose end of history this is: no row of the workflow's tables follows before the source opens again. */
  | { readonly kind: 'marker'; readonly attempt: Attempt }
  /** A number that control wrote into the log to know when the stream has come this far. */
  | { readonly kind: 'watermark'; readonly id: number }
  /** The record of a write that is done once, written in this transaction for a table of the stream. That a record was removed is not told. */
  | { readonly kind: 'request'; readonly record: RequestRecord };

export type ChangeEvent = RowChange | LogSignal;

/** One committed transaction of the source, in commit order. */
export interface ChangeTransaction {
  /** What tells it from others in a `Visibility`; null: whoever reads the source sees it as soon as the log has it. */
  readonly id: number | null;
  /** Resuming from here delivers everything after this transaction and nothing of it. */
  readonly position: Position;
  /** How old the transaction was when the source sent it, in ms on the source's own clock. */
  readonly ageMs: number;
  readonly events: readonly ChangeEvent[];
}
