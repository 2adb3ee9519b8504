import type { Problem } from '../../backends/backend.ts';
import { type ErrorReason, errorCatalogue } from '../../core/error-catalogue.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';

/** What stands in the way of a cutover. */
export interface Finding extends Problem {
  /** What the cutover fails with because of it; decides whether trying again later may help. */
  readonly reason: ErrorReason;
}

export const finding = (reason: ErrorReason, message: string, fix: string, table: string | null = null): Finding => ({ reason, message, fix, table });

/** The error of a cutover that its pre-check keeps from beginning. Its reason allows another try only when every problem does. */
export function precheckError(problems: readonly Finding[]): SwitchyardError {
  const lasting = problems.filter((problem) => !errorCatalogue[problem.reason].retryable);
  const reasons = new Set((lasting.length > 0 ? lasting : problems).map((problem) => problem.reason));
  const [first = 'PRECHECK_FAILED'] = reasons;
  const reason = lasting.length > 0 && reasons.size > 1 ? 'PRECHECK_FAILED' : first;
  const lines = problems.map((problem) => `${problem.table === null ? '' : `${problem.table}: `}${problem.message} (${problem.fix})`);
  return new SwitchyardError(reason, lines.join('; '));
}
