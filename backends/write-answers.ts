import type { Cell } from '../core/cell.ts';
import type { Row, WriteOperation, WriteResult } from '../core/operation.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { TableSchema } from '../core/table-schema.ts';

/* What every kind makes of its writes' outcomes, in the same words. */

/** What one write has done. */
export interface DoneWrite<Value> {
  /** Values of the returned columns; null: a delete has none. */
  readonly row: readonly Value[] | null;
  readonly found: boolean;
}

/** Makes what is returned of what was done; it may refuse to. With `isCommitted` whatever is thrown says that the writes were done. */
export type MakeAnswer<Value, T> = (done: readonly DoneWrite<Value>[], isCommitted: boolean) => T;

/** How a failure begins of an answer that cannot be shown. */
const WAS_DONE = 'the write was done; its answer cannot be shown';
export const NOT_WRITTEN = 'nothing was written, for its answer cannot be shown';
export const NOT_COMMITTED = 'nothing is committed yet; the answer cannot be shown';

/** Once the write is committed, whatever is wrong with its answer must not look like a write that was refused. */
export const answerOf =
  <Value, T>(resultsOf: (done: readonly DoneWrite<Value>[], failure: string) => readonly WriteResult[], answer: (results: readonly WriteResult[]) => T): MakeAnswer<Value, T> =>
  (done, isCommitted) => {
    const found = resultsOf(done, isCommitted ? WAS_DONE : NOT_WRITTEN);
    try {
      return answer(found);
    } catch (error) {
      throw isCommitted ? unshown(WAS_DONE, error) : error;
    }
  };

/** What the writes returned. STORE_FAILED, beginning with `failure`, where a value has no cell. */
export function writeResults<Value>(
  writes: readonly { readonly operation: WriteOperation; readonly table: TableSchema }[],
  done: readonly DoneWrite<Value>[],
  rowReader: (table: TableSchema, names: readonly string[]) => (row: readonly Value[], offset: number) => Row,
  failure: string,
): readonly WriteResult[] {
  return done.map(({ row, found }, i) => {
    const write = writes[i];
    if (row === null || write === undefined || write.operation.kind === 'delete') return { row: null, found };
    const { table, operation } = write;
    try {
      return { row: rowReader(table, operation.returning)(row, 0), found };
    } catch (cause) {
      throw unshown(failure, cause, { table: table.name });
    }
  });
}

function unshown(failure: string, cause: unknown, metadata: Readonly<Record<string, string>> = {}): SwitchyardError {
  return new SwitchyardError('STORE_FAILED', `${failure}: ${cause instanceof Error ? cause.message : String(cause)}`, { metadata, cause });
}

/** The table that the write names. */
export function tableOf(schemas: ReadonlyMap<string, TableSchema>, { table }: WriteOperation): TableSchema {
  const schema = schemas.get(table);
  if (schema === undefined) throw new SwitchyardError('INTERNAL', `no schema was given for table "${table}"`);
  return schema;
}

/** Key of the row without which the write has no effect, or under whose condition it has none; null: it always has one. */
export function missableKey(table: TableSchema, operation: WriteOperation): readonly Cell[] | null {
  if ('key' in operation) return operation.key;
  if (operation.kind === 'insert' || operation.precondition === null) return null;
  const { columns, cells } = operation.row;
  return table.primaryKey.map((name) => cells[columns.indexOf(name)] ?? null);
}

/** What it means that a write met no row, or none that it may change. */
export function missedWrite<Value>(operation: WriteOperation, table: TableSchema, rowExists: boolean): DoneWrite<Value> {
  const metadata = { table: table.name };
  if ((rowExists || operation.kind === 'upsert') && 'precondition' in operation && operation.precondition !== null) {
    throw new SwitchyardError('PRECONDITION_FAILED', `the row of "${table.name}" does not satisfy the precondition; nothing was written`, { metadata });
  }
  if (operation.kind === 'delete' && operation.allowMissing) return { row: null, found: false };
  throw new SwitchyardError('ROW_NOT_FOUND', `"${table.name}" has no row with that primary key; nothing was written`, { metadata });
}

/** The call ended after something was sent that commits. */
export function unknownAfterAbort(signal: AbortSignal): SwitchyardError {
  const { reason } = signal;
  const why = reason instanceof SwitchyardError ? reason.reason : 'CANCELLED';
  return new SwitchyardError('OUTCOME_UNKNOWN', `the call ended (${why}) after the write was sent, and the store did not tell in time whether it was done`, { cause: reason });
}

/** What a failure of a write that is done once means when the connection was lost before the record could be looked for. */
export function lostBeforeLook(error: unknown): unknown {
  if (!(error instanceof SwitchyardError) || error.retryable) return error;
  return new SwitchyardError(
    'STORE_UNAVAILABLE',
    'the connection to the store was lost before it could tell whether the write had been done before; nothing was written now: try again',
    { cause: error },
  );
}

/** Somebody else has recorded the request just now. */
export const notRecordedNow = (cause: unknown): SwitchyardError =>
  new SwitchyardError('SERIALIZATION_FAILURE', 'the request could not be recorded just now, so nothing was written: try again', { cause });
