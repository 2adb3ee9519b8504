import type { ScalarKind } from '../../../core/cell.ts';
import { limitCondition, type LimitWords } from '../../../core/column-limits.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import type { TableDefinition } from '../../backend.ts';
import { decimalModifiers, isNumbered, requirePortable, requireUnfilled, unlike } from '../../portable-table.ts';
import { quoteIdentifier } from '../connection.ts';

/** How each kind is declared so that MariaDB keeps its values exactly and `describe` finds the same kind again, and how many bytes of a key it takes. Texts, bytes and decimals have a length of their own. */
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
/** Bytes of a key at most, its columns together, and of a character. */
const KEY_BYTES = 3_072;
const CHARACTER_BYTES = 4;
/** For NULL and for a length. */
const OVERHEAD_BYTES = 3;
/** A text or bytes of a key are given this much room at least, or there is no like. */
const LEAST_KEY_LENGTH = 32;

/**
 * The like of another kind's table: columns, primary key and unique keys; of its defaults only that of a single int64 key, which becomes AUTO_INCREMENT. A text in a key has as much room as MariaDB's keys allow; one that is longer is
 * refused when it comes. PRECHECK_FAILED for what has no like here, naming the column.
 */
export function portableStatement(definition: Pick<TableDefinition, 'schema' | 'more'>): string {
  requirePortable(definition);
  const { schema: table } = definition;
  const columns = table.columns.map((column) => (isNumbered(table, column) ? `${quoteIdentifier(column.name)} bigint NOT NULL AUTO_INCREMENT` : columnText(table, column)));
  const list = (names: readonly string[]): string => `(${names.map(quoteIdentifier).join(', ')})`;
  const keys = [
    `PRIMARY KEY ${list(table.primaryKey)}`,
    ...table.uniqueKeys.map((unique) => `UNIQUE KEY ${quoteIdentifier(unique.name)} ${list(unique.columns)}`),
    ...table.columns.flatMap(valueCheck),
  ];
  return `CREATE TABLE ${quoteIdentifier(table.name)} (\n  ${[...columns, ...keys].join(',\n  ')}\n) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin`;
}

/** NULL is said as well: to some servers a timestamp without it is NOT NULL. */
const columnText = (table: TableSchema, column: ColumnSchema): string => `${quoteIdentifier(column.name)} ${declaredType(table, column)} ${column.nullable ? 'NULL' : 'NOT NULL'}`;

function declaredType(table: TableSchema, column: ColumnSchema): string {
  requireUnfilled(table, column);
  const inKey = keysOf(table).some((key) => key.includes(column.name));
  switch (column.kind) {
    case 'array':
      throw unlike(table, column, 'is an array, which MariaDB has not');
    case 'enum':
      throw unlike(table, column, 'is an enum whose labels are not known');
    case 'json':
      if (inKey) throw unlike(table, column, 'is part of a key, which a JSON document cannot be');
      return 'json';
    case 'text':
      return inKey ? `varchar(${keyLength(table, column)})` : 'longtext';
    case 'bytes':
      return inKey ? `varbinary(${keyLength(table, column)})` : 'longblob';
    case 'decimal':
      return `decimal${decimalSize(table, column)}`;
    default:
      return declaredTypes[column.kind]?.[0] ?? 'no type';
  }
}

function decimalSize(table: TableSchema, column: ColumnSchema): string {
  const size = decimalModifiers(column);
  const [, precision = '', scale = ''] = /^\((\d+),(\d+)\)$/.exec(size) ?? [];
  if (size === '') throw unlike(table, column, 'has no precision, which every decimal of MariaDB has');
  if (Number(precision) > LARGEST_PRECISION || Number(scale) > LARGEST_SCALE || Number(scale) > Number(precision))
    throw unlike(table, column, `is larger than a decimal of MariaDB (${LARGEST_PRECISION} digits, ${LARGEST_SCALE} of them behind the point)`);
  return size;
}

const keysOf = (table: TableSchema): readonly (readonly string[])[] => [table.primaryKey, ...table.uniqueKeys.map(({ columns }) => columns)];

/** Length of a text or of bytes that is part of keys: its own where it has one, or what is left in the narrowest of the keys. */
function keyLength(table: TableSchema, column: ColumnSchema): number {
  const room = Math.min(
    ...keysOf(table)
      .filter((key) => key.includes(column.name))
      .map((key) => roomIn(table, key)),
  );
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

const fixedBytes = (column: ColumnSchema): number =>
  column.kind === 'array' ? 0 : (declaredTypes[column.kind]?.[1] ?? (column.kind === 'decimal' ? LARGEST_DECIMAL_BYTES : (ownLength(column) ?? 0) * unit(column)));

const unit = ({ kind }: ColumnSchema): number => (kind === 'text' ? CHARACTER_BYTES : 1);

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
