import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { BodyBudget } from './body-budget.ts';
import { HttpError, type HttpAnswer } from './http-error.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { packedTag } from './etag.ts';
import type { JsonNode } from './json/json-node.ts';
import { parseJson } from './json/json-parser.ts';
import { httpLimits } from './limits.ts';

const unpack = promisify(gunzip);
const pack = promisify<Buffer, { level: number }, Buffer>(gzip);
const quickLevel = 1;

/** Reads a request's body as JSON: plain or gzip, at most `httpLimits.bodyBytes` as it comes and unpacked. Rejects with the signal's reason when it aborts first. `askForBody` is called once it is known that a body of that kind and length is wanted and that `budget` has room for it. */
export async function readJsonBody(request: IncomingMessage, signal: AbortSignal, askForBody: () => void, budget: BodyBudget): Promise<JsonNode> {
  const encoding = String(request.headers['content-encoding'] ?? 'identity')
    .trim()
    .toLowerCase();
  if (encoding !== 'identity' && encoding !== 'gzip')
    throw new HttpError(415, `Content-Encoding: got "${encoding.slice(0, 64)}"; gzip is taken, or none`, 'HTTP_REQUEST_INVALID', { 'accept-encoding': 'gzip' });
  if (Number(request.headers['content-length'] ?? 0) > httpLimits.bodyBytes) throw tooLarge('it is');
  const most = Number(request.headers['content-length'] ?? httpLimits.bodyBytes) + (encoding === 'gzip' ? httpLimits.bodyBytes : 0);
  using _room = most > httpLimits.smallBodyBytes ? await budget.take(most, signal) : null;
  askForBody();
  const sent = await readBytes(request, signal);
  const bytes = encoding === 'gzip' ? await unpacked(sent) : sent;
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

async function unpacked(sent: Buffer): Promise<Buffer> {
  try {
    return await unpack(sent, { maxOutputLength: httpLimits.bodyBytes });
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge('unpacked it is');
    throw new HttpError(400, 'the body: it is not well-formed gzip');
  }
}

/** An answer's bytes, packed where that pays and the caller takes it; a packed row has a tag of its own. */
export async function packedAnswer(
  answer: HttpAnswer & { readonly body: string | null },
  acceptEncoding: string | undefined,
): Promise<{ readonly headers: Readonly<Record<string, string>>; readonly bytes: Buffer | null }> {
  if (answer.body === null) return { headers: answer.headers, bytes: null };
  const bytes = Buffer.from(answer.body);
  if (bytes.length < httpLimits.gzipFromBytes) return { headers: answer.headers, bytes };
  const vary = { ...answer.headers, vary: 'accept-encoding' };
  if (!takesGzip(acceptEncoding)) return { headers: vary, bytes };
  const { etag } = answer.headers;
  const headers = { ...vary, 'content-encoding': 'gzip', ...(etag === undefined ? {} : { etag: packedTag(etag) }) };
  return { headers, bytes: await pack(bytes, { level: quickLevel }) };
}

function takesGzip(acceptEncoding = ''): boolean {
  const weights = new Map(
    acceptEncoding.split(',').map((part) => {
      const [coding = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
      return [coding, Number(parameters.find((text) => text.startsWith('q='))?.slice(2) ?? 1)] as const;
    }),
  );
  return (weights.get('gzip') ?? weights.get('*') ?? 0) > 0;
}
