import { context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace, type Tracer } from '@opentelemetry/api';
import { Counter, Histogram, type Registry } from 'prom-client';
import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { TRACEPARENT_KEY, parseTraceparent } from '../trace-context.ts';
import type { RpcContext } from '../grpc-server.ts';

/** A call of a peer that is served. */
export interface PeerCall {
  /** "switchyard.store.v1.DataStoreService". */
  readonly service: string;
  /** "Get". */
  readonly method: string;
  readonly peer: string;
  readonly context: RpcContext;
}

/** Told of every call of a peer that was let in. */
export interface PeerObserver {
  observe<T>(call: PeerCall, act: () => Promise<T>): Promise<T>;
  /** The same of one that answers with a stream, which may go on for as long as it likes: its time is not measured. */
  observeStream<T>(call: PeerCall, act: () => AsyncIterable<T>): AsyncIterable<T>;
}

export const unobserved: PeerObserver = { observe: (_, act) => act(), observeStream: (_, act) => act() };

export interface PeerMeterOptions {
  readonly registry: Registry;
  readonly clock: Clock;
  /** Whether spans are made at all. */
  readonly tracing: boolean;
}

/** Measures the calls of peers, and makes a span of each in the trace that it belongs to: what is done here for a call or a cutover of another cluster is part of that. */
export class PeerMeter implements PeerObserver {
  readonly #clock: Clock;
  readonly #tracer: Tracer | null;
  readonly #calls: Counter<'peer' | 'method' | 'code' | 'reason'>;
  readonly #duration: Histogram<'method'>;

  constructor({ registry, clock, tracing }: PeerMeterOptions) {
    this.#clock = clock;
    this.#tracer = tracing ? trace.getTracer('switchyard-peers') : null;
    const registers = [registry];
    this.#calls = new Counter({
      name: 'switchyard_peer_calls_total',
      help: 'Calls of peers answered, by peer, method, code and reason.',
      labelNames: ['peer', 'method', 'code', 'reason'],
      registers,
    });
    this.#duration = new Histogram({
      name: 'switchyard_peer_call_duration_seconds',
      help: 'Time from the arrival of a call of a peer to its answer; streams are left out.',
      labelNames: ['method'],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
  }

  async observe<T>(call: PeerCall, act: () => Promise<T>): Promise<T> {
    const begunAt = this.#clock.monotonic();
    const span = this.#begin(call);
    try {
      const answer = span === null ? await act() : await context.with(trace.setSpan(ROOT_CONTEXT, span), act);
      this.#end(call, span, null);
      return answer;
    } catch (error) {
      this.#end(call, span, error);
      throw error;
    } finally {
      this.#duration.observe({ method: call.method }, (this.#clock.monotonic() - begunAt) / 1_000);
    }
  }

  async *observeStream<T>(call: PeerCall, act: () => AsyncIterable<T>): AsyncGenerator<T> {
    const span = this.#begin(call);
    let failure: unknown = null;
    try {
      yield* act();
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      this.#end(call, span, failure);
    }
  }

  #begin({ service, method, peer, context: rpc }: PeerCall): Span | null {
    if (this.#tracer === null) return null;
    const parent = parseTraceparent(rpc.metadata.get(TRACEPARENT_KEY)[0]?.toString());
    const name = `${service}/${method}`;
    const attributes = { 'rpc.system.name': rpc.protocol ?? 'grpc', 'rpc.method': name, 'switchyard.peer': peer };
    return this.#tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent));
  }

  #end({ peer, method }: PeerCall, span: Span | null, failure: unknown): void {
    const { code, reason } = failure === null ? { code: 'OK', reason: '' } : failure instanceof SwitchyardError ? failure : { code: 'INTERNAL', reason: 'INTERNAL' };
    this.#calls.inc({ peer, method, code, reason });
    if (span === null) return;
    if (failure !== null) {
      span.setAttribute('error.type', reason);
      span.setStatus({ code: SpanStatusCode.ERROR, message: failure instanceof Error ? failure.message : String(failure) });
    }
    span.end();
  }
}
