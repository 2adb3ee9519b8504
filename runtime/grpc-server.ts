import type { DescMethod, DescMethodBiDiStreaming, DescMethodServerStreaming, DescMethodUnary, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  type Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { createServer } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { type RpcMethodDefinition, rpcMethodDefinition } from '../core/rpc-definition.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { toGrpcError } from './grpc-error.ts';
import { AnswerEncoder } from './grpc-limits.ts';
import { formatHostPort, type HostPort } from './host-port.ts';
import { cannotServe, listen, refuseTaken } from './listen.ts';

/** What a handler knows of its call beside the message. */
export interface RpcContext {
  /** Aborts with DEADLINE_EXCEEDED at the deadline, with CANCELLED when the caller leaves. */
  readonly signal: AbortSignal;
  /** On the clock's monotonic scale; the caller's, or the server's default where the caller gave none. */
  readonly deadline: number;
  readonly metadata: Metadata;
  /** Way that the call came; left out: gRPC. */
  readonly protocol?: 'http';
  /** Digest of a write's content where its message is not what the caller sent: a condition of the protocol was put into it. */
  readonly contentDigest?: string;
  /** Told of the errors with which a write's values were refused before they were sent to a store. An error of the call that is none of these may have come after the write was done. */
  readonly onUnfit?: (error: unknown) => void;
  /** Fails where this answer cannot be sent: RESULT_TOO_LARGE. To be asked before a write is committed, with what will be the answer. Left out: whatever is answered can be sent. */
  readonly checkAnswer?: (answer: object) => void;
}

/** One async function a method; streams are async iterables, of requests too. */
export type RpcImplementation<S extends DescService> = {
  readonly [M in keyof S['method']]: S['method'][M] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, context: RpcContext) => Promise<MessageInitShape<O>>
    : S['method'][M] extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, context: RpcContext) => AsyncIterable<MessageInitShape<O>>
      : S['method'][M] extends DescMethodBiDiStreaming<infer I, infer O>
        ? (requests: AsyncIterable<MessageShape<I>>, context: RpcContext) => AsyncIterable<MessageInitShape<O>>
        : never;
};

export interface RpcServiceOptions {
  readonly clock: Clock;
  /** Deadline of a caller that gave none. */
  readonly defaultDeadlineMs: number;
  /** The same of a call whose answer is a stream; left out: as of any other. */
  readonly streamDeadlineMs?: number;
  /** Of an answer's message; a larger one is RESULT_TOO_LARGE. Left out: no bound. */
  readonly maxAnswerBytes?: number;
  /** Told of every failure that is a fault of ours (reason INTERNAL). */
  readonly onFault: (method: string, error: unknown) => void;
}

type AnyCall = Pick<ServerUnaryCall<unknown, unknown>, 'getDeadline' | 'metadata' | 'cancelled'> & { on(event: 'cancelled', listener: () => void): unknown };

/** The call's context, and what releases its timer. */
function openContext(call: AnyCall, encoder: AnswerEncoder, options: RpcServiceOptions, defaultDeadlineMs = options.defaultDeadlineMs): { context: RpcContext; close: () => void } {
  const { clock } = options;
  const given = call.getDeadline();
  const at = given instanceof Date ? given.getTime() : given;
  const remainingMs = Number.isFinite(at) ? at - clock.now() : defaultDeadlineMs;
  const controller = new AbortController();
  const cancelTimer = clock.after(Math.min(Math.max(remainingMs, 0), 0x7fffffff), () => controller.abort(new SwitchyardError('DEADLINE_EXCEEDED', "the call's deadline passed")));
  let answered = false;
  // grpc-js says this at the end of every call, answered or not.
  call.on('cancelled', () => {
    if (!answered) controller.abort(new SwitchyardError('CANCELLED', 'the caller cancelled the call'));
  });
  const close = (): void => {
    answered = true;
    cancelTimer();
  };
  const checkAnswer = (answer: object): void => void encoder.bytesOf(answer);
  return { context: { signal: controller.signal, deadline: clock.monotonic() + remainingMs, metadata: call.metadata, checkAnswer }, close };
}

