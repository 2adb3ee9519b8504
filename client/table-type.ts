import type { ColumnKind, ScalarKind } from '../core/cell.ts';

/** A column as a generated module describes it. */
export interface ColumnType {
  readonly kind: ColumnKind;
  /** Of an array: the kind of its elements. */
  readonly element?: ScalarKind;
  readonly nullable?: true;
  readonly hasDefault?: true;
  readonly generated?: true;
}

/** A table as a generated module describes it: `as const`, so that everything below is known when a program is compiled. */
export interface TableType {
  readonly name: string;
  readonly columns: Readonly<Record<string, ColumnType>>;
  readonly primaryKey: readonly string[];
}

/**
 * What a value of each kind is in a program. Nothing is rounded: 64-bit integers are bigints, decimals and JSON are texts, days and times are texts of ISO 8601 with six digits of a second ("2026-01-31T12:00:00.000001Z"; a timestamp without a zone
 * has no "Z"; "infinity" and "-infinity" where the store has them).
 */
interface Scalars {
  readonly bool: boolean;
  readonly int16: number;
  readonly int32: number;
  readonly int64: bigint;
  readonly uint64: bigint;
  readonly float32: number;
  readonly float64: number;
  readonly decimal: string;
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly uuid: string;
  readonly date: string;
  readonly time: string;
  readonly timestamp: string;
  readonly timestamptz: string;
  readonly json: string;
  readonly enum: string;
}

export type Present<C extends ColumnType> = C['kind'] extends ScalarKind
  ? Scalars[C['kind']]
  : C extends { readonly element: infer E extends ScalarKind }
    ? readonly (Scalars[E] | null)[]
    : never;

/** A column's value, NULL as null where it may be. */
export type ValueOf<C extends ColumnType> = C extends { readonly nullable: true } ? Present<C> | null : Present<C>;

export type ColumnName<T extends TableType> = Extract<keyof T['columns'], string>;
type ColumnOf<T extends TableType, K extends ColumnName<T>> = T['columns'][K];
type Settable<T extends TableType> = { [K in ColumnName<T>]: ColumnOf<T, K> extends { readonly generated: true } ? never : K }[ColumnName<T>];
type Optional<T extends TableType> = { [K in Settable<T>]: ColumnOf<T, K> extends { readonly nullable: true } | { readonly hasDefault: true } ? K : never }[Settable<T>];

/** A row as it is read: all columns, or these. */
export type RowOf<T extends TableType, K extends ColumnName<T> = ColumnName<T>> = { readonly [C in K]: ValueOf<ColumnOf<T, C>> };
/** A row to insert: what may be NULL or has a default may be left out. */
export type NewRowOf<T extends TableType> = { readonly [K in Exclude<Settable<T>, Optional<T>>]: ValueOf<ColumnOf<T, K>> } & {
  readonly [K in Optional<T>]?: ValueOf<ColumnOf<T, K>>;
};
export type KeyName<T extends TableType> = Extract<T['primaryKey'][number], ColumnName<T>>;
export type KeyOf<T extends TableType> = { readonly [K in KeyName<T>]: Present<ColumnOf<T, K>> };

const amount = Symbol('amount');
/** What `add` makes. */
export interface Amount<V> {
  readonly [amount]: V;
}
/** In the place of a number's new value: adds to what is there, in the store. */
export const add = <V extends number | bigint | string>(value: V): Amount<V> => ({ [amount]: value });
/** The value of an amount; undefined: it is none. */
export const amountOf = (value: unknown): unknown => (typeof value === 'object' && value !== null && amount in value ? value[amount] : undefined);

type NumberKind = 'int16' | 'int32' | 'int64' | 'uint64' | 'float32' | 'float64' | 'decimal';
type Change<C extends ColumnType> = ValueOf<C> | (C['kind'] extends NumberKind ? Amount<Present<C>> : never);
/** New values, or amounts to add. */
export type ChangesOf<T extends TableType> = { readonly [K in Settable<T>]?: Change<ColumnOf<T, K>> };
