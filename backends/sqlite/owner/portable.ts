import type { Cell, ScalarKind } from '../../../core/cell.ts';
import { limitCondition, type LimitWords } from '../../../core/column-limits.ts';
import { hasReason } from '../../../core/switchyard-error.ts';
import type { ColumnSchema, TableSchema } from '../../../core/table-schema.ts';
import {
  decimalModifiers,
  type Described,
  foreignKeysWithin,
  isNumbered,
  type PortableTable,
  portableColumns,
  portableDefault,
  portableLabels,
  unlike,
  withoutLike,
} from '../../portable-table.ts';
import { valueFromCell } from '../cells.ts';
import { numberedKeyCheck } from '../column-types.ts';
import { quoteIdentifier } from '../connection.ts';
import { foldedName, indexPrefix } from './names.ts';

/** How each kind is declared so that SQLite keeps its values exactly and `describe` finds the same kind again. */
const declaredTypes: Readonly<Record<ScalarKind, string>> = {
  bool: 'BOOLEAN',
  int16: 'SMALLINT',
  int32: 'INT32',
  int64: 'BIGINT',
  uint64: 'UNSIGNED64_TEXT',
  float32: 'FLOAT32',
  float64: 'DOUBLE',
  decimal: 'DECIMAL_TEXT',
  text: 'TEXT',
  bytes: 'BLOB',
  uuid: 'UUID_TEXT',
  date: 'DATE_TEXT',
  time: 'TIME_TEXT',
  timestamp: 'TIMESTAMP_TEXT',
  timestamptz: 'TIMESTAMPTZ_TEXT',
  json: 'JSON_TEXT',
  enum: 'ENUM_TEXT',
};

/** Begins the names of checks that are no rules of the application's. */
const CHECK_PREFIX = 'switchyard_exact_';
/** The same of checks that say the labels of an enum. */
const LABELS_PREFIX = 'switchyard_labels_';

/** Before a CHECK that keeps out what could not go back. */
export const EXACT_CHECK = new RegExp(`CONSTRAINT "(${CHECK_PREFIX}\\d+)" $`);
/** Before a CHECK of ours: it keeps out what could not go back, or says of which kind a key is. */
export const OWN_CHECK = new RegExp(`CONSTRAINT\\s+"?(?:${CHECK_PREFIX}\\d+|switchyard_int(?:16|32))"?\\s+$`, 'i');

/**
 * The like of another kind's table, with its indexes and its foreign keys to tables named in `within`. PRECHECK_FAILED for what has no like here, naming every column.
 */
export function portableTable(definition: Described, within: readonly string[]): PortableTable {
  const { schema: table, extras } = definition;
  const columns = portableColumns(definition, (column) => columnText(definition, column));
  const keys = [
    ...(table.columns.some((column) => isNumbered(definition, column)) ? [] : [`PRIMARY KEY ${list(table.primaryKey)}`]),
    ...table.uniqueKeys.map((unique) => `CONSTRAINT ${quoteIdentifier(unique.name)} UNIQUE ${list(unique.columns)}`),
    ...foreignKeysWithin(definition, within).map(
      ({ columns: from, references, referencedColumns }) => `FOREIGN KEY ${list(from)} REFERENCES ${quoteIdentifier(references)} ${list(referencedColumns)}`,
    ),
    ...table.columns.flatMap((column, at) => [...labelsCheck(definition, column, at), ...valueCheck(column, at)]),
  ];
  const indexes = extras.indexes.map(({ name, columns: parts }, at) => {
    // To SQLite names that differ only in case are one.
    const isTaken = extras.indexes.slice(0, at).some((other) => foldedName(other.name) === foldedName(name));
    const on = parts.map((part) => `${quoteIdentifier(part.name)}${part.descending ? ' DESC' : ''}`).join(', ');
    return `CREATE INDEX ${quoteIdentifier(`${indexPrefix(table.name)}${name}${isTaken ? ` ${at + 1}` : ''}`)} ON ${quoteIdentifier(table.name)} (${on})`;
  });
  return { statements: [`CREATE TABLE ${quoteIdentifier(table.name)} (\n  ${[...columns, ...keys].join(',\n  ')}\n)`, ...indexes], leftOut: extras.leftOut };
}

const list = (names: readonly string[]): string => `(${names.map(quoteIdentifier).join(', ')})`;