/** What stands for a request whose bytes are no message of its type. grpc-js would answer such a call by itself, without a reason. */
class UndecodableRequest {
  readonly error: SwitchyardError;

  constructor({ input }: DescMethod, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    this.error = new SwitchyardError('ARGUMENT_INVALID', `the request's bytes are no ${input.typeName}: ${why}`, { cause });
  }
}

/** A method's definition whose requests are messages or `UndecodableRequest`s, and whose answers are encoded already. */
type ServerMethodDefinition = Omit<RpcMethodDefinition, 'requestDeserialize' | 'responseSerialize'> & {
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (bytes: Buffer) => Buffer;
};

/** One call's way of encoding its answers. */
type OpenEncoder = () => AnswerEncoder;

function decodedRequest(request: unknown): never {
  if (request instanceof UndecodableRequest) throw request.error;
  return request as never;
}

function reportFault(options: RpcServiceOptions, method: string, error: unknown): void {
  if (!(error instanceof SwitchyardError) || error.reason === 'INTERNAL') options.onFault(method, error);
}

function unary(
  name: string,
  handler: (request: never, context: RpcContext) => Promise<unknown>,
  openEncoder: OpenEncoder,
  options: RpcServiceOptions,
): handleUnaryCall<unknown, unknown> {
  return (call, callback) => {
    const encoder = openEncoder();
    const { context, close } = openContext(call, encoder, options);
    const answered = async (): Promise<Buffer> => encoder.bytesOf(await handler(decodedRequest(call.request), context));
    answered()
      .then(
        (bytes) => {
          close();
          callback(null, bytes);
        },
        (error: unknown) => {
          close();
          reportFault(options, name, error);
          callback(toGrpcError(error));
        },
      )
      // What cannot even be told must not end the process.
      .catch((error: unknown) => options.onFault(name, error));
  };
}

function serverStreaming(
  name: string,
  handler: (request: never, context: RpcContext) => AsyncIterable<unknown>,
  openEncoder: OpenEncoder,
  options: RpcServiceOptions,
): handleServerStreamingCall<unknown, unknown> {
  return (call) => answerStream(name, call, openEncoder(), options, (context) => handler(decodedRequest(call.request), context));
}

function bidiStreaming(
  name: string,
  handler: (requests: AsyncIterable<never>, context: RpcContext) => AsyncIterable<unknown>,
  openEncoder: OpenEncoder,
  options: RpcServiceOptions,
): handleBidiStreamingCall<unknown, unknown> {
  return (call) => {
    async function* requests(): AsyncGenerator<never> {
      // A call that is destroyed tells its caller nothing any more.
      for await (const request of call.iterator({ destroyOnReturn: false })) yield decodedRequest(request);
    }
    return answerStream(name, call, openEncoder(), options, (context) => handler(requests(), context));
  };
}

async function answerStream(
  name: string,
  call: ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>,
  encoder: AnswerEncoder,
  options: RpcServiceOptions,
  answer: (context: RpcContext) => AsyncIterable<unknown>,
): Promise<void> {
  const { context, close } = openContext(call, encoder, options, options.streamDeadlineMs);
  const outlet = new Outlet(call);
  try {
    for await (const message of answer(context)) {
      if (call.cancelled) break;
      await outlet.send(encoder.bytesOf(message), context.signal, options.clock);
      if (context.signal.aborted) throw context.signal.reason;
    }
    call.end();
  } catch (error) {
    reportFault(options, name, error);
    call.emit('error', toGrpcError(error));
  } finally {
    close();
  }
}

/** A caller of a stream that takes nothing of it for so long is given up. */
const readerLimitMs = 300_000;
/** Of a stream's answers so many may wait for their caller; grpc-js itself would take sixteen, however large they are. */
const mostUnsentBytes = 1024 * 1024;

/** A stream's way out, no faster than its caller takes it. */
class Outlet {
  readonly #call: ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>;
  #unsentBytes = 0;
  #wake: (() => void) | null = null;

  constructor(call: ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>) {
    this.#call = call;
  }

