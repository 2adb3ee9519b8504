import type { SequenceState } from '../../backends/backend.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { rowsText, scopeOf } from './direction.ts';
import { type HoldContext, overBudget } from './hold-context.ts';
import type { Note } from './trace.ts';
import { asSwitchyardError } from '../time-limit.ts';

const POLL_PAUSE_MS = 1;
/** The target must have answered this recently when the decision is taken: it is needed right after it. */
const FRESH_MS = 50;

/** The sequences of one side, or why they could not be read. Never rejects: it is read beside other steps, while nobody listens. */
export type SequenceReading = Promise<readonly SequenceState[] | SwitchyardError>;

export function startReading(hold: HoldContext, side: 'from' | 'to', deadlineMs: number): SequenceReading {
  const link = hold.links[hold.direction[side].name];
  const late = (): SwitchyardError => overBudget(hold);
  return link.use(deadlineMs - hold.deps.clock.monotonic(), hold.signal, (session, signal) => session.sequences(signal), late).catch(asSwitchyardError);
}

/**
 * Waits until the new primary has recorded the attempt's marker, and sees to it that its sequences (`toReading`, read since the hold began: nobody but a cutover moves them) are ahead. HOLD_BUDGET, SEQUENCE_BEHIND;
 * FENCE_CONFLICT when its rows are not as before a switch.
 */
export async function catchUp(hold: HoldContext, deadlineMs: number, toReading: SequenceReading, note: Note): Promise<void> {
  const fromReading = startReading(hold, 'from', deadlineMs);
  const askedMs = await markerRecorded(hold, deadlineMs, note);
  const [from, to] = await Promise.all([fromReading, toReading]);
  if (from instanceof SwitchyardError) throw from;
  if (to instanceof SwitchyardError) throw to;
  const late = behind(from, to);
  if (late.length > 0) throw new SwitchyardError('SEQUENCE_BEHIND', `sequences of "${hold.direction.to.keyspace}" are not ahead: ${late.join(', ')}`);
  // Reading the sequences took long: is the target there still?
  if (hold.deps.clock.monotonic() - askedMs > FRESH_MS) await markerRecorded(hold, deadlineMs, note);
}

/** Returns when the answer was asked for that says so. */
async function markerRecorded(hold: HoldContext, deadlineMs: number, note: Note): Promise<number> {
  const { attempt, deps, direction, links } = hold;
  const { clock } = deps;
  const scope = scopeOf(direction.move, direction.to.name);
  for (let polls = 1; ; polls += 1) {
    const askedMs = clock.monotonic();
    const late = (): SwitchyardError => overBudget(hold);
    const state = await links[direction.to.name].use(deadlineMs - askedMs, hold.signal, (session, signal) => session.catchUp(direction.stream, signal), late);
    const ready = state.fences.filter((row) => row.state === 'CLOSED' && row.attempt < attempt && row.workflow === scope.workflow && row.peer === scope.peer);
    if (ready.length !== scope.tables.length || state.marker > attempt) {
      throw new SwitchyardError('FENCE_CONFLICT', `"${direction.to.keyspace}" is not waiting for attempt ${attempt}: marker ${state.marker}, ${rowsText(state.fences)}`);
    }
    if (state.marker === attempt && clock.monotonic() - askedMs <= FRESH_MS) {
      note(polls === 1 ? '1 poll' : `${polls} polls`);
      return askedMs;
    }
    if (clock.monotonic() + POLL_PAUSE_MS >= deadlineMs) throw overBudget(hold);
    await clock.sleep(POLL_PAUSE_MS, hold.signal);
  }
}

/** Sequences of `from` that those of `to` are not ahead of, as "table.column". */
export function behind(from: readonly SequenceState[], to: readonly SequenceState[]): readonly string[] {
  const values = new Map(to.map((state) => [`${state.table}.${state.column}`, state.value]));
  return from
    .map((state) => ({ name: `${state.table}.${state.column}`, value: state.value }))
    .flatMap(({ name, value }) => {
      const ahead = values.get(name);
      return ahead === undefined || ahead < value ? [name] : [];
    });
}
