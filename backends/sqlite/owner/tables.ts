import { z } from 'zod';
import type { ErrorReason } from '../../../core/error-catalogue.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { shapeDifferenceBetweenKinds, type TableSchema } from '../../../core/table-schema.ts';
import type { FenceScope, TableDefinition } from '../../backend.ts';
import { rowsInTheWay } from '../../strange-rows.ts';
import { nativeDetail } from '../../native-detail.ts';
import { allOrRefused, leftOutLines } from '../../portable-table.ts';
import { type Connection, quoteTable } from '../connection.ts';
import { storeError } from '../errors.ts';
import { describeFully, describeTable } from '../schema.ts';
import type { Transaction } from '../store-client.ts';
import { beyondSchema } from './beyond-schema.ts';
import { holdsRows, requireOwned } from './claims.ts';
import { tableExtras } from './extras.ts';
import { tableExists } from './names.ts';
import { portableTable } from './portable.ts';
import { missingTriggers, putFenceTriggers } from './triggers.ts';

/** What the file itself says about a table: its CREATE TABLE and its CREATE INDEX statements, in its own words. */
const nativeSchema = z.object({ statements: z.array(z.string()).readonly() });

const KIND = 'sqlite';

/** Failures that the definition is not the cause of. */
const passedOn: readonly ErrorReason[] = ['STORE_UNAVAILABLE', 'STORE_DENIED', 'STORE_READ_ONLY', 'STORE_OVERLOADED'];

/** The definitions of existing tables. TABLE_UNKNOWN, TABLE_UNSUPPORTED. */
export function defineTables({ connection }: Transaction, tables: readonly string[]): readonly TableDefinition[] {
  return tables.map((table) => {
    const described = describeFully(connection, table);
    if (described === null) throw new SwitchyardError('TABLE_UNKNOWN', `the store has no table "${table}"`, { metadata: { table } });
    const rows = connection.all(`SELECT sql FROM sqlite_schema WHERE type IN ('table', 'index') AND tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC, rowid`, [table]);
    const { schema } = described;
    const extras = tableExtras(connection, described);
    return {
      schema,
      extras,
      more: beyondSchema(connection, schema, extras),
      native: { kind: KIND, detail: { statements: rows.map(([sql]) => String(sql)) } satisfies z.output<typeof nativeSchema> },
    };
  });
}

/** All statements, in order, that make the tables in an empty store, and what is left out. Foreign keys are part of them: SQLite looks for the other table only when a row is written. */
export function planTables(definitions: readonly TableDefinition[]): readonly string[] {
  const within = definitions.map(({ schema }) => schema.name);
  const statements = allOrRefused(definitions, (definition) => statementsOf(definition, within)).flat();
  return [...statements.map((statement) => `${statement};`), ...definitions.flatMap((definition) => leftOut(definition, within))];
}

/** Makes the missing ones; see `OwnerStore.createTables`. Inside a transaction with the write lock, without foreign keys. */
export function createTables(transaction: Transaction, scope: FenceScope, definitions: readonly TableDefinition[]): void {
  requireOwned(transaction, scope, 'CLOSED');
  const { connection } = transaction;
  const within = definitions.map(({ schema }) => schema.name);
  for (const definition of definitions) {
    const { name } = definition.schema;
    if (!tableExists(connection, name)) for (const statement of statementsOf(definition, within)) runDefinition(connection, name, statement);
    // A table that was there before has its triggers from the claim, unless it came between claim and now.
    else if (missingTriggers(connection, [name]).length > 0 && holdsRows(connection, name)) throw rowsInTheWay(name, quoteTable(name));
    putFenceTriggers(connection, name);
    const present = describeTable(connection, name);
    const difference = present === null ? 'not there' : unlikeness(definition, present);
    if (difference === null) continue;
    const message = `table "${name}" exists in the target with another shape (${difference}): drop it there, or give it the source's columns, types, defaults and unique keys`;
    throw new SwitchyardError('PRECHECK_FAILED', message, { metadata: { table: name } });
  }
}

/** Drops the tables that the workflow owns and that are CLOSED; the fence rows stay. FENCE_CONFLICT: another state or owner. */
export function dropTables(transaction: Transaction, scope: FenceScope): void {
  requireOwned(transaction, scope, 'CLOSED');
  const { connection } = transaction;
  // DROP TABLE takes a name of another spelling for the same; what has it is not ours.
  for (const table of scope.tables) if (tableExists(connection, table)) connection.script(`DROP TABLE ${quoteTable(table)}`);
}

function statementsOf(definition: TableDefinition, within: readonly string[]): readonly string[] {
  return definition.native.kind === KIND ? nativeDetail(nativeSchema, definition).statements : portableTable(definition, within).statements;
}

/** What of the table these statements do not make, as comments. */
function leftOut(definition: TableDefinition, within: readonly string[]): readonly string[] {
  return definition.native.kind === KIND ? [] : leftOutLines(definition.schema, portableTable(definition, within).leftOut);
}

/** Null: rows of the defined table are rows of this one. Between kinds only what rows are made of can be compared. */
function unlikeness({ schema, native }: TableDefinition, present: TableSchema): string | null {
  if (native.kind === KIND) return schema.fingerprint === present.fingerprint ? null : 'its definition differs';
  return shapeDifferenceBetweenKinds(schema, present);
}

function runDefinition(connection: Connection, table: string, statement: string): void {
  try {
    connection.script(statement);
  } catch (error) {
    const ours = storeError(error);
    if (passedOn.includes(ours.reason)) throw error;
    throw new SwitchyardError('PRECHECK_FAILED', `table "${table}" cannot be made in the target: ${ours.message}. Make there what it needs, or the table itself, and try again`, {
      metadata: { table },
      cause: error,
    });
  }
}
