import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Metadata } from '@grpc/grpc-js';
import type { DescMessage, DescService, MessageInitShape } from '@bufbuild/protobuf';
import type { Clock } from '../../core/clock.ts';
import { maxStoreMessageBytes } from '../../core/message-limit.ts';
import { AUTHORIZATION_KEY, CALL_KEY, PEER_KEY } from '../../core/peer-call.ts';
import { shorten } from '../../core/shorten.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { RpcContext, RpcImplementation } from '../grpc-server.ts';
import { formatHostPort, type HostPort } from '../host-port.ts';
import { bindingsOf, type HttpBinding } from '../http/bindings.ts';
import { problemAnswer } from '../http/http-error.ts';
import { matchTemplate } from '../http/path-template.ts';
import { listen } from '../listen.ts';
import { TRACEPARENT_KEY } from '../trace-context.ts';
import { messageFromText, messageToText } from '../wire/message-json.ts';
import type { CallFacts } from './access.ts';

export interface PeerHttpOptions {
  readonly listen: HostPort;
  /** Other processes listen there too. */
  readonly isShared?: boolean;
  readonly clock: Clock;
  /** Refuses who may not call, before a body is read. */
  readonly admit: (facts: CallFacts) => void;
  /** Told of every failure that is a fault of ours. */
  readonly onFault: (method: string, error: unknown) => void;
}

/** The door, open. */
export interface PeerHttpDoor {
  /** "host:port", with the port that was taken. */
  readonly address: string;
  /** Takes no more calls; those under way may finish for `limitMs`. */
  close(limitMs: number): Promise<void>;
}

/** One service at the door. */
export interface PeerHttpService {
  readonly bindings: readonly HttpBinding[];
  readonly handlers: Readonly<Record<string, Handler>>;
}

type Handler = (request: unknown, context: RpcContext) => unknown;

/** Its methods that are bound to a path of HTTP. */
export const httpService = <S extends DescService>(service: S, implementation: RpcImplementation<S>): PeerHttpService => ({
  bindings: bindingsOf(service),
  handlers: implementation as unknown as Readonly<Record<string, Handler>>,
});

const deadlineMs = 3_600_000;
/** A caller of a stream that takes nothing of it for so long is given up. */
const readerLimitMs = 300_000;
const keepAliveMs = 75_000;

