import type { DescMessage, DescMethod, DescMethodBiDiStreaming, DescMethodServerStreaming, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { type ClientReadableStream, type ClientUnaryCall, type Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { fromServiceError } from '../../client/rpc-error.ts';
import type { ErrorReason } from '../../core/error-catalogue.ts';
import { CALL_KEY } from '../../core/peer-call.ts';
import { rpcMethodDefinition, STATUS_DETAILS_KEY } from '../../core/rpc-definition.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import { CallService } from '../../gen/switchyard/store/v1/calls_pb.ts';
import type { PoolStatus } from '../backend.ts';
import { abortError, lost, notServed, told, unknownAfterAbort, unreachable } from '../service/failures.ts';
import type { CallOptions, Conversation, Effect, Transport } from '../service/transport.ts';
import { GrpcConversation } from './conversation.ts';
import { type Endpoint, Endpoints, type EndpointsOptions } from './endpoints.ts';

export interface GrpcTransportOptions extends EndpointsOptions {
  /** The keyspace here, for messages. */
  readonly keyspace: string;
  /** Random text for a call that may have to be cancelled. */
  readonly newId: () => string;
  /** Of a foreign service: what a code means that comes without a reason of ours. Left out: a Switchyard always gives one. */
  readonly reasonOfCode?: (code: status) => ErrorReason | null;
}

/** How long an aborted write is waited for: its answer tells what has become of it. */
const answerAfterAbortMs = 1_000;

type Message = MessageShape<DescMessage>;

/** Calls of a service over gRPC. */
export class GrpcTransport implements Transport {
  readonly #options: GrpcTransportOptions;
  readonly #endpoints: Endpoints;
  readonly #closing = new AbortController();
  #busy = 0;

  constructor(options: GrpcTransportOptions) {
    this.#options = options;
    this.#endpoints = new Endpoints(options);
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    { signal, effect }: CallOptions,
  ): Promise<MessageShape<O>> {
    const endpoint = await this.#pick(signal);
    this.#busy += 1;
    try {
      const answer = effect === 'read' ? this.#cancelledAtOnce(endpoint, method, request as Message, signal) : this.#askedWhatBecame(endpoint, method, request as Message, signal);
      return (await answer) as MessageShape<O>;
    } finally {
      this.#busy -= 1;
    }
  }

  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal,
  ): AsyncGenerator<MessageShape<O>> {
    const endpoint = await this.#pick(signal);
    const { path, requestSerialize, responseDeserialize } = rpcMethodDefinition(method);
    const call: ClientReadableStream<Message> = endpoint.client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request as Message,
      this.#endpoints.metadata(),
    );
    const both = AbortSignal.any([signal, this.#closing.signal]);
    const release = onAbort(both, () => call.cancel());
    this.#busy += 1;
    try {
      for await (const message of call) yield message as MessageShape<O>;
    } catch (error) {
      throw signal.aborted ? abortError(signal) : this.#failure(error, endpoint, 'read');
    } finally {
      this.#busy -= 1;
      release();
      // Leaving early: without a listener the cancellation itself would be an uncaught 'error' event.
      call.on('error', () => {});
      call.cancel();
    }
  }

  async converse<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    signal: AbortSignal,
  ): Promise<Conversation<MessageInitShape<I>, MessageShape<O>>> {
    const endpoint = await this.#pick(signal);
    const { path, requestSerialize, responseDeserialize } = rpcMethodDefinition(method);
    const call = endpoint.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, this.#endpoints.metadata());
    this.#busy += 1;
    const release = onAbort(this.#closing.signal, () => call.cancel());
    const onEnd = (): void => {
      this.#busy -= 1;
      release();
    };
    return new GrpcConversation(call, { failure: (error) => this.#failure(error, endpoint, 'read'), onEnd }) as unknown as Conversation<MessageInitShape<I>, MessageShape<O>>;
  }

  status(): PoolStatus {
    return { busy: this.#busy, idle: this.#endpoints.connected, waiting: 0 };
  }

  async connect(signal: AbortSignal): Promise<void> {
    if ((await this.#endpoints.connectAll(signal)) > 0) return;
    throw signal.aborted ? abortError(signal) : unreachable(this.#callee(this.#endpoints.first));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new SwitchyardError('STORE_UNAVAILABLE', 'the store was closed'));
    this.#endpoints.close();
  }

  /** Where a call goes. Rejects where nothing can be sent. */
  async #pick(signal: AbortSignal): Promise<Endpoint> {
    if (signal.aborted) throw abortError(signal);
    if (this.#closing.signal.aborted) throw abortError(this.#closing.signal);
    const endpoint = await this.#endpoints.pick(signal);
    if (endpoint !== null) return endpoint;
    throw signal.aborted ? abortError(signal) : unreachable(this.#callee(this.#endpoints.first));
  }

  /** A read that is aborted is over here at once, and there as soon as it hears of it. */
  async #cancelledAtOnce(endpoint: Endpoint, method: DescMethod, request: Message, signal: AbortSignal): Promise<Message> {
    const { call, answer } = this.#send(endpoint, method, request, this.#endpoints.metadata());
    const release = onAbort(AbortSignal.any([signal, this.#closing.signal]), () => call.cancel());
    try {
      return await answer;
    } catch (error) {
      throw signal.aborted ? abortError(signal) : this.#failure(error, endpoint, 'read');
    } finally {
      release();
    }
  }

  /** A write that is aborted is cancelled by a call of its own, so that its answer still comes: done, not done, or unknown there as well. */
  async #askedWhatBecame(endpoint: Endpoint, method: DescMethod, request: Message, signal: AbortSignal): Promise<Message> {
    const { clock, newId } = this.#options;
    const id = newId();
    const metadata = this.#endpoints.metadata();
    metadata.set(CALL_KEY, id);
    const { call, answer } = this.#send(endpoint, method, request, metadata);
    let stopWaiting = (): void => {};
    const aborted = onAbort(signal, () => {
      stopWaiting = clock.after(answerAfterAbortMs, () => call.cancel());
      // Whether it arrives, the answer tells.
      this.#send(endpoint, CallService.method.cancelCall, { $typeName: 'switchyard.store.v1.CancelCallRequest', call: id } as Message, this.#endpoints.metadata()).answer.catch(
        () => {},
      );
    });
    const closed = onAbort(this.#closing.signal, () => call.cancel());
    try {
      return await answer;
    } catch (error) {
      const failure = this.#failure(error, endpoint, 'write');
      if (!signal.aborted) throw failure;
      // Cancelled there before anything was done: only the other end can have said so.
      if (hasReason(failure, 'CANCELLED')) throw abortError(signal);
      throw hasReason(failure, 'OUTCOME_UNKNOWN') ? unknownAfterAbort(signal) : failure;
    } finally {
      aborted();
      closed();
      stopWaiting();
    }
  }

  #send(endpoint: Endpoint, method: DescMethod, request: Message, metadata: Metadata): { readonly call: ClientUnaryCall; readonly answer: Promise<Message> } {
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    const { path, requestSerialize, responseDeserialize } = rpcMethodDefinition(method);
    const call = endpoint.client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, (error: ServiceError | null, message?: Message) => {
      if (error === null && message !== undefined) resolve(message);
      else reject(error ?? new Error('an answer without a message'));
    });
    return { call, answer: promise };
  }

  /** A failed call that this end may have cancelled itself; without a word of the other end it is lost. */
  #failure(error: unknown, { address }: Endpoint, effect: Effect): SwitchyardError {
    const callee = this.#callee(address);
    if (!(error instanceof Error) || !('code' in error)) return lost(callee, effect, error);
    const foreign = isToldBy(error as ServiceError) ? null : (this.#options.reasonOfCode?.(error.code as status) ?? null);
    if (foreign !== null) return new SwitchyardError(foreign, `${address}: ${(error as ServiceError).details}`, { cause: error, metadata: { address } });
    if (error.code === status.UNIMPLEMENTED && !isToldBy(error as ServiceError)) return notServed(callee, error);
    const ours = fromServiceError(error as ServiceError, address);
    if (isToldBy(error as ServiceError) || hasReason(ours, 'MESSAGE_TOO_LARGE', 'ARGUMENT_INVALID')) return told(ours, callee, effect);
    return hasReason(ours, 'RESULT_TOO_LARGE') && effect === 'read' ? ours : lost(callee, effect, error);
  }

  #callee(address: string) {
    return { address, keyspace: this.#options.keyspace };
  }
}

/** The other end has given details of its failure, and so a reason. */
const isToldBy = ({ metadata }: ServiceError): boolean => metadata !== undefined && metadata.get(STATUS_DETAILS_KEY).length > 0;

/** Calls `act` when the signal aborts, at once where it has; the returned function lets go of it. */
function onAbort(signal: AbortSignal, act: () => void): () => void {
  if (signal.aborted) act();
  signal.addEventListener('abort', act, { once: true });
  return () => signal.removeEventListener('abort', act);
}
