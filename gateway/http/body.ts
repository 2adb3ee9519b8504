import type { IncomingMessage } from 'node:http';
import type { BodyBudget } from './body-budget.ts';
import { acceptedCoding, type Coding, codings, isCoding, packingOf } from './codings.ts';
import { HttpError, type HttpAnswer } from '../../runtime/http/http-error.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { packedTag } from './etag.ts';
import type { JsonNode } from '../../runtime/json/json-node.ts';
import { parseJson } from '../../runtime/json/json-parser.ts';
import { httpLimits } from './limits.ts';

/** Reads a request's body as JSON: plain or packed, at most `httpLimits.bodyBytes` as it comes and unpacked. Rejects with the signal's reason when it aborts first. `askForBody` is called once it is known that a body of that kind and length is wanted and that `budget` has room for it. */
export async function readJsonBody(request: IncomingMessage, signal: AbortSignal, askForBody: () => void, budget: BodyBudget): Promise<JsonNode> {
  const encoding = String(request.headers['content-encoding'] ?? 'identity')
    .trim()
    .toLowerCase();
  const coding = isCoding(encoding) ? encoding : null;
  if (coding === null && encoding !== 'identity')
    throw new HttpError(415, `Content-Encoding: got "${encoding.slice(0, 64)}"; ${codings.join(' or ')} is taken, or none`, 'HTTP_REQUEST_INVALID', {
      'accept-encoding': codings.join(', '),
    });
  if (Number(request.headers['content-length'] ?? 0) > httpLimits.bodyBytes) throw tooLarge('it is');
  const most = Number(request.headers['content-length'] ?? httpLimits.bodyBytes) + (coding !== null ? httpLimits.bodyBytes : 0);
  using _room = most > httpLimits.smallBodyBytes ? await budget.take(most, signal) : null;
  askForBody();
  const sent = await readBytes(request, signal);
  const bytes = coding === null ? sent : await unpacked(sent, coding);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new HttpError(400, 'the body: not UTF-8');
  }
  return parseJson(text, 'the body', httpLimits.jsonDepth);
}

const tooLarge = (what: string): HttpError => new HttpError(413, `the body: ${what} larger than ${httpLimits.bodyBytes} bytes; send less at once`, 'MESSAGE_TOO_LARGE');

function readBytes(request: IncomingMessage, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const end = (act: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      request.off('data', onData);
      act();
    };
    const onAbort = (): void => end(() => reject(signal.reason));
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size <= httpLimits.bodyBytes) chunks.push(chunk);
      else end(() => reject(tooLarge('it is')));
    };
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    request.on('data', onData);
    request.once('end', () => end(() => resolve(Buffer.concat(chunks))));
    request.once('error', (cause) => end(() => reject(new SwitchyardError('CANCELLED', 'the connection broke while the body was read', { cause }))));
  });
}

async function unpacked(sent: Buffer, coding: Coding): Promise<Buffer> {
  try {
    return await packingOf(coding).unpack(sent, httpLimits.bodyBytes);
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge('unpacked it is');
    throw new HttpError(400, `the body: it is not well-formed ${coding}`);
  }
}

/** An answer's bytes, packed where that pays and the caller takes it; a packed row has a tag of its own. */
export async function packedAnswer(
  answer: HttpAnswer & { readonly body: string | null },
  acceptEncoding: string | undefined,
): Promise<{ readonly headers: Readonly<Record<string, string>>; readonly bytes: Buffer | null }> {
  if (answer.body === null) return { headers: answer.headers, bytes: null };
  const bytes = Buffer.from(answer.body);
  if (bytes.length < httpLimits.packFromBytes) return { headers: answer.headers, bytes };
  const vary = { ...answer.headers, vary: 'accept-encoding' };
  const coding = acceptedCoding(acceptEncoding);
  if (coding === null) return { headers: vary, bytes };
  const { etag } = answer.headers;
  const headers = { ...vary, 'content-encoding': coding, ...(etag === undefined ? {} : { etag: packedTag(etag, coding) }) };
  return { headers, bytes: await packingOf(coding).pack(bytes) };
}