/** Serves services to peers as JSON over HTTP/1.1, as their google.api.http rules say: every call a POST, whose answer is one message or a line for each of a stream. Rejects when the address cannot be taken. */
export async function servePeersHttp(services: readonly PeerHttpService[], options: PeerHttpOptions): Promise<PeerHttpDoor> {
  const calls = new PeerHttpCalls(services, options);
  const server = createServer({ keepAliveTimeout: keepAliveMs, requestTimeout: 0 }, (request, response) => void calls.handle(request, response));
  await listen(server, options.listen, options.isShared);
  return {
    address: formatHostPort({ ...options.listen, port: (server.address() as AddressInfo).port }),
    close: (limitMs) =>
      new Promise((resolve) => {
        const cut = options.clock.after(limitMs, () => server.closeAllConnections());
        server.close(() => {
          cut();
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

interface Route {
  readonly binding: HttpBinding;
  readonly handler: Handler;
}

class PeerHttpCalls {
  readonly #options: PeerHttpOptions;
  /** By a path's last segment, which tells the methods apart. */
  readonly #routes = new Map<string, Route>();

  constructor(services: readonly PeerHttpService[], options: PeerHttpOptions) {
    this.#options = options;
    for (const { bindings, handlers } of services) {
      for (const binding of bindings) {
        const handler = handlers[binding.method.localName];
        if (handler === undefined) throw new Error(`${binding.method.name} has no handler`);
        this.#routes.set(lastSegment(binding.template.text), { binding, handler });
      }
    }
  }

  /** Answers one request, whatever happens. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const controller = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) controller.abort(new SwitchyardError('CANCELLED', 'the caller closed the connection'));
    });
    response.on('error', () => {}); // the caller is gone: `close` says so
    try {
      const metadata = metadataOf(request);
      this.#options.admit(metadata);
      const { route, variables } = this.#find(request);
      const { method } = route.binding;
      const message = messageFromText(method.input, await textOf(request, controller.signal));
      Object.assign(message, variables);
      const context: RpcContext = { signal: controller.signal, deadline: this.#options.clock.monotonic() + deadlineMs, metadata, protocol: 'http' };
      const answered = route.handler(message, context);
      if (method.methodKind === 'server_streaming') await this.#stream(response, method.output, answered as AsyncIterable<object>, controller.signal);
      else {
        const answer = messageToText(method.output, (await (answered as Promise<object>)) as MessageInitShape<DescMessage>);
        response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
      }
    } catch (error) {
      this.#fail(request, response, error);
    }
  }

  #find(request: IncomingMessage): { readonly route: Route; readonly variables: Readonly<Record<string, string>> } {
    const [path = ''] = (request.url ?? '').split('?');
    const route = this.#routes.get(lastSegment(path));
    const matched = route === undefined ? null : matchTemplate(route.binding.template, path);
    if (route === undefined || matched === null || request.method !== 'POST')
      throw new SwitchyardError('HTTP_REQUEST_INVALID', `${request.method ?? ''} ${path.slice(0, 200)}: nothing is served there`);
    return { route, variables: Object.fromEntries([...matched].map(([name, value]) => [name, plainText(value)])) };
  }

  /** A line for each message, and one more that says how it ended: without it the connection broke. */
  async #stream(response: ServerResponse, output: DescMessage, messages: AsyncIterable<object>, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    // What fails before its first message fails as any other call does.
    const iterator = messages[Symbol.asyncIterator]();
    let next = await iterator.next();
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    let end = '{"end":{}}\n';
    try {
      for (; next.done !== true && !response.destroyed; next = await iterator.next()) {
        if (response.write(`{"message":${messageToText(output, next.value as MessageInitShape<DescMessage>)}}\n`)) continue;
        const stop = clock.after(readerLimitMs, () => response.destroy());
        await drained(response, signal);
        stop();
      }
    } catch (error) {
      end = `{"error":${problemAnswer(error).body}}\n`;
    } finally {
      await iterator.return?.();
    }
    response.end(end);
  }

  #fail(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    if (!(error instanceof SwitchyardError) || error.reason === 'INTERNAL') this.#options.onFault(`${request.method ?? ''} ${request.url ?? ''}`, error);
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const { status, headers, body } = problemAnswer(error);
    // What of a refused body is still sent is not read: the connection cannot be used again.
    response.writeHead(status, request.complete ? headers : { ...headers, connection: 'close' }).end(body);
  }
}

const lastSegment = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

function plainText(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch (cause) {
    throw new SwitchyardError('HTTP_REQUEST_INVALID', `path: got "${shorten(encoded)}", which is not percent-encoded UTF-8`, { cause });
  }
}

/** Values that metadata may have. */
const carriable = /^[ -~]*$/;

function metadataOf({ headers }: IncomingMessage): Metadata {
  const metadata = new Metadata();
  for (const name of [PEER_KEY, AUTHORIZATION_KEY, CALL_KEY, TRACEPARENT_KEY]) {
    const value = headers[name];
    if (typeof value === 'string' && carriable.test(value)) metadata.set(name, value);
  }
  return metadata;
}

async function textOf(request: IncomingMessage, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const tooLarge = (): SwitchyardError => new SwitchyardError('MESSAGE_TOO_LARGE', `the body is larger than ${maxStoreMessageBytes} bytes; send less at once`);
  if (Number(request.headers['content-length'] ?? 0) > maxStoreMessageBytes) throw tooLarge();
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxStoreMessageBytes) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (cause) {
    throw cause instanceof SwitchyardError ? cause : new SwitchyardError('CANCELLED', 'the connection broke while the body was read', { cause });
  }
  signal.throwIfAborted();
  return Buffer.concat(chunks).toString('utf8');
}

/** Resolves when what was written is sent, the connection is gone or the signal aborts. */
async function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  if (response.destroyed || signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = (): void => resolve();
  for (const event of ['drain', 'close'] as const) response.once(event, done);
  signal.addEventListener('abort', done, { once: true });
  await promise;
  for (const event of ['drain', 'close'] as const) response.off(event, done);
  signal.removeEventListener('abort', done);
}
