import { hasReason } from '../../../core/switchyard-error.ts';
import type { ColumnDefault, ForeignKey, SecondaryIndex, TableExtras } from '../../../core/table-extras.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import { exactChecksLine, isKeyOf, unlikeIndex } from '../../portable-table.ts';
import { cellFromValue } from '../cells.ts';
import { labelsOf } from '../column-fit.ts';
import { quoteIdentifier } from '../connection.ts';
import { named } from '../schema.ts';
import type { ValueRow } from '../session.ts';
import { describe, type Statements } from '../store-client.ts';
import { CHECK_PREFIX } from './portable.ts';

/** See `TableDefinition.extras`. */
export async function tableExtras(statements: Statements, schema: TableSchema, signal: AbortSignal): Promise<TableExtras> {
  const ask: Ask = async (text) => (await statements.query(text, [schema.name, schema.name], signal)).rows;
  const labels = new Map(
    schema.columns.flatMap((column) => (column.kind === 'enum' && isWhole(column.nativeType) ? [[column.name, [...labelsOf(column.nativeType)]] as const] : [])),
  );
  const indexes = indexesOf(await ask(indexesText));
  return {
    defaults: await defaultsOf(statements, schema, labels, await ask(fillersText), signal),
    labels,
    ...indexes,
    leftOut: [...indexes.leftOut, ...exactChecksLine((await ask(exactText)).map(([name]) => String(name)))],
    foreignKeys: await foreignKeysOf(statements, await ask(foreignKeysText), signal),
  };
}

type Ask = (text: string) => Promise<readonly ValueRow[]>;

/** The server describes its types in UTF-8 of three bytes: a "?" may be a character of four. */
const isWhole = (description: string): boolean => !description.includes('?');

const fillersText = `SELECT COLUMN_NAME, COLUMN_DEFAULT, EXTRA FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND ${named('TABLE_NAME')}`;
const indexesText = `
SELECT INDEX_NAME, COLUMN_NAME, COLLATION = 'D', INDEX_TYPE FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = DATABASE() AND ${named('TABLE_NAME')} AND NON_UNIQUE = 1 ORDER BY INDEX_NAME, SEQ_IN_INDEX`;
const exactText = `SELECT CONSTRAINT_NAME FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = DATABASE() AND ${named('TABLE_NAME')} AND LEFT(CONSTRAINT_NAME, ${CHECK_PREFIX.length}) = '${CHECK_PREFIX}' ORDER BY CONSTRAINT_NAME`;
const foreignKeysText = `
SELECT r.CONSTRAINT_NAME, k.COLUMN_NAME, r.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME
FROM information_schema.REFERENTIAL_CONSTRAINTS r
JOIN information_schema.KEY_COLUMN_USAGE k ON k.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA AND k.TABLE_NAME = r.TABLE_NAME AND k.CONSTRAINT_NAME = r.CONSTRAINT_NAME
WHERE r.CONSTRAINT_SCHEMA = DATABASE() AND k.TABLE_SCHEMA = DATABASE() AND k.REFERENCED_TABLE_SCHEMA = DATABASE()
  AND r.DELETE_RULE IN ('RESTRICT', 'NO ACTION') AND r.UPDATE_RULE IN ('RESTRICT', 'NO ACTION') AND ${named('r.TABLE_NAME')}
ORDER BY r.CONSTRAINT_NAME, k.ORDINAL_POSITION`;

/** A constant, as the server describes one. */
const literal = /^(?:-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|'(?:[^'\\]|''|\\.)*'|x'[0-9a-f]*')$/is;
const nowPatterns: Readonly<Partial<Record<ColumnSchema['kind'], RegExp>>> = {
  timestamptz: /^current_timestamp\(\d?\)$/i,
  timestamp: /^current_timestamp\(\d?\)$/i,
  date: /^(?:curdate|current_timestamp)\(\d?\)$/i,
};

