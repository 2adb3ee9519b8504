import { type Attempt, attempt as asAttempt } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ArmedMove, ControlDeps, MoveStreams, SideName } from '../move.ts';
import { type Direction, directionTo, scopeOf, sideView, viewText } from './direction.ts';
import { Abandoned } from './hold-context.ts';
import { recordRepair } from './repair-record.ts';
import type { CutoverStepName } from './steps.ts';
import type { Note } from './trace.ts';
import { abortError, asSwitchyardError, backOffMs, within } from '../time-limit.ts';

/** What runs a step and takes its time; a cutover's trace is one. */
export interface StepRunner {
  step<T>(name: CutoverStepName, act: (note: Note) => Promise<T>): Promise<T>;
}

export interface TailContext {
  readonly direction: Direction;
  /** Of the switch that this is the end of. */
  readonly attempt: Attempt;
  readonly streams: MoveStreams;
  readonly deps: ControlDeps;
  readonly steps: StepRunner;
  readonly signal: AbortSignal;
}

const START_LIMIT_MS = 30_000;
const STEP_LIMIT_MS = 30_000;

/** After the switch, traffic flowing: starts the way back, ends the way here, compares what changed last. Returns what is not as it should be; throws only `Abandoned`. */
export async function runTail(tail: TailContext): Promise<readonly string[]> {
  const { attempt, direction, deps, streams } = tail;
  const { from, to, move } = direction;
  const started = await attemptStep(tail, 'reverse-start', 'the way back does not run', () => startReverse(tail));
  if (started !== null) return [started];
  const frozen = await attemptStep(tail, 'forward-freeze', `the stream "${direction.stream.id}" is not ended`, async (_, signal) => {
    await streams.freeze(from.name, attempt, signal);
    await to.owner
      .relaxFence(scopeOf(move, to.name), signal)
      .catch((error: unknown) => deps.log.info({ err: error, workflow: move.name }, 'the fence of the open tables could not be relaxed'));
  });
  const compared = await attemptStep(tail, 'compare-last', 'the rows that changed last are not compared', async (note, signal) => {
    const { compared: count, different } = await streams.compareLastChanged(from.name, signal);
    note(`${count} rows compared, ${different} differ`);
    if (different > 0) throw new SwitchyardError('DIFFERENCES_FOUND', `${different} of ${count} rows that changed last differ`);
  });
  return [frozen, compared].filter((problem) => problem !== null);
}

/** The way back must run before the log that led here may go. */
async function startReverse({ direction, deps, streams, signal }: TailContext): Promise<void> {
  const { clock, log } = deps;
  const deadlineMs = clock.monotonic() + START_LIMIT_MS;
  const late = (): SwitchyardError => new SwitchyardError('DEADLINE_EXCEEDED', 'the stream did not start in time');
  for (let round = 0; ; round += 1) {
    try {
      await within(clock, deadlineMs - clock.monotonic(), late, signal, (limited) => streams.start(direction.to.name, limited));
      return;
    } catch (error) {
      const pauseMs = backOffMs(round, 50, 2_000);
      if (signal.aborted || !asSwitchyardError(error).retryable || clock.monotonic() + pauseMs > deadlineMs) throw error;
      log.warn({ err: error, workflow: direction.move.name, stream: direction.reverse.id }, 'the way back could not be started yet');
      await clock.sleep(pauseMs, signal);
    }
  }
}

async function attemptStep(tail: TailContext, name: CutoverStepName, what: string, act: (note: Note, signal: AbortSignal) => Promise<void>): Promise<string | null> {
  const { deps, direction, steps, signal } = tail;
  const late = (): SwitchyardError => new SwitchyardError('DEADLINE_EXCEEDED', `took longer than ${STEP_LIMIT_MS} ms`);
  try {
    if (signal.aborted) throw abortError(signal);
    await steps.step(name, (note) => within(deps.clock, STEP_LIMIT_MS + 1_000, late, signal, (limited) => act(note, limited)));
    return null;
  } catch (error) {
    if (error instanceof Abandoned) throw error;
    deps.log.error({ err: error, workflow: direction.move.name, step: name }, what);
    return `${what}: ${asSwitchyardError(error).message}`;
  }
}

export interface FinishInput {
  readonly armed: ArmedMove;
  /** The side that is primary now. */
  readonly primary: SideName;
  readonly streams: MoveStreams;
  readonly deps: ControlDeps;
  readonly signal: AbortSignal;
}

/**
 * For a runner that takes over a switch whose coordinator died after `open`: does what follows it and closes its record. Idempotent; to be called with both stores settled. WORKFLOW_STATE when they are not. Returns what
 * is not as it should be. The caller holds the workflow's lock: records that are still "running" are closed.
 */
export async function finishSwitch(input: FinishInput): Promise<readonly string[]> {
  const { armed, deps, primary, signal, streams } = input;
  const direction = directionTo(armed.move, primary);
  const view = sideView(armed.move, primary, await direction.to.owner.fenceRows(armed.move.tables, signal));
  if (view.kind !== 'rows' || view.state !== 'OPEN') throw new SwitchyardError('WORKFLOW_STATE', `the fence of "${direction.to.keyspace}" is ${viewText(view)}, not OPEN`);
  const steps: StepRunner = { step: (_, act) => act(() => {}) };
  const problems = await runTail({ direction, attempt: asAttempt(view.attempt), streams, deps, steps, signal });
  await recordRepair(deps, armed.move.name, { primary, attempts: 'all', message: problems.join('; ') }, signal);
  return problems;
}
