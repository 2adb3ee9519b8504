import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { decodeTraceRequest, type ReceivedSpan } from './otlp-decoder.ts';

/** An OTLP/HTTP receiver on loopback that keeps every span that it is sent. */
export class OtlpReceiver implements AsyncDisposable {
  readonly #server: Server;
  readonly #spans: ReceivedSpan[] = [];
  #failure: unknown = null;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => void this.#take(request, response));
  }

  static async start(): Promise<OtlpReceiver> {
    const server = createServer();
    const receiver = new OtlpReceiver(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: '127.0.0.1', port: 0 }, resolve);
    });
    server.unref();
    return receiver;
  }

  /** Base address, as processes are told it. */
  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Every span so far, in order of arrival. Throws when something came that is no OTLP. */
  get spans(): readonly ReceivedSpan[] {
    if (this.#failure !== null) throw this.#failure;
    return this.#spans;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { url, headers } = request;
      if (url !== '/v1/traces' || headers['content-type'] !== 'application/x-protobuf') throw new Error(`${url} with ${headers['content-type']} is no trace in protobuf`);
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const body = Buffer.concat(parts);
      this.#spans.push(...decodeTraceRequest(headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body));
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    } catch (error) {
      this.#failure = error;
      response.writeHead(400).end();
    }
  }
}
