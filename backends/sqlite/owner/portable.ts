import type { ScalarKind } from '../../../core/cell.ts';
import { limitCondition, type LimitWords } from '../../../core/column-limits.ts';
import type { ColumnSchema, TableSchema } from '../../../core/table-schema.ts';
import type { TableDefinition } from '../../backend.ts';
import { decimalModifiers, isNumbered, requirePortable, requireUnfilled, unlike } from '../../portable-table.ts';
import { quoteIdentifier } from '../connection.ts';

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

/**
 * The like of another kind's table: columns, primary key and unique keys; of its defaults only that of a single int64 key, which becomes a number of SQLite's own. PRECHECK_FAILED for what has no like here, naming the column.
 */
export function portableStatement(definition: Pick<TableDefinition, 'schema' | 'more'>): string {
  requirePortable(definition);
  const { schema: table } = definition;
  const columns = table.columns.map((column) =>
    isNumbered(table, column) ? `${quoteIdentifier(column.name)} INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT` : columnText(table, column),
  );
  const list = (names: readonly string[]): string => `(${names.map(quoteIdentifier).join(', ')})`;
  const keys = [
    ...(table.columns.some((column) => isNumbered(table, column)) ? [] : [`PRIMARY KEY ${list(table.primaryKey)}`]),
    ...table.uniqueKeys.map((unique) => `CONSTRAINT ${quoteIdentifier(unique.name)} UNIQUE ${list(unique.columns)}`),
    ...table.columns.flatMap(valueCheck),
  ];
  return `CREATE TABLE ${quoteIdentifier(table.name)} (\n  ${[...columns, ...keys].join(',\n  ')}\n)`;
}

function columnText(table: TableSchema, column: ColumnSchema): string {
  if (column.kind === 'array') throw unlike(table, column, 'is an array, which SQLite has not');
  requireUnfilled(table, column);
  return `${quoteIdentifier(column.name)} ${declaredTypes[column.kind]}${decimalModifiers(column)}${column.nullable ? '' : ' NOT NULL'}`;
}

/** Begins the names of checks that are no rules of the application's. */
export const CHECK_PREFIX = 'switchyard_exact_';

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
