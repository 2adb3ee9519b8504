import type { ErrorReason } from '../../../core/error-catalogue.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { FenceScope, TableDefinition } from '../../backend.ts';
import { afterCopy, allOrRefused } from '../../portable-table.ts';
import { quoteIdentifier, quoteText } from '../connection.ts';
import { FENCE_TABLE } from '../names.ts';
import { describe } from '../store-client.ts';
import { fencedTable, grantToPlayer, markGuarded, type Preparing, presentTables, refuseRows, requireOwned, scopeValues, unguardedTables } from './claims.ts';
import { addKeys, laterKeys, leftOut, tableStatements, unlikeness } from './definition.ts';
import { defineAtOnce } from './locking.ts';
import { putTriggers } from './triggers.ts';

/** Failures that the definition is not the cause of. */
const passedOn: readonly ErrorReason[] = [
  'STORE_UNAVAILABLE',
  'STORE_LOGIN_REFUSED',
  'STORE_DENIED',
  'STORE_OVERLOADED',
  'STORE_READ_ONLY',
  'CANCELLED',
  'DEADLINE_EXCEEDED',
  'SERIALIZATION_FAILURE',
];

/** All statements, in order, that make the tables in an empty store, and what is left out. */
export function planTables(definitions: readonly TableDefinition[]): readonly string[] {
  const statements = allOrRefused(definitions, (definition) => tableStatements(definition, definitions)).flat();
  const later = definitions.flatMap((definition) => {
    const keys = laterKeys(definition, definitions);
    return keys.length === 0 ? [] : [addKeys(definition.schema, keys, true)];
  });
  const run = (texts: readonly string[]): readonly string[] => texts.map((text) => `${text};`);
  return [...run(statements), ...afterCopy(run(later)), ...definitions.flatMap((definition) => leftOut(definition, definitions))];
}

/**
 * Makes the missing ones; see `OwnerStore.createTables`. Every statement commits by itself: what was cut short is done again. A table is marked as guarded last, when its fence is on and it is empty, and none that is not becomes readable.
 */
export async function createTables(preparing: Preparing, scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void> {
  const { client, clock, shard } = preparing;
  await requireOwned(client, scope, 'CLOSED', signal);
  for (const definition of definitions) {
    const { name } = definition.schema;
    const [isThere] = await presentTables(client, [name], signal);
    if (isThere === undefined) for (const statement of tableStatements(definition, definitions)) await runDefinition(preparing, name, statement, signal);
    await putTriggers(client, clock, fencedTable(shard, scope, name), signal);
    const unguarded = await unguardedTables(client, { ...scope, tables: [name] }, signal);
    // One that came between the claim and now may be somebody's.
    await refuseRows(client, unguarded, signal);
    const present = await describe(client, name, signal);
    const difference = present === null ? 'it is not there' : unlikeness(definition, present);
    if (difference !== null) {
      const message = `table "${name}" exists in the target with another shape (${difference}): drop it there, or give it the source's columns, types, defaults and unique keys`;
      throw new SwitchyardError('PRECHECK_FAILED', message, { metadata: { table: name } });
    }
    await grantToPlayer(preparing, [name], signal);
    await markGuarded(client, scope, unguarded, signal);
  }
}

/**
 * Drops the tables that the workflow owns and that are CLOSED; the fence rows stay. FENCE_CONFLICT: another state or owner. First they lose their mark, without which nobody can make them readable; and the server itself looks for that
 * right before it drops one: whoever has slept meanwhile, or waited, drops nothing that is in use.
 */
export async function dropTables({ client, clock }: Preparing, scope: FenceScope, signal: AbortSignal): Promise<void> {
  await requireOwned(client, scope, 'CLOSED', signal);
  const [row] = (await client.query('SELECT switchyard_unguard(?, ?, ?)', scopeValues(scope), signal)).rows;
  if (row?.[0] !== 1) await requireOwned(client, scope, 'CLOSED', signal);
  const isOurs = (table: string): string =>
    `EXISTS (SELECT 1 FROM ${FENCE_TABLE} WHERE table_name = ${quoteText(table)} AND workflow = ${quoteText(scope.workflow)} AND peer = ${quoteText(scope.peer)} AND state = 'CLOSED' AND guarded = 0)`;
  for (const table of await presentTables(client, scope.tables, signal))
    await defineAtOnce(client, clock, `BEGIN NOT ATOMIC IF ${isOurs(table)} THEN DROP TABLE ${quoteIdentifier(table)}; END IF; END`, signal);
  const [left] = await presentTables(client, scope.tables, signal);
  if (left !== undefined) throw new SwitchyardError('FENCE_CONFLICT', `somebody goes on with table "${left}", which was to be dropped`, { metadata: { table: left } });
}

/** What the definition needs beside the tables (an engine, a plugin, a collation) has to be there. */
async function runDefinition({ client }: Preparing, table: string, statement: string, signal: AbortSignal): Promise<void> {
  try {
    await client.command(statement, signal);
  } catch (error) {
    if (!(error instanceof SwitchyardError) || passedOn.includes(error.reason)) throw error;
    throw new SwitchyardError('PRECHECK_FAILED', `table "${table}" cannot be made in the target: ${error.message}. Make there what it needs, or the table itself, and try again`, {
      metadata: { table },
      cause: error,
    });
  }
}
