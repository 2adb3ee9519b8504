import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { WorkflowDocument } from '../../core/workflow-document.ts';
import type { MoveStreams } from '../move.ts';
import { gatherMs } from '../streams/player.ts';
import type { Direction } from './direction.ts';
import { type Finding, finding } from './finding.ts';

const SAMPLE_MS = 100;
/** The lag must stay below the limit this long. */
const CALM_MS = 1_000;
/** Calm is waited for this long. */
const PATIENCE_MS = 8_000;
const LAST_LOOK_MS = 2_000;
const REPORT_MS = 500;

/** Whether the stream that a cutover relies on runs, and stays within the limit. A stream that is starting, such as a new runner's, is waited for like a lag that is too high. */
export async function lagFinding(direction: Direction, document: WorkflowDocument, streams: MoveStreams, clock: Clock, signal: AbortSignal): Promise<readonly Finding[]> {
  const limitMs = document.limits.lagMs;
  const begunMs = clock.monotonic();
  let calmSinceMs: number | null = null;
  let lastHighMs: number | null = null;
  for (;;) {
    const problem = streams.problem(direction.from.name);
    const lagMs = streams.lagMs(direction.from.name);
    const nowMs = clock.monotonic();
    if (lagMs === null || lagMs > limitMs) lastHighMs = lagMs;
    if (problem !== null || lagMs === null || lagMs > limitMs) calmSinceMs = null;
    else calmSinceMs ??= nowMs;
    if (calmSinceMs !== null && nowMs - calmSinceMs >= CALM_MS) return [];
    if (nowMs - begunMs >= PATIENCE_MS) return [problem === null ? tooHigh(direction, lastHighMs, limitMs) : stopped(direction, problem)];
    await clock.sleep(SAMPLE_MS, signal);
  }
}

/**
 * The same for a process that does not run the stream: the document's word, renewed once a second by the one that does, is read again until it is within the limit. A stream that no cutover is waiting for gathers its changes for longer,
 * which is not counted.
 */
export async function reportedLagFinding(
  direction: Direction,
  document: WorkflowDocument,
  readAgain: (signal: AbortSignal) => Promise<WorkflowDocument>,
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const limitMs = document.limits.lagMs + gatherMs;
  const begunMs = clock.monotonic();
  for (let newest = document; ; newest = await readAgain(signal)) {
    const lagMs = newest.lagMs ?? null;
    if (lagMs !== null && lagMs <= limitMs) return [];
    if (clock.monotonic() - begunMs >= PATIENCE_MS) return [tooHigh(direction, lagMs, document.limits.lagMs)];
    await clock.sleep(REPORT_MS, signal);
  }
}

/** The last look before a hold: waits a moment for a lag within the limit. LAG_TOO_HIGH. */
export async function awaitLowLag(direction: Direction, document: WorkflowDocument, streams: MoveStreams, clock: Clock, signal: AbortSignal): Promise<number> {
  const deadlineMs = clock.monotonic() + LAST_LOOK_MS;
  for (;;) {
    const lagMs = streams.lagMs(direction.from.name);
    if (lagMs !== null && lagMs <= document.limits.lagMs) return lagMs;
    if (clock.monotonic() > deadlineMs) throw new SwitchyardError('LAG_TOO_HIGH', tooHigh(direction, lagMs, document.limits.lagMs).message);
    await clock.sleep(5, signal);
  }
}

const stopped = (direction: Direction, problem: string): Finding =>
  finding('STREAM_FAILED', `the stream "${direction.stream.id}" does not run: ${problem}`, "see the workflow's message; the stream restarts by itself where it can");

function tooHigh(direction: Direction, lagMs: number | null, limitMs: number): Finding {
  const message =
    lagMs === null ? `"${direction.to.keyspace}" has not caught up` : `"${direction.to.keyspace}" was ${Math.round(lagMs)} ms behind a moment ago, more than ${limitMs} ms`;
  return finding('LAG_TOO_HIGH', message, 'wait for calmer traffic, or raise the limit of the lag');
}
