import type { Cell } from './cell.ts';

/** Cells with their column names, both in the same order. `columns` may be shared between rows. */
export interface Row {
  readonly columns: readonly string[];
  readonly cells: readonly Cell[];
}

export type CompareOperator = '=' | '<>' | '<' | '<=' | '>' | '>=';
export type Filter =
  | { readonly kind: 'compare'; readonly column: string; readonly operator: CompareOperator; readonly value: Cell }
  | { readonly kind: 'in'; readonly column: string; readonly values: readonly Cell[] }
  | { readonly kind: 'isNull'; readonly column: string }
  | { readonly kind: 'prefix'; readonly column: string; readonly text: string }
  /** See `core/like-pattern.ts`. */
  | { readonly kind: 'like'; readonly column: string; readonly pattern: string }
  /** Columns as one value, compared from the left; as many values as columns, at least two. */
  | { readonly kind: 'tuple'; readonly columns: readonly string[]; readonly operator: CompareOperator; readonly values: readonly Cell[] }
  | { readonly kind: 'and' | 'or'; readonly filters: readonly Filter[] }
  | { readonly kind: 'not'; readonly filter: Filter };

export interface OrderTerm {
  readonly column: string;
  readonly descending: boolean;
}

/** Keys are positional, in primary key order. `columns` are the columns to return, never empty. */
export interface GetOperation {
  readonly key: readonly Cell[];
  readonly columns: readonly string[];
}
export interface BatchGetOperation {
  readonly keys: readonly (readonly Cell[])[];
  readonly columns: readonly string[];
  /** Rows that come to more bytes, roughly, are refused: RESULT_TOO_LARGE. One row alone never is. Left out: none are. */
  readonly maxBytes?: number;
}
/** `orderBy` is total: it ends with the primary key. `after` are the order columns' cells of the last row already seen. */
export interface QueryOperation {
  readonly filter: Filter | null;
  readonly orderBy: readonly OrderTerm[];
  readonly columns: readonly string[];
  readonly limit: number;
  /** The page ends before the row with which it would come to more bytes, roughly, but not before its first: so no store's answer fills the memory. Left out: it does not. */
  readonly maxBytes?: number;
  readonly after: readonly Cell[] | null;
}
export interface QueryPage {
  readonly rows: readonly Row[];
  /** Whether rows that match are left behind them. */
  readonly more: boolean;
}

/** Of the rows that match: how many there are; the sum, smallest or largest value of a column, NULLs left aside. */
export type Aggregation = { readonly kind: 'count' } | { readonly kind: 'sum' | 'min' | 'max'; readonly column: string };
export interface AggregateOperation {
  readonly filter: Filter | null;
  readonly aggregations: readonly Aggregation[];
  /** Null: all rows are one group, also where there are none. */
  readonly groupBy: string | null;
  /** Groups at most; the store answers with the first ones in the column's order, NULL behind all others. */
  readonly limit: number;
}
export interface AggregateGroup {
  /** Null without `groupBy`, and of the rows where its column is NULL. */
  readonly group: Cell;
  /** One for each aggregation, as a cell of `aggregateColumn`; of no values NULL, a count 0. */
  readonly values: readonly Cell[];
}

export type IsolationLevel = 'read committed' | 'repeatable read' | 'serializable';
/** What keeps others from changing rows that a transaction has read. */
export type RowLock = 'share' | 'update';

/** One write. Validated against the table's schema before it reaches a backend. */
export type WriteOperation =
  | { readonly kind: 'insert'; readonly table: string; readonly row: Row; readonly returning: readonly string[] }
  /** If the row exists it must satisfy the precondition; a new row need not. */
  | { readonly kind: 'upsert'; readonly table: string; readonly row: Row; readonly precondition: Filter | null; readonly returning: readonly string[] }
  | {
      readonly kind: 'update';
      readonly table: string;
      readonly key: readonly Cell[];
      readonly set: Row;
      readonly add: Row;
      readonly precondition: Filter | null;
      readonly returning: readonly string[];
    }
  | {
      readonly kind: 'delete';
      readonly table: string;
      readonly key: readonly Cell[];
      readonly precondition: Filter | null;
      readonly allowMissing: boolean;
    };

export interface WriteResult {
  /** The returned columns; of a delete null. */
  readonly row: Row | null;
  /** Of a delete: whether there was a row. True for every other write. */
  readonly found: boolean;
}
