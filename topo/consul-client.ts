import Consul from 'consul';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { ConsulTransport, HttpAnswer, HttpCall } from './consul-transport.ts';
import type { KvClient, KvItem, KvReading, KvWrite, ReadMode, WriteOutcome } from './kv-client.ts';

export interface ConsulClientOptions {
  readonly transport: ConsulTransport;
  /** Limit of every call that is not a blocking query. */
  readonly requestTimeoutMs: number;
}

const MAX_TRANSACTION_BYTES = 512 * 1024;
const MAX_TRANSACTION_OPERATIONS = 64;
/** The server adds up to a sixteenth of the wait itself; then there is the way of the answer. */
const BLOCKING_SLACK = 1.1;
const BLOCKING_MARGIN_MS = 2_000;

/** What goes down to `__execute` with a call, and the answer that comes back up beside what the library makes of it. */
interface CallContext {
  readonly limitMs: number;
  readonly signal: AbortSignal;
  answer: HttpAnswer | null;
  body: unknown;
}

/** The parts of the library's request object that `__execute` works on. */
interface LibraryRequest {
  readonly opts: { readonly ctx: CallContext };
  readonly req: { readonly method: HttpCall['method']; readonly path: string; readonly headers: Readonly<Record<string, string>> };
  readonly body?: Buffer;
  res?: { readonly statusCode: number; readonly headers: HttpAnswer['headers']; readonly body: unknown };
  err?: Error;
}

/**
 * The library with its one method that does I/O replaced: ours has a pool, a signal and a limit that holds to the end of the body. The library's types know neither `ctx`, through which these come down, nor that transactions and
 * lists take read modes; hence the casts at its calls.
 */
class ConsulOverTransport extends Consul {
  readonly #transport: ConsulTransport;

  constructor(transport: ConsulTransport) {
    super();
    this.#transport = transport;
  }

  __execute(request: LibraryRequest, next: (error?: unknown) => void): void {
    // A fault in the library's own handling of an answer must end the call too, or its promise would hang for ever.
    this.#run(request).then(() => next()).catch((error: unknown) => next(error)); // biome-ignore format: a chain
  }

  async #run(request: LibraryRequest): Promise<void> {
    const context = request.opts.ctx;
    const { 'content-length': _, ...headers } = request.req.headers;
    try {
      const answer = await this.#transport.send({
        method: request.req.method,
        path: request.req.path,
        headers,
        body: request.body ?? null,
        limitMs: context.limitMs,
        signal: context.signal,
      });
      context.answer = answer;
      context.body = decodeBody(answer);
      request.res = { statusCode: answer.status, headers: answer.headers, body: context.body };
      if (answer.status < 200 || answer.status > 299) request.err = answerError(answer);
    } catch (error) {
      request.err = error instanceof Error ? error : new Error(String(error));
    }
  }
}

/** Typed calls to Consul over HTTP. */
export class ConsulClient implements KvClient, AsyncDisposable {
  readonly #transport: ConsulTransport;
  readonly #consul: ConsulOverTransport;
  readonly #requestTimeoutMs: number;

  constructor(options: ConsulClientOptions) {
    this.#transport = options.transport;
    this.#consul = new ConsulOverTransport(options.transport);
    this.#requestTimeoutMs = options.requestTimeoutMs;
  }

  async get(key: string, mode: ReadMode, signal: AbortSignal): Promise<KvReading> {
    return this.#read(key, { key }, mode, signal);
  }

  async list(prefix: string, mode: ReadMode, signal: AbortSignal): Promise<KvReading> {
    const reading = await this.#read(prefix, { key: prefix, recurse: true }, mode, signal);
    // Asking for one key is answered with 403 where listing is answered with nothing.
    if (reading.items.length === 0 && mode.kind !== 'blocking') await this.get(prefix, mode, signal);
    return reading;
  }

