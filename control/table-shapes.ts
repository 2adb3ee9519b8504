import { type ColumnSchema, ownWayOf, shapeDifferenceBetweenKinds, storeKindOf, type TableSchema } from '../core/table-schema.ts';
import type { Side } from './move.ts';

/** What keeps rows of the table `there` from being rows of the table `here`, as what is wrong here; null: nothing. Between stores of one kind the definitions are compared, between two what rows are made of. */
export function unlikeness(from: Pick<Side, 'kind'>, there: TableSchema, to: Pick<Side, 'kind'>, here: TableSchema): string | null {
  if (storeKindOf(there, from.kind) === storeKindOf(here, to.kind)) return definitionDifference(there, here);
  const difference = shapeDifferenceBetweenKinds(there, here);
  if (difference === null) return null;
  return ownWayOf(there) ?? ownWayOf(here) ?? joined(shapeDifferences(there, here, (column, wanted) => column.kind === wanted.kind && column.elementKind === wanted.elementKind));
}

/** How the definition of a table differs from the one that it should have, in stores of one kind: columns, then keys, then what the store says of the columns. Null: not at all. */
export function definitionDifference(wanted: TableSchema, found: TableSchema): string | null {
  if (wanted.fingerprint === found.fingerprint) return null;
  const shapes = shapeDifferences(wanted, found, (column, other) => column.nativeType === other.nativeType && column.storedType === other.storedType);
  return joined([...shapes, ...ruleDifferences(wanted, found), ...uniqueDifferences(wanted, found)]);
}

const joined = (differences: readonly string[]): string => (differences.length === 0 ? 'their definitions' : differences.join('; '));

function shapeDifferences(wanted: TableSchema, found: TableSchema, isLike: (column: ColumnSchema, wanted: ColumnSchema) => boolean): readonly string[] {
  const names = (table: TableSchema): readonly string[] => table.columns.map(({ name }) => name);
  const [missing, extra] = [without(names(wanted), names(found)), without(names(found), names(wanted))];
  const types = pairs(wanted, found).flatMap(([column, other]) => (isLike(other, column) ? [] : [`column "${column.name}" is ${other.nativeType}, not ${column.nativeType}`]));
  const common = (of: TableSchema): string =>
    names(of)
      .filter((name) => !missing.includes(name) && !extra.includes(name))
      .join(', ');
  return [
    ...missing.map((name) => `column "${name}" is missing`),
    ...extra.map((name) => `column "${name}" is extra`),
    ...types,
    ...(common(wanted) === common(found) ? [] : [`the order of the columns is ${common(found)}, not ${common(wanted)}`]),
    ...(wanted.primaryKey.join() === found.primaryKey.join() ? [] : [`the primary key is (${found.primaryKey.join(', ')}), not (${wanted.primaryKey.join(', ')})`]),
  ];
}

const rules: readonly (readonly [is: (column: ColumnSchema) => boolean, yes: string, no: string])[] = [
  [({ nullable }) => nullable, 'may be null', 'may not be null'],
  [({ hasDefault }) => hasDefault, 'has a default', 'has no default'],
  [({ generated }) => generated, 'is generated', 'is not generated'],
  [({ numbered }) => numbered === true, 'is numbered by the store alone', 'is not numbered by the store alone'],
];

const ruleDifferences = (wanted: TableSchema, found: TableSchema): readonly string[] =>
  pairs(wanted, found).flatMap(([column, other]) => rules.flatMap(([is, yes, no]) => (is(column) === is(other) ? [] : [`column "${column.name}" ${is(other) ? yes : no}`])));

function uniqueDifferences(wanted: TableSchema, found: TableSchema): readonly string[] {
  const keys = ({ uniqueKeys }: TableSchema): readonly string[] => uniqueKeys.map(({ name, columns }) => `${name} (${columns.join(', ')})`);
  return [...without(keys(wanted), keys(found)).map((key) => `unique key ${key} is missing`), ...without(keys(found), keys(wanted)).map((key) => `unique key ${key} is extra`)];
}

/** The columns that both have, by name. */
const pairs = (wanted: TableSchema, found: TableSchema): readonly (readonly [ColumnSchema, ColumnSchema])[] =>
  wanted.columns.flatMap((column) => {
    const other = found.columns.find(({ name }) => name === column.name);
    return other === undefined ? [] : [[column, other] as const];
  });

const without = (all: readonly string[], some: readonly string[]): readonly string[] => all.filter((one) => !some.includes(one));