async function defaultsOf(
  statements: Statements,
  schema: TableSchema,
  labels: ReadonlyMap<string, readonly string[]>,
  rows: readonly ValueRow[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, ColumnDefault>> {
  const found = new Map<string, ColumnDefault>();
  const literals: { readonly column: ColumnSchema; readonly text: string }[] = [];
  for (const [name, filler, extra] of rows) {
    const column = columnNamed(schema, String(name));
    if (column.generated || !column.hasDefault) continue;
    if (String(extra).includes('auto_increment')) found.set(column.name, { kind: 'numbered' });
    else if (nowPatterns[column.kind]?.test(String(filler)) === true) found.set(column.name, { kind: 'now' });
    else if (filler !== null && literal.test(String(filler)) && (column.nullable || isWhole(String(filler)))) literals.push({ column, text: String(filler) });
    else if (filler === null && column.kind === 'enum') {
      // One that must have a value has its first label when an insert leaves it out.
      const [first] = labels.get(column.name) ?? [];
      if (first !== undefined) found.set(column.name, { kind: 'value', cell: first });
    }
  }
  if (literals.length === 0) return found;
  // Without a row the server tells the default itself only of a column that may be NULL. Its description has no characters of four bytes, and no types.
  const value = ({ column: { name, nullable, kind }, text }: (typeof literals)[number]): string =>
    nullable ? `DEFAULT(t.${quoteIdentifier(name)})` : kind.startsWith('float') ? `CAST(${text} AS DOUBLE)` : text;
  const { rows: values } = await statements.query(
    `SELECT ${literals.map(value).join(', ')} FROM (SELECT 1) AS one LEFT JOIN ${quoteIdentifier(schema.name)} AS t ON FALSE`,
    [],
    signal,
  );
  for (const [at, { column }] of literals.entries()) {
    try {
      found.set(column.name, { kind: 'value', cell: cellFromValue(column, values[0]?.[at] ?? null) });
    } catch (error) {
      if (!hasReason(error, 'VALUE_UNSUPPORTED', 'STORE_FAILED')) throw error;
    }
  }
  return found;
}

function indexesOf(rows: readonly ValueRow[]): Pick<TableExtras, 'indexes' | 'leftOut'> {
  const indexes: SecondaryIndex[] = [];
  const leftOut: string[] = [];
  for (const [name, parts] of Map.groupBy(rows, ([index]) => String(index))) {
    const type = String(parts[0]?.[3]);
    const columns = parts.map(([, column, descending]) => ({ name: String(column), descending: Number(descending) === 1 }));
    // A part of a text that is indexed by its beginning is an index on the text to every other kind.
    if (type === 'BTREE' || type === 'HASH') indexes.push({ name, columns });
    else leftOut.push(unlikeIndex(name, `${type} on ${columns.map((column) => column.name).join(', ')}`));
  }
  return { indexes, leftOut };
}

/** Those that lead to a key. One to another index has no like. */
async function foreignKeysOf(statements: Statements, rows: readonly ValueRow[], signal: AbortSignal): Promise<readonly ForeignKey[]> {
  const keys = [...Map.groupBy(rows, ([name]) => String(name))].map(
    ([name, parts]): ForeignKey => ({
      name,
      columns: parts.map(([, column]) => String(column)),
      references: String(parts[0]?.[2]),
      referencedColumns: parts.map(([, , , column]) => String(column)),
    }),
  );
  const parents = new Map<string, TableSchema | null>();
  for (const { references } of keys) if (!parents.has(references)) parents.set(references, await describedOrNull(statements, references, signal));
  return keys.filter(({ references, referencedColumns }) => {
    const parent = parents.get(references) ?? null;
    return parent !== null && isKeyOf(parent, referencedColumns);
  });
}

async function describedOrNull(statements: Statements, table: string, signal: AbortSignal): Promise<TableSchema | null> {
  try {
    return await describe(statements, table, signal);
  } catch (error) {
    if (!hasReason(error, 'TABLE_UNSUPPORTED')) throw error;
    return null;
  }
}
