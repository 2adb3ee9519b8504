import type { ErrorReason } from '../../core/error-catalogue.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';

/** How every message of the fence's triggers begins. A trigger's RAISE has one code whatever it says, so this text of our own is the only sign that the store gives. */
export const FENCED_PREFIX = 'switchyard: fenced';

const RAISED = 1811;
const UNIQUE_CODES: readonly number[] = [1555, 2067, 2579];
const IO_ERROR = 10;

/** Extended result codes with a reason of their own; primary ones are below. */
const reasonOfCode: Readonly<Record<number, ErrorReason>> = {
  // SQLITE_CONSTRAINT_PRIMARYKEY, _UNIQUE, _ROWID
  1555: 'UNIQUE_VIOLATION',
  2067: 'UNIQUE_VIOLATION',
  2579: 'UNIQUE_VIOLATION',
  // SQLITE_CONSTRAINT_FOREIGNKEY, _NOTNULL, _CHECK
  787: 'FOREIGN_KEY_VIOLATION',
  1299: 'NOT_NULL_VIOLATION',
  275: 'CHECK_VIOLATION',
  // SQLITE_CONSTRAINT_TRIGGER: somebody's own rule.
  1811: 'CHECK_VIOLATION',
  // SQLITE_CONSTRAINT_DATATYPE: a STRICT table refuses the value's class.
  3091: 'VALUE_INVALID',
};

const reasonOfPrimary: Readonly<Record<number, ErrorReason>> = {
  // SQLITE_BUSY, SQLITE_LOCKED: waited for by whoever begins; here it is the end of that wait.
  5: 'STORE_OVERLOADED',
  6: 'STORE_OVERLOADED',
  // SQLITE_PERM, SQLITE_AUTH: file permissions are the boundary.
  3: 'STORE_DENIED',
  23: 'STORE_DENIED',
  8: 'STORE_READ_ONLY',
  // SQLITE_NOMEM, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB
  7: 'STORE_UNAVAILABLE',
  10: 'STORE_UNAVAILABLE',
  11: 'STORE_UNAVAILABLE',
  13: 'STORE_UNAVAILABLE',
  14: 'STORE_UNAVAILABLE',
  26: 'STORE_UNAVAILABLE',
  // SQLITE_CONSTRAINT of another sort, SQLITE_TOOBIG, SQLITE_MISMATCH (no integer for a rowid), SQLITE_RANGE
  19: 'CHECK_VIOLATION',
  18: 'VALUE_INVALID',
  20: 'VALUE_INVALID',
};

/** An error of the store as it crosses from a worker thread. */
export interface Fault {
  /** Extended result code, null for an error that is not SQLite's. */
  readonly code: number | null;
  /** Our own reason when the error was ours already. */
  readonly reason: ErrorReason | null;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Extended result code of an error of SQLite, null for every other. */
export function resultCode(error: unknown): number | null {
  // Not by its class: an error of the runtime's own may come from another realm.
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return null;
  return typeof error.errcode === 'number' ? error.errcode : null;
}

/** Whether another connection's lock is all that is wrong: the statement may be tried again. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error);
  return code !== null && ((code & 0xff) === 5 || (code & 0xff) === 6);
}

/** Whether a commit that failed so may nevertheless be durable: its frames may be written, only the report of it is missing. */
export function mayBeDurable(error: unknown): boolean {
  const code = resultCode(error);
  return code !== null && (code & 0xff) === IO_ERROR;
}

/** Whether the statement itself is wrong: a table or column that does not exist, and all else without a code of its own. */
export const isStatementFault = (error: unknown): boolean => resultCode(error) === 1;

/** Whether the fence's trigger refused the write. */
export const isFenced = (error: unknown): boolean => resultCode(error) === RAISED && messageOf(error).startsWith(FENCED_PREFIX);

/** What a failed statement means to the caller; unless it was the commit, it is definitely not applied. */
export function storeError(error: unknown, table?: TableSchema): SwitchyardError {
  if (error instanceof SwitchyardError) return error;
  const code = resultCode(error);
  const message = messageOf(error);
  if (code === null) return new SwitchyardError('INTERNAL', message, { cause: error });
  const reason = isFenced(error) ? 'FENCED' : (reasonOfCode[code] ?? reasonOfPrimary[code & 0xff] ?? 'STORE_FAILED');
  return new SwitchyardError(reason, message, { metadata: metadataOf(code, message, table), cause: error });
}

/** An error for the way out of a worker thread. */
export function faultOf(error: unknown): Fault {
  const message = messageOf(error);
  if (error instanceof SwitchyardError) return { code: null, reason: error.reason, message, metadata: error.metadata };
  return { code: resultCode(error), reason: null, message, metadata: {} };
}

/** The error that a worker thread sent, as if it had happened here. */
export function errorOfFault(fault: Fault): Error {
  if (fault.reason !== null) return new SwitchyardError(fault.reason, fault.message, { metadata: fault.metadata });
  return fault.code === null ? new Error(fault.message) : Object.assign(new Error(fault.message), { errcode: fault.code });
}

/** An error's message, whatever realm it comes from. */
export function messageOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);
}

/** Whether the failure says that the store's file cannot be used at all, now. */
export const isUnavailable = (error: unknown): boolean => hasReason(error, 'STORE_UNAVAILABLE', 'STORE_DENIED');

/** Facts for the caller. SQLite names the columns of a broken unique key in its message alone ("UNIQUE constraint failed: item.name, item.kind"); nothing is decided by them. */
function metadataOf(code: number, message: string, table: TableSchema | undefined): Record<string, string> {
  const metadata: Record<string, string> = { sqliteCode: String(code) };
  if (table !== undefined) metadata.table = table.name;
  if (table === undefined || !UNIQUE_CODES.includes(code)) return metadata;
  const named = message.slice(message.indexOf(': ') + 2).split(', ');
  const names = named.filter((name) => name.startsWith(`${table.name}.`)).map((name) => name.slice(table.name.length + 1));
  if (names.length === 0) return metadata;
  metadata.columns = names.join(',');
  const key = table.uniqueKeys.find((each) => each.columns.length === names.length && each.columns.every((column) => names.includes(column)));
  if (key !== undefined) metadata.constraint = key.name;
  return metadata;
}
