import type { ColumnKind, ScalarKind } from './cell.ts';
import type { ColumnLimits } from './column-limits.ts';
import { SwitchyardError } from './switchyard-error.ts';

export interface ColumnSchema {
  readonly name: string;
  readonly kind: ColumnKind;
  /** Kind of an array's elements; only with kind `array`. */
  readonly elementKind?: ScalarKind;
  readonly nullable: boolean;
  /** The store fills the column when an insert leaves it out (default, sequence, identity). */
  readonly hasDefault: boolean;
  /** The store alone computes the column; a write that names it is refused. */
  readonly generated: boolean;
  /** The store alone numbers the column for whoever writes (GENERATED ALWAYS AS IDENTITY): a caller's write that names it is refused, a player writes it. */
  readonly numbered?: true;
  /** The store's own name of the type, for people and for casts: `character(84)`. */
  readonly nativeType: string;
  /** Of a domain: the type that its values are stored as, `numeric(12,2)`. */
  readonly storedType?: string;
  /**
   * Why a store of another kind could not hold the column's values, or its keys, to equality, with the statement or step that helps; completes "column x (type) …". Without meaning between stores of one kind. Left out where nothing
   * speaks against it.
   */
  readonly ownWay?: string;
  /** What the column does not hold of its kind. Without meaning between stores of one kind. Left out: it holds everything. */
  readonly limits?: ColumnLimits;
}

/** Whether only the store gives the column its values, as callers see it. */
export const isGiven = ({ generated, numbered }: ColumnSchema): boolean => generated || numbered === true;

/** The type that the column's values are stored as, behind all domains. */
export const storedTypeOf = ({ nativeType, storedType }: ColumnSchema): string => storedType ?? nativeType;

export interface UniqueKey {
  readonly name: string;
  readonly columns: readonly string[];
}

/** A table as a store describes it. The order of `columns` is the order of every positional row of the table. */
export interface TableSchema {
  /** Bare name in its keyspace. */
  readonly name: string;
  readonly columns: readonly ColumnSchema[];
  /** Column names in key order; never empty: tables without a primary key are not served. */
  readonly primaryKey: readonly string[];
  readonly uniqueKeys: readonly UniqueKey[];
  /** Digest of all of the above; differs whenever the shape differs. Comparable between stores of one kind. */
  readonly fingerprint: string;
  /** Kind of the store that has described it, where that is told by another service; left out: the kind of the store that was asked. */
  readonly storeKind?: string;
}

/** Kind of the store that the table is in. `asked`: kind of the store that has described it. */
export const storeKindOf = ({ storeKind }: TableSchema, asked: string): string => storeKind ?? asked;

/** Position of every primary key column in a positional row. */
export function keyIndexes(table: TableSchema): readonly number[] {
  return table.primaryKey.map((name) => table.columns.findIndex((column) => column.name === name));
}

/** What keeps rows of one table from being rows of the other, null when nothing does: columns by name, order and kind, and the primary key. */
export function shapeDifference(source: TableSchema, target: TableSchema): string | null {
  if (source.columns.length !== target.columns.length) return `${source.columns.length} columns against ${target.columns.length}`;
  for (const [index, column] of source.columns.entries()) {
    const other = target.columns[index];
    if (other === undefined || other.name !== column.name) return `column ${index + 1} is ${column.name} against ${other?.name ?? 'none'}`;
    if (other.kind !== column.kind || other.elementKind !== column.elementKind) return `column ${column.name} is ${column.nativeType} against ${other.nativeType}`;
  }
  if (source.primaryKey.join() !== target.primaryKey.join()) return `primary key (${source.primaryKey.join(', ')}) against (${target.primaryKey.join(', ')})`;
  return null;
}

/** The same for stores of two kinds, which in addition must both keep every value, and every key, as equal to itself and to nothing else. */
export function shapeDifferenceBetweenKinds(source: TableSchema, target: TableSchema): string | null {
  return ownWayOf(source) ?? ownWayOf(target) ?? shapeDifference(source, target);
}

/** The first column that only stores of the table's own kind can hold to equality, and why; null for none. */
export function ownWayOf({ columns }: TableSchema): string | null {
  const column = columns.find(({ ownWay }) => ownWay !== undefined);
  return column === undefined ? null : ownWayText(column);
}

/** What speaks against the column in a store of another kind, where anything does. */
export const ownWayText = ({ name, nativeType, ownWay }: ColumnSchema): string => `column ${name} (${nativeType}) ${ownWay}`;

/** COLUMN_UNKNOWN where the table has none of that name. */
export function columnNamed(table: TableSchema, name: string): ColumnSchema {
  const column = table.columns.find((candidate) => candidate.name === name);
  if (column === undefined) throw new SwitchyardError('COLUMN_UNKNOWN', `table "${table.name}" has no column "${name}"`, { metadata: { table: table.name, column: name } });
  return column;
}