  async keys(prefix: string, signal: AbortSignal): Promise<readonly string[]> {
    const context = this.#context(signal);
    const options = { key: prefix, consistent: true, ctx: context };
    const keys: unknown = await this.#ask(this.#consul.kv.keys(options), signal).catch((error: unknown) => {
      if (isMissing(context)) return [];
      throw error;
    });
    if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string')) throw malformed('a list of keys');
    return keys;
  }

  async snapshot(prefixes: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, KvItem>> {
    const context = this.#context(signal);
    const operations = prefixes.map((prefix) => ({ KV: { Verb: 'get-tree', Key: prefix } }));
    const options = { consistent: true, ctx: context };
    await this.#ask(this.#consul.transaction.create(operations as never, options as never), signal);
    return new Map(transactionItems(context.body).map((item) => [item.key, item]));
  }

  async write(operations: readonly KvWrite[], signal: AbortSignal): Promise<WriteOutcome> {
    const encoded = operations.map(encodeWrite);
    const bytes = Buffer.byteLength(JSON.stringify(encoded));
    if (bytes > MAX_TRANSACTION_BYTES || encoded.length > MAX_TRANSACTION_OPERATIONS) {
      const most = `${MAX_TRANSACTION_BYTES} bytes and ${MAX_TRANSACTION_OPERATIONS} operations`;
      throw new SwitchyardError('TOPOLOGY_TOO_LARGE', `a transaction of ${bytes} bytes and ${encoded.length} operations is more than Consul takes (${most})`);
    }
    const context = this.#context(signal);
    const options = { ctx: context };
    try {
      await this.#ask(this.#consul.transaction.create(encoded as never, options as never), signal);
    } catch (error) {
      if (context.answer?.status === 409) return refusal(context.body);
      throw error;
    }
    // A deletion has no result; all writes of one transaction have the same index.
    return { kind: 'written', modifyIndex: Math.max(0, ...transactionItems(context.body).map((item) => item.modifyIndex)) };
  }

  async createSession(name: string, ttlMs: number, signal: AbortSignal): Promise<string> {
    const options = { name, ttl: `${ttlMs}ms`, lockdelay: '0s', behavior: 'release' as const, ctx: this.#context(signal) };
    const created: unknown = await this.#ask(this.#consul.session.create(options), signal);
    if (!isRecord(created) || typeof created.ID !== 'string') throw malformed('a session');
    return created.ID;
  }

  async renewSession(id: string, signal: AbortSignal, limitMs: number): Promise<boolean> {
    const context = this.#context(signal, limitMs);
    const options = { id, ctx: context };
    try {
      await this.#ask(this.#consul.session.renew(options), signal);
      return true;
    } catch (error) {
      if (context.answer?.status === 404) return false;
      throw error;
    }
  }

  async destroySession(id: string, signal: AbortSignal, limitMs?: number): Promise<void> {
    const options = { id, ctx: this.#context(signal, limitMs) };
    await this.#ask(this.#consul.session.destroy(options), signal);
  }

  async sessionIds(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const options = { consistent: true, ctx: this.#context(signal) };
    const sessions: unknown = await this.#ask(this.#consul.session.list(options as never), signal);
    if (!Array.isArray(sessions)) throw malformed('a list of sessions');
    return new Set(sessions.flatMap((session) => (isRecord(session) && typeof session.ID === 'string' ? [session.ID] : [])));
  }

  /** Closes the transport, which is the client's. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]();
  }

  async #read(key: string, what: { key: string; recurse?: true }, mode: ReadMode, signal: AbortSignal): Promise<KvReading> {
    const blocking = mode.kind === 'blocking' ? { index: String(mode.index), wait: `${mode.waitMs}ms` } : {};
    const context = this.#context(signal, mode.kind === 'blocking' ? mode.waitMs * BLOCKING_SLACK + BLOCKING_MARGIN_MS : this.#requestTimeoutMs);
    const options = { ...what, ...blocking, buffer: true, consistent: mode.kind === 'consistent', stale: mode.kind === 'stale', ctx: context };
    await this.#ask(this.#consul.kv.get(options), signal);
    const index = Number(context.answer?.headers['x-consul-index']);
    // A proxy's 404, or a 200 that is no list, must not pass for "the key does not exist".
    if (!Number.isSafeInteger(index)) throw malformed(`an answer for ${key} with an index`);
    if (isMissing(context)) return { items: [], index: Math.max(1, index) };
    if (!Array.isArray(context.body) || context.body.length === 0) throw malformed(`a list of items for ${key}`);
    return { items: context.body.map(decodeItem), index: Math.max(1, index) };
  }

  /** The library stumbles over answers that Consul never gives. */
  async #ask<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof SwitchyardError || signal.aborted) throw error;
      throw malformed('what was asked for', error);
    }
  }

  #context(signal: AbortSignal, limitMs = this.#requestTimeoutMs): CallContext {
    return { limitMs, signal, answer: null, body: undefined };
  }
}

