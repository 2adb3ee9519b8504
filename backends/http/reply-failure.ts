import type { ErrorReason } from '../../core/error-catalogue.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { lost } from '../service/failures.ts';
import type { Effect } from '../service/transport.ts';
import type { HttpReply } from './caller.ts';
import { fromProblem } from './problem.ts';

/** Of statuses that come without a reason of the catalogue, those that say something certain. */
const reasons: Readonly<Record<number, ErrorReason>> = {
  400: 'ARGUMENT_INVALID',
  401: 'STORE_LOGIN_REFUSED',
  403: 'STORE_DENIED',
  404: 'ROW_NOT_FOUND',
  405: 'NOT_SUPPORTED',
  409: 'UNIQUE_VIOLATION',
  412: 'PRECONDITION_FAILED',
  413: 'MESSAGE_TOO_LARGE',
  422: 'ARGUMENT_INVALID',
  501: 'NOT_SUPPORTED',
};

/** What a reply that is no success means; `own`: by the service's own statuses, before what they usually mean. A status that says nothing certain leaves a write of unknown outcome. */
export function replyFailure({ status, text, callee }: HttpReply, effect: Effect, own: Readonly<Record<number, ErrorReason>> = {}): SwitchyardError {
  const found = fromProblem(text);
  // A fault of its own may have come at any point.
  if (found !== null && !(effect === 'write' && found.reason === 'INTERNAL')) return found;
  const reason = own[status] ?? (found === null ? reasons[status] : undefined);
  if (reason === undefined) return lost(callee, effect, `HTTP ${status}`);
  return new SwitchyardError(reason, `${callee.address} answered ${status}`, { metadata: { address: callee.address } });
}
