import type { FenceScope, SequenceState, TableDefinition } from '../../../backends/backend.ts';
import type { FenceRow, FenceState } from '../../../core/fence.ts';
import { attempt } from '../../../core/ids.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { shapeDifference, type TableSchema } from '../../../core/table-schema.ts';
import type { TableLockMode } from './locks.ts';
import { rowsOf } from './rows.ts';
import type { Transaction } from './transaction.ts';

/* Taking tables for a workflow, making and dropping them, and giving them back: the owner's transactions before and after a move. */

export async function claimTables(transaction: Transaction, scope: FenceScope, side: 'source' | 'target'): Promise<void> {
  const present = await lockPresent(transaction, scope.tables, 'drain');
  const missing = scope.tables.find((table) => !present.includes(table));
  if (side === 'source' && missing !== undefined) throw new SwitchyardError('TABLE_UNKNOWN', `the store has no table "${missing}"`, { metadata: { table: missing } });
  const wanted: FenceState = side === 'source' ? 'OPEN' : 'CLOSED';
  for (const table of [...scope.tables].sort()) {
    await transaction.lockRow('fence', table, 'exclusive');
    const found = transaction.readNewest<FenceRow>('fence', table);
    const row: FenceRow = found ?? { table, state: wanted, attempt: attempt(0), peer: scope.peer, workflow: null };
    if (row.workflow !== null && (row.workflow !== scope.workflow || row.peer !== scope.peer)) {
      throw new SwitchyardError('TABLE_OWNED', `workflow "${row.workflow}" owns table "${table}"`, { metadata: { table, workflow: row.workflow } });
    }
    if (row.workflow !== null) continue;
    if (row.state !== wanted) throw new SwitchyardError('PRECHECK_FAILED', `table "${table}" is ${row.state} here, so it cannot be the ${side} of a move`, { metadata: { table } });
    if (present.includes(table)) takeTable(transaction, table, side);
    transaction.put('fence', table, { ...row, workflow: scope.workflow, peer: scope.peer });
  }
}

export async function createTables(transaction: Transaction, scope: FenceScope, definitions: readonly TableDefinition[]): Promise<void> {
  await requireClosed(transaction, scope);
  for (const { schema } of definitions) {
    const present = transaction.readNewest<TableSchema>('table', schema.name);
    const difference = present === undefined ? null : shapeDifference(schema, present);
    if (difference !== null) throw new SwitchyardError('PRECHECK_FAILED', `table "${schema.name}" exists in the target with another shape (${difference})`);
    if (present !== undefined && transaction.readNewest('trigger', schema.name) === true) continue;
    if (present !== undefined) takeTable(transaction, schema.name, 'target');
    else {
      await transaction.lockRow('table', schema.name, 'exclusive');
      transaction.put('table', schema.name, schema);
      transaction.put('trigger', schema.name, true);
      transaction.put('acl', schema.name, []);
      for (const { name: column, hasDefault, kind } of schema.columns) {
        if (hasDefault && kind === 'int64') transaction.put('sequence', `${schema.name}.${column}`, { table: schema.name, column, value: 0n } satisfies SequenceState);
      }
    }
  }
}

export async function dropTables(transaction: Transaction, scope: FenceScope): Promise<void> {
  await requireClosed(transaction, scope);
  transaction.beginStatement();
  for (const table of await lockPresent(transaction, scope.tables, 'drop')) {
    for (const [key] of transaction.scan(rowsOf(table))) transaction.put(rowsOf(table), key, null);
    transaction.put('table', table, null);
    transaction.put('trigger', table, null);
  }
}

export async function disownTables(transaction: Transaction, scope: FenceScope, state: 'OPEN' | 'CLOSED'): Promise<void> {
  for (const table of [...scope.tables].sort()) {
    await transaction.lockRow('fence', table, 'exclusive');
    const row = transaction.readNewest<FenceRow>('fence', table);
    if (row?.workflow !== scope.workflow) continue;
    if (row.state !== state) throw new SwitchyardError('FENCE_CONFLICT', `table "${table}" is ${row.state}, not ${state}: its cutover has to end first`);
    transaction.put('fence', table, { ...row, workflow: null });
  }
}

export async function saveRights(transaction: Transaction, scope: FenceScope, rights: ReadonlyMap<string, readonly string[]>): Promise<void> {
  for (const [table, privileges] of rights) {
    await transaction.lockRow('fence', table, 'exclusive');
    const row = transaction.readNewest<FenceRow>('fence', table);
    if (row?.workflow !== scope.workflow || row.peer !== scope.peer)
      throw new SwitchyardError('FENCE_CONFLICT', `table "${table}" does not belong to workflow "${scope.workflow}"`);
    transaction.put('rights', table, privileges);
  }
}

export async function requireClosed(transaction: Transaction, scope: FenceScope): Promise<void> {
  for (const table of [...scope.tables].sort()) {
    await transaction.lockRow('fence', table, 'exclusive');
    const row = transaction.readNewest<FenceRow>('fence', table);
    if (row?.workflow === scope.workflow && row.peer === scope.peer && row.state === 'CLOSED') continue;
    throw new SwitchyardError('FENCE_CONFLICT', `table "${table}" is ${row?.state ?? 'without a fence row'}; expected CLOSED and workflow "${scope.workflow}"`);
  }
}

async function lockPresent(transaction: Transaction, tables: readonly string[], mode: TableLockMode): Promise<readonly string[]> {
  const present = [...tables].sort().filter((table) => transaction.readNewest('table', table) !== undefined);
  for (const table of present) await transaction.lockTable(table, mode);
  return present;
}

/** The fence's trigger: off on a source until the first fence, on from the beginning on a target, where nobody keeps a right. */
function takeTable(transaction: Transaction, table: string, side: 'source' | 'target'): void {
  if (side === 'source') {
    if (transaction.readNewest('trigger', table) === undefined) transaction.put('trigger', table, false);
    return;
  }
  transaction.beginStatement();
  if (transaction.scan(rowsOf(table)).length > 0)
    throw new SwitchyardError('PRECHECK_FAILED', `table "${table}" exists in the target and holds rows that no workflow has brought there`);
  transaction.put('trigger', table, true);
  transaction.put('acl', table, []);
}
