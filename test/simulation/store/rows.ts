import type { SequenceState } from '../../../backends/backend.ts';
import { type Cell, keyText } from '../../../core/cell.ts';
import type { FenceRow } from '../../../core/fence.ts';
import type { Row, WriteOperation, WriteResult } from '../../../core/operation.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { keyIndexes, type TableSchema } from '../../../core/table-schema.ts';
import type { Relation } from './engine.ts';
import { satisfies } from './filters.ts';
import type { StoreServer } from './server.ts';
import { StoreRefusal, Transaction } from './transaction.ts';

/* What a gateway's and anybody else's statements do with rows, and the fence that meets them: rights, and a trigger on every write. */

export type WholeRow = readonly Cell[];
export type Right = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE';

export const rowsOf = (table: string): Relation => `row ${table}`;

export const keyOfRow = (table: TableSchema, row: WholeRow): readonly Cell[] => keyIndexes(table).map((index) => row[index] ?? null);

export function tableOf(transaction: Transaction, name: string): TableSchema {
  const table = transaction.readNewest<TableSchema>('table', name);
  if (table === undefined) throw new StoreRefusal('undefined_table', `relation "${name}" does not exist`);
  return table;
}

/** The table's lock keeps the table, not its rights. They are looked at when the statement begins, the rows are those of its snapshot a moment later: a right that is taken meanwhile lets it go on. */
export async function readRows(server: StoreServer, transaction: Transaction, name: string): Promise<ReadonlyMap<string, WholeRow>> {
  await transaction.lockTable(name, 'reader');
  tableOf(transaction, name);
  if (!server.faults.has('read-fence')) requireRight(transaction, name, 'SELECT');
  await transaction.pause();
  transaction.beginStatement();
  return new Map(transaction.scan<WholeRow>(rowsOf(name)));
}

/** One write as one statement: the table's lock, rights, snapshot, the fence's trigger, the row's lock, the row. */
export async function writeRow(server: StoreServer, transaction: Transaction, operation: WriteOperation): Promise<WriteResult> {
  const name = operation.table;
  await transaction.lockTable(name, 'writer');
  const table = tableOf(transaction, name);
  const right = operation.kind === 'upsert' ? 'INSERT' : (operation.kind.toUpperCase() as Right);
  if (!server.faults.has('fence')) requireRight(transaction, name, right);
  transaction.beginStatement();
  await checkWrite(server, transaction, name);
  await transaction.pause();
  const rows = rowsOf(name);
  const made = operation.kind === 'insert' || operation.kind === 'upsert' ? newRow(transaction, table, operation.row) : null;
  const key = 'key' in operation ? operation.key : keyOfRow(table, made ?? []);
  const text = keyText(key);
  const isSeen = transaction.read(rows, text) !== undefined;
  if (!isSeen && (operation.kind === 'update' || operation.kind === 'delete')) return missed(operation, false);
  await transaction.lockRow(rows, text, 'exclusive');
  const before = transaction.readNewest<WholeRow>(rows, text);
  const put = (row: WholeRow | null): void => {
    transaction.put(rows, text, row);
    if (row === null) transaction.log({ event: { kind: 'delete', table: name, key } });
    else transaction.log({ event: before === undefined ? { kind: 'insert', table: name, row } : { kind: 'update', table: name, row, oldKey: null } });
  };
  switch (operation.kind) {
    case 'insert':
      if (before !== undefined) throw new StoreRefusal('unique_violation', `duplicate key (${text}) of "${name}"`);
      put(made);
      return { row: chosen(table, made ?? [], operation.returning), found: true };
    case 'upsert': {
      if (before !== undefined && operation.precondition !== null && !satisfies(table, before, operation.precondition)) return missed(operation, true);
      const row = before === undefined ? (made ?? []) : changed(table, before, operation.row, null);
      put(row);
      return { row: chosen(table, row, operation.returning), found: true };
    }
    case 'update': {
      if (before === undefined || (operation.precondition !== null && !satisfies(table, before, operation.precondition))) return missed(operation, before !== undefined);
      const row = changed(table, before, operation.set, operation.add);
      put(row);
      return { row: chosen(table, row, operation.returning), found: true };
    }
    case 'delete':
      if (before === undefined || (operation.precondition !== null && !satisfies(table, before, operation.precondition))) return missed(operation, before !== undefined);
      put(null);
      return { row: null, found: true };
  }
}

