import { attempt as asAttempt } from '../../core/ids.ts';
import { hasReason, type SwitchyardError } from '../../core/switchyard-error.ts';
import { isAt, isState, type SideView } from './direction.ts';
import { Abandoned, type HoldContext } from './hold-context.ts';
import type { Note } from './trace.ts';
import { asSwitchyardError, backOffMs } from '../time-limit.ts';

const TRY_LIMIT_MS = 500;
const TAKE_BACK_LIMIT_MS = 5_000;
const FORWARD_LIMIT_MS = 10_000;

/** Takes the other decision, as often as it needs. `committed`: too late, the source is sealed. `unknown`: it could not be reached; whoever repairs goes on. */
export async function takeBack(hold: HoldContext, note: Note): Promise<'aborted' | 'committed' | 'unknown'> {
  const { attempt, deps, direction, links } = hold;
  const { clock, log } = deps;
  const link = links[direction.from.name];
  const begunMs = clock.monotonic();
  for (let round = 0; ; round += 1) {
    try {
      await link.use(TRY_LIMIT_MS, null, (session, signal) => session.abort(attempt, signal));
      return 'aborted';
    } catch (error) {
      const found = hasReason(error, 'FENCE_CONFLICT') ? await findDecision(hold) : 'unknown';
      if (found !== 'unknown') {
        note(found);
        return found === 'committed' ? 'committed' : 'aborted';
      }
      log.warn({ err: error, workflow: direction.move.name, attempt }, 'an attempt could not be aborted yet');
    }
    const pauseMs = backOffMs(round, 5, 250);
    if (clock.monotonic() + pauseMs > begunMs + TAKE_BACK_LIMIT_MS) return 'unknown';
    await clock.sleep(pauseMs);
  }
}

type Found = 'committed' | 'aborted' | 'never fenced' | 'somebody else has gone on' | 'unknown';

/** What the store says of the attempt. Its fence may have been sent long ago and still be on its way: that there was none is believed only of rows that were read when it could not be set any more. */
async function findDecision({ attempt, deps, direction, links }: HoldContext): Promise<Found> {
  const link = links[direction.from.name];
  const seen = decisionIn(await link.view(TRY_LIMIT_MS, null), attempt);
  if (seen !== 'never fenced') return seen;
  try {
    await link.use(TRY_LIMIT_MS, null, (session, signal) => session.prepare(asAttempt(attempt + 1), signal));
  } catch (error) {
    // LOCK_TAKEN: a later attempt has begun to prepare, which does the same.
    if (!hasReason(error, 'LOCK_TAKEN')) {
      deps.log.warn({ err: error, workflow: direction.move.name, attempt }, 'a fence that is still on its way could not be kept out yet');
      return 'unknown';
    }
  }
  return decisionIn(await link.view(TRY_LIMIT_MS, null), attempt);
}

function decisionIn(view: SideView, attempt: number): Found {
  // The workflow has ended, and a fence finds its rows no more.
  if (view.kind === 'missing') return 'somebody else has gone on';
  if (view.kind !== 'rows') return 'unknown';
  if (isState(view, 'SEALED', 'CLOSED') && view.attempt === attempt) return 'committed';
  if (isState(view, 'OPEN') && view.attempt === attempt) return 'aborted';
  if (isState(view, 'OPEN') && view.attempt < attempt) return 'never fenced';
  return isState(view, 'FROZEN') && view.attempt === attempt ? 'unknown' : 'somebody else has gone on';
}

type ForwardStep = 'ready' | 'close' | 'open';

/** After the decision: each transition until it takes. Null when the new primary is open, else why it is not. Throws only `Abandoned`. */
export async function goForward(hold: HoldContext): Promise<SwitchyardError | null> {
  const deadlineMs = hold.deps.clock.monotonic() + FORWARD_LIMIT_MS;
  try {
    for (const name of ['ready', 'close', 'open'] as const) await hold.trace.step(name, (note) => advance(hold, name, deadlineMs, note));
    return null;
  } catch (error) {
    if (error instanceof Abandoned) throw error;
    return asSwitchyardError(error);
  }
}

async function advance(hold: HoldContext, name: ForwardStep, deadlineMs: number, note: Note): Promise<void> {
  const { deps, direction } = hold;
  const { clock, log } = deps;
  for (let round = 0; ; round += 1) {
    try {
      await transition(hold, name);
      return;
    } catch (error) {
      if (hasReason(error, 'FENCE_CONFLICT') && (await passed(hold, name))) {
        note('somebody else has done it');
        return;
      }
      const pauseMs = backOffMs(round, 2, 500);
      // A conflict may also mean that a store was not seen whole (unreachable): that is tried again as well, a true one stays.
      if (clock.monotonic() + pauseMs > deadlineMs || (hasReason(error, 'FENCE_CONFLICT') && round >= 3)) throw error;
      log.warn({ err: error, workflow: direction.move.name, attempt: hold.attempt, step: name }, 'a step after the decision failed; it is repeated');
      await clock.sleep(pauseMs);
    }
  }
}

function transition(hold: HoldContext, name: ForwardStep): Promise<void> {
  const { attempt, direction, links } = hold;
  if (name === 'ready') return links[direction.to.name].use(TRY_LIMIT_MS, null, (session, signal) => session.ready(direction.stream, attempt, signal));
  if (name === 'close') return links[direction.from.name].use(TRY_LIMIT_MS, null, (session, signal) => session.close(attempt, signal));
  return links[direction.to.name].use(TRY_LIMIT_MS, null, (session, signal) => session.open(direction.stream, attempt, signal));
}

/** Whether the attempt has come beyond the step. */
async function passed(hold: HoldContext, name: ForwardStep): Promise<boolean> {
  const { attempt, direction, links } = hold;
  const to = await links[direction.to.name].view(TRY_LIMIT_MS, null);
  if (isAt(to, 'OPEN', attempt)) return true;
  if (name === 'open') return false;
  if (name === 'ready') return isState(to, 'READABLE');
  return isAt(await links[direction.from.name].view(TRY_LIMIT_MS, null), 'CLOSED', attempt);
}
