import type { Violation } from './judge.ts';
import { type Columns, type LoadRecord, type ReadRow, rowsOfWrite, type WriteRow } from './load-record.ts';

export type Direction = 'switch' | 'reverse';

/** One cutover: when its order was given and answered on the bench's clock; the rest is what control's journal says, used for times only. */
export interface OrderedCutover {
  readonly direction: Direction;
  readonly orderedMs: number;
  readonly answeredMs: number;
  readonly attempts: number;
  /** When writes were first held, or the order's time where the journal does not say. */
  readonly holdStartMs: number;
  readonly holdMs: number;
  readonly stepsMs: Readonly<Record<string, number>>;
}

/** Counts and times of a part of a run; latencies count from the scheduled time, in ms. */
export interface Summary {
  readonly operations: number;
  readonly errors: number;
  readonly reconnects: number;
  readonly missing: number;
  readonly doubled: number;
  /** Rows, sums and answers that no order of the writes explains, stale reads among them. */
  readonly different: number;
  readonly staleReads: number;
  /** Rows written by acknowledged calls. */
  readonly writesPerSecond: number;
  /** Rows that acknowledged calls returned. */
  readonly readsPerSecond: number;
  /** Acknowledged calls of both kinds. */
  readonly callsPerSecond: number;
  /** Over all calls that overlap a cutover, from its order to its answer. */
  readonly slowestWriteMs: number;
  readonly slowestReadMs: number;
  /** 99.9 % of the calls outside of cutovers. */
  readonly usualWriteMs: number;
  readonly usualReadMs: number;
  readonly holdMsMedian: number;
  readonly holdMsP99: number;
  readonly holdMsMax: number;
  /** 99 % of the writes that overlap a hold. */
  readonly waitP99Ms: number;
}

export interface RunSummary extends Summary {
  readonly direction: Direction;
  readonly attempts: number;
  readonly stepsMs: Readonly<Record<string, number>>;
}

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The smallest of the values that `share` of them do not exceed; 0 of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).toSorted();
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? sorted[0] ?? 0;
}

const rounded = (ms: number): number => Math.round(ms * 100) / 100;
const overlaps = (scheduledMs: number, endedMs: number, spans: readonly Span[]): boolean => spans.some((span) => scheduledMs < span.toMs && endedMs > span.fromMs);

/** Latencies of the calls scheduled within `slice`, told apart by whether they overlap one of the spans. */
function latencies(calls: Columns<ReadRow> | Columns<WriteRow>, slice: Span, spans: readonly Span[]): { readonly inside: number[]; readonly outside: number[] } {
  const inside: number[] = [];
  const outside: number[] = [];
  for (let i = 0; i < calls.length; i += 1) {
    const [scheduledMs, endedMs] = [calls.scheduledMs[i] ?? 0, calls.endedMs[i] ?? 0];
    if (scheduledMs < slice.fromMs || scheduledMs >= slice.toMs || endedMs === 0) continue;
    (overlaps(scheduledMs, endedMs, spans) ? inside : outside).push(endedMs - scheduledMs);
  }
  return { inside, outside };
}

function acknowledgedPerSecond(calls: Columns<ReadRow> | Columns<WriteRow>, slice: Span, weight: (call: number) => number): number {
  let count = 0;
  for (let i = 0; i < calls.length; i += 1) if (calls.outcome[i] === 1 && (calls.endedMs[i] ?? 0) >= slice.fromMs && (calls.endedMs[i] ?? 0) < slice.toMs) count += weight(i);
  return Math.round((count * 1_000) / Math.max(slice.toMs - slice.fromMs, 1));
}

function operationsIn(record: LoadRecord, slice: Span): number {
  let count = 0;
  for (const calls of [record.writes, record.reads])
    for (let i = 0; i < calls.length; i += 1) if ((calls.scheduledMs[i] ?? 0) >= slice.fromMs && (calls.scheduledMs[i] ?? 0) < slice.toMs) count += 1;
  return count;
}

function summarize(record: LoadRecord, violations: readonly Violation[], cutovers: readonly OrderedCutover[], slice: Span, warmUpMs: number): Summary {
  const count = (...kinds: readonly Violation['kind'][]): number => violations.filter(({ kind }) => kinds.includes(kind)).length;
  const ordered = cutovers.map(({ orderedMs, answeredMs }): Span => ({ fromMs: orderedMs, toMs: answeredMs }));
  const holds = cutovers.map(({ holdStartMs, holdMs }): Span => ({ fromMs: holdStartMs, toMs: holdStartMs + holdMs }));
  const warm: Span = { ...slice, fromMs: Math.max(slice.fromMs, record.startedMs + warmUpMs) };
  const [writes, reads] = [latencies(record.writes, warm, ordered), latencies(record.reads, warm, ordered)];
  const holdMs = cutovers.map((cutover) => cutover.holdMs);
  return {
    operations: operationsIn(record, slice),
    errors: count('error'),
    reconnects: count('reconnect'),
    missing: count('missing'),
    doubled: count('doubled'),
    different: count('different', 'stale'),
    staleReads: count('stale'),
    writesPerSecond: acknowledgedPerSecond(record.writes, slice, (call) => rowsOfWrite[record.writes.kind[call] ?? 0] ?? 0),
    readsPerSecond: acknowledgedPerSecond(record.reads, slice, (call) => record.reads.rows[call] ?? 0),
    callsPerSecond: acknowledgedPerSecond(record.writes, slice, () => 1) + acknowledgedPerSecond(record.reads, slice, () => 1),
    slowestWriteMs: rounded(percentile(writes.inside, 1)),
    slowestReadMs: rounded(percentile(reads.inside, 1)),
    usualWriteMs: rounded(percentile(writes.outside, 0.999)),
    usualReadMs: rounded(percentile(reads.outside, 0.999)),
    holdMsMedian: rounded(percentile(holdMs, 0.5)),
    holdMsP99: rounded(percentile(holdMs, 0.99)),
    holdMsMax: rounded(percentile(holdMs, 1)),
    waitP99Ms: rounded(percentile(latencies(record.writes, warm, holds).inside, 0.99)),
  };
}

/** The whole run. The first `warmUpMs` count for nothing but correctness. */
export function summarizeAll(record: LoadRecord, violations: readonly Violation[], cutovers: readonly OrderedCutover[], warmUpMs: number): Summary {
  return summarize(record, violations, cutovers, { fromMs: record.startedMs, toMs: record.endedMs }, warmUpMs);
}

/** Each cutover with the time around it: the run is divided half-way between one's end and the next one's beginning, and a violation belongs to where its call ended. */
export function summarizeRuns(record: LoadRecord, violations: readonly Violation[], cutovers: readonly OrderedCutover[], warmUpMs: number): readonly RunSummary[] {
  return cutovers.map((cutover, i): RunSummary => {
    const [earlier, later] = [cutovers[i - 1], cutovers[i + 1]];
    const fromMs = earlier === undefined ? record.startedMs : (earlier.answeredMs + cutover.orderedMs) / 2;
    const toMs = later === undefined ? Number.POSITIVE_INFINITY : (cutover.answeredMs + later.orderedMs) / 2;
    const own = violations.filter(({ atMs }) => atMs < toMs && (atMs >= fromMs || earlier === undefined));
    const slice = { fromMs, toMs: Math.min(toMs, record.endedMs) };
    const { direction, attempts, stepsMs } = cutover;
    return { direction, attempts, ...summarize(record, own, [cutover], slice, warmUpMs), stepsMs };
  });
}
