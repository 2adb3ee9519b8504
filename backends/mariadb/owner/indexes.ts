import type { ErrorReason } from '../../../core/error-catalogue.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { FenceScope, TableDefinition } from '../../backend.ts';
import { errorNumber } from '../errors.ts';
import { named } from '../schema.ts';
import type { Statements } from '../store-client.ts';
import { requireOwned } from './claims.ts';
import { addKeys, laterKeys } from './definition.ts';
import type { LaterKey } from './portable-keys.ts';

/** Failures that the index is not the cause of, beside those that may pass. */
const passedOn: readonly ErrorReason[] = ['STORE_DENIED', 'CANCELLED', 'DEADLINE_EXCEEDED'];
/** The server cannot make these keys beside writers, or not in that way. */
const notBeside: readonly (number | null)[] = [1845, 1846];
/** What was written meanwhile no longer fits where the server keeps it. */
const LOG_TOO_BIG = 1799;

/**
 * Adds the missing ones, those of one table by one statement, which reads its rows once; see `OwnerStore.createIndexes`. The server ends one that was cut off by itself, and nothing is left of it. A caller that comes while another one's statement runs waits for it
 * for as long as `lock_wait_timeout` says, and is told to try again then.
 */
export async function createIndexes(statements: Statements, scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void> {
  for (const definition of definitions) {
    const { schema } = definition;
    if (!scope.tables.includes(schema.name)) continue;
    await requireOwned(statements, scope, 'CLOSED', signal);
    const missing = await missingKeys(statements, schema.name, laterKeys(definition, definitions), signal);
    if (missing.length > 0) await addAll(statements, schema, missing, signal);
  }
}

async function missingKeys(statements: Statements, table: string, keys: readonly LaterKey[], signal: AbortSignal): Promise<readonly LaterKey[]> {
  if (keys.length === 0) return [];
  const text = `SELECT DISTINCT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND ${named('TABLE_NAME')}`;
  const { rows } = await statements.query(text, [table, table], signal);
  // To the server names that differ only in case are one.
  const present = new Set(rows.map(([name]) => String(name).toLowerCase()));
  return keys.filter(({ name }) => !present.has(name.toLowerCase()));
}

async function addAll(statements: Statements, table: TableSchema, keys: readonly LaterKey[], signal: AbortSignal): Promise<void> {
  try {
    await statements.command(addKeys(table, keys, true), signal).catch(async (error: unknown) => {
      if (!(error instanceof SwitchyardError) || !notBeside.includes(errorNumber(error.cause))) throw error;
      await statements.command(addKeys(table, keys, false), signal);
    });
  } catch (error) {
    if (!(error instanceof SwitchyardError) || error.retryable || passedOn.includes(error.reason)) throw error;
    const names = keys.map(({ name }) => `"${name}"`).join(', ');
    const fix =
      errorNumber(error.cause) === LOG_TOO_BIG ? 'raise innodb_online_alter_log_max_size there, for as long as it takes' : 'make there what they need, or the keys themselves';
    throw new SwitchyardError('PRECHECK_FAILED', `the keys ${names} of table "${table.name}" cannot be made in the target: ${error.message}`, {
      fix,
      metadata: { table: table.name },
      cause: error,
    });
  }
}
