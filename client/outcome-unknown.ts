import { SwitchyardError } from '../core/switchyard-error.ts';

/** Nobody knows whether `what` was done: an earlier try ended with `unknown`, and `last` does not tell of it. */
export function outcomeUnknown(what: string, unknown: SwitchyardError, last: unknown): SwitchyardError {
  const then = last === unknown ? '' : `; then: ${last instanceof SwitchyardError ? last.reason : String(last)}`;
  return new SwitchyardError('OUTCOME_UNKNOWN', `${what} may have been done: ${unknown.message}${then}`, { metadata: unknown.metadata, cause: last });
}
