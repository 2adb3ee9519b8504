export interface TracingOptions {
  /** Such as "switchyard-gateway". */
  readonly serviceName: string;
  /** Base address of an OTLP/HTTP receiver, such as "http://127.0.0.1:4318"; null: telemetry is off and its packages are not even loaded. */
  readonly otlpEndpoint: string | null;
}

/** Turns tracing on for the process. Code everywhere uses `@opentelemetry/api`, which does nothing while it is off. Disposing sends what is left, for at most 5 s. */
export async function startTracing(options: TracingOptions): Promise<AsyncDisposable> {
  if (options.otlpEndpoint === null) return { [Symbol.asyncDispose]: async () => {} };
  const [{ NodeSDK }, { OTLPTraceExporter }] = await Promise.all([import('@opentelemetry/sdk-node'), import('@opentelemetry/exporter-trace-otlp-proto')]);
  const url = `${options.otlpEndpoint.replace(/\/$/, '')}/v1/traces`;
  const sdk = new NodeSDK({ serviceName: options.serviceName, traceExporter: new OTLPTraceExporter({ url, timeoutMillis: 5_000 }), metricReaders: [], logRecordProcessors: [] });
  sdk.start();
  return { [Symbol.asyncDispose]: () => sdk.shutdown() };
}