/** The columns asked for, as a row. */
export function chosen(table: TableSchema, row: WholeRow, columns: readonly string[]): Row {
  return { columns, cells: columns.map((name) => row[table.columns.findIndex((column) => column.name === name)] ?? null) };
}

/**
 * The trigger of every write but the player's, where it is on. Its first look only keeps rejected writers out of the queue; the second takes the row's lock, sees the newest row, and is refused to a snapshot that is older.
 */
export async function checkWrite(server: StoreServer, transaction: Transaction, name: string): Promise<void> {
  if (transaction.role === 'player' || server.faults.has('fence') || transaction.readNewest('trigger', name) !== true) return;
  const fenced = (state: string | undefined): StoreRefusal => new StoreRefusal('fenced', `table "${name}" is fenced: ${state ?? 'no fence row'}`);
  const seen = transaction.read<FenceRow>('fence', name)?.state;
  if (seen !== 'OPEN') throw fenced(seen);
  if (server.faults.has('old-snapshots')) return;
  await transaction.lockRow('fence', name, 'share');
  const newest = transaction.readNewest<FenceRow>('fence', name)?.state;
  if (newest !== 'OPEN') throw fenced(newest);
}

function requireRight(transaction: Transaction, name: string, right: Right): void {
  if (transaction.role !== 'gateway') return;
  const rights = transaction.readNewest<readonly string[]>('acl', name) ?? [];
  if (!rights.includes(right)) throw new StoreRefusal('insufficient_privilege', `permission denied for table ${name}`);
}

/** The row as the store completes it: the next number of a numbered column, 0 for another one with a default. */
export function newRow(transaction: Transaction, table: TableSchema, given: Row): WholeRow {
  return table.columns.map(({ name, kind, hasDefault }) => {
    const at = given.columns.indexOf(name);
    if (at >= 0) return given.cells[at] ?? null;
    if (!hasDefault) return null;
    return kind === 'int64' ? nextNumber(transaction, table.name, name) : 0n;
  });
}

/** Sequences take part in no transaction. */
function nextNumber({ server }: Transaction, table: string, column: string): bigint {
  const own = new Transaction(server, 'owner');
  const key = `${table}.${column}`;
  const value = (own.readNewest<SequenceState>('sequence', key)?.value ?? 0n) + 1n;
  own.put('sequence', key, { table, column, value } satisfies SequenceState);
  own.commit();
  return value;
}

function changed(table: TableSchema, before: WholeRow, set: Row, add: Row | null): WholeRow {
  return table.columns.map((column, index) => {
    const old = before[index] ?? null;
    const at = set.columns.indexOf(column.name);
    if (at >= 0) return set.cells[at] ?? null;
    const more = add?.cells[add.columns.indexOf(column.name)];
    if (more === undefined || old === null) return old;
    return typeof old === 'bigint' ? old + BigInt(more as bigint) : Number(old) + Number(more);
  });
}

function missed(operation: Exclude<WriteOperation, { kind: 'insert' }>, exists: boolean): WriteResult {
  const metadata = { table: operation.table };
  if (exists && operation.precondition !== null) {
    throw new SwitchyardError('PRECONDITION_FAILED', `the row of "${operation.table}" does not satisfy the precondition; nothing was written`, { metadata });
  }
  if (operation.kind === 'delete' && operation.allowMissing) return { row: null, found: false };
  throw new SwitchyardError('ROW_NOT_FOUND', `"${operation.table}" has no row with that primary key; nothing was written`, { metadata });
}
