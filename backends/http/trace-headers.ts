import { activeTraceparent, TRACEPARENT_KEY } from '../../runtime/trace-context.ts';

/** Headers by which a call belongs to the trace of whatever it is made for. */
export function traceHeaders(): Readonly<Record<string, string>> {
  const traceparent = activeTraceparent();
  return traceparent === undefined ? {} : { [TRACEPARENT_KEY]: traceparent };
}
