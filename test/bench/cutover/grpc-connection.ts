import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type IncomingHttpHeaders } from 'node:http2';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type RpcMethodDefinition, STATUS_DETAILS_KEY } from '../../../core/rpc-definition.ts';

const prefixBytes = 5;
const sweepEveryMs = 5;
const reconnectAfterMs = 100;
const reconnectLimitMs = 3_000;
const pingEveryMs = 1_000;

export interface GrpcConnectionOptions {
  /** "host:port". */
  readonly address: string;
  /** Of the first connecting. */
  readonly limitMs: number;
  /** The connection is asked for a sign of life every second, and is lost when it has given none for so long. Null: nobody asks. */
  readonly silenceLimitMs: number | null;
  /** Called whenever it goes down. */
  readonly onLost: () => void;
}

export type Answered = (error: ServiceError | null, answer: unknown) => void;

interface Pending {
  readonly stream: ClientHttp2Stream;
  readonly endsMs: number;
  readonly fail: (code: status, details: string) => void;
}

/**
 * Unary gRPC calls over one HTTP/2 connection: the protocol and nothing else, so that the clients of a bench take as little as can be of the processors that they share with what they measure. No retry; every call has a limit, which the server is told
 * too. A lost connection is told and opened again; calls fail meanwhile.
 */
export class GrpcConnection {
  readonly #options: GrpcConnectionOptions;
  readonly #pending = new Set<Pending>();
  readonly #sweeping: NodeJS.Timeout;
  #session: ClientHttp2Session | null = null;
  #closed = false;

  private constructor(options: GrpcConnectionOptions) {
    this.#options = options;
    this.#sweeping = setInterval(() => this.#sweep(), sweepEveryMs);
  }

  /** Resolves once the connection is up. */
  static async open(options: GrpcConnectionOptions): Promise<GrpcConnection> {
    const connection = new GrpcConnection(options);
    try {
      await connection.#connect(options.limitMs);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  call(
    { path, requestSerialize, responseDeserialize }: RpcMethodDefinition,
    request: Parameters<RpcMethodDefinition['requestSerialize']>[0],
    limitMs: number,
    done: Answered,
  ): void {
    const session = this.#session;
    if (session === null) {
      process.nextTick(done, serviceError(status.UNAVAILABLE, 'the connection is lost', null), null);
      return;
    }
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc+proto',
      te: 'trailers',
      'grpc-timeout': `${Math.ceil(limitMs)}m`,
    });
    let body: Buffer | null = null;
    let end: IncomingHttpHeaders | null = null;
    const settle = (error: ServiceError | null): void => {
      if (!this.#pending.delete(pending)) return;
      if (error !== null) done(error, null);
      else if (body === null) done(serviceError(status.INTERNAL, 'an answer without a message', null), null);
      else done(null, responseDeserialize(body.subarray(prefixBytes)));
    };
    const fail = (code: status, details: string): void => settle(serviceError(code, details, null));
    const pending: Pending = { stream, endsMs: performance.now() + limitMs, fail };
    this.#pending.add(pending);
    stream.on('data', (bytes: Buffer) => {
      body = body === null ? bytes : Buffer.concat([body, bytes]);
    });
    // An answer that is nothing but a status has it in its first headers.
    stream.on('response', (headers) => {
      if (headers['grpc-status'] !== undefined) end = headers;
    });
    stream.on('trailers', (trailers) => {
      end = trailers;
    });
    stream.on('error', () => {}); // told by "close"
    stream.on('close', () => settle(end === null ? serviceError(status.UNAVAILABLE, 'the stream was closed', null) : statusError(end)));
    stream.end(framed(requestSerialize(request)));
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#sweeping);
    for (const { fail } of this.#pending) fail(status.CANCELLED, 'the client was closed');
    this.#session?.destroy();
  }

  #connect(limitMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const session = connect(`http://${this.#options.address}`);
    const late = setTimeout(() => session.destroy(new Error(`no connection to ${this.#options.address} within ${limitMs} ms`)), limitMs);
    session.on('error', reject);
    session.on('close', () => {
      clearTimeout(late);
      reject(new Error(`no connection to ${this.#options.address}`));
      this.#lost(session);
    });
    session.once('connect', () => {
      clearTimeout(late);
      this.#session = session;
      this.#watch(session);
      resolve();
    });
    return promise;
  }

  #watch(session: ClientHttp2Session): void {
    const { silenceLimitMs } = this.#options;
    if (silenceLimitMs === null) return;
    let heardMs = performance.now();
    const asking = setInterval(() => {
      // It may have ended a moment before it says so.
      if (session.destroyed) return;
      if (performance.now() - heardMs > silenceLimitMs) session.destroy();
      else
        session.ping((error) => {
          if (error === null) heardMs = performance.now();
        });
    }, pingEveryMs);
    session.once('close', () => clearInterval(asking));
  }

  #lost(session: ClientHttp2Session): void {
    if (this.#session !== session || this.#closed) return;
    this.#session = null;
    this.#options.onLost();
    this.#reconnect();
  }

  #reconnect(): void {
    setTimeout(() => {
      if (!this.#closed) this.#connect(reconnectLimitMs).catch(() => this.#reconnect());
    }, reconnectAfterMs);
  }

  #sweep(): void {
    const nowMs = performance.now();
    for (const { stream, endsMs, fail } of this.#pending) {
      if (endsMs > nowMs) continue;
      fail(status.DEADLINE_EXCEEDED, 'the deadline has passed');
      stream.close(constants.NGHTTP2_CANCEL);
    }
  }
}

/** The message as gRPC sends it: not compressed, behind its length. */
function framed(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(prefixBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, prefixBytes);
  return frame;
}

function serviceError(code: status, details: string, statusDetails: Buffer | null): ServiceError {
  const metadata = new Metadata();
  if (statusDetails !== null) metadata.set(STATUS_DETAILS_KEY, statusDetails);
  return Object.assign(new Error(details), { code, details, metadata });
}

/** What the end of an answer says; null: it was good. */
function statusError(end: IncomingHttpHeaders): ServiceError | null {
  const code = Number(end['grpc-status'] ?? status.UNKNOWN);
  if (code === status.OK) return null;
  const details = end[STATUS_DETAILS_KEY];
  return serviceError(code, decodeURIComponent(String(end['grpc-message'] ?? '')), typeof details === 'string' ? Buffer.from(details, 'base64') : null);
}
