import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, Socket } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { isOwnHost } from '../../runtime/host-header.ts';
import { formatHostPort, type HostPort } from '../../runtime/host-port.ts';
import { listen } from '../../runtime/listen.ts';
import { limitSending } from '../../runtime/send-limit.ts';
import type { HttpBinding } from '../../runtime/http/bindings.ts';
import { HttpRoutes, methodNotAllowed } from './routes.ts';
import { BodyBudget } from './body-budget.ts';
import { packedAnswer, readJsonBody } from './body.ts';
import { Connections } from './connections.ts';
import { type HttpAnswer, HttpError, problemAnswer } from '../../runtime/http/http-error.ts';
import type { JsonApi } from './json-api.ts';
import { httpLimits } from './limits.ts';
import { apiPage, apiPageHeaders } from './openapi/api-page.ts';
import { askedTimeoutMs } from './request-headers.ts';

export interface HttpServerOptions {
  readonly listen: HostPort;
  /** Other processes listen there too; left out: none may. */
  readonly isShared?: boolean;
  /** Names that callers may know this host by beside its address, "localhost" and the name that it listens on. */
  readonly hostNames?: readonly string[];
  readonly clock: Clock;
  readonly api: Pick<JsonApi, 'answer'>;
  readonly bindings: readonly HttpBinding[];
  /** The OpenAPI document as JSON text. */
  readonly openApi: (signal: AbortSignal) => Promise<string>;
  readonly isServing: () => boolean;
  /** Deadline of a caller that gives none. */
  readonly defaultDeadlineMs: number;
  /** The same where the answer is a stream. */
  readonly streamDeadlineMs: number;
  /** Default: `httpLimits.sendLimitMs`. */
  readonly sendLimitMs?: number;
  /** Default: `httpLimits.connections`. */
  readonly maxConnections?: number;
  /** Told of every failure that is a fault of ours (reason INTERNAL). */
  readonly onFault: (method: string, error: unknown) => void;
}

/** The HTTP door, open. */
export interface HttpDoor {
  /** "host:port", with the port that was taken. */
  readonly address: string;
  /** No new connections and no second request on old ones; calls under way may finish for `limitMs`, then their connections are cut. */
  close(limitMs: number): Promise<void>;
}

/** Serves the data API as JSON over HTTP/1.1. Rejects when the address cannot be taken. */
export async function serveHttp(options: HttpServerOptions): Promise<HttpDoor> {
  const requests = new HttpRequests(options);
  const server = createServer({
    maxHeaderSize: httpLimits.headerBytes,
    headersTimeout: httpLimits.headersTimeoutMs,
    requestTimeout: httpLimits.requestTimeoutMs,
    keepAliveTimeout: httpLimits.keepAliveMs,
    connectionsCheckingInterval: 1_000,
    // The server would refuse it without a reason.
    requireHostHeader: false,
  });
  const connections = new Connections(server);
  server.on('request', (request, response) => connections.enter(request, response, () => requests.handle(request, response)));
  server.on('checkContinue', (request, response) => connections.enter(request, response, () => requests.handle(request, response, () => response.writeContinue())));
  server.on('checkExpectation', (request, response) => connections.enter(request, response, () => requests.handle(request, response)));
  server.maxConnections = options.maxConnections ?? httpLimits.connections;
  // One more than is allowed, so that too many are seen and not cut off silently.
  server.maxHeadersCount = httpLimits.headers + 1;
  server.on('clientError', (error, socket) => {
    if (!(socket instanceof Socket) || connections.isAnswering(socket)) socket.destroy();
    else refuseConnection(error, socket);
  });
  await listen(server, options.listen, options.isShared);
  return {
    address: formatHostPort({ ...options.listen, port: (server.address() as AddressInfo).port }),
    close: (limitMs) => {
      requests.drain();
      return connections.drain(limitMs, options.clock);
    },
  };
}

