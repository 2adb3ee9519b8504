import type { Cell, ScalarKind } from '../../../core/cell.ts';
import { limitCondition, type LimitWords } from '../../../core/column-limits.ts';
import { hasReason } from '../../../core/switchyard-error.ts';
import type { SecondaryIndex } from '../../../core/table-extras.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import { decimalModifiers, type Described, isNumbered, keyLike, type PortableTable, portableColumns, portableDefault, portableLabels, unlike } from '../../portable-table.ts';
import { cellToParameter } from '../cells.ts';
import { quoteIdentifier, quoteText } from '../connection.ts';

/** How each kind is declared so that MariaDB keeps its values exactly and `describe` finds the same kind again, and how many bytes of a key it takes. Texts, bytes, decimals and enums have a length of their own. */
const declaredTypes: Readonly<Partial<Record<ScalarKind, readonly [type: string, keyBytes: number]>>> = {
  bool: ['tinyint(1)', 1],
  int16: ['smallint', 2],
  int32: ['int', 4],
  int64: ['bigint', 8],
  uint64: ['bigint unsigned', 8],
  float32: ['float', 4],
  float64: ['double', 8],
  uuid: ['uuid', 16],
  date: ['date', 3],
  time: ['time(6)', 6],
  timestamp: ['datetime(6)', 8],
  timestamptz: ['timestamp(6)', 7],
};

/** Begins the names of checks that are no rules of the application's. */
export const CHECK_PREFIX = 'switchyard_exact_';

const LARGEST_PRECISION = 65;
const LARGEST_SCALE = 38;
const LARGEST_DECIMAL_BYTES = 30;
const ENUM_BYTES = 2;
const LABEL_CHARACTERS = 255;
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
/** Microseconds of the first and the last timestamp. */
const FIRST_TIMESTAMP = 1n;
const LAST_TIMESTAMP = 2n ** 31n * 1_000_000n - 1n;

/**
 * The like of another kind's table, with its indexes and its foreign keys to tables of `within`. A text in a key has as much room as MariaDB's keys allow; one that is longer is refused when it comes. PRECHECK_FAILED for what has no like here,
 * naming every column.
 */
export function portableTable(definition: Described, within: readonly TableSchema[]): PortableTable {
  const { schema: table, extras } = definition;
  const foreignKeys = keysWithin(definition, within);
  const made = { ...definition, foreignKeys, keys: [table.primaryKey, ...table.uniqueKeys.map(({ columns }) => columns), ...foreignKeys.map(({ columns }) => columns)] };
  const columns = portableColumns(definition, (column) => columnText(made, column));
  const indexes = indexTexts(made);
  const keys = [
    `PRIMARY KEY ${list(table.primaryKey)}`,
    ...table.uniqueKeys.map((unique) => `UNIQUE KEY ${nameText(unique.name)}${list(unique.columns)}`),
    ...indexes.texts,
    ...foreignKeys.map(({ columns: from, parent, referencedColumns }) => `FOREIGN KEY ${list(from)} REFERENCES ${quoteIdentifier(parent.name)} ${list(referencedColumns)}`),
    ...table.columns.flatMap(valueCheck),
  ];
  const create = `CREATE TABLE ${quoteIdentifier(table.name)} (\n  ${[...columns, ...keys].join(',\n  ')}\n) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin`;
  // To some servers the first timestamp that must have a value takes the time of every update, and others a zero.
  const isBare = table.columns.some((column) => column.kind === 'timestamptz' && !column.nullable && !column.hasDefault);
  return { statements: [isBare ? `SET STATEMENT explicit_defaults_for_timestamp = 1 FOR ${create}` : create], leftOut: [...extras.leftOut, ...indexes.leftOut] };
}

/** A table whose columns that are parts of keys are known. */
interface KeyedTable extends Described {
  /** Primary key, unique keys and those columns that lead to other tables: texts in them are whole. */
  readonly keys: readonly (readonly string[])[];
  readonly foreignKeys: readonly Leading[];
}

/** A foreign key to a table that is there, in the order of the key that it leads to. */
interface Leading {
  readonly columns: readonly string[];
  readonly parent: TableSchema;
  readonly referencedColumns: readonly string[];
}

const list = (names: readonly string[]): string => `(${names.map(quoteIdentifier).join(', ')})`;

