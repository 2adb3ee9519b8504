import type { DescMessage, DescMethod, DescMethodServerStreaming, DescMethodUnary, JsonValue, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { CALL_KEY, peerHeaders } from '../../core/peer-call.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import { CallService } from '../../gen/switchyard/store/v1/calls_pb.ts';
import { bindingsOf } from '../../runtime/http/bindings.ts';
import { messageFromJson, messageFromText, messageToText } from '../../runtime/wire/message-json.ts';
import type { PoolStatus } from '../backend.ts';
import { abortError, lost, notServed, told, unknownAfterAbort, unreachable } from '../service/failures.ts';
import type { CallOptions, Conversation, Effect, Transport } from '../service/transport.ts';
import { textOf } from './body-text.ts';
import { type Endpoint, Endpoints, type EndpointsOptions } from './endpoints.ts';
import { linesOf } from './lines.ts';
import { fromProblem } from './problem.ts';
import { traceHeaders } from './trace-headers.ts';
import { isUnsent } from './unsent.ts';

export interface HttpTransportOptions extends EndpointsOptions {
  /** The keyspace here, for messages. */
  readonly keyspace: string;
  readonly login: { readonly user: string; readonly secret: string };
  /** Random text for a call that may have to be cancelled. */
  readonly newId: () => string;
}

/** How long an aborted write is waited for: its answer tells what has become of it. */
const answerAfterAbortMs = 1_000;

interface Sent {
  readonly endpoint: Endpoint;
  readonly status: number;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Calls of a service of Switchyard as JSON over HTTP, by the google.api.http rules of its methods. */
export class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions;
  readonly #endpoints: Endpoints;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #closing = new AbortController();

  constructor(options: HttpTransportOptions) {
    this.#options = options;
    this.#endpoints = new Endpoints(options);
    this.#headers = { 'content-type': 'application/json', ...peerHeaders(options.login) };
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    { signal, effect }: CallOptions,
  ): Promise<MessageShape<O>> {
    using _place = await this.#enter(signal);
    return effect === 'read' ? await this.#read(method, request, signal) : await this.#write(method, request, signal);
  }

  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal,
  ): AsyncGenerator<MessageShape<O>> {
    using _place = await this.#enter(signal);
    const left = new AbortController();
    const ending = AbortSignal.any([signal, this.#closing.signal, left.signal]);
    try {
      const sent = await this.#send(method, request, {}, ending, 'read');
      if (sent.status !== 200) throw this.#failure(sent.status, await textOf(sent.body), sent.endpoint, 'read');
      for await (const line of linesOf(sent.body)) {
        const { message, error, end } = JSON.parse(line) as { readonly message?: JsonValue; readonly error?: unknown; readonly end?: unknown };
        if (error !== undefined) throw told(fromProblem(JSON.stringify(error)) ?? lost(this.#callee(sent.endpoint), 'read', line), this.#callee(sent.endpoint), 'read');
        if (end !== undefined) return;
        yield messageFromJson(method.output, message ?? null);
      }
      throw lost(this.#callee(sent.endpoint), 'read', 'it ended in the middle');
    } catch (error) {
      if (signal.aborted) throw abortError(signal);
      throw error instanceof SwitchyardError ? error : lost({ address: this.#options.addresses.join(','), keyspace: this.#options.keyspace }, 'read', error);
    } finally {
      left.abort();
    }
  }

  converse(): Promise<Conversation<never, never>> {
    return Promise.reject(new SwitchyardError('NOT_SUPPORTED', 'a store of kind "http" has no interactive transactions: name the service as one of kind "grpc"'));
  }

  status(): PoolStatus {
    return { busy: this.#endpoints.busy, idle: this.#endpoints.idle, waiting: this.#endpoints.waiting };
  }

  /** Connections are made by calls. */
  async connect(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new SwitchyardError('STORE_UNAVAILABLE', 'the store was closed'));
    await this.#endpoints.close();
  }

  /** A place for the call, for which nothing has been sent yet. */
  async #enter(signal: AbortSignal): Promise<Disposable> {
    if (this.#closing.signal.aborted) throw abortError(this.#closing.signal);
    if (signal.aborted) throw abortError(signal);
    const place = await this.#endpoints.enter(signal).catch((error: unknown) => Promise.reject(signal.aborted ? abortError(signal) : error));
    if (!signal.aborted) return place;
    place[Symbol.dispose]();
    throw abortError(signal);
  }

  /** A read that is aborted is over here at once, and there when its connection breaks. */
  async #read<O extends DescMessage>(method: DescMethod & { readonly output: O }, request: object, signal: AbortSignal): Promise<MessageShape<O>> {
    try {
      return await this.#answer(method, await this.#send(method, request, {}, AbortSignal.any([signal, this.#closing.signal]), 'read'), 'read');
    } catch (error) {
      throw signal.aborted ? abortError(signal) : error;
    }
  }

  /** A write that is aborted is cancelled by a call of its own, so that its answer still comes. */
  async #write<O extends DescMessage>(method: DescMethod & { readonly output: O }, request: object, signal: AbortSignal): Promise<MessageShape<O>> {
    const { clock, newId } = this.#options;
    const call = newId();
    const cut = new AbortController();
    let stopWaiting = (): void => {};
    let asked: Endpoint | null = null;
    const onAbort = (): void => {
      stopWaiting = clock.after(answerAfterAbortMs, () => cut.abort());
      if (asked !== null) this.#cancel(asked, call);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const ending = AbortSignal.any([cut.signal, this.#closing.signal]);
      const sent = await this.#send(method, request, { [CALL_KEY]: call }, ending, 'write', (endpoint) => {
        asked = endpoint;
      });
      return await this.#answer(method, sent, 'write');
    } catch (error) {
      if (!signal.aborted) throw error;
      // Cancelled there before anything was done: only the other end can have said so.
      if (hasReason(error, 'CANCELLED')) throw abortError(signal);
      throw hasReason(error, 'OUTCOME_UNKNOWN') ? unknownAfterAbort(signal) : error;
    } finally {
      stopWaiting();
      signal.removeEventListener('abort', onAbort);
    }
  }

  #cancel(endpoint: Endpoint, call: string): void {
    const method = CallService.method.cancelCall;
    // Whether it arrives, the write's own answer tells.
    endpoint.beside.request({ method: 'POST', path: pathOf(method, {}), headers: this.#headers, body: messageToText(method.input, { call }) }).then(
      ({ body }) => void body.dump(),
      () => {},
    );
  }

  /** Sends the request to the first address that can be reached. STORE_UNAVAILABLE: none can, and nothing was sent. */
  async #send(
    method: DescMethod,
    request: object,
    headers: Readonly<Record<string, string>>,
    ending: AbortSignal,
    effect: Effect,
    onTry: (endpoint: Endpoint) => void = () => {},
  ): Promise<Sent> {
    const body = messageToText(method.input, request as MessageInitShape<DescMessage>);
    const path = pathOf(method, request);
    let refused: SwitchyardError | null = null;
    for (const endpoint of this.#endpoints.inTurn()) {
      onTry(endpoint);
      try {
        const { statusCode, body: answer } = await endpoint.pool.request({
          method: 'POST',
          path,
          headers: { ...this.#headers, ...traceHeaders(), ...headers },
          body,
          signal: ending,
        });
        this.#endpoints.served(endpoint);
        return { endpoint, status: statusCode, body: answer };
      } catch (error) {
        if (!isUnsent(error)) throw lost(this.#callee(endpoint), effect, error);
        this.#endpoints.unreachable(endpoint);
        refused = unreachable(this.#callee(endpoint), error);
      }
    }
    throw refused ?? new Error('a service without an address');
  }

  async #answer<O extends DescMessage>({ output }: { readonly output: O }, { endpoint, status, body }: Sent, effect: Effect): Promise<MessageShape<O>> {
    let text: string;
    try {
      text = await textOf(body);
    } catch (error) {
      if (effect === 'read' && hasReason(error, 'RESULT_TOO_LARGE')) throw error;
      throw lost(this.#callee(endpoint), effect, error);
    }
    if (status !== 200) throw this.#failure(status, text, endpoint, effect);
    try {
      return messageFromText(output, text);
    } catch (error) {
      throw lost(this.#callee(endpoint), effect, error);
    }
  }

  #failure(status: number, text: string, endpoint: Endpoint, effect: Effect): SwitchyardError {
    const callee = this.#callee(endpoint);
    const error = fromProblem(text);
    if (error === null && status === 404) return notServed(callee, `HTTP ${status}`);
    if (error?.reason === 'HTTP_REQUEST_INVALID') return notServed(callee, error);
    return error === null ? lost(callee, effect, `HTTP ${status}`) : told(error, callee, effect);
  }

  #callee({ address }: Endpoint) {
    return { address, keyspace: this.#options.keyspace };
  }
}

const templates = new WeakMap<DescMethod, string>();

/** The path of a call, with its keyspace in it. */
function pathOf(method: DescMethod, request: object): string {
  let template = templates.get(method);
  if (template === undefined) {
    template = bindingsOf(method.parent).find((binding) => binding.method === method)?.template.text;
    if (template === undefined) throw new SwitchyardError('NOT_SUPPORTED', `${method.name} is not served over HTTP`);
    templates.set(method, template);
  }
  const { keyspace = '' } = request as { readonly keyspace?: string };
  return template.replace('{keyspace}', encodeURIComponent(keyspace));
}
