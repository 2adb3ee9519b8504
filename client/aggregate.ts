import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ColumnKind } from '../core/cell.ts';
import { setOwnMember } from '../core/own-member.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { AggregateGroup, AggregationSchema } from '../gen/switchyard/data/v1/data_service_pb.ts';
import type { ColumnName, Present, TableType, ValueOf } from './table-type.ts';
import { columnOf, programValue } from './values.ts';

type IntegerKind = 'int16' | 'int32' | 'int64' | 'uint64';
type FloatKind = 'float32' | 'float64';
type SummedKind = IntegerKind | FloatKind | 'decimal';
type OrderedKind = SummedKind | 'text' | 'date' | 'time' | 'timestamp' | 'timestamptz';

type NameOf<T extends TableType, Kind extends ColumnKind> = { [K in ColumnName<T>]: T['columns'][K]['kind'] extends Kind ? K : never }[ColumnName<T>];

/** One number about the rows of a group. */
export type Aggregation<T extends TableType> =
  | 'count'
  | { readonly sum: NameOf<T, SummedKind>; readonly min?: never; readonly max?: never }
  | { readonly min: NameOf<T, OrderedKind>; readonly sum?: never; readonly max?: never }
  | { readonly max: NameOf<T, OrderedKind>; readonly sum?: never; readonly min?: never };

/** What to compute, by names of the program's own: `{ orders: 'count', turnover: { sum: 'total' } }`. */
export type Aggregations<T extends TableType> = { readonly group?: never } & { readonly [name: string]: Aggregation<T> };

type Computed<T extends TableType, A> = A extends 'count'
  ? bigint
  : A extends { readonly sum: infer K extends ColumnName<T> }
    ? (T['columns'][K]['kind'] extends FloatKind ? number : string) | null
    : A extends { readonly min: infer K extends ColumnName<T> } | { readonly max: infer K extends ColumnName<T> }
      ? Present<T['columns'][K]> | null
      : never;

/** The numbers of a group, and its value of the column that the groups are made by; null where there is one group of all. */
export type Aggregated<T extends TableType, A, G extends ColumnName<T>> = { readonly [N in keyof A]: Computed<T, A[N]> } & {
  readonly group: [G] extends [never] ? null : ValueOf<T['columns'][G]>;
};

const kinds = ['sum', 'min', 'max'] as const;

interface Asked {
  readonly kind: 'count' | (typeof kinds)[number];
  readonly column: string;
}

/** Aggregations, each with its name. ARGUMENT_INVALID names one that is none. */
export function asked(aggregations: Readonly<Record<string, unknown>>): readonly (Asked & { readonly name: string })[] {
  return Object.entries(aggregations).map(([name, aggregation]) => {
    if (name === 'group') throw new SwitchyardError('ARGUMENT_INVALID', "aggregations.group: this name is that of the group's own value; give the number another one");
    if (aggregation === 'count') return { name, kind: 'count', column: '' };
    const members = typeof aggregation === 'object' && aggregation !== null ? Object.entries(aggregation).filter(([, column]) => column !== undefined) : [];
    const [[member, column] = ['', '']] = members;
    const kind = kinds.find((each) => each === member);
    if (kind === undefined || members.length !== 1 || typeof column !== 'string')
      throw new SwitchyardError(
        'ARGUMENT_INVALID',
        `aggregations.${name}: got ${shown(aggregation, members)}; must be 'count' or one of { sum: column }, { min: column }, { max: column }`,
      );
    return { name, kind, column };
  });
}

export const aggregationMessage = ({ kind, column }: Asked): MessageInitShape<typeof AggregationSchema> =>
  kind === 'count' ? { kind: { case: 'count', value: {} } } : { kind: { case: kind, value: column } };

/** A group's numbers by their names. */
export function groupOf(table: TableType, all: ReturnType<typeof asked>, groupBy: string | undefined, { group, values }: AggregateGroup): Record<string, unknown> {
  const found: Record<string, unknown> = { group: group === undefined || groupBy === undefined ? null : programValue(columnOf(table, groupBy), group) };
  for (const [index, { name, kind, column }] of all.entries()) {
    const value = values[index];
    // A sum says by itself what it is.
    const type = kind === 'min' || kind === 'max' ? columnOf(table, column) : ({ kind: 'int64' } as const);
    if (value !== undefined) setOwnMember(found, name, programValue(type, value));
  }
  return found;
}

const shown = (aggregation: unknown, members: readonly (readonly [string, unknown])[]): string =>
  members.length === 0 ? String(aggregation) : `{ ${members.map(([kind, column]) => `${kind}: ${String(column)}`).join(', ')} }`;