class HttpRequests {
  readonly #options: HttpServerOptions;
  readonly #routes: HttpRoutes;
  readonly #bodies = new BodyBudget(httpLimits.allBodiesBytes);
  readonly #hostNames: readonly string[];
  #draining = false;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#routes = new HttpRoutes(options.bindings);
    this.#hostNames = [options.listen.host, ...(options.hostNames ?? [])].map((name) => name.toLowerCase());
  }

  drain(): void {
    this.#draining = true;
  }

  /** Answers one request, whatever happens. `askForBody` is called before its body is read: a caller that waits for that sends none that would be refused. */
  async handle(request: IncomingMessage, response: ServerResponse, askForBody = (): void => {}): Promise<void> {
    const { clock } = this.#options;
    const controller = new AbortController();
    let cancelTimer = (): void => {};
    response.once('close', () => {
      cancelTimer();
      if (!response.writableFinished) controller.abort(new SwitchyardError('CANCELLED', 'the caller closed the connection'));
    });
    response.on('error', () => {}); // the caller is gone: `close` says so
    let answer: HttpAnswer;
    try {
      if (request.rawHeaders.length / 2 > httpLimits.headers) throw new HttpError(431, `too many headers; at most ${httpLimits.headers} are taken`);
      this.#checkHost(request);
      checkExpectation(request.headers.expect);
      answer = await this.#answer(request, controller.signal, askForBody, (timeoutMs) => {
        cancelTimer = clock.after(timeoutMs, () => controller.abort(new SwitchyardError('DEADLINE_EXCEEDED', "the call's deadline passed")));
        return clock.monotonic() + timeoutMs;
      });
    } catch (error) {
      answer = this.#failure(request, error);
    }
    await this.#send(request, response, answer, controller.signal);
  }

  /** `limit` sets the call's deadline and returns it. */
  async #answer(request: IncomingMessage, signal: AbortSignal, askForBody: () => void, limit: (timeoutMs: number) => number): Promise<HttpAnswer> {
    const asked = askedTimeoutMs(request.headers);
    const [path = '', ...rest] = (request.url ?? '').replace(/^https?:\/\/[^/?]*/i, '').split('?');
    const method = request.method ?? '';
    if (path === '/healthz' || path === '/openapi.json' || path === '/docs') {
      if (method !== 'GET' && method !== 'HEAD') throw methodNotAllowed(method, path, ['GET']);
      if (rest.some((text) => text !== '')) throw new HttpError(400, `query parameters: there are none at ${path}; leave them out`);
      limit(asked ?? this.#options.defaultDeadlineMs);
      if (path === '/healthz') return this.#health();
      const document = await this.#options.openApi(signal);
      return path === '/docs'
        ? { status: 200, headers: apiPageHeaders, body: apiPage(document) }
        : { status: 200, headers: { 'content-type': 'application/json' }, body: document };
    }
    const call = this.#routes.find(method, path);
    const isStream = call.binding.method.methodKind === 'server_streaming';
    const deadline = limit(asked ?? (isStream ? this.#options.streamDeadlineMs : this.#options.defaultDeadlineMs));
    return await this.#options.api.answer({ call, query: rest.join('?'), headers: request.headers, signal, deadline }, () =>
      readJsonBody(request, signal, askForBody, this.#bodies),
    );
  }

  #checkHost({ httpVersion, headers: { host } }: IncomingMessage): void {
    if (host === undefined && httpVersion === '1.1') throw new HttpError(400, 'Host: missing; HTTP/1.1 asks for it');
    if (isOwnHost(host, this.#hostNames)) return;
    throw new HttpError(
      421,
      `Host: got "${(host ?? '').slice(0, 64)}"; must be an IP address, "localhost" or a name of this gateway (${this.#hostNames.join(', ')}); name it in "httpHosts" of its configuration`,
    );
  }

  #health(): HttpAnswer {
    const isServing = this.#options.isServing() && !this.#draining;
    return {
      status: isServing ? 200 : 503,
      headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
      body: `{"status":"${isServing ? 'SERVING' : 'NOT_SERVING'}"}`,
    };
  }

  #failure(request: IncomingMessage, error: unknown): HttpAnswer {
    if (!(error instanceof SwitchyardError) || error.reason === 'INTERNAL') this.#options.onFault(`${request.method ?? ''} ${(request.url ?? '').split('?')[0] ?? ''}`, error);
    return problemAnswer(error);
  }

  async #send(request: IncomingMessage, response: ServerResponse, answer: HttpAnswer, signal: AbortSignal): Promise<void> {
    if (response.destroyed) return;
    const { body } = answer;
    try {
      // What the caller still sends of a refused body is not read: the connection cannot be used again.
      if (this.#draining || !request.complete) response.setHeader('connection', 'close');
      if (body !== null && typeof body !== 'string' && request.method === 'HEAD') {
        response.writeHead(answer.status, answer.headers).end();
        await body[Symbol.asyncIterator]().return?.();
        return;
      }
      if (body !== null && typeof body !== 'string') {
        await this.#sendLines(response, answer, body, signal);
        return;
      }
      const { headers, bytes } = await packedAnswer({ ...answer, body }, request.headers['accept-encoding']?.toString());
      response.writeHead(answer.status, { ...headers, ...(bytes === null ? {} : { 'content-length': String(bytes.length) }) });
      limitSending(response, this.#options.sendLimitMs ?? httpLimits.sendLimitMs);
      response.end(bytes ?? undefined);
    } catch (error) {
      this.#options.onFault('send', error);
      response.destroy();
    }
  }

  /** Sends lines no faster than the caller takes them. One that takes nothing for the limit loses its connection. */
  async #sendLines(response: ServerResponse, { status, headers }: HttpAnswer, lines: AsyncIterable<string>, signal: AbortSignal): Promise<void> {
    const limitMs = this.#options.sendLimitMs ?? httpLimits.sendLimitMs;
    response.writeHead(status, headers);
    for await (const line of lines) {
      if (response.destroyed) return;
      if (response.write(line) || signal.aborted) continue;
      const stop = this.#options.clock.after(limitMs, () => response.destroy());
      await sent(response, signal);
      stop();
    }
    limitSending(response, limitMs);
    response.end();
  }
}