/** NULL is said as well: to some servers a timestamp without it is NOT NULL. */
function columnText(made: KeyedTable, column: ColumnSchema): string {
  const { schema: table } = made;
  for (const foreignKey of made.foreignKeys) requireLikeParent(table, foreignKey, column);
  const numbered = isNumbered(made, column);
  const first = table.columns.find((each) => isNumbered(made, each));
  if (numbered && first !== column) throw unlike(table, column, `is numbered by its store as column "${first?.name}" is, and MariaDB numbers one column of a table`);
  if (numbered && column.nullable) throw unlike(table, column, 'is numbered by its store and may be NULL');
  const filler = numbered ? ' AUTO_INCREMENT' : defaultText(made, column);
  return `${quoteIdentifier(column.name)} ${declaredType(made, column)} ${column.nullable ? 'NULL' : 'NOT NULL'}${filler}`;
}

function declaredType(made: KeyedTable, column: ColumnSchema): string {
  const { schema: table } = made;
  const inKey = made.keys.some((key) => key.includes(column.name));
  switch (column.kind) {
    case 'array':
      throw unlike(table, column, 'is an array, which MariaDB has not');
    case 'enum':
      return enumType(made, column);
    case 'json':
      if (inKey) throw unlike(table, column, 'is part of a key, which a JSON document cannot be');
      return 'json';
    case 'text':
      return inKey ? `varchar(${keyLength(made, column)})` : 'longtext';
    case 'bytes':
      return inKey ? `varbinary(${keyLength(made, column)})` : 'longblob';
    case 'decimal':
      return `decimal${decimalSize(table, column)}`;
    default:
      return declaredTypes[column.kind]?.[0] ?? 'no type';
  }
}

/** The order of labels is kept, though callers see another: by their texts. */
function enumType(made: KeyedTable, column: ColumnSchema): string {
  const labels = portableLabels(made, column);
  const bad = labels.find((label) => label.endsWith(' ') || [...label].length > LABEL_CHARACTERS);
  if (bad !== undefined)
    throw unlike(
      made.schema,
      column,
      `has the label ${JSON.stringify(bad)}, which MariaDB cannot hold: it drops blanks at the end, and has ${LABEL_CHARACTERS} characters at most`,
    );
  return `enum(${labels.map(quoteText).join(', ')})`;
}

function defaultText(made: KeyedTable, column: ColumnSchema): string {
  const found = portableDefault(made, column);
  if (found === null) return '';
  if (found.kind === 'now') return column.kind === 'date' ? ' DEFAULT (CURRENT_DATE)' : ' DEFAULT CURRENT_TIMESTAMP(6)';
  return ` DEFAULT ${literalText(made.schema, column, found.cell)}`;
}

function literalText(table: TableSchema, column: ColumnSchema, cell: Cell): string {
  const isOutside = column.kind === 'timestamptz' && typeof cell === 'bigint' && (cell < FIRST_TIMESTAMP || cell > LAST_TIMESTAMP);
  try {
    const parameter = isOutside ? null : cellToParameter(column, cell);
    if (Buffer.isBuffer(parameter)) return `x'${parameter.toString('hex')}'`;
    if (parameter !== null) return quoteText(String(parameter));
  } catch (error) {
    if (!hasReason(error, 'VALUE_INVALID')) throw error;
  }
  throw unlike(table, column, 'has a default that MariaDB cannot hold');
}

function keysWithin({ extras }: Described, within: readonly TableSchema[]): readonly Leading[] {
  return extras.foreignKeys.flatMap(({ columns, references, referencedColumns }): readonly Leading[] => {
    const parent = within.find(({ name }) => name === references);
    const key = parent === undefined ? null : keyLike(parent, referencedColumns);
    if (parent === undefined) return [];
    if (key === null) return [{ columns, parent, referencedColumns }];
    return [{ columns: key.map((name) => columns[referencedColumns.indexOf(name)] ?? ''), parent, referencedColumns: key }];
  });
}

/** The server itself does not look whether the columns are alike: it makes tables in any order. */
function requireLikeParent(table: TableSchema, { columns, parent, referencedColumns }: Leading, column: ColumnSchema): void {
  const at = columns.indexOf(column.name);
  if (at === -1) return;
  if (keyLike(parent, referencedColumns) === null) throw unlike(table, column, `leads to columns of table "${parent.name}" that are no key there`);
  const other = columnNamed(parent, referencedColumns[at] ?? '');
  if (column.kind === other.kind && decimalModifiers(column) === decimalModifiers(other)) return;
  throw unlike(table, column, `leads to column "${other.name}" (${other.nativeType}) of table "${parent.name}", and MariaDB wants both to be of one type`);
}

