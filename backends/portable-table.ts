import { createHash } from 'node:crypto';
import type { Length } from '../core/column-limits.ts';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import type { ColumnDefault, ForeignKey } from '../core/table-extras.ts';
import { type ColumnSchema, ownWayText, type TableSchema } from '../core/table-schema.ts';
import type { TableDefinition } from './backend.ts';

/* What every kind asks of a table that is defined for a store of another kind, before it makes the like of it in its own words. */

/** A table of another kind, in a store's own words. */
export type Described = Pick<TableDefinition, 'schema' | 'extras' | 'more'>;

/** The like of such a table. */
export interface PortableTable {
  /** They make the table, in order; indexes that are made later have statements of their own. */
  readonly statements: readonly string[];
  /** Indexes that the like has not, or has narrower than they were, each by name, for people. */
  readonly leftOut: readonly string[];
}

/** What a store makes of each of the table's columns. PRECHECK_FAILED names everything that no store of another kind could hold to equality or be told, and every column that this one refuses. */
export function portableColumns(definition: Described, make: (column: ColumnSchema) => string): readonly string[] {
  const { schema: table, more } = definition;
  const refuse = (why: string): never => {
    throw new SwitchyardError('PRECHECK_FAILED', `table "${table.name}" ${why}`, { metadata: { table: table.name } });
  };
  const ownWays = table.columns.filter(({ ownWay }) => ownWay !== undefined).map(ownWayText);
  const steps: readonly (() => readonly string[])[] = [
    () => (ownWays.length > 0 ? refuse(`cannot be moved to a store of another kind: ${ownWays.join('; ')}`) : []),
    () =>
      more.length > 0
        ? refuse(`has what only its own kind of store can be told: ${more.join('; ')}. Make the table in the target by hand, empty, with what it needs, and try again`)
        : [],
    ...table.columns.map((column) => () => {
      requireBounds(table, column);
      return [make(column)];
    }),
  ];
  return allOrRefused(steps, (step) => step()).flat();
}

const numberBound = /^-?\d{1,100}(?:\.\d{1,100})?$/;
const boundPatterns: Readonly<Partial<Record<ColumnSchema['kind'], RegExp>>> = {
  date: /^\d{4}-\d\d-\d\d$/,
  timestamp: /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$/,
  timestamptz: /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$/,
};

/** Bounds become part of the statement as they are. They come from another store, or from another Switchyard's. */
function requireBounds(table: TableSchema, column: ColumnSchema): void {
  const { least, most, characters, bytes } = column.limits ?? {};
  const isBound = (text: string | undefined): boolean => text === undefined || (boundPatterns[column.kind] ?? numberBound).test(text);
  const isLength = (length: Length | undefined): boolean => length === undefined || (Number.isSafeInteger(length.most) && length.most >= 0);
  if (isBound(least) && isBound(most) && isLength(characters) && isLength(bytes)) return;
  throw unlike(table, column, 'is described with limits that are none of its kind');
}

/** Makes something of each, or refuses with everything that is refused of any (PRECHECK_FAILED), a line each. */
export function allOrRefused<T, R>(parts: readonly T[], make: (part: T) => R): readonly R[] {
  const made: R[] = [];
  const refusals: SwitchyardError[] = [];
  for (const part of parts) {
    try {
      made.push(make(part));
    } catch (error) {
      if (!hasReason(error, 'PRECHECK_FAILED')) throw error;
      refusals.push(error);
    }
  }
  const [first] = refusals;
  if (first === undefined) return made;
  if (refusals.length === 1) throw first;
  throw new SwitchyardError('PRECHECK_FAILED', refusals.map(({ message }) => message).join('\n'), { metadata: { problems: String(refusals.length) }, cause: first });
}

/** What of a plan is run when the tables have their rows. */
export const afterCopy = (statements: readonly string[]): readonly string[] => (statements.length === 0 ? [] : ['-- after the copy:', ...statements]);

/** Lines behind the statements of a plan, which are no statements themselves. */
export function leftOutLines({ name }: TableSchema, leftOut: readonly string[]): readonly string[] {
  return leftOut.map((what) => `-- table "${name}": ${what}`.replaceAll(/\s+/g, ' '));
}

