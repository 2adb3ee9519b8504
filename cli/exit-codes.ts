import { SwitchyardError } from '../core/switchyard-error.ts';

/** Exit codes of the command, for scripts. Documented in docs/cli.md. */
export const exitCodes = {
  ok: 0,
  /** Anything without a code of its own. */
  failed: 1,
  usage: 2,
  /** Something must be different first: a state, a check, a right. */
  precondition: 3,
  /** Somebody else was faster, or the cutover was aborted; traffic goes on as before. Trying again can help. */
  aborted: 4,
  /** Control, Consul or a store cannot be reached. */
  unavailable: 5,
  /** Source and target differ. */
  differences: 6,
  /** Whoever read the output has closed it; 128 + SIGPIPE, as shells say it. */
  closedPipe: 141,
} as const;

export function exitCodeOf(error: unknown): number {
  if (!(error instanceof SwitchyardError)) return exitCodes.failed;
  if (error.reason === 'DIFFERENCES_FOUND') return exitCodes.differences;
  switch (error.code) {
    case 'INVALID_ARGUMENT':
    case 'NOT_FOUND':
    case 'UNIMPLEMENTED':
    case 'OUT_OF_RANGE':
      return exitCodes.usage;
    case 'FAILED_PRECONDITION':
    case 'ALREADY_EXISTS':
    case 'PERMISSION_DENIED':
      return exitCodes.precondition;
    case 'ABORTED':
      return exitCodes.aborted;
    case 'UNAVAILABLE':
    case 'DEADLINE_EXCEEDED':
    case 'RESOURCE_EXHAUSTED':
      return exitCodes.unavailable;
    case 'CANCELLED':
    case 'INTERNAL':
    case 'UNKNOWN':
      return exitCodes.failed;
  }
}
