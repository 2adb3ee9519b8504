import pg from 'pg';
import type { Clock } from '../../../core/clock.ts';
import type { ErrorReason } from '../../../core/error-catalogue.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { FenceScope, StoreOptions, TableDefinition } from '../../backend.ts';
import { textFromElements } from '../array-text.ts';
import { quoteTable } from '../connection.ts';
import { describe, type Statements, StoreClient } from '../store-client.ts';
import { fenceColumns, fenceRowsFromText } from './claims.ts';
import { type LaterIndex, laterIndexes } from './definition.ts';
import { tableExtras } from './extras.ts';
import { requireClosed } from './tables.ts';

const TURN_POLL_MS = 500;
/** Failures that the index is not the cause of, beside those that may pass. */
const passedOn: readonly ErrorReason[] = ['STORE_DENIED', 'CANCELLED', 'DEADLINE_EXCEEDED'];
/** Writers of the table queue behind the drop of a leftover for so long at most. */
const DROP_LOCK_MS = 1_000;
/** To be waited for by nobody else they are of the session alone: a build takes as long as it takes. Not every server knows all of them. */
const limits = ['statement_timeout', 'lock_timeout', 'transaction_timeout'];

/**
 * Makes the missing ones beside writers; see `OwnerStore.createIndexes`. On a connection of its own, which holds a lock of the workflow until it ends: whoever else builds for the same workflow waits for it, and finds the indexes made.
 */
export async function createIndexes(options: StoreOptions, scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void> {
  const wanted = definitions
    .filter(({ schema }) => scope.tables.includes(schema.name))
    .map((definition) => ({ table: definition.schema.name, indexes: laterIndexes(definition) }))
    .filter(({ indexes }) => indexes.length > 0);
  if (wanted.length === 0) return;
  // Not one of the pool, in which others may wait for it.
  await using client = new StoreClient({ ...options, poolSize: 1 }, 'owner', {});
  await client.alone(signal, async (statements) => {
    await statements.query(`SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY ($1::text[])`, [textFromElements(limits)], signal);
    await takeTurn(statements, options.clock, scope, signal);
    for (const { table, indexes } of wanted) {
      await dropLeftovers(statements, scope, table, signal);
      for (const index of await missingIndexes(statements, table, indexes, signal)) {
        await requireStillClosed(statements, scope, signal);
        await build(statements, table, index, signal);
      }
    }
  });
}

async function takeTurn(statements: Statements, clock: Clock, { workflow }: FenceScope, signal: AbortSignal): Promise<void> {
  for (;;) {
    // One that waits inside of a statement has a snapshot, which the build of the other would wait for.
    const [row] = await statements.query('SELECT pg_try_advisory_lock(hashtextextended($1, 0))', [`switchyard indexes of ${workflow}`], signal);
    if (row?.[0] === 't') return;
    await clock.sleep(TURN_POLL_MS, signal);
  }
}

async function requireStillClosed(statements: Statements, scope: FenceScope, signal: AbortSignal): Promise<void> {
  const rows = await statements.query(`${fenceColumns} WHERE table_name = ANY ($1::text[])`, [textFromElements(scope.tables)], signal);
  requireClosed(fenceRowsFromText(rows), scope);
}

/** A build that was cut off leaves its index behind, invalid. One that somebody is just building is invalid too, but its table cannot be locked. */
async function dropLeftovers(statements: Statements, scope: FenceScope, table: string, signal: AbortSignal): Promise<void> {
  await requireStillClosed(statements, scope, signal);
  const name = pg.escapeLiteral(quoteTable(table));
  const leftovers = `SELECT i.indexrelid::regclass FROM pg_index i WHERE i.indrelid = ${name}::regclass AND NOT i.indisvalid AND NOT i.indisunique`;
  if ((await statements.query(leftovers, [], signal)).length === 0) return;
  const drop = `
DECLARE
  leftover regclass;
BEGIN
  SET LOCAL lock_timeout = ${DROP_LOCK_MS};
  LOCK TABLE ${quoteTable(table)} IN ACCESS EXCLUSIVE MODE;
  FOR leftover IN ${leftovers} LOOP
    EXECUTE 'DROP INDEX ' || leftover;
  END LOOP;
END`;
  await statements.query(`DO ${pg.escapeLiteral(drop)}`, [], signal);
}

async function missingIndexes(statements: Statements, table: string, indexes: readonly LaterIndex[], signal: AbortSignal): Promise<readonly LaterIndex[]> {
  const schema = await describe(statements, table, signal);
  if (schema === null) throw new SwitchyardError('TABLE_UNKNOWN', `table "${table}", which the workflow made in the target, is there no more`, { metadata: { table } });
  const text = 'SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = $1::regclass AND i.indisvalid';
  const names = new Set((await statements.query(text, [quoteTable(table)], signal)).map(([name]) => name));
  const columns = new Set((await tableExtras(statements, schema, signal)).indexes.map((index) => placesOf(index.columns)));
  return indexes.filter((index) => (index.name === null ? !columns.has(placesOf(index.columns)) : !names.has(index.name)));
}

const placesOf = (columns: LaterIndex['columns']): string => JSON.stringify(columns.map(({ name, descending }) => [name, descending]));

async function build(statements: Statements, table: string, { name, columns, beside }: LaterIndex, signal: AbortSignal): Promise<void> {
  try {
    await statements.query(beside, [], signal);
  } catch (error) {
    if (!(error instanceof SwitchyardError) || error.retryable || passedOn.includes(error.reason)) throw error;
    const which = name === null ? `the index on ${columns.map((column) => column.name).join(', ')}` : `index "${name}"`;
    const message = `${which} of table "${table}" cannot be made in the target: ${error.message}. Make there what it needs, or the index itself`;
    throw new SwitchyardError('PRECHECK_FAILED', message, { metadata: { table }, cause: error });
  }
}
