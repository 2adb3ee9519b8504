import type { Attempt } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { type ArmedMove, type ControlDeps, type MoveStreams, otherSide, type SideName } from '../move.ts';
import { type Direction, directionTo, isState, scopeOf, viewText } from './direction.ts';
import { fenceLinks } from './fence-link.ts';
import { Abandoned } from './hold-context.ts';
import { newAttempt } from './new-attempt.ts';
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
  /** Of the switch that this is the end of, or a later one: what was begun for another one after it stays. */
  readonly attempt: Attempt;
  readonly streams: MoveStreams;
  readonly deps: ControlDeps;
  readonly steps: StepRunner;
  readonly signal: AbortSignal;
}

const START_LIMIT_MS = 30_000;
const STEP_LIMIT_MS = 30_000;
const STORE_LIMIT_MS = 5_000;

/** After the switch, traffic flowing: starts the way back, ends the way here, compares what changed last. Returns what is not as it should be; throws only `Abandoned`. */
export async function runTail(tail: TailContext): Promise<readonly string[]> {
  const { direction, streams } = tail;
  const started = await attemptStep(tail, 'reverse-start', 'the way back does not run', () => startReverse(tail));
  if (started !== null) return [started];
  const frozen = await attemptStep(tail, 'forward-freeze', `the stream "${direction.stream.id}" is not ended`, (_, signal) => endOtherWay(tail, signal));
  const compared = await attemptStep(tail, 'compare-last', 'the rows that changed last are not compared', async (note, signal) => {
    const { compared: count, different } = await streams.compareLastChanged(direction.from.name, signal);
    note(`${count} ${count === 1 ? 'row' : 'rows'} compared, ${different} ${different === 1 ? 'differs' : 'differ'}`);
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

/** Of the stream out of the side that is closed nothing is wanted any more, and on the one that is open nobody is to be refused. */
async function endOtherWay({ attempt, deps, direction, streams }: TailContext, signal: AbortSignal): Promise<void> {
  const { from, to, move } = direction;
  await streams.freeze(from.name, attempt, signal);
  await to.owner
    .relaxFence(scopeOf(move, to.name), signal)
    .catch((error: unknown) => deps.log.info({ err: error, workflow: move.name }, 'the fence of the open tables could not be relaxed'));
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
  const { armed, deps, primary, signal } = input;
  const problems = await runTail(tailOf(input, await outdateAttempts(input)));
  await recordRepair(deps, armed.move.name, { primary, attempts: 'all', message: problems.join('; ') }, signal);
  return problems;
}

/**
 * Drops the log that leads away from the side that does not serve, whoever has begun it: for an attempt that came to nothing, or where the end of a switch was cut short. It would keep that store's history for as long as nobody
 * switches again. Idempotent; to be called as `finishSwitch` is, when the stream out of the side that serves runs. Rejects when it is not done.
 */
export async function dropLeftLog(input: FinishInput): Promise<void> {
  const late = (): SwitchyardError => new SwitchyardError('DEADLINE_EXCEEDED', `the log that nobody wants could not be dropped within ${STEP_LIMIT_MS} ms`);
  await within(input.deps.clock, STEP_LIMIT_MS, late, input.signal, async (signal) => endOtherWay(tailOf(input, await outdateAttempts({ ...input, signal })), signal));
}

function tailOf({ armed, deps, primary, signal, streams }: FinishInput, attempt: Attempt): TailContext {
  const steps: StepRunner = { step: (_, act) => act(() => {}) };
  return { direction: directionTo(armed.move, primary), attempt, streams, deps, steps, signal };
}

/**
 * Begins an attempt that only prepares, to keep all earlier ones from switching, those included whose fence is still on its way: so no log that one of them has begun is that of a switch which is made. A later one has a log of its
 * own. Returns its number.
 */
async function outdateAttempts({ armed: { move }, deps, primary, signal }: FinishInput): Promise<Attempt> {
  await using links = fenceLinks(move, deps);
  const attempt = await newAttempt(links, deps, signal);
  await links[primary].use(STORE_LIMIT_MS, signal, (session, limited) => session.prepare(attempt, limited));
  // After that: what is seen now can be changed only by a later attempt.
  const [open, closed] = await Promise.all([links[primary].view(STORE_LIMIT_MS, signal), links[otherSide(primary)].view(STORE_LIMIT_MS, signal)]);
  if (!isState(open, 'OPEN') || !isState(closed, 'CLOSED'))
    throw new SwitchyardError('WORKFLOW_STATE', `"${move[primary].keyspace}" does not serve alone: its fence is ${viewText(open)}, the other one ${viewText(closed)}`);
  return attempt;
}
