import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { PoolStatus } from '../backend.ts';
import { abortError, type Callee, lost, unknownAfterAbort, unreachable } from '../service/failures.ts';
import type { CallOptions } from '../service/transport.ts';
import { textOf } from './body-text.ts';
import { Endpoints, type EndpointsOptions } from './endpoints.ts';
import { traceHeaders } from './trace-headers.ts';
import { isUnsent } from './unsent.ts';

export interface CallerOptions extends EndpointsOptions {
  /** The keyspace here, for messages. */
  readonly keyspace: string;
  /** Sent with every call. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A call as HTTP. */
export interface HttpCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With its query. */
  readonly path: string;
  /** JSON; null: none. */
  readonly body: string | null;
  /** Beside those of every call. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What came back, whatever its status. */
export interface HttpReply {
  readonly status: number;
  readonly text: string;
  readonly callee: Callee;
}

/** Calls a foreign service over HTTP, at the first of its addresses that can be reached. It knows of no cancelling: a call that is aborted is cut, and what became of a write is unknown. */
export class HttpCaller implements AsyncDisposable {
  readonly #options: CallerOptions;
  readonly #endpoints: Endpoints;
  readonly #closing = new AbortController();

  constructor(options: CallerOptions) {
    this.#options = options;
    this.#endpoints = new Endpoints(options);
  }

  get status(): PoolStatus {
    return { busy: this.#endpoints.busy, idle: this.#endpoints.idle, waiting: this.#endpoints.waiting };
  }

  /** STORE_UNAVAILABLE: no address could be reached, so nothing was sent, or the connection broke in a read; OUTCOME_UNKNOWN: it broke in a write. */
  async call({ method, path, body, headers: more = {} }: HttpCall, { signal, effect }: CallOptions): Promise<HttpReply> {
    if (signal.aborted) throw abortError(signal);
    if (this.#closing.signal.aborted) throw abortError(this.#closing.signal);
    using _place = await this.#endpoints.enter(signal).catch((error: unknown) => Promise.reject(signal.aborted ? abortError(signal) : error));
    const { keyspace } = this.#options;
    const headers = { ...this.#options.headers, ...traceHeaders(), ...more, ...(body === null ? {} : { 'content-type': 'application/json' }) };
    const ending = AbortSignal.any([signal, this.#closing.signal]);
    let refused: SwitchyardError | null = null;
    for (const endpoint of this.#endpoints.inTurn()) {
      if (signal.aborted) throw abortError(signal);
      const callee = { address: endpoint.address, keyspace };
      try {
        const reply = await endpoint.pool.request({ method, path, headers, body, signal: ending });
        this.#endpoints.served(endpoint);
        return { status: reply.statusCode, text: await textOf(reply.body), callee };
      } catch (error) {
        if (signal.aborted) throw effect === 'write' ? unknownAfterAbort(signal) : abortError(signal);
        if (effect === 'read' && hasReason(error, 'RESULT_TOO_LARGE')) throw error;
        if (!isUnsent(error)) throw lost(callee, effect, error);
        this.#endpoints.unreachable(endpoint);
        refused = unreachable(callee, error);
      }
    }
    throw refused ?? new Error('a service without an address');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new SwitchyardError('STORE_UNAVAILABLE', 'the store was closed'));
    await this.#endpoints.close();
  }
}
