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
}
/** `orderBy` is total: it ends with the primary key. `after` are the order columns' cells of the last row already seen. */
export interface QueryOperation {
  readonly filter: Filter | null;
  readonly orderBy: readonly OrderTerm[];
  readonly columns: readonly string[];
  readonly limit: number;
  readonly after: readonly Cell[] | null;
}

/** One write. Validated against the table's schema before it reaches a backend. */
export type WriteOperation =
  | { readonly kind: 'insert'; readonly table: string; readonly row: Row; readonly returning: readonly string[] }
  | { readonly kind: 'upsert'; readonly table: string; readonly row: Row; readonly returning: readonly string[] }
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
