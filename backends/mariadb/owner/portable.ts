import type { Cell, ScalarKind } from '../../../core/cell.ts';
import { limitCondition, type LimitWords } from '../../../core/column-limits.ts';
import { hasReason } from '../../../core/switchyard-error.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import {
  decimalModifiers,
  type Described,
  isNumbered,
  keyLike,
  type PortableTable,
  portableColumns,
  portableDefault,
  portableLabels,
  unlike,
  withoutLike,
} from '../../portable-table.ts';
import { cellToParameter } from '../cells.ts';
import { quoteIdentifier, quoteText } from '../connection.ts';
import { indexName, type KeyedTable, keyLength, type LaterKey, type LeadingKey, portableIndexes } from './portable-keys.ts';

/** How each kind is declared so that MariaDB keeps its values exactly and `describe` finds the same kind again. Texts, bytes, decimals and enums depend on more than their kind. */
const declaredTypes: Readonly<Partial<Record<ScalarKind, string>>> = {
  bool: 'tinyint(1)',
  int16: 'smallint',
  int32: 'int',
  int64: 'bigint',
  uint64: 'bigint unsigned',
  float32: 'float',
  float64: 'double',
  uuid: 'uuid',
  date: 'date',
  time: 'time(6)',
  timestamp: 'datetime(6)',
  timestamptz: 'timestamp(6)',
};

/** Begins the names of checks that are no rules of the application's. */
export const CHECK_PREFIX = 'switchyard_exact_';

const LARGEST_PRECISION = 65;
const LARGEST_SCALE = 38;
const LABEL_CHARACTERS = 255;
/** Microseconds of the first and the last timestamp. */
const FIRST_TIMESTAMP = 1n;
const LAST_TIMESTAMP = 2n ** 31n * 1_000_000n - 1n;

/**
 * The like of another kind's table, with its foreign keys to tables of `within`; most of its indexes are added later. A text in a key has as much room as MariaDB's keys allow; one that is longer is refused when it comes. PRECHECK_FAILED for what has no like here,
 * naming every column.
 */
export function portableTable(definition: Described, within: readonly TableSchema[]): PortableTable & { readonly later: readonly LaterKey[] } {
  const { schema: table, extras } = definition;
  const foreignKeys = keysWithin(definition, within);
  const made = { ...definition, foreignKeys, keys: [table.primaryKey, ...table.uniqueKeys.map(({ columns }) => columns), ...foreignKeys.map(({ columns }) => columns)] };
  const columns = portableColumns(definition, (column) => columnText(made, column));
  const indexes = portableIndexes(made);
  const keys = [
    `PRIMARY KEY ${list(table.primaryKey)}`,
    ...table.uniqueKeys.map((unique) => `UNIQUE KEY ${indexName(unique.name)}${list(unique.columns)}`),
    ...indexes.texts,
    ...foreignKeys.map(({ columns: from, parent, referencedColumns }) => `FOREIGN KEY ${list(from)} REFERENCES ${quoteIdentifier(parent.name)} ${list(referencedColumns)}`),
    ...table.columns.flatMap(valueCheck),
  ];
  const create = `CREATE TABLE ${quoteIdentifier(table.name)} (\n  ${[...columns, ...keys].join(',\n  ')}\n) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin`;
  return {
    statements: [withoutTimestampDefaults(table, create)],
    later: indexes.later,
    leftOut: [...extras.leftOut, ...indexes.leftOut],
  };
}

/** A statement that makes or alters the table. To some servers the first timestamp that must have a value takes the time of every update, and others a zero, which is refused. */
export function withoutTimestampDefaults({ columns }: TableSchema, statement: string): string {
  const isBare = columns.some((column) => column.kind === 'timestamptz' && !column.nullable && !column.hasDefault);
  return isBare ? `SET STATEMENT explicit_defaults_for_timestamp = 1 FOR ${statement}` : statement;
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
      throw withoutLike(table, column, 'MariaDB');
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
      return declaredTypes[column.kind] ?? 'no type';
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

/** Foreign keys to these tables. */
function keysWithin({ extras }: Described, within: readonly TableSchema[]): readonly LeadingKey[] {
  return extras.foreignKeys.flatMap(({ columns, references, referencedColumns }): readonly LeadingKey[] => {
    const parent = within.find(({ name }) => name === references);
    const key = parent === undefined ? null : keyLike(parent, referencedColumns);
    if (parent === undefined) return [];
    if (key === null) return [{ columns, parent, referencedColumns }];
    return [{ columns: key.map((name) => columns[referencedColumns.indexOf(name)] ?? ''), parent, referencedColumns: key }];
  });
}

/** The server itself does not look whether the columns are alike: it makes tables in any order. */
function requireLikeParent(table: TableSchema, { columns, parent, referencedColumns }: LeadingKey, column: ColumnSchema): void {
  const at = columns.indexOf(column.name);
  if (at === -1) return;
  if (keyLike(parent, referencedColumns) === null) throw unlike(table, column, `leads to columns of table "${parent.name}" that are no key there`);
  const other = columnNamed(parent, referencedColumns[at] ?? '');
  if (column.kind === other.kind && decimalModifiers(column) === decimalModifiers(other)) return;
  throw unlike(table, column, `leads to column "${other.name}" (${other.nativeType}) of table "${parent.name}", and MariaDB wants both to be of one type`);
}

function decimalSize(table: TableSchema, column: ColumnSchema): string {
  const size = decimalModifiers(column);
  const [, precision = '', scale = ''] = /^\((\d+),(\d+)\)$/.exec(size) ?? [];
  if (size === '') throw unlike(table, column, 'has no precision, which every decimal of MariaDB has');
  if (Number(precision) > LARGEST_PRECISION || Number(scale) > LARGEST_SCALE || Number(scale) > Number(precision))
    throw unlike(table, column, `is larger than a decimal of MariaDB (${LARGEST_PRECISION} digits, ${LARGEST_SCALE} of them behind the point)`);
  return size;
}

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
