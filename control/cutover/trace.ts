import { type Context, context, isSpanContextValid, ROOT_CONTEXT, type Span, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Clock } from '../../core/clock.ts';
import type { CutoverStep } from '../../core/workflow-document.ts';
import { traceparentOf } from '../../runtime/trace-context.ts';
import { type CutoverStepName, cutoverSteps } from './steps.ts';
import { asSwitchyardError } from '../time-limit.ts';

/** Adds to what the journal and the span say about the step under way. */
export type Note = (detail: string) => void;

export interface TraceSubject {
  readonly workflow: string;
  readonly from: string;
  readonly to: string;
  readonly tables: number;
}

/**
 * One cutover as one trace: `cutover` above all, `hold` above the steps of the hold, a span for each step. Each time is taken once, from the monotonic clock, and serves spans and
 * journal alike. Does nothing towards telemetry while none is configured.
 */
export class CutoverTrace {
  readonly startedAt: string;
  readonly #clock: Clock;
  readonly #epochMs: number;
  readonly #startMs: number;
  readonly #root: Span;
  readonly #tracer = trace.getTracer('switchyard.control');
  readonly #onStep: (name: CutoverStepName) => Promise<void>;
  /** `doneMs`: end of its latest step. */
  #hold: { readonly span: Span; readonly startMs: number; doneMs: number } | null = null;
  #holdMs = 0;
  #steps: readonly CutoverStep[] = [];

  /** `onStep` is awaited after every step that took. */
  constructor(clock: Clock, subject: TraceSubject, onStep: (name: CutoverStepName) => Promise<void>) {
    this.#clock = clock;
    this.#startMs = clock.monotonic();
    this.#epochMs = clock.now();
    this.startedAt = new Date(this.#epochMs).toISOString();
    this.#onStep = onStep;
    const attributes = {
      'switchyard.workflow': subject.workflow,
      'switchyard.cutover.from': subject.from,
      'switchyard.cutover.to': subject.to,
      'switchyard.cutover.tables': subject.tables,
    };
    this.#root = this.#tracer.startSpan('cutover', { startTime: this.#epochMs, attributes }, ROOT_CONTEXT);
  }

  /** Begins the list of steps of another attempt. */
  beginAttempt(attempts: number): void {
    this.#steps = [];
    this.#holdMs = 0;
    this.#root.setAttribute('switchyard.cutover.attempts', attempts);
  }

  setAttempt(attempt: number): void {
    this.#root.setAttribute('switchyard.cutover.attempt', attempt);
  }

  beginHold(): void {
    const startMs = this.#elapsed();
    this.#hold = { startMs, doneMs: startMs, span: this.#tracer.startSpan('hold', { startTime: this.#epochMs + startMs }, trace.setSpan(ROOT_CONTEXT, this.#root)) };
  }

  /** The hold ended with its latest step, the one that let writes flow again; what this process has done since is no part of it. Without one under way it does nothing. */
  endHold(): void {
    if (this.#hold === null) return;
    const endMs = this.#hold.doneMs;
    this.#holdMs = endMs - this.#hold.startMs;
    this.#hold.span.end(this.#epochMs + endMs);
    this.#hold = null;
  }

  /** Within the hold a step begins where the one before it ended: what lies between them is part of getting it under way. */
  async step<T>(name: CutoverStepName, act: (note: Note) => Promise<T>): Promise<T> {
    const startMs = this.#hold?.doneMs ?? this.#elapsed();
    const parent = trace.setSpan(ROOT_CONTEXT, this.#hold?.span ?? this.#root);
    const span = this.#tracer.startSpan(name, { startTime: this.#epochMs + startMs, attributes: { 'switchyard.step': cutoverSteps[name] } }, parent);
    const details: string[] = [];
    try {
      const result = await context.with(trace.setSpan(parent, span) as Context, act, undefined, (detail: string) => details.push(detail));
      this.#finish(name, span, startMs, details);
      await this.#onStep(name);
      return result;
    } catch (error) {
      if (!this.#steps.some((step) => step.name === name && step.startMs === startMs)) {
        const failure = asSwitchyardError(error);
        span.setStatus({ code: SpanStatusCode.ERROR, message: failure.reason });
        this.#finish(name, span, startMs, [...details, `${failure.reason}: ${failure.message}`]);
      }
      throw error;
    }
  }

  end(outcome: string, reason: string | null): void {
    this.endHold();
    this.#root.setAttribute('switchyard.cutover.outcome', outcome);
    if (reason !== null) this.#root.setAttribute('switchyard.cutover.reason', reason);
    if (outcome !== 'switched') this.#root.setStatus({ code: SpanStatusCode.ERROR, message: reason ?? outcome });
    this.#root.end(this.#epochMs + this.#elapsed());
  }

  get steps(): readonly CutoverStep[] {
    return this.#steps;
  }

  /** Length of the last hold that ended, 0 before. */
  get holdMs(): number {
    return this.#holdMs;
  }

  get traceId(): string | undefined {
    const spanContext = this.#root.spanContext();
    return isSpanContextValid(spanContext) ? spanContext.traceId : undefined;
  }

  /** W3C trace context of the hold while it lasts, else of the cutover. */
  get traceparent(): string | undefined {
    return traceparentOf((this.#hold?.span ?? this.#root).spanContext());
  }

  #elapsed(): number {
    return this.#clock.monotonic() - this.#startMs;
  }

  #finish(name: CutoverStepName, span: Span, startMs: number, details: readonly string[]): void {
    const endMs = this.#elapsed();
    if (this.#hold !== null) this.#hold.doneMs = endMs;
    const detail = details.join('; ').slice(0, 500);
    if (detail !== '') span.setAttribute('switchyard.detail', detail);
    span.end(this.#epochMs + endMs);
    this.#steps = [...this.#steps, { name, startMs: round(startMs), durationMs: round(endMs - startMs), ...(detail === '' ? {} : { detail }) }];
  }
}

const round = (ms: number): number => Math.round(ms * 1_000) / 1_000;
