import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace';
import type { Logger } from './logger.ts';

export interface TracingOptions {
  /** Such as "switchyard-gateway". */
  readonly serviceName: string;
  /** Base address of an OTLP/HTTP receiver, such as "http://127.0.0.1:4318"; null: telemetry is off and its packages are not even loaded. */
  readonly otlpEndpoint: string | null;
  readonly log: Logger;
}

const exportLimitMs = 5_000;
/** Between two lines about telemetry that is lost: a receiver that is away for long would fill the log. */
const tellEveryMs = 10_000;

/**
 * Turns tracing on for the process. Code everywhere uses `@opentelemetry/api`, which does nothing while it is off. Where spans come faster than the receiver takes them some are dropped, which the log tells; those with links, that is of calls that a cutover
 * held, have a queue of their own, so that the many others cannot crowd them out. Disposing sends what is left, for at most 5 s.
 */
export async function startTracing({ serviceName, otlpEndpoint, log }: TracingOptions): Promise<AsyncDisposable> {
  if (otlpEndpoint === null) return { [Symbol.asyncDispose]: async () => {} };
  const [{ NodeSDK }, { BatchSpanProcessor }, { OTLPTraceExporter }, { diag, DiagLogLevel }] = await Promise.all([
    import('@opentelemetry/sdk-node'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/exporter-trace-otlp-proto'),
    import('@opentelemetry/api'),
  ]);
  const url = `${otlpEndpoint.replace(/\/$/, '')}/v1/traces`;
  const queueOf = (wanted: (span: ReadableSpan) => boolean): SpanProcessor =>
    only(wanted, new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url, timeoutMillis: exportLimitMs }) }));
  const sdk = new NodeSDK({ serviceName, spanProcessors: [queueOf(isLinked), queueOf((span) => !isLinked(span))], metricReaders: [], logRecordProcessors: [] });
  const tell = atMost(tellEveryMs, (message: string) => log.warn({ said: message }, 'spans may be lost'));
  diag.setLogger({ error: tell, warn: tell, info: () => {}, debug: () => {}, verbose: () => {} }, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  sdk.start();
  return { [Symbol.asyncDispose]: () => sdk.shutdown() };
}

const isLinked = (span: ReadableSpan): boolean => span.links.length > 0;

/** The processor, shown nothing but the spans that are wanted. */
function only(wanted: (span: ReadableSpan) => boolean, processor: SpanProcessor): SpanProcessor {
  return {
    onStart: (span, context) => processor.onStart(span, context),
    onEnd: (span) => {
      if (wanted(span)) processor.onEnd(span);
    },
    forceFlush: () => processor.forceFlush(),
    shutdown: () => processor.shutdown(),
  };
}

/** `act`, but not again before so much time has passed. */
function atMost<T>(everyMs: number, act: (value: T) => void): (value: T) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (value) => {
    const now = performance.now();
    if (now - last < everyMs) return;
    last = now;
    act(value);
  };
}
