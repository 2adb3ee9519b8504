import { context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace, type Tracer } from '@opentelemetry/api';
import type { Clock } from '../core/clock.ts';
import { CALLER_KEY } from '../core/request-record.ts';
import type { Hold } from '../core/rules-document.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { RpcContext } from '../runtime/grpc-server.ts';
import { parseTraceparent, TRACEPARENT_KEY } from '../runtime/trace-context.ts';
import type { Call } from './flow/call.ts';
import type { GatewayMetrics } from './metrics.ts';
import type { Routing } from './rules/routing.ts';
import type { Schemas } from './schemas.ts';

export interface CallObserverOptions {
  readonly clock: Clock;
  readonly metrics: GatewayMetrics;
  readonly routing: Routing;
  readonly schemas: Schemas;
  /** Whether spans are made at all; off, a call costs nothing for them. */
  readonly tracing: boolean;
}

/** A call that is measured: exactly one of `succeeded` and `failed`, then `end`. */
interface ObservedCall {
  readonly call: Call;
  readonly span: Span | null;
  readonly succeeded: () => void;
  readonly failed: (error: unknown) => void;
  readonly end: () => void;
}

const serviceName = 'switchyard.data.v1.DataService';

/** Measures and traces every call of the data API. */
export class CallObserver {
  readonly #options: CallObserverOptions;
  readonly #tracer: Tracer | null;

  constructor(options: CallObserverOptions) {
    this.#options = options;
    this.#tracer = options.tracing ? trace.getTracer('switchyard-gateway') : null;
  }

  /** Runs one call. `table` is the name that the caller gave. An answer that cannot be sent is a failure. */
  async observe<T extends object>(method: string, table: string, rpc: RpcContext, act: (call: Call) => Promise<T>): Promise<T> {
    const observed = this.#begin(method, table, rpc);
    try {
      const { span } = observed;
      const answer = span === null ? await act(observed.call) : await context.with(trace.setSpan(ROOT_CONTEXT, span), act, undefined, observed.call);
      observed.call.checkAnswer(answer);
      observed.succeeded();
      return answer;
    } catch (error) {
      observed.failed(error);
      throw error;
    } finally {
      observed.end();
    }
  }

  /** The same of a call whose answer comes in pieces; measured to the end of the last. */
  async *observeStream<T extends object>(method: string, table: string, rpc: RpcContext, act: (call: Call) => AsyncIterable<T>): AsyncGenerator<T> {
    const observed = this.#begin(method, table, rpc);
    let isOver = false;
    try {
      for await (const answer of act(observed.call)) {
        observed.call.checkAnswer(answer);
        yield answer;
      }
      isOver = true;
      observed.succeeded();
    } catch (error) {
      isOver = true;
      observed.failed(error);
      throw error;
    } finally {
      // Left by its reader.
      if (!isOver) observed.failed(rpc.signal.aborted ? rpc.signal.reason : new SwitchyardError('CANCELLED', 'the caller left the stream'));
      observed.end();
    }
  }

  #begin(method: string, table: string, rpc: RpcContext): ObservedCall {
    const { clock, metrics } = this.#options;
    const startedAt = clock.monotonic();
    const protocol = rpc.protocol ?? 'grpc';
    const span = this.#tracer === null ? null : this.#startSpan(this.#tracer, method, table, rpc);
    const call: Call = {
      signal: rpc.signal,
      deadline: rpc.deadline,
      caller: rpc.metadata.get(CALLER_KEY)[0]?.toString() ?? '',
      onRepeated: () => metrics.repeated(protocol),
      onUnfit: (error) => rpc.onUnfit?.(error),
      checkAnswer: (answer) => rpc.checkAnswer?.(answer),
      onHeld: (waitedMs, hold) => {
        metrics.waited(waitedMs);
        if (span !== null) recordHold(span, waitedMs, hold);
      },
    };
    return {
      call,
      span,
      succeeded: () => metrics.called(protocol, method, this.#label(table), 'OK', '', clock.monotonic() - startedAt),
      failed: (error) => {
        const { code, reason } = error instanceof SwitchyardError ? error : { code: 'INTERNAL', reason: 'INTERNAL' };
        metrics.called(protocol, method, this.#label(table), code, reason, clock.monotonic() - startedAt);
        if (span !== null) recordFailure(span, code, reason, error);
      },
      end: () => span?.end(),
    };
  }

  /** The table's key where there is such a table: names that callers make up must not become labels. */
  #label(name: string): string {
    const { routing, schemas } = this.#options;
    if (routing.table === null || name === '') return '';
    try {
      const ref = routing.table.resolve(name);
      return ref.rule !== null || schemas.isLoaded(ref.keyspace, ref.table) ? ref.key : '';
    } catch {
      return ''; // the call itself has failed for the same reason
    }
  }

  #startSpan(tracer: Tracer, method: string, table: string, rpc: RpcContext): Span {
    const parent = parseTraceparent(rpc.metadata.get(TRACEPARENT_KEY)[0]?.toString());
    const parentContext = parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
    const attributes = { 'rpc.system.name': rpc.protocol ?? 'grpc', 'rpc.method': `${serviceName}/${method}`, ...(table === '' ? {} : { 'db.collection.name': table }) };
    return tracer.startSpan(`${serviceName}/${method}`, { kind: SpanKind.SERVER, attributes }, parentContext);
  }
}

/** The wait of a held call: how long, and a link to the trace of the cutover that it waited for. */
function recordHold(span: Span, waitedMs: number, hold: Hold | null): void {
  const cutover = parseTraceparent(hold?.traceparent);
  if (cutover !== null) span.addLink({ context: cutover });
  span.addEvent('switchyard.held', { 'switchyard.wait_ms': waitedMs, ...(hold === null ? {} : { 'switchyard.attempt': hold.attempt }) });
}

function recordFailure(span: Span, code: string, reason: string, error: unknown): void {
  span.setAttribute('rpc.status_code', code);
  span.setAttribute('error.type', reason);
  span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) });
}
