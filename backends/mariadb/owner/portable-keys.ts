import type { ScalarKind } from '../../../core/cell.ts';
import type { SecondaryIndex } from '../../../core/table-extras.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import { type Described, isNumbered, unlike } from '../../portable-table.ts';
import { quoteIdentifier } from '../connection.ts';

/* How long texts may be in the keys and indexes of a table that comes from another kind of store. */

/** Bytes of a key that each kind takes; a decimal at most. Texts and bytes have a length of their own. */
const keyBytes: Readonly<Partial<Record<ScalarKind, number>>> = {
  bool: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  uint64: 8,
  float32: 4,
  float64: 8,
  decimal: 30,
  uuid: 16,
  date: 3,
  time: 6,
  timestamp: 8,
  timestamptz: 7,
  enum: 2,
};

const NAME_CHARACTERS = 64;
/** Bytes of a key or of an index at most, its columns together, and of a character. */
const KEY_BYTES = 3_072;
const CHARACTER_BYTES = 4;
/** For NULL and for a length. */
const OVERHEAD_BYTES = 3;
/** A text or bytes of a key are given this much room at least, or there is no like. */
const LEAST_KEY_LENGTH = 32;
/** So much of a text without a length is in an index, as it has long been usual. */
const PREFIX_CHARACTERS = 191;

/** A table whose columns that are parts of keys are known. */
export interface KeyedTable extends Described {
  /** Primary key, unique keys and those columns that lead to other tables: texts in them are whole. */
  readonly keys: readonly (readonly string[])[];
  readonly foreignKeys: readonly LeadingKey[];
}

/** A foreign key to a table that is there, in the order of the key that it leads to. */
export interface LeadingKey {
  readonly columns: readonly string[];
  readonly parent: TableSchema;
  readonly referencedColumns: readonly string[];
}

/** Length of a text or of bytes that is part of keys, in characters or bytes: its own where it has one, or what is left in the narrowest of the keys. PRECHECK_FAILED: too little. */
export function keyLength({ schema: table, keys }: KeyedTable, column: ColumnSchema): number {
  const room = Math.min(...keys.filter((key) => key.includes(column.name)).map((key) => roomIn(table, key)));
  const length = Math.floor(room / unit(column));
  const own = ownLength(column);
  if (own !== null && own <= length) return own;
  const needed = own ?? LEAST_KEY_LENGTH;
  if (length < needed) throw unlike(table, column, `is part of a key that would be longer than the ${KEY_BYTES} bytes that MariaDB allows`);
  return length;
}

/** Bytes for each column of the key that has no length of its own. */
function roomIn(table: TableSchema, key: readonly string[]): number {
  const columns = key.map((name) => columnNamed(table, name));
  const isFree = (column: ColumnSchema): boolean => (column.kind === 'text' || column.kind === 'bytes') && ownLength(column) === null;
  const taken = columns.reduce((sum, column) => sum + OVERHEAD_BYTES + (isFree(column) ? 0 : fixedBytes(column)), 0);
  const free = columns.filter(isFree).length;
  return free === 0 ? KEY_BYTES : Math.floor((KEY_BYTES - taken) / free);
}

function fixedBytes(column: ColumnSchema): number {
  if (column.kind === 'array') return 0;
  return keyBytes[column.kind] ?? (ownLength(column) ?? 0) * unit(column);
}

const unit = ({ kind }: ColumnSchema): number => (kind === 'bytes' ? 1 : CHARACTER_BYTES);

/** In characters; of a type whose length is one of bytes there is none. */
const ownLength = ({ kind, limits }: ColumnSchema): number | null => (kind === 'text' ? limits?.characters : limits?.bytes)?.most ?? null;

/** The index's name with a blank behind, where MariaDB has such names; nothing: the server finds one. */
export function indexName(name: string): string {
  const isName = [...name].length <= NAME_CHARACTERS && !/[\0\u{10000}-\u{10ffff}]| $|^primary$/iu.test(name) && name !== '';
  return isName ? `${quoteIdentifier(name)} ` : '';
}

