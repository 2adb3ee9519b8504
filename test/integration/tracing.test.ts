import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { trace } from '@opentelemetry/api';
import { createLogger } from '../../runtime/logger.ts';
import { startTracing } from '../../runtime/tracing.ts';
import { OtlpReceiver } from '../support/otlp/otlp-receiver.ts';

/* Far more than any queue of spans holds, made at once. */
const flood = 10_000;

let receiver: OtlpReceiver;
beforeEach(async () => {
  receiver = await OtlpReceiver.start();
});
afterEach(async () => {
  await receiver[Symbol.asyncDispose]();
});

test('a flood of spans loses some of its own, and none of those that are linked to a cutover', async () => {
  {
    await using _tracing = await startTracing({ serviceName: 'test', otlpEndpoint: receiver.endpoint, log: createLogger('test', 'silent') });
    const tracer = trace.getTracer('test');
    for (let n = 0; n < flood; n += 1) tracer.startSpan('ordinary').end();
    const cutover = tracer.startSpan('cutover');
    const held = tracer.startSpan('held');
    held.addLink({ context: cutover.spanContext() });
    held.end();
  }
  const names = receiver.spans.map(({ name }) => name);
  expect(names.filter((name) => name === 'held')).toHaveLength(1);
  expect(names.length).toBeGreaterThan(1);
  expect(names.length).toBeLessThan(flood);
});
