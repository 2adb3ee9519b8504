import { isState, sideView } from '../cutover/direction.ts';
import type { SideView } from '../cutover/direction.ts';
import type { Move } from '../move.ts';
import type { Serving } from './machine.ts';

/** Reads both stores' fence rows and says which side serves. A store that does not answer makes it unknown. */
export async function readServing(move: Move, signal: AbortSignal): Promise<Serving> {
  const view = async (side: 'source' | 'target'): Promise<SideView> => {
    try {
      return sideView(move, side, await move[side].owner.fenceRows(move.tables, signal));
    } catch (error) {
      if (signal.aborted) throw error;
      return { kind: 'unreachable', message: String(error) };
    }
  };
  const [source, target] = await Promise.all([view('source'), view('target')]);
  return servingOf(source, target);
}

export function servingOf(source: SideView, target: SideView): Serving {
  if (source.kind === 'unreachable' || target.kind === 'unreachable') return 'unknown';
  // Claiming takes the target first, so a source without rows has never been part of a cutover.
  if (source.kind === 'missing') return isState(target, 'CLOSED') || target.kind === 'missing' ? 'unclaimed' : 'between';
  if (isState(source, 'OPEN') && (isState(target, 'CLOSED') || target.kind === 'missing')) return 'source';
  if (isState(source, 'CLOSED') && isState(target, 'OPEN')) return 'target';
  return 'between';
}
