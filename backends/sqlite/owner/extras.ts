import { hasReason } from '../../../core/switchyard-error.ts';
import type { ColumnDefault, ForeignKey, SecondaryIndex, TableExtras } from '../../../core/table-extras.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import { exactChecksLine, isKeyOf, unlikeIndex } from '../../portable-table.ts';
import { cellFromValue, selectedValue } from '../cells.ts';
import type { Connection, SqlValue } from '../connection.ts';
import { type DescribedTable, describeTable } from '../schema.ts';
import { exactChecksOf, isDeferrable, labelsOfChecks } from './check-texts.ts';
import { foldedName, indexPrefix } from './names.ts';

/** See `TableDefinition.extras`. */
export function tableExtras(connection: Connection, { schema, rowidColumn }: DescribedTable): TableExtras {
  const [[sql] = []] = connection.all(`SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?`, [schema.name]);
  const indexes = indexesOf(connection, schema);
  return {
    defaults: defaultsOf(connection, schema, rowidColumn),
    labels: labelsOfChecks(schema, String(sql)),
    ...indexes,
    leftOut: [...indexes.leftOut, ...exactChecksLine(exactChecksOf(String(sql)))],
    foreignKeys: isDeferrable(String(sql)) ? [] : foreignKeysOf(connection, schema),
  };
}

/** A constant, as the definition writes it. */
const literal = /^(?:[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?|'(?:[^']|'')*'|x'[0-9a-f]*'|true|false|null)$/i;
const nowPatterns: Readonly<Partial<Record<ColumnSchema['kind'], RegExp>>> = {
  timestamptz: /^strftime\(\s*'%Y-%m-%d %H:%M:%f000Z'\s*,\s*'now'\s*\)$/i,
  timestamp: /^strftime\(\s*'%Y-%m-%d %H:%M:%f000'\s*,\s*'now'\s*\)$/i,
  date: /^(?:current_date|date\(\s*(?:'now'\s*)?\))$/i,
};

function defaultsOf(connection: Connection, schema: TableSchema, rowidColumn: string | null): ReadonlyMap<string, ColumnDefault> {
  const found = new Map<string, ColumnDefault>();
  if (rowidColumn !== null) found.set(rowidColumn, { kind: 'numbered' });
  for (const [name, filler] of connection.all(`SELECT name, dflt_value FROM pragma_table_xinfo(?, 'main') WHERE dflt_value IS NOT NULL AND hidden = 0`, [schema.name])) {
    const column = columnNamed(schema, String(name));
    const text = String(filler).trim();
    if (column.name === rowidColumn) continue;
    if (nowPatterns[column.kind]?.test(text) === true) found.set(column.name, { kind: 'now' });
    else if (literal.test(text)) {
      const [[value = null] = []] = connection.all(`SELECT ${selectedValue(column, asStored(column, text))}`);
      const cell = cellOrNone(column, value);
      if (cell !== undefined) found.set(column.name, { kind: 'value', cell });
    }
  }
  return found;
}

/** What the column makes of the constant. */
function asStored({ kind }: ColumnSchema, text: string): string {
  if (/^(?:'|x'|null$)/i.test(text)) return text;
  if (kind === 'float32' || kind === 'float64') return `CAST(${text} AS REAL)`;
  return kind.startsWith('int') || kind === 'bool' || kind === 'bytes' ? text : `CAST(${text} AS TEXT)`;
}

/** Undefined: the column cannot hold it, so inserts that leave it out are no rows that could be read. */
function cellOrNone(column: ColumnSchema, value: SqlValue) {
  try {
    return cellFromValue(column, value);
  } catch (error) {
    if (!hasReason(error, 'VALUE_UNSUPPORTED')) throw error;
    return undefined;
  }
}

function indexesOf(connection: Connection, { name: table }: TableSchema): Pick<TableExtras, 'indexes' | 'leftOut'> {
  const indexes: SecondaryIndex[] = [];
  const leftOut: string[] = [];
  for (const [name, partial, sql] of connection.all(
    `SELECT l.name, l.partial, s.sql FROM pragma_index_list(?, 'main') l JOIN sqlite_schema s ON s.type = 'index' AND s.name = l.name WHERE l."unique" = 0 ORDER BY l.name`,
    [table],
  )) {
    const parts = connection.all(`SELECT name, "desc", upper(coll) FROM pragma_index_xinfo(?, 'main') WHERE key = 1 ORDER BY seqno`, [String(name)]);
    const shown = String(name).startsWith(indexPrefix(table)) ? String(name).slice(indexPrefix(table).length) : String(name);
    if (partial === 0n && parts.every(([column, , collation]) => column !== null && collation === 'BINARY'))
      indexes.push({ name: shown, columns: parts.map(([column, descending]) => ({ name: String(column), descending: descending === 1n })) });
    else leftOut.push(unlikeIndex(shown, String(sql)));
  }
  return { indexes, leftOut };
}

const passive: readonly SqlValue[] = ['NO ACTION', 'RESTRICT'];

/** Those that lead to a key of a table that is there. The pragma writes names as the definition does, in any case of letters, and has none for the constraint. */
function foreignKeysOf(connection: Connection, schema: TableSchema): readonly ForeignKey[] {
  const rows = connection.all(`SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?, 'main') ORDER BY id, seq`, [schema.name]);
  return [...Map.groupBy(rows, ([id]) => id).values()].flatMap((parts): readonly ForeignKey[] => {
    const [, table, , , onUpdate = null, onDelete = null] = parts[0] ?? [];
    const parent = parentNamed(connection, String(table));
    if (parent === null || !passive.includes(onUpdate) || !passive.includes(onDelete)) return [];
    const spelled = (name: SqlValue): string => parent.columns.find((column) => foldedName(column.name) === foldedName(String(name)))?.name ?? String(name);
    const columns = parts.map(([, , from]) => String(from));
    // Left out, they are the primary key.
    const referencedColumns = parts[0]?.[3] === null ? parent.primaryKey : parts.map(([, , , to = null]) => spelled(to));
    if (columns.length !== referencedColumns.length || !isKeyOf(parent, referencedColumns)) return [];
    return [{ name: foreignKeyName(columns, parent.name), columns, references: parent.name, referencedColumns }];
  });
}

/** How a foreign key is spoken of. */
export const foreignKeyName = (columns: readonly string[], parent: string): string => `foreign key (${columns.join(', ')}) to table "${parent}"`;

function parentNamed(connection: Connection, table: string): TableSchema | null {
  const [row] = connection.all(`SELECT name FROM sqlite_schema WHERE type = 'table' AND lower(name) = lower(?)`, [table]);
  if (row === undefined) return null;
  try {
    return describeTable(connection, String(row[0]));
  } catch (error) {
    if (!hasReason(error, 'TABLE_UNSUPPORTED')) throw error;
    return null;
  }
}
