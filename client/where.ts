import type { MessageInitShape } from '@bufbuild/protobuf';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { Comparison_Operator as Operator, type FilterSchema } from '../gen/switchyard/data/v1/data_service_pb.ts';
import type { ColumnName, TableType, ValueOf } from './table-type.ts';
import { columnOf, wellFormed, wireValue } from './values.ts';

type WireFilter = MessageInitShape<typeof FilterSchema>;

/** What a column is asked for: several members must all hold. */
export interface Conditions<V> {
  readonly eq?: V;
  readonly ne?: V;
  readonly lt?: V;
  readonly lte?: V;
  readonly gt?: V;
  readonly gte?: V;
  /** 1 to 1,000 values. */
  readonly in?: readonly V[];
  /** Of texts and enums: begins with these characters. */
  readonly prefix?: string;
  /** Of texts and enums: "%" stands for any characters, "_" for one, a backslash before one of the three for itself. */
  readonly like?: string;
  readonly isNull?: boolean;
}

/** Columns that must all be as said: equal to a value, NULL, or under conditions. */
export type Columns<T extends TableType> = { readonly [K in ColumnName<T>]?: ValueOf<T['columns'][K]> | null | Conditions<NonNullable<ValueOf<T['columns'][K]>>> };

const parts = Symbol('parts');
/** Conditions that `and`, `or` and `not` have made of others. */
export interface Combined<T extends TableType> {
  readonly [parts]: { readonly kind: 'and' | 'or' | 'not'; readonly of: readonly Where<T>[] };
}
/** Which rows: `{ state: 'open', total: { gte: 100n } }`, or such ones joined by `and`, `or` and `not`. */
export type Where<T extends TableType> = Columns<T> | Combined<T>;

export const and = <T extends TableType>(...of: readonly Where<T>[]): Combined<T> => ({ [parts]: { kind: 'and', of } });
export const or = <T extends TableType>(...of: readonly Where<T>[]): Combined<T> => ({ [parts]: { kind: 'or', of } });
export const not = <T extends TableType>(of: Where<T>): Combined<T> => ({ [parts]: { kind: 'not', of: [of] } });

const operators = { eq: Operator.EQUAL, ne: Operator.NOT_EQUAL, lt: Operator.LESS, lte: Operator.LESS_OR_EQUAL, gt: Operator.GREATER, gte: Operator.GREATER_OR_EQUAL } as const;
const isOperator = (name: string): name is keyof typeof operators => Object.hasOwn(operators, name);

/** The filter that it means; undefined for every row. */
export function filterOf<T extends TableType>(table: T, where: Where<T> | undefined): WireFilter | undefined {
  if (where === undefined) return undefined;
  checkWhere(where);
  if (parts in where) {
    const { kind, of } = where[parts];
    const filters = of.flatMap((each) => filterOf(table, each) ?? []);
    if (filters.length !== of.length) throw new SwitchyardError('ARGUMENT_INVALID', `where: ${kind} of an empty condition, which every row fulfils; leave it out`);
    const [only] = filters;
    if (kind === 'not') return only === undefined ? undefined : { kind: { case: 'not', value: only } };
    return filters.length === 0 ? undefined : { kind: { case: kind, value: { filters } } };
  }
  const filters = Object.entries(where).flatMap(([column, asked]) => conditionsOn(table, column, asked));
  const [first] = filters;
  return filters.length <= 1 ? first : { kind: { case: 'and', value: { filters } } };
}

/** What has no columns to ask for would be no condition at all. */
function checkWhere(where: unknown): void {
  if (!isPlain(where))
    throw new SwitchyardError('ARGUMENT_INVALID', `where: got ${Object.prototype.toString.call(where)}; must be an object of columns, or what and, or and not make`);
  const [column] = Object.keys(where);
  if (parts in where && column !== undefined)
    throw new SwitchyardError('ARGUMENT_INVALID', `where.${column}: stands beside what and, or or not has made, and would be left out; join them by and`);
}

/** Bytes, arrays and maps are objects, too. */
function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function conditionsOn(table: TableType, column: string, asked: unknown): readonly WireFilter[] {
  const type = columnOf(table, column);
  const compared = (operator: Operator, value: unknown): WireFilter => ({ kind: { case: 'compare', value: { column, operator, value: wireValue(type, column, value) } } });
  // Left out silently it would be a guard that lets everything pass.
  if (asked === undefined) throw empty(column, 'undefined');
  if (asked === null) return [{ kind: { case: 'isNull', value: { column } } }];
  if (!isPlain(asked)) return [compared(Operator.EQUAL, asked)];
  if (Object.keys(asked).length === 0) throw empty(column, '{}');
  return Object.entries(asked).flatMap(([name, value]): readonly WireFilter[] => {
    if (value === undefined) throw empty(`${column}.${name}`, 'undefined');
    if (isOperator(name)) return [compared(operators[name], value)];
    switch (name) {
      case 'in':
        return [{ kind: { case: 'in', value: { column, values: (value as readonly unknown[]).map((each) => wireValue(type, column, each)) } } }];
      case 'prefix':
        return [{ kind: { case: 'prefix', value: { column, text: wellFormed(`${column}.prefix`, String(value)) } } }];
      case 'like':
        return [{ kind: { case: 'like', value: { column, pattern: wellFormed(`${column}.like`, String(value)) } } }];
      case 'isNull': {
        const isNull: WireFilter = { kind: { case: 'isNull', value: { column } } };
        return [value === true ? isNull : { kind: { case: 'not', value: isNull } }];
      }
      default:
        throw new SwitchyardError('ARGUMENT_INVALID', `where.${column}: got "${name}"; must be one of ${[...Object.keys(operators), 'in', 'prefix', 'like', 'isNull'].join(', ')}`);
    }
  });
}

const empty = (name: string, given: string): SwitchyardError =>
  new SwitchyardError('ARGUMENT_INVALID', `where.${name}: got ${given}, which asks for nothing; give null for NULL, or leave it out`);
