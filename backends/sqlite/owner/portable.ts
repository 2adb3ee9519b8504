import type { ScalarKind } from '../../../core/cell.ts';
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
  ];
  return `CREATE TABLE ${quoteIdentifier(table.name)} (\n  ${[...columns, ...keys].join(',\n  ')}\n)`;
}

function columnText(table: TableSchema, column: ColumnSchema): string {
  if (column.kind === 'array') throw unlike(table, column, 'is an array, which SQLite has not');
  requireUnfilled(table, column);
  return `${quoteIdentifier(column.name)} ${declaredTypes[column.kind]}${decimalModifiers(column)}${column.nullable ? '' : ' NOT NULL'}${lengthCheck(column)}`;
}

/** A text that the other engine would pad or refuse is refused here already: else the way back would not bring the same rows. */
function lengthCheck({ name, kind, nativeType }: ColumnSchema): string {
  const [, type, length] = /^(character|character varying)\((\d+)\)$/.exec(nativeType) ?? [];
  if (kind !== 'text' || length === undefined) return '';
  return ` CHECK (length(${quoteIdentifier(name)}) ${type === 'character' ? '=' : '<='} ${length})`;
}
