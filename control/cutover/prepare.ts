import type { SequenceState } from '../../backends/backend.ts';
import type { Attempt } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { WorkflowDocument } from '../../core/workflow-document.ts';
import type { ControlDeps, MoveStreams } from '../move.ts';
import { within } from '../time-limit.ts';
import { type Direction, isState, scopeOf, viewText } from './direction.ts';
import type { FenceLinks } from './fence-link.ts';
import { awaitLowLag } from './lag.ts';
import type { CutoverTrace } from './trace.ts';

export interface PrepareContext {
  readonly direction: Direction;
  readonly attempt: Attempt;
  readonly document: WorkflowDocument;
  readonly streams: MoveStreams;
  readonly links: FenceLinks;
  readonly trace: CutoverTrace;
  readonly deps: ControlDeps;
  readonly signal: AbortSignal;
}

const LEAST_MARGIN = 1_000n;
const STORE_LIMIT_MS = 2_000;
const FREEZE_LIMIT_MS = 60_000;

/** What must be there before a hold: the way back, sequences ahead, rights saved, connections open. Idempotent; each attempt does it anew, so that the way back begins where its hold begins. */
export async function prepare(context: PrepareContext): Promise<void> {
  const { attempt, deps, direction, document, links, signal, streams, trace } = context;
  const { from, to, move } = direction;
  await trace.step('reverse-stream', async () => {
    // Before the looks: from here on only a later attempt can switch, and that one has a log that this one cannot touch. So nobody throws away the log of a switch that is made, however long he sleeps between a look and what he does.
    await links[from.name].use(STORE_LIMIT_MS, signal, (session, limited) => session.prepare(attempt, limited));
    const seen = { token: await from.owner.streamToken(direction.reverse, signal), scope: scopeOf(move, from.name), state: 'OPEN' } as const;
    await requireBefore(context);
    // Nobody may follow a log that is thrown away: a switch whose end was cut short may have left it running.
    const late = (): SwitchyardError => new SwitchyardError('STORE_UNAVAILABLE', `the stream out of "${to.keyspace}" did not end within ${FREEZE_LIMIT_MS} ms`);
    await within(deps.clock, FREEZE_LIMIT_MS, late, signal, (limited) => streams.freeze(to.name, attempt, limited));
    const position = await to.owner.createLog(direction.reverse, attempt, signal);
    await from.owner.beginStream(direction.reverse, position, seen, signal);
  });
  await trace.step('sequences', async (note) => {
    const present = await from.owner.sequences(move.tables, signal);
    await to.owner.raiseSequences(present.map(withMargin), signal);
    if (present.length > 0) note(`${present.length} raised`);
  });
  await trace.step('warm-up', async (note) => {
    const rights = await from.owner.gatewayRights(move.tables, signal);
    await to.owner.saveRights(scopeOf(move, to.name), rights, signal);
    await Promise.all([links.source.warmUp(signal), links.target.warmUp(signal)]);
    note(`lag ${Math.round(await awaitLowLag(direction, document, streams, deps.clock, signal))} ms`);
  });
}

/** Looks once more, right before the log of the way back begins anew: whoever has lost the lead without noticing must not throw away the log of a switch that is made. */
async function requireBefore({ direction, links, signal }: PrepareContext): Promise<void> {
  const [left, entered] = await Promise.all([links[direction.from.name].view(STORE_LIMIT_MS, signal), links[direction.to.name].view(STORE_LIMIT_MS, signal)]);
  for (const view of [left, entered]) if (view.kind === 'unreachable') throw new SwitchyardError('STORE_UNAVAILABLE', view.message);
  if (isState(left, 'OPEN') && isState(entered, 'CLOSED')) return;
  throw new SwitchyardError('FENCE_CONFLICT', `the fence rows are not as before a switch: ${viewText(left)}, ${viewText(entered)}`);
}

/** Far enough ahead that numbers handed out until the fence do not reach it. */
export function withMargin(state: SequenceState): SequenceState {
  const percent = state.value / 100n;
  return { ...state, value: state.value + (percent > LEAST_MARGIN ? percent : LEAST_MARGIN) };
}
