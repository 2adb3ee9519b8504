import { hasReason } from '../../../core/switchyard-error.ts';
import type { Problem } from '../../backend.ts';
import { strangeRows } from '../../strange-rows.ts';
import { quoteIdentifier } from '../connection.ts';
import type { StoreClient } from '../store-client.ts';
import { type AccountRights, readAccountRights } from './account-rights.ts';
import { type CheckedStore, grantScriptFix } from './checked-store.ts';
import { holdsRows } from './claims.ts';
import { rightsProblems } from './rights-checks.ts';
import { grantsProblems, identityProblems, loginProblems, serverProblems } from './server-checks.ts';
import { tableProblems } from './table-checks.ts';

/** See `OwnerStore.checkTables`. */
export async function checkTables(store: CheckedStore, tables: readonly string[], side: 'source' | 'target', signal: AbortSignal): Promise<readonly Problem[]> {
  return withRights(store, signal, async (rights) => [
    ...(await serverProblems(store.client, signal)),
    ...(await identityProblems(store, rights, signal)),
    ...(await shapeProblems(store.client, tables, side, signal)),
    ...(await tableProblems(store.client, tables, signal)),
    ...rightsProblems(store.shard, rights, tables),
  ]);
}

/** See `OwnerStore.checkStore`. */
export async function checkStore(store: CheckedStore, signal: AbortSignal): Promise<readonly Problem[]> {
  return withRights(store, signal, async (rights) => [
    ...(await serverProblems(store.client, signal)),
    ...(await identityProblems(store, rights, signal)),
    ...(await grantsProblems(store, rights, signal)),
    ...rightsProblems(store.shard, rights, []),
  ]);
}

/** Without the logins, or where nothing is told of them, the other questions cannot be asked. */
async function withRights(store: CheckedStore, signal: AbortSignal, ask: (rights: AccountRights) => Promise<readonly Problem[]>): Promise<readonly Problem[]> {
  let rights: AccountRights;
  try {
    rights = await readAccountRights(store.client, signal);
  } catch (error) {
    if (!hasReason(error, 'STORE_DENIED')) throw error;
    const message = `login "${store.shard.owner.user}" may not see which accounts the server has, and what they may do`;
    return [{ table: null, message, fix: grantScriptFix(store) }];
  }
  const missing = loginProblems(store, rights);
  return missing.length > 0 ? missing : ask(rights);
}

async function shapeProblems(client: StoreClient, tables: readonly string[], side: 'source' | 'target', signal: AbortSignal): Promise<readonly Problem[]> {
  const problems: Problem[] = [];
  for (const table of tables) {
    try {
      const schema = await client.describe(table, signal);
      if (schema === null && side === 'source') problems.push({ table, message: 'the store has no such table in its database', fix: 'name an existing table' });
    } catch (error) {
      if (!hasReason(error, 'TABLE_UNSUPPORTED')) throw error;
      const column = error.metadata.column;
      const fix =
        column === undefined
          ? `ALTER TABLE ${quoteIdentifier(table)} accordingly, or leave the table out`
          : `ALTER TABLE ${quoteIdentifier(table)} MODIFY ${quoteIdentifier(column)} with a served type, or leave the table out`;
      problems.push({ table, message: error.message, fix });
    }
  }
  return problems;
}

/** Of these tables, which a move would take as its target, those that hold rows. */
export async function rowProblems(client: StoreClient, tables: readonly string[], signal: AbortSignal): Promise<readonly Problem[]> {
  const problems: Problem[] = [];
  const { rows } = await client.query(`SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'`, [], signal);
  const present = new Set(rows.map(([name]) => String(name)));
  for (const table of tables) if (present.has(table) && (await holdsRows(client, table, signal))) problems.push(strangeRows(table, quoteIdentifier(table)));
  return problems;
}
