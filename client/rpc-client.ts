import type { DescMessage, DescMethod, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { type CallOptions, type ChannelOptions, Client, type ClientReadableStream, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { maxMessageBytes } from '../core/message-limit.ts';
import { CALLER_KEY } from '../core/request-record.ts';
import { type RpcMethodDefinition, rpcMethodDefinition } from '../core/rpc-definition.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { cancelled } from './cancelled.ts';
import { fromServiceError } from './rpc-error.ts';

export interface RpcCallOptions {
  /** From now; the call then fails with DEADLINE_EXCEEDED. Left out: the client's own. */
  readonly deadlineMs?: number;
  /** Cancels the call; it then rejects with the signal's reason when that is a SwitchyardError, else with CANCELLED. */
  readonly signal?: AbortSignal;
  /** W3C trace context that the call belongs to. */
  readonly traceparent?: string;
}

export interface RpcClientOptions {
  /** Deadline of unary calls that name none. Default 10,000. Streams have one only where the call names it. */
  readonly deadlineMs?: number;
  /** As whom the client presents itself to a gateway, whose record of request ids is kept for each caller: 1 to 255 visible ASCII characters. Left out: it does not say. */
  readonly caller?: string;
  /** Given to grpc-js as they are. Retries of the transport's own making are off unless asked for here. */
  readonly channel?: ChannelOptions;
}

/** Two streams of one call. Disposing of it cancels what is not over. */
export interface RpcConversation<I, O> extends AsyncDisposable {
  /** Sends a request, and waits while the other end takes no more. Rejects once the call has failed. */
  send(request: I): Promise<void>;
  /** No more requests come. */
  end(): void;
  /** The next answer; null: the other end has ended the call well. Rejects with its failure. */
  next(): Promise<O | null>;
}

/** One function a method, named as in the generated service. Failures are SwitchyardErrors with the reason that the other end gave. */
export type RpcMethods<S extends DescService> = {
  readonly [M in keyof S['method']]: S['method'][M] extends { methodKind: 'unary'; input: infer I extends DescMessage; output: infer O extends DescMessage }
    ? (request: MessageInitShape<I>, options?: RpcCallOptions) => Promise<MessageShape<O>>
    : S['method'][M] extends { methodKind: 'server_streaming'; input: infer I extends DescMessage; output: infer O extends DescMessage }
      ? (request: MessageInitShape<I>, options?: RpcCallOptions) => AsyncIterable<MessageShape<O>>
      : S['method'][M] extends { methodKind: 'bidi_streaming'; input: infer I extends DescMessage; output: infer O extends DescMessage }
        ? (options?: RpcCallOptions) => RpcConversation<MessageInitShape<I>, MessageShape<O>>
        : never;
};
export type RpcClient<S extends DescService> = RpcMethods<S> & Disposable;

const defaultDeadlineMs = 10_000;
type Message = MessageShape<DescMessage>;
/** HTTP/2's own 64 KiB would make a stream of rows wait for its reader several times a piece. */
const receiveWindowBytes = 1024 * 1024;
/** A peer that has gone without a word is noticed within half a minute, also by a stream on which nothing comes; and a message may be as large as a gateway sends it. */
export const channelOptions: ChannelOptions = {
  'grpc.enable_retries': 0,
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_receive_message_length': maxMessageBytes,
  'grpc-node.flow_control_window': receiveWindowBytes,
};

function callOptions(deadlineMs: number | undefined): CallOptions {
  return deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
}

/** What every call of the client carries. */
function metadataOf({ caller }: RpcClientOptions): Metadata {
  const metadata = new Metadata();
  try {
    if (caller !== undefined) metadata.set(CALLER_KEY, caller);
  } catch (cause) {
    throw new SwitchyardError('ARGUMENT_INVALID', `caller: got "${caller}"; must be 1 to 255 visible ASCII characters without spaces`, { cause });
  }
  return metadata;
}

/** Cancels `call` when the signal aborts; the returned function lets go of the signal. */
function bindSignal(signal: AbortSignal | undefined, call: { cancel(): void }): () => void {
  if (signal === undefined) return () => {};
  const cancel = (): void => call.cancel();
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel, { once: true });
  return () => signal.removeEventListener('abort', cancel);
}

/** What the caller is told of a failed call: its own abort beats whatever the transport made of it. */
function failure(error: unknown, address: string, signal: AbortSignal | undefined, answered = false): SwitchyardError {
  if (signal?.aborted) return cancelled(signal);
  return error instanceof Error && 'code' in error
    ? fromServiceError(error as ServiceError, address, answered)
    : new SwitchyardError('INTERNAL', 'a call failed', { cause: error });
}

class Caller {
  readonly #client: Client;
  readonly #address: string;
  readonly #deadlineMs: number;
  readonly #metadata: Metadata;

  constructor(address: string, options: RpcClientOptions) {
    this.#metadata = metadataOf(options);
    this.#client = new Client(address, credentials.createInsecure(), { ...channelOptions, ...options.channel });
    this.#address = address;
    this.#deadlineMs = options.deadlineMs ?? defaultDeadlineMs;
  }

  unary(definition: RpcMethodDefinition, request: Message, options: RpcCallOptions): Promise<Message> {
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    const { path, requestSerialize, responseDeserialize } = definition;
    let release = (): void => {};
    let answered = false;
    const call = this.#client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      this.#metadataOf(options),
      callOptions(options.deadlineMs ?? this.#deadlineMs),
      (error: ServiceError | null, message?: Message) => {
        release();
        if (error === null && message !== undefined) resolve(message);
        else reject(failure(error, this.#address, options.signal, answered));
      },
    );
    call.on('metadata', () => {
      answered = true;
    });
    release = bindSignal(options.signal, call);
    return promise;
  }

  async *stream(definition: RpcMethodDefinition, request: Message, options: RpcCallOptions): AsyncGenerator<Message, void, undefined> {
    const { path, requestSerialize, responseDeserialize } = definition;
    const call: ClientReadableStream<Message> = this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      this.#metadataOf(options),
      callOptions(options.deadlineMs),
    );
    const release = bindSignal(options.signal, call);
    let answered = false;
    call.on('metadata', () => {
      answered = true;
    });
    try {
      for await (const message of call) yield message as Message;
    } catch (error) {
      throw failure(error, this.#address, options.signal, answered);
    } finally {
      release();
      // Leaving early: without a listener the cancellation itself would be an uncaught 'error' event.
      call.on('error', () => {});
      call.cancel();
    }
  }

  converse(definition: RpcMethodDefinition, options: RpcCallOptions): RpcConversation<Message, Message> {
    const { path, requestSerialize, responseDeserialize } = definition;
    const call = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, this.#metadataOf(options), callOptions(options.deadlineMs));
    const release = bindSignal(options.signal, call);
    const answers = call[Symbol.asyncIterator]() as AsyncIterator<Message>;
    let isLeft = false;
    const failed = (error: unknown): SwitchyardError =>
      isLeft ? new SwitchyardError('CANCELLED', 'the call is over', { cause: error }) : failure(error, this.#address, options.signal);
    // Told to whoever asks for the next answer.
    call.on('error', () => {});
    return {
      send: (request) =>
        new Promise((resolve, reject) => {
          call.write(request, (error?: Error | null) => (error === undefined || error === null ? resolve() : reject(failed(error))));
        }),
      end: () => void call.end(),
      next: async () => {
        try {
          const { value, done } = await answers.next();
          return done === true ? null : value;
        } catch (error) {
          throw failed(error);
        }
      },
      [Symbol.asyncDispose]: async () => {
        isLeft = true;
        release();
        call.cancel();
      },
    };
  }

  #metadataOf({ traceparent }: RpcCallOptions): Metadata {
    const metadata = this.#metadata.clone();
    if (traceparent !== undefined) metadata.set('traceparent', traceparent);
    return metadata;
  }

  close(): void {
    this.#client.close();
  }
}

/**
 * A typed client of one service at `address` ("host:port"), without TLS. It connects at the first call and again by itself after a loss; no call is repeated. Dispose
 * it to take no more calls; the connection is closed when those under way are over, which only their signals cut short.
 */
export function createRpcClient<S extends DescService>(service: S, address: string, options: RpcClientOptions = {}): RpcClient<S> {
  const caller = new Caller(address, options);
  const bind = (method: DescMethod): unknown => {
    const definition = rpcMethodDefinition(method);
    if (method.methodKind === 'unary') return (request: Message, given: RpcCallOptions = {}) => caller.unary(definition, request, given);
    if (method.methodKind === 'server_streaming') return (request: Message, given: RpcCallOptions = {}) => caller.stream(definition, request, given);
    if (method.methodKind === 'bidi_streaming') return (given: RpcCallOptions = {}) => caller.converse(definition, given);
    throw new TypeError(`${service.typeName}.${method.name}: this client has no streams of requests with one answer`);
  };
  const methods = Object.fromEntries(service.methods.map((method) => [method.localName, bind(method)]));
  return Object.assign(methods, { [Symbol.dispose]: () => caller.close() }) as unknown as RpcClient<S>;
}
