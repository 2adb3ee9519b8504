import type { IncomingHttpHeaders } from 'node:http';
import { Agent, type Dispatcher } from 'undici';
import type { Clock } from '../core/clock.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';

const IDLE_CONNECTION_MS = 60_000;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** One HTTP request. `path` begins with a slash and carries the query. */
export interface HttpCall {
  readonly method: Dispatcher.HttpMethod;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
  /** Longest time from here to the last byte of the answer, waiting for a free connection included. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
}

/** An answer read to its end. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface ConsulTransportOptions {
  /** Scheme, host and port; a path is not supported. */
  readonly address: string;
  readonly token?: string;
  /** Blocking queries occupy one each, so there must be some more than watches. An agent accepts 200 from one address by default. */
  readonly maxConnections: number;
  readonly clock: Clock;
}

/** What a wait ends with when its signal aborts: the signal's own reason where that is ours, else CANCELLED. */
export function abortError(signal: AbortSignal): SwitchyardError {
  if (signal.reason instanceof SwitchyardError) return signal.reason;
  return new SwitchyardError('CANCELLED', 'the call to Consul was cancelled', { cause: signal.reason });
}

/**
 * One connection pool to one Consul agent. `send` resolves with any status once the whole body is there, and rejects with TOPOLOGY_UNAVAILABLE (limit, refusal, reset, also in the middle of the body) or with the signal's
 * reason. A rejected write may or may not have been done.
 */
export class ConsulTransport implements AsyncDisposable {
  readonly origin: string;
  readonly #agent: Agent;
  readonly #clock: Clock;
  readonly #token: string | undefined;
  readonly #live = new Set<AbortController>();
  #closed = false;

  constructor(options: ConsulTransportOptions) {
    this.origin = new URL(options.address).origin;
    this.#clock = options.clock;
    this.#token = options.token;
    this.#agent = new Agent({
      connections: options.maxConnections,
      pipelining: 1,
      keepAliveTimeout: IDLE_CONNECTION_MS,
      maxResponseSize: MAX_ANSWER_BYTES,
      // Every call has one limit of ours for all of it; a second clock beside it would only end blocking queries early.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  async send(call: HttpCall): Promise<HttpAnswer> {
    if (call.signal.aborted) throw abortError(call.signal);
    if (this.#closed) throw this.#unavailable('the connection was closed');
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(abortError(call.signal));
    const stopLimit = this.#clock.after(call.limitMs, () => controller.abort(this.#unavailable(`no answer within ${call.limitMs} ms`)));
    call.signal.addEventListener('abort', onAbort, { once: true });
    this.#live.add(controller);
    try {
      const { statusCode, headers, body } = await this.#agent.request({
        origin: this.origin,
        path: call.path,
        method: call.method,
        headers: this.#token === undefined ? call.headers : { ...call.headers, 'x-consul-token': this.#token },
        body: call.body,
        signal: controller.signal,
      });
      return { status: statusCode, headers, body: Buffer.from(await body.arrayBuffer()) };
    } catch (cause) {
      if (controller.signal.aborted) throw controller.signal.reason;
      throw this.#unavailable(cause instanceof Error ? cause.message : String(cause), cause);
    } finally {
      stopLimit();
      call.signal.removeEventListener('abort', onAbort);
      this.#live.delete(controller);
    }
  }

  /** Ends what is under way with TOPOLOGY_UNAVAILABLE and closes every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const controller of this.#live) controller.abort(this.#unavailable('the connection was closed'));
    await this.#agent.destroy();
  }

  #unavailable(what: string, cause?: unknown): SwitchyardError {
    return new SwitchyardError('TOPOLOGY_UNAVAILABLE', `Consul at ${this.origin}: ${what}`, cause === undefined ? {} : { cause });
  }
}
