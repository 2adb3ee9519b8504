import type { ErrorReason } from '../../core/error-catalogue.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { type Login, storeOf } from '../login.ts';

/** Raised by the fence's triggers and by nothing else. */
export const FENCED_STATE = 'SY001';

/** What a KILL QUERY ends a statement with. */
const INTERRUPTED = 1317;
/** The statement took longer than max_statement_time, a wait for a lock included. */
const TIMED_OUT = 1969;
const DEADLOCK = 1213;
/** What a collision of an upsert ends it with; see data/compiler.ts. */
const TWO_ROWS = 1242;
/** The server has forgotten the prepared statement, or cannot parse it anew by itself. */
const staleNumbers: readonly (number | null)[] = [1243, 1615];

/** Errors with a reason of their own, by number; classes of SQLSTATE are below. */
const reasonOfNumber: Readonly<Record<number, ErrorReason>> = {
  1022: 'UNIQUE_VIOLATION',
  1062: 'UNIQUE_VIOLATION',
  1169: 'UNIQUE_VIOLATION',
  1586: 'UNIQUE_VIOLATION',
  // No parent row, or children that are in the way; 1761, 1762: an action of a foreign key would make a twin.
  1216: 'FOREIGN_KEY_VIOLATION',
  1217: 'FOREIGN_KEY_VIOLATION',
  1451: 'FOREIGN_KEY_VIOLATION',
  1452: 'FOREIGN_KEY_VIOLATION',
  1761: 'FOREIGN_KEY_VIOLATION',
  1762: 'FOREIGN_KEY_VIOLATION',
  1048: 'NOT_NULL_VIOLATION',
  1263: 'NOT_NULL_VIOLATION',
  1364: 'NOT_NULL_VIOLATION',
  4025: 'CHECK_VIOLATION',
  // A view's WITH CHECK OPTION.
  1369: 'CHECK_VIOLATION',
  // Out of range, too long, malformed, no value of the type.
  1264: 'VALUE_INVALID',
  1265: 'VALUE_INVALID',
  1292: 'VALUE_INVALID',
  1365: 'VALUE_INVALID',
  1366: 'VALUE_INVALID',
  1367: 'VALUE_INVALID',
  1406: 'VALUE_INVALID',
  1411: 'VALUE_INVALID',
  1441: 'VALUE_INVALID',
  1690: 'VALUE_INVALID',
  // Larger than max_allowed_packet.
  1153: 'VALUE_INVALID',
  // A value for a generated column.
  1906: 'VALUE_INVALID',
  // A deadlock, a lock that was not free in time; a row that has changed since the snapshot; a table that has.
  1205: 'SERIALIZATION_FAILURE',
  [DEADLOCK]: 'SERIALIZATION_FAILURE',
  1020: 'SERIALIZATION_FAILURE',
  1412: 'SERIALIZATION_FAILURE',
  [TIMED_OUT]: 'SERIALIZATION_FAILURE',
  // read_only, innodb_read_only; a transaction that was begun as READ ONLY.
  1290: 'STORE_READ_ONLY',
  1792: 'STORE_READ_ONLY',
  1836: 'STORE_READ_ONLY',
  // Connections, of all and of one user; parsed statements.
  1040: 'STORE_OVERLOADED',
  1203: 'STORE_OVERLOADED',
  1226: 'STORE_OVERLOADED',
  1461: 'STORE_OVERLOADED',
  // No right: rights are not how this kind of store fences.
  1044: 'STORE_DENIED',
  1142: 'STORE_DENIED',
  1143: 'STORE_DENIED',
  1227: 'STORE_DENIED',
  1370: 'STORE_DENIED',
  // The table has changed since it was described.
  1054: 'COLUMN_UNKNOWN',
  1109: 'TABLE_UNKNOWN',
  1146: 'TABLE_UNKNOWN',
  // Out of memory or disk, shut down, killed by somebody, not (yet) a part of its cluster.
  1021: 'STORE_UNAVAILABLE',
  1030: 'STORE_UNAVAILABLE',
  1037: 'STORE_UNAVAILABLE',
  1038: 'STORE_UNAVAILABLE',
  1041: 'STORE_UNAVAILABLE',
  1047: 'STORE_UNAVAILABLE',
  1053: 'STORE_UNAVAILABLE',
  1114: 'STORE_UNAVAILABLE',
  [INTERRUPTED]: 'STORE_UNAVAILABLE',
  1927: 'STORE_UNAVAILABLE',
};

