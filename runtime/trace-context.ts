import { context, isSpanContextValid, type SpanContext, trace, TraceFlags } from '@opentelemetry/api';

/** Name of the header, and of the metadata, that carries a trace from process to process. */
export const TRACEPARENT_KEY = 'traceparent';

const pattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** The span that a W3C trace context names; null where it names none. */
export function parseTraceparent(text: string | undefined): SpanContext | null {
  const [, traceId = '', spanId = '', flags = ''] = pattern.exec(text ?? '') ?? [];
  const parsed = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
  return traceId !== '' && isSpanContextValid(parsed) ? parsed : null;
}

/** The W3C trace context of a span; undefined where tracing is off. */
export function traceparentOf(span: SpanContext | undefined): string | undefined {
  if (span === undefined || !isSpanContextValid(span)) return undefined;
  return `00-${span.traceId}-${span.spanId}-${span.traceFlags.toString(16).padStart(2, '0')}`;
}

/** That of the span on whose behalf this is done. */
export const activeTraceparent = (): string | undefined => traceparentOf(trace.getSpanContext(context.active()));
