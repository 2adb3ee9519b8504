import { cellsOf, type ChunkRows, type CopiedChunk, type CopyProgress } from '../../backends/backend.ts';
import type { Cell } from '../../core/cell.ts';
import type { RowChange } from '../../core/change.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { replay } from './replay.ts';

export type WholeRow = readonly Cell[];

/** What is done with the rows when the player passes the window's end. */
export type WindowUse =
  /** Written to the target in the same transaction as this progress. */
  | { readonly kind: 'copy'; readonly progress: CopyProgress }
  /** Compared with the target's rows of these keys, between two transactions of the player. */
  | { readonly kind: 'compare'; readonly keys: readonly (readonly Cell[])[] }
  /** The target's rows of these keys are made the same, or removed where there are none, in the same transaction as the player's. */
  | { readonly kind: 'repair'; readonly keys: readonly (readonly Cell[])[] };

export interface WindowFill {
  readonly rows: ChunkRows;
  readonly use: WindowUse;
}

/** The same with the rows as they are at the window's end. */
export type WindowEnd = { readonly table: TableSchema } & (
  | ({ readonly kind: 'copy' } & Omit<CopiedChunk, 'table'>)
  | { readonly kind: 'compare' | 'repair'; readonly rows: ReadonlyMap<string, WholeRow>; readonly keys: readonly (readonly Cell[])[] }
);

/** Rows of the source and of the target by the text of their key, both as they were at one place of the source's history. */
export interface BothRows {
  readonly from: ReadonlyMap<string, WholeRow>;
  readonly to: ReadonlyMap<string, WholeRow>;
}

/**
 * A piece of the source's log between two watermarks, for rows of one table that were read between the writing of the two. The player records the table's changes between them; the rows with those changes
 * replayed are the rows at the window's end.
 */
export class LogWindow {
  readonly table: TableSchema;
  readonly low: number;
  readonly high: number;
  readonly #passed = Promise.withResolvers<BothRows | null>();
  readonly #changes: RowChange[] = [];
  #open = false;
  #fill: WindowFill | null = null;

  constructor(table: TableSchema, low: number, high: number) {
    this.table = table;
    this.low = low;
    this.high = high;
    // Whoever opened the window may have failed before it came to wait for this; the failure itself ends the player.
    this.#passed.promise.catch(() => undefined);
  }

  /** Resolves when the target has committed everything up to the window's end: with both sides' rows of a comparison, else with null. */
  get passed(): Promise<BothRows | null> {
    return this.#passed.promise;
  }

  /** Must be called before the high watermark is written. */
  fill(fill: WindowFill): void {
    this.#fill = fill;
  }

  begin(): void {
    this.#open = true;
  }

  record(change: RowChange): void {
    if (this.#open && (change.kind === 'truncate' ? change.tables.includes(this.table.name) : change.table === this.table.name)) this.#changes.push(change);
  }

  /** At the high watermark: the rows as they are there, and what they are for. */
  end(): WindowEnd {
    if (this.#fill === null || !this.#open) throw new Error(`the window ${this.low}–${this.high} of ${this.table.name} ended before it was read`);
    this.#open = false;
    const { table } = this;
    const { rows, use } = this.#fill;
    // Mostly nothing of the table has changed meanwhile, and a copy has no use for the keys' texts.
    if (use.kind === 'copy' && this.#changes.length === 0) return { table, kind: 'copy', rows, contiguous: true, progress: use.progress };
    const byKey = replay(table, cellsOf(rows), this.#changes);
    return use.kind === 'copy' ? { table, kind: 'copy', rows: [...byKey.values()], contiguous: false, progress: use.progress } : { table, ...use, rows: byKey };
  }

  settle(rows: BothRows | null): void {
    this.#passed.resolve(rows);
  }

  fail(error: unknown): void {
    this.#passed.reject(error);
  }
}
