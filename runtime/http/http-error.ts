import { type CanonicalCode, errorCatalogue, type ErrorReason } from '../../core/error-catalogue.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { inJsonWords } from '../json/json-words.ts';
import { errorDomain, ourError, retryMsOf } from '../grpc-error.ts';

/** google.rpc.Code to HTTP, as google/rpc/code.proto says. */
const statusOfCode = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  OUT_OF_RANGE: 400,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ABORTED: 409,
  ALREADY_EXISTS: 409,
  RESOURCE_EXHAUSTED: 429,
  CANCELLED: 499,
  INTERNAL: 500,
  UNKNOWN: 500,
  UNIMPLEMENTED: 501,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
} as const satisfies Record<CanonicalCode, number>;

/** Where HTTP has a more exact status. 429 and 503 are for what may be tried again as it is: many clients do that by themselves. */
const statusOfReason: Partial<Record<ErrorReason, number>> = {
  MESSAGE_TOO_LARGE: 413,
  RESULT_TOO_LARGE: 422,
  // As draft-ietf-httpapi-idempotency-key-header, 2.7, says.
  REQUEST_ID_REUSED: 422,
};

/** A failure whose HTTP status is more exact than its canonical code's, with the headers that belong to it. */
export class HttpError extends SwitchyardError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    message: string,
    reason: 'HTTP_REQUEST_INVALID' | 'MESSAGE_TOO_LARGE' | 'PRECONDITION_FAILED' = 'HTTP_REQUEST_INVALID',
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(reason, message);
    this.name = 'HttpError';
    this.status = status;
    this.headers = headers;
  }
}

/** An answer before it is packed and sent. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text; lines of it, sent as they come, by an iteration that does not throw; null: no content. */
  readonly body: string | AsyncIterable<string> | null;
}

/** A failure as problem details (RFC 9457): the reason and its facts beside the standard members, and Retry-After in whole seconds where retrying helps. */
export function problemAnswer(error: unknown): HttpAnswer & { readonly body: string } {
  const ours = ourError(error);
  const status = ours instanceof HttpError ? ours.status : (statusOfReason[ours.reason] ?? statusOfCode[ours.code]);
  const retryMs = retryMsOf(ours);
  const body = {
    type: `urn:switchyard:error:${ours.reason}`,
    title: errorCatalogue[ours.reason].summary,
    status,
    detail: inJsonWords(ours.message),
    code: ours.code,
    domain: errorDomain,
    reason: ours.reason,
    metadata: ours.metadata,
    ...(retryMs === undefined ? {} : { retryAfterMs: Math.ceil(retryMs) }),
  };
  const headers = {
    'content-type': 'application/problem+json',
    ...(retryMs === undefined ? {} : { 'retry-after': String(Math.max(1, Math.ceil(retryMs / 1000))) }),
    ...(ours instanceof HttpError ? ours.headers : {}),
  };
  return { status, headers, body: JSON.stringify(body) };
}
