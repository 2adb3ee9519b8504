import { createHash } from 'node:crypto';
import { type DescMessage, type JsonValue, type MessageShape, toJson } from '@bufbuild/protobuf';
import { CALLER_KEY } from '../../core/request-record.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';

const namePattern = /^[\x21-\x7e]{1,255}$/;
const form = '1 to 255 visible ASCII characters without spaces';

/** Checks a write's request id; empty: it has none. */
export function checkRequestId(requestId: string): void {
  if (requestId !== '' && !namePattern.test(requestId))
    throw new SwitchyardError('ARGUMENT_INVALID', `request_id: got "${requestId.slice(0, 64)}"; must be ${form}, such as a UUID`);
}

/** Checks as whom the caller of a write with a request id presents itself; empty: it does not say. */
export function checkCaller(caller: string): void {
  if (caller !== '' && !namePattern.test(caller)) throw new SwitchyardError('ARGUMENT_INVALID', `${CALLER_KEY}: got "${caller.slice(0, 64)}"; must be ${form}`);
}

/** A digest of everything that a request asks for, its id apart: equal for equal content however the message was put together. `beside` is what belongs to the content and is not in the message. */
export function contentDigest<D extends DescMessage>(desc: D, request: MessageShape<D>, beside = ''): string {
  const json = toJson(desc, { ...request, requestId: '' });
  return createHash('sha256')
    .update(`${desc.typeName} ${canonicalText(json)} ${beside}`)
    .digest('base64url');
}

/** JSON with every object's members in order of name: cells are a map, which has none. */
function canonicalText(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join()}]`;
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? '-0' : JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalText(member)}`).join()}}`;
}
