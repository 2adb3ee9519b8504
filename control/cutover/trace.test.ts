import { beforeAll, expect, test } from '@jest/globals';
import { type Attributes, type Context, type Span, type SpanContext, type SpanOptions, trace, type TracerProvider } from '@opentelemetry/api';
import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { CutoverTrace } from './trace.ts';

interface Finished {
  readonly name: string;
  readonly parentId: string | undefined;
  readonly context: SpanContext;
  readonly attributes: Attributes;
  readonly durationMs: number;
}

/** Keeps what was traced, as a telemetry SDK would hand it on. */
class Recorder implements TracerProvider {
  readonly finished: Finished[] = [];
  #ids = 0;

  getTracer() {
    const startSpan = (name: string, options: SpanOptions = {}, parent?: Context): Span => this.#span(name, options, parent);
    return { startSpan, startActiveSpan: () => undefined as never };
  }

  #span(name: string, options: SpanOptions, parent: Context | undefined): Span {
    const above = parent === undefined ? undefined : trace.getSpanContext(parent);
    this.#ids += 1;
    const context: SpanContext = { traceId: above?.traceId ?? String(this.#ids).padStart(32, '0'), spanId: String(this.#ids).padStart(16, '0'), traceFlags: 1 };
    const attributes: Attributes = { ...options.attributes };
    const span: Span = {
      spanContext: () => context,
      setAttribute: (key, value) => span.setAttributes({ [key]: value }),
      setAttributes: (more) => {
        Object.assign(attributes, more);
        return span;
      },
      addEvent: () => span,
      addLink: () => span,
      addLinks: () => span,
      setStatus: () => span,
      updateName: () => span,
      end: (time) => void this.finished.push({ name, parentId: above?.spanId, context, attributes, durationMs: Number(time) - Number(options.startTime) }),
      isRecording: () => true,
      recordException: () => undefined,
    };
    return span;
  }
}

const recorder = new Recorder();
beforeAll(() => {
  trace.setGlobalTracerProvider(recorder);
});

/** Stands still unless it is told to go on. */
class ManualClock implements Clock {
  #ms = 1_000;
  now = (): number => 1_700_000_000_000 + this.#ms;
  monotonic = (): number => this.#ms;
  sleep = async (ms: number): Promise<void> => {
    this.#ms += ms;
  };
  after = (): (() => void) => () => {};
  endOfTurn = (act: () => void): void => act();
}

const subject = { workflow: 'move1', from: 'old', to: 'new', tables: 2 };
test('one trace: the cutover, the hold in it, its steps in the hold; the journal holds the same times', async () => {
  recorder.finished.length = 0;
  const clock = new ManualClock();
  const done: string[] = [];
  const cutover = new CutoverTrace(clock, subject, async (name) => void done.push(name));
  cutover.beginAttempt(1);
  await cutover.step('lock', () => clock.sleep(5));
  const outside = cutover.traceparent;
  cutover.beginHold();
  await cutover.step('rules-hold', () => clock.sleep(2));
  await cutover.step('fence', async (note) => {
    await clock.sleep(3);
    note('2 tries');
  });
  const inside = cutover.traceparent;
  cutover.endHold();
  cutover.end('switched', null);

  expect(done).toEqual(['lock', 'rules-hold', 'fence']);
  expect(cutover.steps).toEqual([
    { name: 'lock', startMs: 0, durationMs: 5 },
    { name: 'rules-hold', startMs: 5, durationMs: 2 },
    { name: 'fence', startMs: 7, durationMs: 3, detail: '2 tries' },
  ]);
  expect(cutover.holdMs).toBe(5);
  const spans = new Map(recorder.finished.map((span) => [span.name, span]));
  const root = spans.get('cutover')?.context;
  const hold = spans.get('hold')?.context;
  expect(recorder.finished.map((span) => [span.name, span.parentId])).toEqual([
    ['lock', root?.spanId],
    ['rules-hold', hold?.spanId],
    ['fence', hold?.spanId],
    ['hold', root?.spanId],
    ['cutover', undefined],
  ]);
  expect([outside, inside]).toEqual([`00-${root?.traceId}-${root?.spanId}-01`, `00-${root?.traceId}-${hold?.spanId}-01`]);
  expect(cutover.traceId).toBe(root?.traceId);
  expect(spans.get('fence')?.durationMs).toBeCloseTo(3, 3);
  expect(spans.get('cutover')?.attributes).toMatchObject({
    'switchyard.workflow': 'move1',
    'switchyard.cutover.from': 'old',
    'switchyard.cutover.to': 'new',
    'switchyard.cutover.tables': 2,
  });
});

test('a step that fails is recorded once, with its reason, and not told of', async () => {
  recorder.finished.length = 0;
  const done: string[] = [];
  const cutover = new CutoverTrace(new ManualClock(), subject, async (name) => void done.push(name));
  const failed = cutover.step('fence', async () => {
    throw new SwitchyardError('LOCK_TIMEOUT', 'writers did not drain');
  });
  await expect(failed).rejects.toMatchObject({ reason: 'LOCK_TIMEOUT' });
  expect(done).toEqual([]);
  expect(cutover.steps).toMatchObject([{ name: 'fence', detail: 'LOCK_TIMEOUT: writers did not drain' }]);
  cutover.beginAttempt(2);
  expect(cutover.steps).toEqual([]);
});