function columnText(definition: Described, column: ColumnSchema): string {
  const { schema: table } = definition;
  if (column.kind === 'array') throw withoutLike(table, column, 'SQLite');
  if (isNumbered(definition, column)) return numberedText(table, column);
  return `${quoteIdentifier(column.name)} ${declaredTypes[column.kind]}${decimalModifiers(column)}${column.nullable ? '' : ' NOT NULL'}${defaultText(definition, column)}`;
}

/** SQLite numbers rows, so the number is the whole key. */
function numberedText(table: TableSchema, column: ColumnSchema): string {
  if (table.primaryKey.join() !== column.name)
    throw unlike(
      table,
      column,
      'is numbered by its store and not the whole primary key, which is all that SQLite numbers: let the application give its numbers, and end the numbering in the source first',
    );
  if (column.kind !== 'int16' && column.kind !== 'int32' && column.kind !== 'int64')
    throw unlike(table, column, `is numbered by its store and of kind ${column.kind}, and SQLite's own numbers are of 64 bits with a sign`);
  const check = column.kind === 'int64' ? '' : ` ${numberedKeyCheck(column.kind, quoteIdentifier(column.name))}`;
  return `${quoteIdentifier(column.name)} INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT${check}`;
}

/** Written as `extras` knows them again. Milliseconds are as fine as SQLite's clock is. */
const nowTexts: Readonly<Partial<Record<ScalarKind, string>>> = {
  timestamptz: `(strftime('%Y-%m-%d %H:%M:%f000Z', 'now'))`,
  timestamp: `(strftime('%Y-%m-%d %H:%M:%f000', 'now'))`,
  date: 'CURRENT_DATE',
};

function defaultText(definition: Described, column: ColumnSchema): string {
  const found = portableDefault(definition, column);
  if (found === null) return '';
  return ` DEFAULT ${found.kind === 'now' ? (nowTexts[column.kind as ScalarKind] ?? 'NULL') : literalText(definition.schema, column, found.cell)}`;
}

function literalText(table: TableSchema, column: ColumnSchema, cell: Cell): string {
  try {
    const declared = { ...column, nativeType: `${declaredTypes[column.kind as ScalarKind]}${decimalModifiers(column)}` };
    const value = valueFromCell(declared, cell);
    if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`;
    if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString('hex')}'`;
    if (typeof value !== 'number') return String(value);
    return Number.isFinite(value) ? String(value) : `${value < 0 ? '-' : ''}9e999`;
  } catch (error) {
    if (!hasReason(error, 'VALUE_INVALID')) throw error;
    throw unlike(table, column, 'has a default that SQLite cannot hold');
  }
}

function labelsCheck(definition: Described, column: ColumnSchema, at: number): readonly string[] {
  if (column.kind !== 'enum') return [];
  const labels = portableLabels(definition, column).map((label) => `'${label.replaceAll("'", "''")}'`);
  return [`CONSTRAINT ${quoteIdentifier(`${LABELS_PREFIX}${at + 1}`)} CHECK (${quoteIdentifier(column.name)} IN (${labels.join(', ')}))`];
}

/** Keeps out what the other kind could not take back: else a write that nobody refuses would end the way back. */
function valueCheck(column: ColumnSchema, at: number): readonly string[] {
  const condition = limitCondition(column, quoteIdentifier(column.name), words);
  return condition === null ? [] : [`CONSTRAINT ${quoteIdentifier(`${CHECK_PREFIX}${at + 1}`)} CHECK (${condition})`];
}

/** Texts of days and times are in the order of their values, with "-infinity" in front and "infinity" behind. There is no NaN and no −0, and a decimal of a size is a number. */
const words: LimitWords = {
  length: (unit, { kind }, name) => (unit === 'characters' || kind === 'bytes' ? `length(${name})` : `length(CAST(${name} AS BLOB))`),
  noBlankAtEnd: (name) => `substr(${name}, -1) <> ' '`,
  bound: ({ kind }, text) => (kind === 'date' || kind === 'timestamp' || kind === 'timestamptz' ? `'${text}${kind === 'timestamptz' ? 'Z' : ''}'` : text),
  isInfinite: (_, name) => `${name} IN ('-infinity', 'infinity')`,
  without: ({ kind }, name, without) => (kind !== 'decimal' && without.includes('infinity') ? `abs(${name}) < 9e999` : null),
};
