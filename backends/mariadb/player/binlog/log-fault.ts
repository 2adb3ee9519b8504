import { SwitchyardError } from '../../../../core/switchyard-error.ts';

/** Why a stream cannot go on, for its `problem` in the error's metadata. */
export type LogProblem =
  /** A table of the stream is not what it was. */
  | 'SCHEMA_CHANGED'
  /** The server has not (or not any more) what follows the position. */
  | 'LOG_LOST'
  /** The log lacks what makes a change exact: its settings have been changed, or somebody wrote past them. */
  | 'LOG_INCOMPLETE'
  /** A value that has no exact mapping. */
  | 'VALUE_UNSUPPORTED'
  | 'TRANSACTION_TOO_LARGE'
  | 'POSITION'
  | 'PROTOCOL';

/** STREAM_FAILED: the same log would come again. */
export class LogFault extends SwitchyardError {
  constructor(problem: LogProblem, message: string, details: { readonly table?: string; readonly fix?: string; readonly cause?: unknown } = {}) {
    const { table, fix, cause } = details;
    super('STREAM_FAILED', message, {
      metadata: { problem, ...(table === undefined ? {} : { table }) },
      ...(fix === undefined ? {} : { fix }),
      ...(cause === undefined ? {} : { cause }),
    });
  }
}

/** The log is not what its format says. */
export const protocolFault = (message: string): LogFault => new LogFault('PROTOCOL', `the log is not what its format says: ${message}`);
