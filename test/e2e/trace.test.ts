import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createRpcClient } from '../../client/rpc-client.ts';
import { abortSteps, afterSteps, cutoverSteps, holdSteps, prepareSteps } from '../../control/cutover/steps.ts';
import { DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { movedTables, rpcDoor, startMove, verifyMove, workflowName } from '../bench/cutover/bench-move.ts';
import { readWorkflow } from '../bench/cutover/consul-rules.ts';
import { type Cluster, startCluster } from '../support/cluster/cluster.ts';
import type { ReceivedSpan } from '../support/otlp/otlp-decoder.ts';
import { OtlpReceiver } from '../support/otlp/otlp-receiver.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/* Every cutover is one trace of named steps, received as any OTLP receiver would, and the spans of the requests that it held link to it. */

/** Of the hold's time that named steps must account for. */
const coverage = 0.95;
const exportLimitMs = 20_000;
const writersPerGateway = 3;
const stepNames = [...prepareSteps, ...holdSteps, ...afterSteps];

let receiver: OtlpReceiver;
let cluster: Cluster;

beforeAll(async () => {
  receiver = await OtlpReceiver.start();
  const otlpEndpoint = receiver.endpoint;
  cluster = await startCluster({ gateways: 2, controls: 1, gatewaySettings: { otlpEndpoint }, controlSettings: { otlpEndpoint } });
  await startMove(cluster);
  await verifyMove(cluster);
}, 120_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await receiver?.[Symbol.asyncDispose]();
});

/** Writes through every gateway as fast as they are answered, so that every hold finds some to hold, until the signal aborts. */
async function writeOn(signal: AbortSignal): Promise<void> {
  const writer = async (address: string, aid: number): Promise<void> => {
    using client = createRpcClient(DataService, address);
    const int64 = (value: number) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });
    while (!signal.aborted) await client.update({ table: 'pgbench_accounts', key: { cells: { aid: int64(aid) } }, add: { cells: { abalance: int64(1) } } });
  };
  await Promise.all(cluster.gateways.flatMap(({ address }, index) => Array.from({ length: writersPerGateway }, (_, i) => writer(address, 1 + index * 100 + i))));
}

async function cutoverUnderLoad(direction: 'switch' | 'reverse'): Promise<void> {
  const enough = new AbortController();
  const writing = writeOn(enough.signal);
  try {
    await rpcDoor(cluster)(direction);
  } finally {
    enough.abort();
    await writing;
  }
}

/** The spans of the newest cutover's trace, once its root is there and all that ended before it too. */
async function newestTrace(): Promise<readonly ReceivedSpan[]> {
  const { cutovers } = await readWorkflow(cluster.consul, workflowName);
  const traceId = cutovers.at(-1)?.traceId;
  expect(traceId).toMatch(/^[0-9a-f]{32}$/);
  const explain = (): string => `${receiver.spans.length} spans, of the trace: ${receiver.spans.filter((span) => span.traceId === traceId).map(({ name }) => name)}`;
  return waitUntil('the root span of the cutover', { limitMs: exportLimitMs, everyMs: 100, explain }, async () => {
    const spans = receiver.spans.filter((span) => span.traceId === traceId && span.service === 'switchyard-control');
    return spans.some(({ name }) => name === 'cutover') ? spans : undefined;
  });
}

/** The span of this name: the last, where an attempt that was aborted has one too. */
function named(spans: readonly ReceivedSpan[], name: string): ReceivedSpan {
  const found = spans.filter((span) => span.name === name).toSorted((a, b) => a.startMs - b.startMs);
  expect({ name, found: found.length }).not.toEqual({ name, found: 0 });
  return found.at(-1) as ReceivedSpan;
}

/** Part of the parent's time that lies within one of the spans at least. */
function covered(parent: ReceivedSpan, spans: readonly ReceivedSpan[]): number {
  let [end, sum] = [parent.startMs, 0];
  for (const span of spans.toSorted((a, b) => a.startMs - b.startMs)) {
    const [from, to] = [Math.max(span.startMs, end), Math.min(span.endMs, parent.endMs)];
    if (to <= from) continue;
    sum += to - from;
    end = to;
  }
  return sum / (parent.endMs - parent.startMs);
}

describe.each([
  ['switch', 'old', 'new'],
  ['reverse', 'new', 'old'],
] as const)('the %s from "%s" to "%s"', (direction, from, to) => {
  let trace: readonly ReceivedSpan[];

  beforeAll(async () => {
    await cutoverUnderLoad(direction);
    trace = await newestTrace();
  }, 60_000);

  test('is one trace with every step of the protocol, in its order, each with its meaning', () => {
    const root = named(trace, 'cutover');
    expect(root.parentSpanId).toBe('');
    expect(root.attributes).toMatchObject({
      'switchyard.workflow': workflowName,
      'switchyard.cutover.from': from,
      'switchyard.cutover.to': to,
      'switchyard.cutover.tables': movedTables.length,
      'switchyard.cutover.attempts': expect.any(Number),
      'switchyard.cutover.attempt': expect.any(Number),
      'switchyard.cutover.outcome': 'switched',
    });
    const steps = stepNames.map((name) => named(trace, name));
    for (const { name, attributes } of steps) expect(attributes).toMatchObject({ 'switchyard.step': cutoverSteps[name as keyof typeof cutoverSteps] });
    expect(steps.map(({ startMs }) => startMs)).toEqual(steps.map(({ startMs }) => startMs).toSorted((a, b) => a - b));
    const hold = named(trace, 'hold');
    expect(hold.parentSpanId).toBe(root.spanId);
    for (const name of holdSteps) expect(named(trace, name).parentSpanId).toBe(hold.spanId);
    for (const name of [...prepareSteps, ...afterSteps]) expect(named(trace, name).parentSpanId).toBe(root.spanId);
    // One root, and nothing in the trace that has no name in the protocol.
    expect(trace.filter(({ parentSpanId }) => parentSpanId === '')).toHaveLength(1);
    const names: readonly string[] = [...stepNames, ...(root.attributes['switchyard.cutover.attempts'] === 1 ? [] : abortSteps), 'cutover', 'hold'];
    expect(trace.filter(({ name }) => !names.includes(name))).toEqual([]);
  });

  test(`named steps account for at least ${coverage * 100} % of the hold`, () => {
    const hold = named(trace, 'hold');
    expect(hold.endMs).toBeGreaterThan(hold.startMs);
    const share = covered(
      hold,
      holdSteps.map((name) => named(trace, name)),
    );
    expect(share).toBeGreaterThanOrEqual(coverage);
  });

  test('the spans of held requests link to it', async () => {
    const { traceId, spanId } = named(trace, 'hold');
    const linked = await waitUntil('a linked span of a gateway', { limitMs: exportLimitMs, everyMs: 100 }, async () => {
      const spans = receiver.spans.filter((span) => span.service === 'switchyard-gateway' && span.links.some((link) => link.traceId === traceId));
      return spans.length > 0 ? spans : undefined;
    });
    for (const span of linked) {
      expect(span.links).toContainEqual({ traceId, spanId });
      expect(span.traceId).not.toBe(traceId);
      expect(span.attributes).toMatchObject({ 'rpc.system.name': 'grpc', 'rpc.method': expect.stringMatching(/^switchyard\.data\.v1\.DataService\//) });
    }
  });
});
