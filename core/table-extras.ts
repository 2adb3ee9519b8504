import type { Cell } from './cell.ts';

/** What fills a column that an insert leaves out, where every kind of store has it. */
export type ColumnDefault =
  /** The next number of the store's own. */
  | { readonly kind: 'numbered' }
  | { readonly kind: 'value'; readonly cell: Cell }
  /** The time of the insert (the beginning of its transaction, of its statement or of its row, as the store has it) of a timestamp, its day of a date; in UTC. */
  | { readonly kind: 'now' };

/** A plain index that is no key: it refuses no row. */
export interface SecondaryIndex {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly descending: boolean }[];
}

/** One that is checked at once, holds where all its columns have values, and changes no row by itself: NO ACTION or RESTRICT. */
export interface ForeignKey {
  /** For people. */
  readonly name: string;
  readonly columns: readonly string[];
  readonly references: string;
  /** In the order of `columns`; together the primary key or a unique key there. */
  readonly referencedColumns: readonly string[];
}

/** What a table has beside its columns and keys, in terms that a store of any kind can be told. */
export interface TableExtras {
  /** By column. One that has none here, and yet `hasDefault`, has one that only its own kind of store understands. */
  readonly defaults: ReadonlyMap<string, ColumnDefault>;
  /** Labels of enums, by column, in the order that the enum has. */
  readonly labels: ReadonlyMap<string, readonly string[]>;
  readonly indexes: readonly SecondaryIndex[];
  readonly foreignKeys: readonly ForeignKey[];
  /** Secondary indexes that no store of another kind can be told, and checks that an earlier move has made, by name, for people. A like is made without them: that loses no row. */
  readonly leftOut: readonly string[];
}

export const noExtras: TableExtras = { defaults: new Map(), labels: new Map(), indexes: [], foreignKeys: [], leftOut: [] };
