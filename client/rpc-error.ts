import { fromBinary } from '@bufbuild/protobuf';
import { type ServiceError, status } from '@grpc/grpc-js';
import { type ErrorReason, errorCatalogue } from '../core/error-catalogue.ts';
import { STATUS_DETAILS_KEY } from '../core/rpc-definition.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { ErrorInfoSchema, RetryInfoSchema } from '../gen/google/rpc/error_details_pb.ts';
import { type Status, StatusSchema } from '../gen/google/rpc/status_pb.ts';

const isReason = (text: string): text is ErrorReason => Object.hasOwn(errorCatalogue, text);

function statusOf(error: ServiceError): Status | null {
  const bytes = error.metadata?.get(STATUS_DETAILS_KEY)[0];
  if (!(bytes instanceof Uint8Array)) return null;
  try {
    return fromBinary(StatusSchema, bytes);
  } catch (cause) {
    throw new SwitchyardError('INTERNAL', 'the error details of an answer cannot be decoded', { cause });
  }
}

/** A failure that came as a message, such as one within a stream. */
export function fromStatus(found: Status): SwitchyardError {
  return explained(undefined, found) ?? new SwitchyardError('INTERNAL', `the other end answered ${status[found.code]}: ${found.message}`);
}

/** The part of a status that says why, or null where the other end gave none of the catalogue's reasons. */
function explained(error: ServiceError | undefined, found: Status): SwitchyardError | null {
  const part = (name: string) => found.details.find((detail) => detail.typeUrl.endsWith(`/${name}`))?.value;
  const infoBytes = part(ErrorInfoSchema.typeName);
  if (infoBytes === undefined) return null;
  const info = fromBinary(ErrorInfoSchema, infoBytes);
  if (!isReason(info.reason)) return null;
  const retryBytes = part(RetryInfoSchema.typeName);
  const delay = retryBytes === undefined ? undefined : fromBinary(RetryInfoSchema, retryBytes).retryDelay;
  const retryAfterMs = delay === undefined ? undefined : Number(delay.seconds) * 1_000 + delay.nanos / 1e6;
  return new SwitchyardError(info.reason, found.message, { metadata: info.metadata, cause: error, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

/** The call was done, and its answer is larger than a message may be. */
export class AnswerTooLarge extends SwitchyardError {
  constructor(address: string, cause: ServiceError) {
    super('RESULT_TOO_LARGE', `${address}: the answer is too large (${cause.details}); ask for less`, { cause });
  }
}

/** How grpc-js, at either end, says that a message is larger than that end lets it be. Nothing but the text tells. A gateway of this release says it with a reason of its own. */
const tooLarge = /^(Received|Sent|Attempted to send) message .*larger than/;

/** The larger message is the answer where the other end could not send it, or where an answer had begun to come; else it is the request, which was not done. */
function sizeError(error: ServiceError, address: string, answered: boolean): SwitchyardError | null {
  const [, verb] = tooLarge.exec(error.details) ?? [];
  if (verb === undefined) return null;
  if (verb === 'Sent' || (verb === 'Received' && answered)) return new AnswerTooLarge(address, error);
  return new SwitchyardError('MESSAGE_TOO_LARGE', `${address}: the request is too large (${error.details}); nothing was done`, { cause: error });
}

/** How grpc-js says that a message, as this end has it, cannot be written or read. Nothing but the text tells. */
const noRequest = 'Request message serialization failure: ';
const noAnswer = 'Response message parsing error: ';

/** What a broken stream or connection is called by grpc-js, and by whatever lies between, besides UNAVAILABLE. */
const broken: readonly status[] = [status.INTERNAL, status.UNKNOWN, status.CANCELLED, status.RESOURCE_EXHAUSTED];

/**
 * A failed call, which this end has not cancelled, as ours: by the ErrorInfo of the other end, else by what the transport itself says. A status without details is none of the other end's words: such a call may or may not have been done.
 * `answered`: an answer had begun to come.
 */
export function fromServiceError(error: ServiceError, address: string, answered = false): SwitchyardError {
  const found = statusOf(error);
  const known = (found === null ? null : explained(error, found)) ?? (error.code === status.RESOURCE_EXHAUSTED ? sizeError(error, address, answered) : null);
  if (known !== null) return known;
  const { code, details } = error;
  if (code === status.INTERNAL && details.startsWith(noRequest))
    return new SwitchyardError('ARGUMENT_INVALID', `the request is no message: ${details.slice(noRequest.length)}; nothing was sent`, { cause: error });
  if (code === status.UNAVAILABLE || (found === null && broken.includes(code) && !details.startsWith(noAnswer)))
    return new SwitchyardError('PEER_UNREACHABLE', `${address} cannot be reached: ${details.replace(/ Resolution note: $/, '')}`, { cause: error, metadata: { address } });
  switch (code) {
    case status.DEADLINE_EXCEEDED:
      return new SwitchyardError('DEADLINE_EXCEEDED', `${address} did not answer in time`, { cause: error });
    case status.CANCELLED:
      return new SwitchyardError('CANCELLED', 'the call was cancelled', { cause: error });
    default:
      return new SwitchyardError('INTERNAL', `${address} answered ${status[code]}: ${details}`, { cause: error, metadata: { code: String(status[code]) } });
  }
}
