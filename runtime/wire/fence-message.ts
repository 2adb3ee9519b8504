import type { FenceRow, FenceState } from '../../core/fence.ts';
import { attempt } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { type FenceRow as WireRow, FenceState as WireState } from '../../gen/switchyard/store/v1/common_pb.ts';

export const wireStates: Readonly<Record<FenceState, WireState>> = {
  OPEN: WireState.OPEN,
  FROZEN: WireState.FROZEN,
  SEALED: WireState.SEALED,
  CLOSED: WireState.CLOSED,
  READABLE: WireState.READABLE,
};

const states: ReadonlyMap<WireState, FenceState> = new Map((Object.keys(wireStates) as FenceState[]).map((state) => [wireStates[state], state]));

/** STORE_FAILED: a state that this release does not know, and must not take for another. */
export function stateFromMessage(state: WireState): FenceState {
  const known = states.get(state);
  if (known === undefined) throw new SwitchyardError('STORE_FAILED', `the fence state ${state} of a table is not known to this release`);
  return known;
}

export const fenceRowMessage = ({ table, state, attempt: at, peer, workflow }: FenceRow): WireRow => ({
  $typeName: 'switchyard.store.v1.FenceRow',
  table,
  state: wireStates[state],
  attempt: BigInt(at),
  peer,
  ...(workflow === null ? {} : { workflow }),
});

/** The reverse. STORE_FAILED: see `stateFromMessage`. */
export const fenceRowFromMessage = ({ table, state, attempt: at, peer, workflow }: WireRow): FenceRow => ({
  table,
  state: stateFromMessage(state),
  attempt: attempt(Number(at)),
  peer,
  workflow: workflow ?? null,
});
