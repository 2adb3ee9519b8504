import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { shapeDifferenceBetweenKinds, type TableSchema } from '../../../core/table-schema.ts';
import type { TableDefinition } from '../../backend.ts';
import { quoteIdentifier } from '../connection.ts';
import { describe, type Statements } from '../store-client.ts';
import { beyondSchema } from './beyond-schema.ts';
import { createTableParts, type ForeignKey } from './create-table.ts';
import { portableStatement } from './portable.ts';

/** What the server's own words say about a table. */
interface NativeTable {
  /** Columns, keys and checks, as CREATE TABLE takes them, in order. */
  readonly elements: readonly string[];
  readonly foreignKeys: readonly ForeignKey[];
  /** What stands behind them: engine, charset, format. */
  readonly options: string;
}

const KIND = 'mariadb';

/** The definitions of existing tables. TABLE_UNKNOWN, TABLE_UNSUPPORTED. */
export async function defineTables(statements: Statements, tables: readonly string[], signal: AbortSignal): Promise<readonly TableDefinition[]> {
  const definitions: TableDefinition[] = [];
  for (const table of tables) {
    const schema = await describe(statements, table, signal);
    if (schema === null) throw new SwitchyardError('TABLE_UNKNOWN', `the store has no table "${table}"`, { metadata: { table } });
    const [row] = (await statements.command(`SET STATEMENT sql_quote_show_create = 1 FOR SHOW CREATE TABLE ${quoteIdentifier(table)}`, signal)).rows;
    const detail: NativeTable = createTableParts(String(row?.[1]));
    definitions.push({ schema, more: await beyondSchema(statements, table, detail.foreignKeys, signal), native: { kind: KIND, detail } });
  }
  return definitions;
}

/**
 * The statement that makes the table. Foreign keys are part of it, those that lead to a table of `within`: where they are not checked, the other table may come later, and no table is ever there without them.
 */
export function tableStatement(definition: TableDefinition, within: readonly string[]): string {
  const { schema, native } = definition;
  if (native.kind !== KIND) return portableStatement(definition);
  const { elements, foreignKeys, options } = native.detail as NativeTable;
  const inner = [...elements, ...foreignKeys.filter(({ references }) => references !== null && within.includes(references)).map(({ text }) => text)];
  return `CREATE TABLE ${quoteIdentifier(schema.name)} (\n  ${inner.join(',\n  ')}\n)${options === '' ? '' : ` ${options}`}`;
}

/** Null: rows of the defined table are rows of this one. Between kinds only what rows are made of can be compared. */
export function unlikeness({ schema, native }: TableDefinition, present: TableSchema): string | null {
  if (native.kind === KIND) return schema.fingerprint === present.fingerprint ? null : 'its definition differs';
  return shapeDifferenceBetweenKinds(schema, present);
}
