import type { FenceRow } from '../../../core/fence.ts';
import type { ServerShard } from '../../../core/keyspace.ts';
import type { ErrorReason } from '../../../core/error-catalogue.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { FenceScope, TableDefinition } from '../../backend.ts';
import { rowsInTheWay } from '../../strange-rows.ts';
import { textFromElements } from '../array-text.ts';
import { afterCopy, allOrRefused } from '../../portable-table.ts';
import { quoteIdentifier, quoteTable } from '../connection.ts';
import { describe, type Statements } from '../store-client.ts';
import { holdsRows, lockRows, putTriggers, shutTable } from './claims.ts';
import { foreignKeyStatements, laterIndexes, leftOut, tableStatements, unlikeness } from './definition.ts';
import { WRITE_TRIGGER } from './fence-sql.ts';
import { filledColumns } from './sequences.ts';

/** Failures that the definition is not the cause of. */
const passedOn: readonly ErrorReason[] = ['STORE_UNAVAILABLE', 'STORE_LOGIN_REFUSED', 'STORE_DENIED', 'CANCELLED', 'DEADLINE_EXCEEDED', 'SERIALIZATION_FAILURE'];

/** All statements, in order, that make the tables in an empty store, and what is left out. */
export function planTables(definitions: readonly TableDefinition[]): readonly string[] {
  const names = definitions.map((definition) => definition.schema.name);
  return [
    ...allOrRefused(definitions, tableStatements).flat(),
    ...definitions.flatMap((definition) => foreignKeyStatements(definition, names)),
    ...afterCopy(definitions.flatMap(laterIndexes).map(({ beside }) => beside)),
    ...definitions.flatMap(leftOut),
  ];
}

/** Makes the missing ones; see `OwnerStore.createTables`. Runs in a locking transaction. */
export async function createTables(statements: Statements, shard: ServerShard, scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void> {
  requireClosed(await lockRows(statements, scope.tables, signal), scope);
  const created: TableDefinition[] = [];
  for (const definition of definitions) {
    const { name } = definition.schema;
    const isThere = await exists(statements, name, signal);
    if (isThere) await adopt(statements, shard, name, signal);
    else {
      for (const statement of tableStatements(definition)) await runDefinition(statements, name, statement, signal);
      await tryIndexes(statements, definition, signal);
      await putTriggers(statements, name, true, signal);
      await shutTable(statements, shard, name, signal);
      created.push(definition);
    }
    await grantSequences(statements, shard, name, signal);
    const present = await describe(statements, name, signal);
    const difference = present === null ? 'it is not there' : unlikeness(definition, present);
    if (difference !== null) {
      throw new SwitchyardError(
        'PRECHECK_FAILED',
        `table "${name}" exists in the target with another shape (${difference}): drop it there, or give it the source's columns, types, defaults and unique keys`,
        {
          metadata: { table: name },
        },
      );
    }
  }
  const names = definitions.map((definition) => definition.schema.name);
  for (const definition of created) {
    for (const statement of foreignKeyStatements(definition, names)) await runDefinition(statements, definition.schema.name, statement, signal);
  }
}

/** On the empty table, and taken back: what the server cannot make (a name that is taken, a method or a function that is not there) is found out now, and not behind a copy of hours. */
async function tryIndexes(statements: Statements, definition: TableDefinition, signal: AbortSignal): Promise<void> {
  const indexes = laterIndexes(definition);
  if (indexes.length === 0) return;
  await statements.query('SAVEPOINT without_indexes', [], signal);
  for (const { statement } of indexes) await runDefinition(statements, definition.schema.name, statement, signal);
  await statements.query('ROLLBACK TO SAVEPOINT without_indexes; RELEASE SAVEPOINT without_indexes', [], signal);
}

/** What fills a table's columns has to be usable by the gateway once the table is open: an insert draws from it. */
async function grantSequences(statements: Statements, shard: ServerShard, table: string, signal: AbortSignal): Promise<void> {
  const text = `SELECT DISTINCT f.sequence::regclass::text FROM (${filledColumns('$1::text[]')}) f`;
  for (const [sequence] of await statements.query(text, [textFromElements([table])], signal)) {
    await statements.query(`GRANT USAGE ON SEQUENCE ${sequence} TO ${quoteIdentifier(shard.gateway.user)}`, [], signal);
  }
}

/** Drops the tables that the workflow owns and that are CLOSED; the fence rows stay. FENCE_CONFLICT: another state or owner. */
export async function dropTables(statements: Statements, scope: FenceScope, signal: AbortSignal): Promise<void> {
  requireClosed(await lockRows(statements, scope.tables, signal), scope);
  await statements.query(`DROP TABLE IF EXISTS ${scope.tables.map(quoteTable).join(', ')}`, [], signal);
}

/** FENCE_CONFLICT unless every table of the scope is its workflow's, and CLOSED, in these rows. */
export function requireClosed(rows: readonly FenceRow[], scope: FenceScope): void {
  for (const table of scope.tables) {
    const row = rows.find((each) => each.table === table);
    if (row?.workflow === scope.workflow && row.peer === scope.peer && row.state === 'CLOSED') continue;
    const found = row === undefined ? 'has no fence row' : `is ${row.state} and belongs to ${row.workflow === null ? 'no workflow' : `workflow "${row.workflow}"`}`;
    throw new SwitchyardError('FENCE_CONFLICT', `table "${table}" ${found}; expected CLOSED and workflow "${scope.workflow}"`, { metadata: { table } });
  }
}

/** A table that was there before: the claim has put the fence on it, unless it came between claim and now. */
async function adopt(statements: Statements, shard: ServerShard, table: string, signal: AbortSignal): Promise<void> {
  const [fenced] = await statements.query('SELECT 1 FROM pg_trigger WHERE tgrelid = $1::regclass AND tgname = $2', [quoteTable(table), WRITE_TRIGGER], signal);
  if (fenced !== undefined) return;
  await putTriggers(statements, table, true, signal);
  if (await holdsRows(statements, table, signal)) throw rowsInTheWay(table, quoteTable(table));
  await shutTable(statements, shard, table, signal);
}

async function exists(statements: Statements, table: string, signal: AbortSignal): Promise<boolean> {
  const [row] = await statements.query(`SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname = ANY ($1::text[])`, [textFromElements([table])], signal);
  return row !== undefined;
}

/** What the definition needs beside the tables (domains, functions, collations, extensions) has to be there. */
async function runDefinition(statements: Statements, table: string, statement: string, signal: AbortSignal): Promise<void> {
  try {
    await statements.query(statement, [], signal);
  } catch (error) {
    if (!(error instanceof SwitchyardError) || passedOn.includes(error.reason)) throw error;
    throw new SwitchyardError('PRECHECK_FAILED', `table "${table}" cannot be made in the target: ${error.message}. Make there what it needs, or the table itself, and try again`, {
      metadata: { table },
      cause: error,
    });
  }
}
