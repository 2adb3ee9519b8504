import type { WriteOperation, WriteResult } from '../../../core/operation.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { Connection, Statement } from '../connection.ts';
import { storeError } from '../errors.ts';
import type { Transaction } from '../store-client.ts';
import { compileExists, compileWrite } from './compiler.ts';
import { type RowReader, rowReader } from './rows.ts';

/** A write that is ready to run. */
export interface PlannedWrite {
  readonly operation: WriteOperation;
  readonly table: TableSchema;
  readonly statement: Statement;
  /** Of an update or a delete: whether its row exists at all. */
  readonly exists: Statement | null;
  /** Of the returned columns; null when none are asked for. */
  readonly returned: RowReader | null;
}

/** Compiles the writes; whatever is wrong with them is found here, before anything waits for the store. */
export function planWrites(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[]): readonly PlannedWrite[] {
  return operations.map((operation) => {
    const table = schemas.get(operation.table);
    if (table === undefined) throw new SwitchyardError('INTERNAL', `no schema was given for table "${operation.table}"`);
    const exists = operation.kind === 'update' || operation.kind === 'delete' ? compileExists(table, operation.key) : null;
    const returned = operation.kind === 'delete' || operation.returning.length === 0 ? null : rowReader(table, operation.returning);
    const statement = compileWrite(table, returned === null || operation.kind === 'delete' ? operation : { ...operation, returning: returned.columns });
    return { operation, table, statement, exists, returned };
  });
}

/** Runs the writes in order within the caller's write transaction; the first failure is thrown. */
export function runWrites({ connection, fence }: Transaction, writes: readonly PlannedWrite[]): readonly WriteResult[] {
  fence.checkWrite([...new Set(writes.map((write) => write.table.name))]);
  return writes.map((write) => {
    try {
      return runWrite(connection, write);
    } catch (error) {
      throw storeError(error, write.table);
    }
  });
}

function runWrite(connection: Connection, write: PlannedWrite): WriteResult {
  const { statement, exists, returned } = write;
  const [row] = connection.all(statement.text, statement.values);
  if (row === undefined) return missed(write, exists !== null && connection.all(exists.text, exists.values).length > 0);
  if (write.operation.kind === 'delete') return { row: null, found: true };
  return { row: returned === null ? { columns: [], cells: [] } : returned.read(row), found: true };
}

/** A write that met no row: an update or delete of none, or whatever a trigger's RAISE(IGNORE) left undone. */
function missed({ operation, table }: PlannedWrite, rowExists: boolean): WriteResult {
  const metadata = { table: table.name };
  const isGuarded = operation.kind !== 'insert' && operation.precondition !== null;
  if (operation.kind === 'insert' || (!isGuarded && (rowExists || operation.kind === 'upsert'))) {
    throw new SwitchyardError('CHECK_VIOLATION', `a trigger of "${table.name}" let the write have no effect; nothing was written`, { metadata });
  }
  if (isGuarded && (rowExists || operation.kind === 'upsert')) {
    throw new SwitchyardError('PRECONDITION_FAILED', `the row of "${table.name}" does not satisfy the precondition; nothing was written`, { metadata });
  }
  if (operation.kind === 'delete' && operation.allowMissing) return { row: null, found: false };
  throw new SwitchyardError('ROW_NOT_FOUND', `"${table.name}" has no row with that primary key; nothing was written`, { metadata });
}
