import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';

/** A failure with which a stored value was read, said of its row: what comes is thrown. `key`: readable text of the row's key, null where it is not known. */
export function unreadable<E>(error: E, table: string, key: string | null): E | SwitchyardError {
  if (!hasReason(error, 'VALUE_UNSUPPORTED')) return error;
  const message = `table "${table}"${key === null ? '' : `, row ${key}`}: ${error.message}`;
  return new SwitchyardError('VALUE_UNSUPPORTED', message, { metadata: { ...error.metadata, table, ...(key === null ? {} : { key }) }, cause: error });
}

/** How a stream ends at a change that holds such a value; other failures stay as they are. */
export function unmovable(error: unknown, stream: string, table: string): unknown {
  if (!hasReason(error, 'VALUE_UNSUPPORTED')) return error;
  return new SwitchyardError('STREAM_FAILED', `a change brought a value that cannot be moved: ${error.message}; then create the workflow anew`, {
    metadata: { ...error.metadata, stream, problem: 'VALUE_UNSUPPORTED', table },
    cause: error,
  });
}
