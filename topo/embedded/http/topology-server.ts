import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { Clock } from '../../../core/clock.ts';
import { isOwnHost } from '../../../runtime/host-header.ts';
import { formatHostPort, type HostPort } from '../../../runtime/host-port.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { limitSending } from '../../../runtime/send-limit.ts';
import { type EndpointParts, serveCall } from './endpoints.ts';
import { readBody, Refusal, type Reply, textReply } from './http-exchange.ts';

/** Longest time for a request to arrive whole. */
const REQUEST_LIMIT_MS = 30_000;
const HEADERS_LIMIT_MS = 10_000;
/** Longer than clients keep a connection that they do not use, so that it is they who close it. */
const IDLE_CONNECTION_MS = 120_000;
/** Requests at once, blocking queries included; the next is refused with 429. A client may send several down one connection without waiting. */
const MAX_REQUESTS = 4_096;
/** At the end, writes under way get this long to be answered. */
const DRAIN_LIMIT_MS = 2_000;

export interface TopologyServerOptions {
  readonly listen: HostPort;
  readonly clock: Clock;
  readonly log: Logger;
  /** More are closed at once. */
  readonly maxConnections: number;
  /** An answer of which nothing more can be sent for so long is given up, with its connection. */
  readonly sendLimitMs: number;
  readonly parts: Omit<EndpointParts, 'address'>;
}

/** The HTTP server. No answer leaves before everything that it may tell of is on the disk. */
export class TopologyServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #options: TopologyServerOptions;
  readonly #ending = new AbortController();
  readonly #running = new Set<Promise<void>>();

  private constructor(options: TopologyServerOptions) {
    this.#options = options;
    this.#server = createServer({
      keepAliveTimeout: IDLE_CONNECTION_MS,
      requestTimeout: REQUEST_LIMIT_MS,
      headersTimeout: HEADERS_LIMIT_MS,
      noDelay: true,
      requireHostHeader: false,
    });
    this.#server.maxConnections = options.maxConnections;
    this.#server.on('request', (request, response) => this.#take(request, response));
  }

  /** Rejects when the address cannot be listened on. */
  static async listen(options: TopologyServerOptions): Promise<TopologyServer> {
    const server = new TopologyServer(options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.#server.once('error', reject);
    server.#server.listen({ host: options.listen.host, port: options.listen.port }, resolve);
    await promise;
    server.#server.off('error', reject);
    server.#server.on('error', (error) => options.log.error({ err: error }, 'the server'));
    return server;
  }

  /** "host:port", with the port that was given where 0 was asked for. */
  get address(): string {
    const address = this.#server.address();
    const port = typeof address === 'object' && address !== null ? address.port : this.#options.listen.port;
    return formatHostPort({ host: this.#options.listen.host, port });
  }

  /** Takes no more, ends blocking queries, lets writes be answered for 2 s, and closes every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ending.signal.aborted) return;
    const closed = Promise.withResolvers<void>();
    // Not the HTTP server's own `close`: that takes a connection for idle whose answer is still being sent, and cuts it.
    NetServer.prototype.close.call(this.#server, () => closed.resolve());
    this.#ending.abort();
    const limit = new AbortController();
    const limited = this.#options.clock.sleep(DRAIN_LIMIT_MS, limit.signal).catch(() => undefined);
    await Promise.race([Promise.allSettled(this.#running), limited]);
    limit.abort();
    this.#server.closeAllConnections();
    await closed.promise;
    this.#server.close(() => undefined); // ends its timers
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const running = this.#serve(request, response).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Never rejects. */
  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const reply = await this.#reply(request, AbortSignal.any([gone.signal, this.#ending.signal]));
    if (gone.signal.aborted) return;
    const sent = Promise.withResolvers<void>();
    response.once('close', sent.resolve);
    response.writeHead(reply.status, { ...reply.headers, 'Content-Length': Buffer.byteLength(reply.body) });
    limitSending(response, this.#options.sendLimitMs);
    response.end(reply.body, () => sent.resolve());
    await sent.promise;
    // What is left of a body that nobody wanted must not be taken for the next request.
    if (!request.complete) request.resume();
  }

  async #reply(request: IncomingMessage, signal: AbortSignal): Promise<Reply> {
    const { parts, log } = this.#options;
    const [path = '', query = ''] = splitOnce(request.url ?? '', '?');
    try {
      if (this.#running.size >= MAX_REQUESTS) throw new Refusal(429, `more than ${MAX_REQUESTS} requests at once`);
      const { host } = request.headers;
      if (host === undefined && request.httpVersion === '1.1') throw new Refusal(400, 'missing required Host header');
      if (!isOwnHost(host, [this.#options.listen.host.toLowerCase()]))
        throw new Refusal(
          421,
          `Host: got "${(host ?? '').slice(0, 64)}"; must be an IP address, "localhost" or the name that this server listens on (${this.#options.listen.host})`,
        );
      const call = { method: request.method ?? 'GET', query: new URLSearchParams(query), body: (bytes: number, what: string) => readBody(request, bytes, what), signal };
      const reply = await serveCall({ ...parts, address: () => this.address }, path, call);
      await parts.store.settled();
      return reply;
    } catch (error) {
      if (error instanceof Refusal) return textReply(error.status, error.message, error.headers);
      if (!signal.aborted) log.error({ err: error, path }, 'a request failed');
      return textReply(500, error instanceof Error ? error.message : String(error));
    }
  }
}

function splitOnce(text: string, separator: string): readonly string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