/** What a plan says of an index for which other kinds have no words; `what`: its definition. */
export const unlikeIndex = (name: string, what: string): string =>
  `index "${name}" has no like in another kind of store and is left out, make there by hand what serves instead: ${what}`;

/** What a plan says of the checks with which an earlier move has limited columns to what its other store could hold: their like is not made. */
export function exactChecksLine(names: readonly string[]): readonly string[] {
  if (names.length === 0) return [];
  const them = names.length === 1 ? 'it' : 'them';
  return [
    `${names.join(', ')}: made by an earlier move and left out. Drop ${them} in the source when that move is over: a value that only the target takes would end the way back`,
  ];
}

/** Whether the store numbers the column. */
export const isNumbered = ({ extras }: Described, { name }: ColumnSchema): boolean => extras.defaults.get(name)?.kind === 'numbered';

/** What fills the column, but for a number; null: nothing does. PRECHECK_FAILED for what only its own engine can fill it with. */
export function portableDefault({ schema, extras }: Described, column: ColumnSchema): Exclude<ColumnDefault, { kind: 'numbered' }> | null {
  if (column.generated) throw unlike(schema, column, 'is generated by an expression of another engine');
  if (!column.hasDefault) return null;
  const found = extras.defaults.get(column.name);
  if (found === undefined || found.kind === 'numbered') throw unlike(schema, column, 'has a default of another engine');
  return found.kind === 'value' && found.cell === null ? null : found;
}

/** The labels of an enum. PRECHECK_FAILED where they are not known. */
export function portableLabels({ schema, extras }: Described, column: ColumnSchema): readonly string[] {
  const labels = extras.labels.get(column.name);
  if (labels === undefined || labels.length === 0) throw unlike(schema, column, 'is an enum whose labels are not known');
  return labels;
}

/** Whether these columns, in any order, are the primary key or a unique key of the table: what a foreign key may lead to in every kind. */
export const isKeyOf = (table: TableSchema, columns: readonly string[]): boolean => keyLike(table, columns) !== null;

/** That key, in its own order; null: there is none. */
export function keyLike({ primaryKey, uniqueKeys }: TableSchema, columns: readonly string[]): readonly string[] | null {
  const isLike = (key: readonly string[]): boolean => key.length === columns.length && key.every((name) => columns.includes(name));
  return [primaryKey, ...uniqueKeys.map((unique) => unique.columns)].find(isLike) ?? null;
}

/** Foreign keys that lead to one of these tables. */
export const foreignKeysWithin = ({ extras }: Described, within: readonly string[]): readonly ForeignKey[] =>
  extras.foreignKeys.filter(({ references }) => within.includes(references));

/** The name, or, where it is longer than a store's names are, its beginning and a digest of all of it. */
export function shortName(name: string, fits: (name: string) => boolean): string {
  if (fits(name)) return name;
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 8);
  const characters = [...name];
  while (characters.length > 0 && !fits(`${characters.join('')}_${digest}`)) characters.pop();
  return `${characters.join('')}_${digest}`;
}

/** "(12,4)": precision and scale of a decimal, where its own engine's type has them, such as `numeric(12,4)`; empty otherwise. */
export function decimalModifiers({ kind, nativeType }: ColumnSchema): string {
  const [, precision, scale = '0'] = /\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)/.exec(nativeType) ?? [];
  return kind === 'decimal' && precision !== undefined ? `(${precision},${scale})` : '';
}

const byHand = 'Make the table there by hand, with columns of the same names, order and kinds, and try again';

/** The refusal of a column that has no like, with the way out. */
export function unlike(table: TableSchema, column: ColumnSchema, why: string, wayOut = byHand): SwitchyardError {
  const message = `table "${table.name}" cannot be made in the target as it is: column "${column.name}" (${column.nativeType}) ${why}. ${wayOut}`;
  return new SwitchyardError('PRECHECK_FAILED', message, { metadata: { table: table.name, column: column.name } });
}

/** The same of a column of a kind that no column of the target's store can be of: nobody can make it there by hand. */
export const withoutLike = (table: TableSchema, column: ColumnSchema, store: string): SwitchyardError =>
  unlike(
    table,
    column,
    `is of kind ${column.kind}, and ${store} has no type for that`,
    'The table cannot move there as it is: leave it where it is, or keep its values in columns of another kind in the source first',
  );