/** Resolves when what was written is sent, the connection is gone or the signal aborts. */
async function sent(response: ServerResponse, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = (): void => resolve();
  const events = ['drain', 'close'] as const;
  for (const event of events) response.once(event, done);
  signal.addEventListener('abort', done, { once: true });
  await promise;
  for (const event of events) response.off(event, done);
  signal.removeEventListener('abort', done);
}

/** "100-continue" is what a caller may wait for; nobody knows of anything else. */
function checkExpectation(expect: string | undefined): void {
  if (expect === undefined || expect.trim().toLowerCase() === '100-continue') return;
  throw new HttpError(417, `Expect: got "${expect.slice(0, 64)}"; only "100-continue" is understood`);
}

/** What never became a request: malformed, too large or too slow. */
function refuseConnection(error: Error & { readonly code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const failure =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? new HttpError(431, `the headers: larger than ${httpLimits.headerBytes} bytes`)
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new HttpError(408, 'the request did not arrive in time')
        : new HttpError(400, 'the request is not well-formed HTTP/1.1');
  const { status, headers, body } = problemAnswer(failure);
  const lines = Object.entries({ ...headers, connection: 'close', 'content-length': String(Buffer.byteLength(body ?? '')) }).map(([name, value]) => `${name}: ${value}`);
  socket.end(
    `HTTP/1.1 ${status} ${status === 431 ? 'Request Header Fields Too Large' : status === 408 ? 'Request Timeout' : 'Bad Request'}\r\n${lines.join('\r\n')}\r\n\r\n${body ?? ''}`,
  );
}