/** A key that is added when the table has its rows. */
export interface LaterKey {
  readonly name: string;
  /** Its columns, with the brackets, and what else stands behind the name. */
  readonly rest: string;
}

/**
 * The indexes as CREATE TABLE takes them, with one that the table's numbers need where there is none; those that are added later; and those for which there is no room. With the table come those that it needs at once, for its numbers or a foreign key, and
 * those that could not be known again: for which the server finds a name, or whose name it might have found for another key.
 */
export function portableIndexes(made: KeyedTable): { readonly texts: readonly string[]; readonly later: readonly LaterKey[]; readonly leftOut: readonly string[] } {
  const { schema: table, extras, keys, foreignKeys } = made;
  const numbered = table.columns.find((column) => isNumbered(made, column));
  const leading = foreignKeys.map(({ columns: [first] }) => first);
  // It names such a key by its first column, and with a number behind where there is one of that name.
  const found = [...leading, ...table.uniqueKeys.filter(({ name }) => indexName(name) === '').map(({ columns: [first] }) => first)].map((name) => (name ?? '').toLowerCase());
  const isLater = (name: string, first: string | undefined): boolean =>
    indexName(name) !== '' && first !== numbered?.name && !leading.includes(first) && !found.some((begin) => name.toLowerCase().startsWith(begin));
  const taken = new Set(table.uniqueKeys.map(({ name }) => name.toLowerCase()));
  const texts: string[] = [];
  const later: LaterKey[] = [];
  const leftOut: string[] = [];
  for (const index of extras.indexes) {
    const columns = indexColumns(made, index);
    // To the server names that differ only in case are one.
    const isTaken = taken.has(index.name.toLowerCase());
    taken.add(index.name.toLowerCase());
    if (columns === null) leftOut.push(`index "${index.name}" is left out: it would be longer than the ${KEY_BYTES} bytes that MariaDB allows`);
    else if (!isTaken && isLater(index.name, index.columns[0]?.name)) later.push({ name: index.name, rest: `(${columns})` });
    else texts.push(`KEY ${isTaken ? '' : indexName(index.name)}(${columns})`);
  }
  const begins = [...keys, ...extras.indexes.map(({ columns }) => columns.map((column) => column.name))].some(([first]) => first === numbered?.name);
  return { texts: numbered === undefined || begins ? texts : [...texts, `KEY (${quoteIdentifier(numbered.name)})`], later, leftOut };
}

/** Of a text as much as is usual, and as there is room for. Null: there is none. */
function indexColumns(made: KeyedTable, { columns }: SecondaryIndex): string | null {
  const { schema: table, keys } = made;
  const parts = columns.map(({ name, descending }) => ({ column: columnNamed(table, name), descending }));
  const isLong = ({ kind }: ColumnSchema): boolean => kind === 'text' || kind === 'bytes' || kind === 'json';
  const taken = parts.reduce((sum, { column }) => sum + OVERHEAD_BYTES + (isLong(column) ? 0 : fixedBytes(column)), 0);
  const share = Math.floor((KEY_BYTES - taken) / parts.filter(({ column }) => isLong(column)).length);
  if (share <= 0) return null;
  const texts = parts.map(({ column, descending }) => {
    const order = descending ? ' DESC' : '';
    if (!isLong(column)) return `${quoteIdentifier(column.name)}${order}`;
    const whole = keys.some((key) => key.includes(column.name)) ? keyLength(made, column) : null;
    const wanted = whole ?? Math.min(ownLength(column) ?? Number.POSITIVE_INFINITY, Math.floor((PREFIX_CHARACTERS * CHARACTER_BYTES) / unit(column)));
    const length = Math.min(wanted, Math.floor(share / unit(column)));
    return `${quoteIdentifier(column.name)}${length === whole ? '' : `(${Math.max(length, 1)})`}${order}`;
  });
  return texts.join(', ');
}