const reasonOfState: Readonly<Record<string, ErrorReason>> = {
  [FENCED_STATE]: 'FENCED',
  // SIGNAL in somebody's own trigger.
  '45000': 'CHECK_VIOLATION',
};

const reasonOfClass: Readonly<Record<string, ErrorReason>> = {
  '08': 'STORE_UNAVAILABLE',
  '22': 'VALUE_INVALID',
  '40': 'SERIALIZATION_FAILURE',
};

/** Errors after which the server has ended the connection, or is about to. */
const lostNumbers: readonly number[] = [1053, 1077, 1079, 1080, 1152, 1153, 1156, 1158, 1159, 1160, 1161, 1184, 1927];
/** In the middle of a commit: it may be durable all the same. */
const IN_COMMIT = 1180;

/** An error that the server sent. */
interface ServerError extends Error {
  readonly errno: number;
  readonly sqlState: string;
}

const isServerError = (error: unknown): error is ServerError =>
  error instanceof Error && 'errno' in error && typeof error.errno === 'number' && 'sqlState' in error && typeof error.sqlState === 'string';

/** The number of an error that the server sent, null for every other. */
export const errorNumber = (error: unknown): number | null => (isServerError(error) ? error.errno : null);

/** The SQLSTATE of an error that the server sent, null for every other. */
export const sqlState = (error: unknown): string | null => (isServerError(error) ? error.sqlState : null);

/** Whether the connection is gone with this error: the server said so, or there was no answer at all to what was sent. */
export const isConnectionLoss = (error: unknown): boolean => {
  if (error instanceof SwitchyardError) return false;
  return !isServerError(error) || lostNumbers.includes(error.errno);
};

/** Whether the statement was ended by a KILL QUERY. */
export const isInterrupted = (error: unknown): boolean => errorNumber(error) === INTERRUPTED;

/** Whether the statement was ended because its time was over. */
export const isTimedOut = (error: unknown): boolean => errorNumber(error) === TIMED_OUT;

/** Whether nothing was executed because what the connection had parsed no longer holds; the same statement may succeed. */
export const isStale = (error: unknown): boolean => staleNumbers.includes(errorNumber(error));

/** Whether an upsert has met a row that it may not change: of another key, or one that does not satisfy its condition. */
export const isCollision = (error: unknown): boolean => errorNumber(error) === TWO_ROWS;

/** Whether a unique key has such a row already. */
export const isDuplicate = (error: unknown): boolean => [1022, 1062, 1169, 1586].includes(errorNumber(error) ?? 0);

/** Whether the store has ended the transaction because of another one, so that everything may be tried again. */
export const isDeadlock = (error: unknown): boolean => errorNumber(error) === DEADLOCK;

/** Whether one of Switchyard's own tables is not there, or gives no right: to a gateway a store that was never prepared. */
export const isUnprepared = (error: unknown): boolean => [1142, 1146].includes(errorNumber(error) ?? 0);

/** Whether the whole transaction was rolled back with this error, or may have been, and not the statement alone: what follows would commit by itself. (A lock that was not free in time: by innodb_rollback_on_timeout.) */
export const endsTransaction = (error: unknown): boolean => [1020, 1205, 1412].includes(errorNumber(error) ?? 0) || sqlState(error) === '40001';

/** Whether a function of Switchyard's own is not there, or gives no right. */
export const isMissingFunction = (error: unknown): boolean => [1305, 1370].includes(errorNumber(error) ?? 0);

export interface FailureContext {
  /** Table of the statement where there is one. */
  readonly table?: TableSchema;
  /** Whether the store may have committed by the time the connection was lost: then its loss leaves the outcome unknown. */
  readonly mayHaveCommitted?: boolean;
}

