import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type IncomingHttpHeaders } from 'node:http2';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { RpcMethodDefinition } from '../../../core/rpc-definition.ts';

const detailsKey = 'grpc-status-details-bin';
const prefixBytes = 5;
const sweepEveryMs = 5;
const reconnectAfterMs = 100;
const reconnectLimitMs = 10_000;

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
  readonly #address: string;
  readonly #onLost: () => void;
  readonly #pending = new Set<Pending>();
  readonly #sweeping: NodeJS.Timeout;
  #session: ClientHttp2Session | null = null;
  #closed = false;

  private constructor(address: string, onLost: () => void) {
    this.#address = address;
    this.#onLost = onLost;
    this.#sweeping = setInterval(() => this.#sweep(), sweepEveryMs);
  }

  /** Resolves once the connection is up; from then on `onLost` is called whenever it goes down. */
  static async open(address: string, limitMs: number, onLost: () => void): Promise<GrpcConnection> {
    const connection = new GrpcConnection(address, onLost);
    try {
      await connection.#connect(limitMs);
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
    const session = connect(`http://${this.#address}`);
    const late = setTimeout(() => session.destroy(new Error(`no connection to ${this.#address} within ${limitMs} ms`)), limitMs);
    session.on('error', reject);
    session.on('close', () => {
      clearTimeout(late);
      reject(new Error(`no connection to ${this.#address}`));
      this.#lost(session);
    });
    session.once('connect', () => {
      clearTimeout(late);
      this.#session = session;
      resolve();
    });
    return promise;
  }

  #lost(session: ClientHttp2Session): void {
    if (this.#session !== session || this.#closed) return;
    this.#session = null;
    this.#onLost();
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
  if (statusDetails !== null) metadata.set(detailsKey, statusDetails);
  return Object.assign(new Error(details), { code, details, metadata });
}

/** What the end of an answer says; null: it was good. */
function statusError(end: IncomingHttpHeaders): ServiceError | null {
  const code = Number(end['grpc-status'] ?? status.UNKNOWN);
  if (code === status.OK) return null;
  const details = end[detailsKey];
  return serviceError(code, decodeURIComponent(String(end['grpc-message'] ?? '')), typeof details === 'string' ? Buffer.from(details, 'base64') : null);
}