function encodeWrite(write: KvWrite): { readonly KV: Readonly<Record<string, unknown>> } {
  return {
    KV: {
      Verb: write.verb,
      Key: write.key,
      ...('value' in write ? { Value: write.value.toString('base64') } : {}),
      ...('index' in write ? { Index: write.index } : {}),
      ...('session' in write ? { Session: write.session } : {}),
    },
  };
}

function decodeBody(answer: HttpAnswer): unknown {
  if (answer.headers['content-type']?.startsWith('application/json') !== true) return answer.body.toString();
  try {
    return JSON.parse(answer.body.toString());
  } catch (cause) {
    throw malformed('JSON', cause);
  }
}

/** Accepts both what the library has decoded (a buffer) and what it leaves alone (base64, or null for empty). */
function decodeItem(raw: unknown): KvItem {
  if (!isRecord(raw) || typeof raw.Key !== 'string' || typeof raw.ModifyIndex !== 'number' || typeof raw.CreateIndex !== 'number') throw malformed('an item');
  const value = raw.Value;
  const session = raw.Session;
  return {
    key: raw.Key,
    value: Buffer.isBuffer(value) ? value : Buffer.from(typeof value === 'string' ? value : '', 'base64'),
    createIndex: raw.CreateIndex,
    modifyIndex: raw.ModifyIndex,
    ...(typeof session === 'string' && session !== '' ? { session } : {}),
  };
}

function transactionItems(body: unknown): readonly KvItem[] {
  if (!isRecord(body)) throw malformed("a transaction's results");
  const results = body.Results ?? [];
  if (!Array.isArray(results)) throw malformed("a transaction's results");
  return results.map((result) => decodeItem(isRecord(result) ? result.KV : undefined));
}

function refusal(body: unknown): WriteOutcome {
  const errors = isRecord(body) && Array.isArray(body.Errors) ? body.Errors.filter(isRecord) : [];
  return { kind: 'refused', operations: errors.map((error) => Number(error.OpIndex)), message: errors.map((error) => String(error.What)).join('; ') };
}

function isMissing(context: CallContext): boolean {
  return context.answer?.status === 404 && context.answer.headers['x-consul-index'] !== undefined;
}

function answerError(answer: HttpAnswer): SwitchyardError {
  const message = `answered ${answer.status}: ${answer.body.toString().slice(0, 300).trim()}`;
  const metadata = { status: String(answer.status) };
  if (answer.status === 403) return new SwitchyardError('TOPOLOGY_DENIED', message, { metadata });
  if (answer.status === 413) return new SwitchyardError('TOPOLOGY_TOO_LARGE', message, { metadata });
  // 4xx beside those above cannot come from a Consul that we speak to as its documentation says; a proxy on the way can.
  return new SwitchyardError('TOPOLOGY_UNAVAILABLE', message, { metadata });
}

function malformed(expected: string, cause?: unknown): SwitchyardError {
  return new SwitchyardError('TOPOLOGY_UNAVAILABLE', `Consul's answer is not ${expected}`, cause === undefined ? {} : { cause });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
