import type { IncomingHttpHeaders } from 'node:http';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { BoundCall } from './routes.ts';
import { HttpError } from '../../runtime/http/http-error.ts';
import { httpLimits } from './limits.ts';

const timeoutHeader = 'x-request-timeout';
/** No two rows of blanks stand side by side in it: a header full of them would be cut at every place. */
const contentTypePattern = /^\s*([^\s;]+)\s*(?:;\s*charset="?([^\s;"]+)"?\s*)?(?:;\s*)?$/i;
const timeoutPattern = /^\s*(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s)\s*$/;

/** Deadline that the caller asks for, in ms from now: `X-Request-Timeout: 1.5s` or `250ms`. Null: none. */
export function askedTimeoutMs(headers: IncomingHttpHeaders): number | null {
  const text = headers[timeoutHeader];
  if (text === undefined) return null;
  const [, amount = '', unit] = timeoutPattern.exec(String(text)) ?? [];
  const ms = Number(amount) * (unit === 's' ? 1000 : 1);
  if (amount === '' || ms <= 0 || ms > httpLimits.longestDeadlineMs)
    throw new HttpError(400, `X-Request-Timeout: got "${String(text).slice(0, 64)}"; must be a time such as "1.5s" or "250ms", more than 0 and at most 3600s`);
  return ms;
}

/** The request id of `Idempotency-Key`, with or without the quotes of a structured field; empty: none. */
export function idempotencyKey(headers: IncomingHttpHeaders): string {
  const text = headers['idempotency-key'];
  if (text === undefined) return '';
  const [, quoted, bare = ''] = /^\s*(?:"([^"\\]*)"|([^"\s]+))\s*$/.exec(String(text)) ?? [];
  const key = quoted ?? bare;
  if (key === '') throw new HttpError(400, `Idempotency-Key: got "${String(text).slice(0, 64)}"; must be one id such as a UUID, bare or in double quotes`);
  return key;
}

/** Refuses headers whose promise is not kept: to ignore one silently would be worse. */
export function refuseUnservedHeaders(headers: IncomingHttpHeaders, { binding }: BoundCall): void {
  const { name } = binding.method;
  if (headers['if-match'] !== undefined && name !== 'Update' && name !== 'Delete')
    throw new SwitchyardError('FIELD_NOT_SERVED', 'If-Match: served for PATCH and DELETE of a row only; leave it out here');
  if (headers['if-none-match'] !== undefined && name !== 'Get') throw new SwitchyardError('FIELD_NOT_SERVED', 'If-None-Match: served for GET of a row only; leave it out here');
}

/** Checks that a body, where the binding has one, is JSON, and that there is none where it has none. */
export function checkBodyHeaders(headers: IncomingHttpHeaders, { binding }: BoundCall): void {
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  if (binding.body === null) {
    if (hasBody) throw new HttpError(400, `the body: ${binding.httpMethod} ${binding.template.text} has none; use query parameters`);
    return;
  }
  if (!hasBody) throw new HttpError(400, `the body: missing; give ${binding.body === '*' ? 'a JSON object' : 'the row as a JSON object of its columns'}`);
  const [, type = '', charset = 'utf-8'] = contentTypePattern.exec(headers['content-type'] ?? '') ?? [];
  if (type.toLowerCase() !== 'application/json' || charset.toLowerCase() !== 'utf-8')
    throw new HttpError(415, `Content-Type: got "${(headers['content-type'] ?? '').slice(0, 64)}"; must be application/json (in UTF-8)`, 'HTTP_REQUEST_INVALID', {
      accept: 'application/json',
    });
}
