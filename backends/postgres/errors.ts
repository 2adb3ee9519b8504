import pg from 'pg';
import type { ErrorReason } from '../../core/error-catalogue.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { type Login, storeOf } from '../login.ts';

/** Cancelled by request. */
export const CANCELED_STATE = '57014';

/** Raised by the fence's trigger and by nothing else. */
export const FENCED_STATE = 'SY001';

/** SQLSTATEs with a reason of their own; whole classes are below. */
const reasonOfState: Readonly<Record<string, ErrorReason>> = {
  [FENCED_STATE]: 'FENCED',
  // The read fence takes rights away. Whether this is it, the fence row tells.
  '42501': 'FENCED',
  '23505': 'UNIQUE_VIOLATION',
  '23503': 'FOREIGN_KEY_VIOLATION',
  '23001': 'FOREIGN_KEY_VIOLATION',
  '23502': 'NOT_NULL_VIOLATION',
  '23514': 'CHECK_VIOLATION',
  '23P01': 'CHECK_VIOLATION',
  // A view's WITH CHECK OPTION.
  '44000': 'CHECK_VIOLATION',
  '40001': 'SERIALIZATION_FAILURE',
  '40P01': 'SERIALIZATION_FAILURE',
  // A lock_timeout that somebody gave the role.
  '55P03': 'SERIALIZATION_FAILURE',
  '25006': 'STORE_READ_ONLY',
  '53300': 'STORE_OVERLOADED',
  // A value for an identity or generated column that the store alone may fill.
  '428C9': 'VALUE_INVALID',
  // The value does not fit the type that the column has by now.
  '42804': 'VALUE_INVALID',
  // The table has changed since it was described.
  '42P01': 'TABLE_UNKNOWN',
  '42703': 'COLUMN_UNKNOWN',
};

const reasonOfClass: Readonly<Record<string, ErrorReason>> = {
  // Data exceptions: out of range, too long, malformed, U+0000.
  '22': 'VALUE_INVALID',
  // The transaction was rolled back by the store.
  '40': 'SERIALIZATION_FAILURE',
  // Connection exceptions, insufficient resources, operator intervention (shutdown, crash, somebody's pg_cancel_backend).
  '08': 'STORE_UNAVAILABLE',
  '53': 'STORE_UNAVAILABLE',
  '57': 'STORE_UNAVAILABLE',
};

/** The SQLSTATE of an error that the server sent, null for every other. */
export const sqlState = (error: unknown): string | null => (error instanceof pg.DatabaseError ? (error.code ?? null) : null);

/** Whether the connection is gone with this error: the server said so, or there was no answer at all. */
export const isConnectionLoss = (error: unknown): boolean => !(error instanceof pg.DatabaseError) || error.severity === 'FATAL' || error.severity === 'PANIC';

/** No such schema, no such table, no right on the schema: to a gateway a store that was never prepared. */
export const unpreparedStates: readonly (string | null)[] = ['3F000', '42P01', '42501'];

export interface FailureContext {
  /** Table of the statement where there is one. */
  readonly table?: TableSchema;
  /** Whether the store may have committed by the time the connection was lost: then its loss leaves the outcome unknown. */
  readonly mayHaveCommitted?: boolean;
}

/** What a failed statement means to the caller. An error that the server answered with is definitely not applied, unless it ended the connection. */
export function storeError(error: unknown, context: FailureContext = {}): SwitchyardError {
  if (error instanceof SwitchyardError) return error;
  if (isConnectionLoss(error) && context.mayHaveCommitted === true) {
    return new SwitchyardError('OUTCOME_UNKNOWN', `the connection to the store was lost before it confirmed the write: ${messageOf(error)}`, { cause: error });
  }
  if (!(error instanceof pg.DatabaseError)) return new SwitchyardError('STORE_UNAVAILABLE', `the connection to the store was lost: ${messageOf(error)}`, { cause: error });
  const state = error.code ?? '';
  const reason = reasonOfState[state] ?? reasonOfClass[state.slice(0, 2)] ?? 'STORE_FAILED';
  return new SwitchyardError(reason, error.message, { metadata: metadataOf(error, context.table), cause: error });
}

/** Whatever keeps us from connecting: nothing was sent, so nothing was written. Without a `login`, a connection that has broken. */
export function connectError(error: unknown, login?: Login): SwitchyardError {
  if (error instanceof SwitchyardError) return error;
  const state = sqlState(error);
  if (login !== undefined && state !== null && isRefusal(state)) return refusedLogin(error, state, login);
  const reason = state === '53300' ? 'STORE_OVERLOADED' : 'STORE_UNAVAILABLE';
  const store = login === undefined ? 'the store' : `${storeOf(login)}, as ${login.identity} "${login.user}"`;
  return new SwitchyardError(reason, `cannot connect to ${store}: ${messageOf(error)}`, { cause: error, ...(state === null ? {} : { metadata: { sqlState: state } }) });
}

/** Authentication failed, no such role, none that may log in, no entry in pg_hba.conf: class 28. No right to connect to the database: 42501. */
const isRefusal = (state: string): boolean => state.startsWith('28') || state === '42501';

function refusedLogin(error: unknown, state: string, login: Login): SwitchyardError {
  const { keyspace, identity, user, secret, openedBy } = login;
  const role = pg.escapeIdentifier(user);
  const remedies: Readonly<Record<string, string>> = {
    '28P01': `${openedBy} has its password from ${secret}: correct it there and restart the process, or give the store that password: ALTER ROLE ${role} PASSWORD …`,
    '42501': `run the grant script: switchyard keyspace grants ${keyspace}`,
  };
  const fix = remedies[state] ?? `let ${role} log in from ${openedBy} (LOGIN, pg_hba.conf; its password is ${secret}), or name another login: switchyard keyspace apply`;
  return new SwitchyardError('STORE_LOGIN_REFUSED', `${storeOf(login)}, refuses the login of ${identity} "${user}": ${messageOf(error)}`, {
    fix,
    metadata: { sqlState: state, keyspace, identity, login: user, missing: state === '42501' ? 'right' : 'login' },
    cause: error,
  });
}

const messageOf = (error: unknown): string => {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
};

function metadataOf(error: pg.DatabaseError, table: TableSchema | undefined): Record<string, string> {
  const metadata: Record<string, string> = { sqlState: error.code ?? '' };
  const tableName = error.table ?? table?.name;
  if (tableName !== undefined) metadata.table = tableName;
  if (error.constraint !== undefined) metadata.constraint = error.constraint;
  const columns = error.column ?? columnsOfKey(error.constraint, table)?.join(',');
  if (columns !== undefined) metadata.columns = columns;
  return metadata;
}

function columnsOfKey(constraint: string | undefined, table: TableSchema | undefined): readonly string[] | undefined {
  if (constraint === undefined || table === undefined) return undefined;
  if (constraint === `${table.name}_pkey`) return table.primaryKey;
  return table.uniqueKeys.find((key) => key.name === constraint)?.columns;
}