/** The index's name with a blank behind, where MariaDB has such names; nothing: the server finds one. */
function nameText(name: string): string {
  const isName = [...name].length <= NAME_CHARACTERS && !/[\0\u{10000}-\u{10ffff}]| $|^primary$/iu.test(name) && name !== '';
  return isName ? `${quoteIdentifier(name)} ` : '';
}

function indexTexts(made: KeyedTable): { readonly texts: readonly string[]; readonly leftOut: readonly string[] } {
  const { schema: table, extras, keys } = made;
  const taken = new Set(table.uniqueKeys.map(({ name }) => name.toLowerCase()));
  const texts: string[] = [];
  const leftOut: string[] = [];
  for (const index of extras.indexes) {
    const columns = indexColumns(made, index);
    // To the server names that differ only in case are one.
    const name = taken.has(index.name.toLowerCase()) ? '' : nameText(index.name);
    taken.add(index.name.toLowerCase());
    if (columns === null) leftOut.push(`index "${index.name}" is left out: it would be longer than the ${KEY_BYTES} bytes that MariaDB allows`);
    else texts.push(`KEY ${name}(${columns})`);
  }
  const numbered = table.columns.find((column) => isNumbered(made, column));
  const begins = [...keys, ...extras.indexes.map(({ columns }) => columns.map((column) => column.name))].some(([first]) => first === numbered?.name);
  return { texts: numbered === undefined || begins ? texts : [...texts, `KEY ${list([numbered.name])}`], leftOut };
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
    const whole = keys.some((key) => key.includes(column.name)) ? keyLength(made, column) : null;
    const wanted = whole ?? Math.min(ownLength(column) ?? Number.POSITIVE_INFINITY, Math.floor((PREFIX_CHARACTERS * CHARACTER_BYTES) / unit(column)));
    const length = Math.min(wanted, Math.floor(share / unit(column)));
    return `${quoteIdentifier(column.name)}${!isLong(column) || length === whole ? '' : `(${Math.max(length, 1)})`}${descending ? ' DESC' : ''}`;
  });
  return texts.join(', ');
}

function decimalSize(table: TableSchema, column: ColumnSchema): string {
  const size = decimalModifiers(column);
  const [, precision = '', scale = ''] = /^\((\d+),(\d+)\)$/.exec(size) ?? [];
  if (size === '') throw unlike(table, column, 'has no precision, which every decimal of MariaDB has');
  if (Number(precision) > LARGEST_PRECISION || Number(scale) > LARGEST_SCALE || Number(scale) > Number(precision))
    throw unlike(table, column, `is larger than a decimal of MariaDB (${LARGEST_PRECISION} digits, ${LARGEST_SCALE} of them behind the point)`);
  return size;
}

/** Length of a text or of bytes that is part of keys: its own where it has one, or what is left in the narrowest of the keys. */
function keyLength({ schema: table, keys }: KeyedTable, column: ColumnSchema): number {
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
  if (column.kind === 'enum') return ENUM_BYTES;
  return declaredTypes[column.kind]?.[1] ?? (column.kind === 'decimal' ? LARGEST_DECIMAL_BYTES : (ownLength(column) ?? 0) * unit(column));
}

const unit = ({ kind }: ColumnSchema): number => (kind === 'bytes' ? 1 : CHARACTER_BYTES);

/** In characters; of a type whose length is one of bytes there is none. */
const ownLength = ({ kind, limits }: ColumnSchema): number | null => (kind === 'text' ? limits?.characters : limits?.bytes)?.most ?? null;

/** Keeps out what the other kind could not take back: else a write that nobody refuses would end the way back. */
function valueCheck(column: ColumnSchema, at: number): readonly string[] {
  const condition = limitCondition(column, quoteIdentifier(column.name), words);
  return condition === null ? [] : [`CONSTRAINT ${quoteIdentifier(`${CHECK_PREFIX}${at + 1}`)} CHECK (${condition})`];
}

/** There is no NaN, no infinity and no −0, and days and times reach no further than those of any other kind. */
const words: LimitWords = {
  length: (unit, _, name) => (unit === 'characters' ? `char_length(${name})` : `octet_length(${name})`),
  noBlankAtEnd: (name) => `right(${name}, 1) <> ' '`,
  bound: ({ kind }, text) => (kind === 'date' || kind === 'timestamp' || kind === 'timestamptz' ? null : text),
  isInfinite: () => null,
  without: () => null,
};
