import { z } from 'zod';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { shapeDifferenceBetweenKinds, type TableSchema } from '../../../core/table-schema.ts';
import type { TableDefinition } from '../../backend.ts';
import { nativeDetail } from '../../native-detail.ts';
import { isNumbered, leftOutLines } from '../../portable-table.ts';
import { quoteIdentifier } from '../connection.ts';
import { describe, type Statements } from '../store-client.ts';
import { beyondSchema } from './beyond-schema.ts';
import { createTableParts, leadingColumns, plainKey } from './create-table.ts';
import { tableExtras } from './extras.ts';
import { portableTable, withoutTimestampDefaults } from './portable.ts';
import type { LaterKey } from './portable-keys.ts';

/** What the server's own words say about a table. */
const nativeSchema = z.object({
  /** Columns, keys and checks, as CREATE TABLE takes them, in order. */
  elements: z.array(z.string()).readonly(),
  foreignKeys: z.array(z.object({ name: z.string(), references: z.string().nullable(), text: z.string() })).readonly(),
  /** What stands behind them: engine, charset, format. */
  options: z.string(),
});

const KIND = 'mariadb';

/** The definitions of existing tables. TABLE_UNKNOWN, TABLE_UNSUPPORTED. */
export async function defineTables(statements: Statements, tables: readonly string[], signal: AbortSignal): Promise<readonly TableDefinition[]> {
  const definitions: TableDefinition[] = [];
  for (const table of tables) {
    const schema = await describe(statements, table, signal);
    if (schema === null) throw new SwitchyardError('TABLE_UNKNOWN', `the store has no table "${table}"`, { metadata: { table } });
    const [row] = (await statements.command(`SET STATEMENT sql_quote_show_create = 1 FOR SHOW CREATE TABLE ${quoteIdentifier(table)}`, signal)).rows;
    const detail: z.output<typeof nativeSchema> = createTableParts(String(row?.[1]));
    const extras = await tableExtras(statements, schema, signal);
    definitions.push({ schema, extras, more: await beyondSchema(statements, table, detail.foreignKeys, extras, signal), native: { kind: KIND, detail } });
  }
  return definitions;
}

/**
 * What makes the table, without the keys that are added later. Foreign keys are part of it, those that lead to a table of `all`, which are made together: where they are not checked, the other table may come later, and no table is ever there without them.
 */
export function tableStatements(definition: TableDefinition, all: readonly TableDefinition[]): readonly string[] {
  const { schema } = definition;
  if (!isNative(definition)) return portableTable(definition, schemasOf(all)).statements;
  const { elements, foreignKeys, options } = nativeOf(definition);
  const later = new Set(laterKeys(definition, all).map(({ name }) => name));
  const inner = [
    ...elements.filter((element) => !later.has(plainKey(element)?.name ?? '')),
    ...foreignKeys.filter(({ references }) => all.some((other) => other.schema.name === references)).map(({ text }) => text),
  ];
  return [`CREATE TABLE ${quoteIdentifier(schema.name)} (\n  ${inner.join(',\n  ')}\n)${options === '' ? '' : ` ${options}`}`];
}

/**
 * The keys of the table that are added when it has its rows: plain ones, which refuse no row. Without those whose first column numbers the rows, begins a foreign key or is one where a foreign key of `all` begins, no table can be made, or the server makes others
 * in their place.
 */
export function laterKeys(definition: TableDefinition, all: readonly TableDefinition[]): readonly LaterKey[] {
  const { schema } = definition;
  if (!isNative(definition)) return portableTable(definition, schemasOf(all)).later;
  const { elements, foreignKeys } = nativeOf(definition);
  const leading = [
    ...schema.columns.filter((column) => isNumbered(definition, column)).map(({ name }) => name),
    ...foreignKeys.map((key) => leadingColumns(key).from),
    ...all
      .filter(isNative)
      .flatMap((other) => nativeOf(other).foreignKeys)
      .filter(({ references }) => references === schema.name)
      .map((key) => leadingColumns(key).to),
  ].map((name) => name.toLowerCase());
  return elements.flatMap((element) => {
    const key = plainKey(element);
    return key === null || leading.includes(key.first.toLowerCase()) ? [] : [{ name: key.name, rest: element.slice(`KEY ${quoteIdentifier(key.name)} `.length) }];
  });
}

/** Adds keys, also where another caller has just added some of them. `beside`: beside writers, where the server can do that. */
export function addKeys(table: TableSchema, keys: readonly LaterKey[], beside: boolean): string {
  const added = keys.map(({ name, rest }) => `ADD KEY IF NOT EXISTS ${quoteIdentifier(name)} ${rest}`);
  const parts = [...added, ...(beside ? ['ALGORITHM = INPLACE', 'LOCK = NONE'] : [])];
  return withoutTimestampDefaults(table, `ALTER TABLE ${quoteIdentifier(table.name)} ${parts.join(', ')}`);
}

/** What of the table these statements do not make, as comments. */
export function leftOut(definition: TableDefinition, all: readonly TableDefinition[]): readonly string[] {
  return isNative(definition) ? [] : leftOutLines(definition.schema, portableTable(definition, schemasOf(all)).leftOut);
}

const isNative = ({ native }: TableDefinition): boolean => native.kind === KIND;
const nativeOf = (definition: TableDefinition): z.output<typeof nativeSchema> => nativeDetail(nativeSchema, definition);
const schemasOf = (definitions: readonly TableDefinition[]): readonly TableSchema[] => definitions.map(({ schema }) => schema);

/** Null: rows of the defined table are rows of this one. Between kinds only what rows are made of can be compared. */
export function unlikeness(definition: TableDefinition, present: TableSchema): string | null {
  const { schema } = definition;
  if (isNative(definition)) return schema.fingerprint === present.fingerprint ? null : 'its definition differs';
  return shapeDifferenceBetweenKinds(schema, present);
}