  /** Resolves when another answer may be sent, or the signal aborts. DEADLINE_EXCEEDED: the caller took nothing for too long. */
  async send(bytes: Buffer, signal: AbortSignal, clock: Clock): Promise<void> {
    this.#unsentBytes += bytes.length;
    this.#call.write(bytes, () => {
      this.#unsentBytes -= bytes.length;
      if (this.#unsentBytes <= mostUnsentBytes) this.#wake?.();
    });
    if (this.#unsentBytes <= mostUnsentBytes) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const done = (): void => resolve();
    this.#wake = done;
    signal.addEventListener('abort', done, { once: true });
    const stop = clock.after(readerLimitMs, () => reject(new SwitchyardError('DEADLINE_EXCEEDED', `the caller took nothing of the stream for ${readerLimitMs / 1_000} s`)));
    try {
      await promise;
    } finally {
      stop();
      this.#wake = null;
      signal.removeEventListener('abort', done);
    }
  }
}

function serverDefinition(method: DescMethod): ServerMethodDefinition {
  const definition = rpcMethodDefinition(method);
  return {
    ...definition,
    requestDeserialize: (bytes) => {
      try {
        return definition.requestDeserialize(bytes);
      } catch (error) {
        return new UndecodableRequest(method, error);
      }
    },
    responseSerialize: (bytes) => bytes,
  };
}

/** Puts a protobuf-es service on a grpc-js server. Handlers throw SwitchyardErrors; anything else becomes INTERNAL and is reported. */
export function addService<S extends DescService>(server: Server, service: S, implementation: RpcImplementation<S>, options: RpcServiceOptions): void {
  const { maxAnswerBytes = Number.POSITIVE_INFINITY } = options;
  const definitions: Record<string, ServerMethodDefinition> = {};
  const handlers: UntypedServiceImplementation = {};
  const methods = implementation as unknown as Record<string, (request: unknown, context: RpcContext) => never>;
  for (const method of service.methods) {
    const handler = methods[method.localName];
    if (handler === undefined) throw new Error(`${service.typeName}.${method.name} has no handler`);
    const bound = handler.bind(implementation);
    definitions[method.localName] = serverDefinition(method);
    const { responseSerialize } = rpcMethodDefinition(method);
    handlers[method.localName] = handlerOf(method, bound, () => new AnswerEncoder(responseSerialize, maxAnswerBytes), options);
  }
  server.addService(definitions as unknown as ServiceDefinition, handlers);
}

function handlerOf(
  method: DescMethod,
  handler: (request: unknown, context: RpcContext) => never,
  openEncoder: OpenEncoder,
  options: RpcServiceOptions,
): UntypedServiceImplementation[string] {
  switch (method.methodKind) {
    case 'unary':
      return unary(method.name, handler, openEncoder, options);
    case 'server_streaming':
      return serverStreaming(method.name, handler, openEncoder, options);
    case 'bidi_streaming':
      return bidiStreaming(method.name, handler, openEncoder, options);
    case 'client_streaming':
      throw new Error(`${method.name}: no service has a stream of requests with one answer`);
  }
}

const otherAddress = 'give another address with --listen';

/** Binds without TLS; port 0 takes a free one. Returns the port taken. ConfigError where that cannot be. */
export async function listenGrpc(server: Server, at: HostPort): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  try {
    // grpc-js itself would tell of it on stderr, too.
    if (at.port !== 0) await refuseTaken(at);
    server.bindAsync(formatHostPort(at), ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)));
    return await promise;
  } catch (cause) {
    throw cannotServe('listen', at, cause, otherAddress);
  }
}

/** Listens beside other processes on the same port, among whom the system divides the connections. Closing what is returned takes no more of them. */
export async function listenGrpcShared(server: Server, at: HostPort): Promise<Disposable> {
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = createServer((socket) => injector.injectConnection(socket));
  await listen(sockets, at, true).catch((error: unknown) => Promise.reject(cannotServe('listen', at, error, otherAddress)));
  return { [Symbol.dispose]: () => sockets.close() };
}

/** Lets calls under way finish for at most `limitMs`, then ends them. */
export function closeGrpc(server: Server, limitMs: number, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(limitMs, () => {
      server.forceShutdown();
      resolve();
    });
    server.tryShutdown(() => {
      cancel();
      resolve();
    });
  });
}
