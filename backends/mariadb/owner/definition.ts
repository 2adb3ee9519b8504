import { z } from 'zod';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { shapeDifferenceBetweenKinds, type TableSchema } from '../../../core/table-schema.ts';
import type { TableDefinition } from '../../backend.ts';
import { nativeDetail } from '../../native-detail.ts';
import { leftOutLines } from '../../portable-table.ts';
import { quoteIdentifier } from '../connection.ts';
import { describe, type Statements } from '../store-client.ts';
import { beyondSchema } from './beyond-schema.ts';
import { createTableParts } from './create-table.ts';
import { tableExtras } from './extras.ts';
import { portableTable } from './portable.ts';

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
 * What makes the table. Foreign keys are part of it, those that lead to a table of `within`: where they are not checked, the other table may come later, and no table is ever there without them.
 */
export function tableStatements(definition: TableDefinition, within: readonly TableSchema[]): readonly string[] {
  const { schema, native } = definition;
  if (native.kind !== KIND) return portableTable(definition, within).statements;
  const { elements, foreignKeys, options } = nativeDetail(nativeSchema, definition);
  const inner = [...elements, ...foreignKeys.filter(({ references }) => within.some(({ name }) => name === references)).map(({ text }) => text)];
  return [`CREATE TABLE ${quoteIdentifier(schema.name)} (\n  ${inner.join(',\n  ')}\n)${options === '' ? '' : ` ${options}`}`];
}

/** What of the table these statements do not make, as comments. */
export function leftOut(definition: TableDefinition, within: readonly TableSchema[]): readonly string[] {
  return definition.native.kind === KIND ? [] : leftOutLines(definition.schema, portableTable(definition, within).leftOut);
}

/** Null: rows of the defined table are rows of this one. Between kinds only what rows are made of can be compared. */
export function unlikeness({ schema, native }: TableDefinition, present: TableSchema): string | null {
  if (native.kind === KIND) return schema.fingerprint === present.fingerprint ? null : 'its definition differs';
  return shapeDifferenceBetweenKinds(schema, present);
}