/** What a failed statement means to the caller. An error that the server answered with is definitely not applied, unless it ended the connection. */
export function storeError(error: unknown, context: FailureContext = {}): SwitchyardError {
  if (error instanceof SwitchyardError) return error;
  if (context.mayHaveCommitted === true && (errorNumber(error) === IN_COMMIT || (isConnectionLoss(error) && errorNumber(error) !== 1153))) {
    return new SwitchyardError('OUTCOME_UNKNOWN', `the connection to the store was lost before it confirmed the write: ${messageOf(error)}`, { cause: error });
  }
  if (!isServerError(error)) return new SwitchyardError('STORE_UNAVAILABLE', `the connection to the store was lost: ${messageOf(error)}`, { cause: error });
  const reason = reasonOfNumber[error.errno] ?? reasonOfState[error.sqlState] ?? reasonOfClass[error.sqlState.slice(0, 2)] ?? 'STORE_FAILED';
  return new SwitchyardError(reason, error.message, { metadata: metadataOf(error, context.table), cause: error });
}

/** Whatever keeps us from connecting: nothing was sent, so nothing was written. Without a `login`, a connection that has broken. */
export function connectError(error: unknown, login?: Login): SwitchyardError {
  if (error instanceof SwitchyardError) return error;
  const number = errorNumber(error);
  if (login !== undefined && number !== null && isRefusal(number)) return refusedLogin(error, number, login);
  const reason = number !== null && reasonOfNumber[number] === 'STORE_OVERLOADED' ? 'STORE_OVERLOADED' : 'STORE_UNAVAILABLE';
  const store = login === undefined ? 'the store' : `${storeOf(login)}, as ${login.identity} "${login.user}"`;
  return new SwitchyardError(reason, `cannot connect to ${store}: ${messageOf(error)}`, {
    cause: error,
    ...(number === null ? {} : { metadata: { errorNumber: String(number) } }),
  });
}

/** The user and its password, the machine that it comes from, its account; no right to use the database. */
const isRefusal = (number: number): boolean => [NO_DATABASE_RIGHT, 1045, 1130, 1251, 1698, 1820, 1862, 4151].includes(number);
const NO_DATABASE_RIGHT = 1044;

function refusedLogin(error: unknown, number: number, login: Login): SwitchyardError {
  const { keyspace, identity, user, secret, openedBy } = login;
  const account = `'${user.replaceAll("'", "''")}'`;
  const remedies: Readonly<Record<number, string>> = {
    1045: `${openedBy} has its password from ${secret}: correct it there and restart the process, or give the store that password: ALTER USER ${account} IDENTIFIED BY …`,
    [NO_DATABASE_RIGHT]: `run the grant script: switchyard keyspace grants ${keyspace}`,
  };
  const fix = remedies[number] ?? `let ${account} log in from ${openedBy} (CREATE USER; its password is ${secret}), or name another login: switchyard keyspace apply`;
  return new SwitchyardError('STORE_LOGIN_REFUSED', `${storeOf(login)}, refuses the login of ${identity} "${user}": ${messageOf(error)}`, {
    fix,
    metadata: { errorNumber: String(number), keyspace, identity, login: user, missing: number === NO_DATABASE_RIGHT ? 'right' : 'login' },
    cause: error,
  });
}

const messageOf = (error: unknown): string => {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
};

/** Names that the server tells in its messages only; they are for people, and nothing is decided by them. */
const keyPattern = /for key '(?:[^']*\.)?([^']+)'$/;
const constraintPattern = /CONSTRAINT `([^`]+)`/;
const columnPattern = /(?:[Cc]olumn|[Ff]ield) (?:`[^`]*`\.`[^`]*`\.`([^`]+)`|'([^']+)')/;

function metadataOf(error: ServerError, table: TableSchema | undefined): Record<string, string> {
  const metadata: Record<string, string> = { errorNumber: String(error.errno), sqlState: error.sqlState };
  if (table !== undefined) metadata.table = table.name;
  const constraint = keyPattern.exec(error.message)?.[1] ?? constraintPattern.exec(error.message)?.[1];
  if (constraint !== undefined) metadata.constraint = constraint;
  const column = columnPattern.exec(error.message);
  const columns = columnsOfKey(constraint, table)?.join(',') ?? column?.[1] ?? column?.[2];
  if (columns !== undefined) metadata.columns = columns;
  return metadata;
}

function columnsOfKey(constraint: string | undefined, table: TableSchema | undefined): readonly string[] | undefined {
  if (constraint === undefined || table === undefined) return undefined;
  if (constraint === 'PRIMARY') return table.primaryKey;
  return table.uniqueKeys.find((key) => key.name === constraint)?.columns;
}
