import type { FenceRow, FenceState } from '../../core/fence.ts';
import { isState, sideView } from '../cutover/direction.ts';
import type { Move, SideName } from '../move.ts';
import type { Serving } from './machine.ts';

/** Reads both stores' fence rows and says which side serves. A store that does not answer makes it unknown. */
export async function readServing(move: Move, signal: AbortSignal): Promise<Serving> {
  const rowsOf = async (side: SideName): Promise<readonly FenceRow[] | null> => {
    try {
      return await move[side].owner.fenceRows(move.tables, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      return null;
    }
  };
  const [source, target] = await Promise.all([rowsOf('source'), rowsOf('target')]);
  return source === null || target === null ? 'unknown' : servingOf(move, source, target);
}

export function servingOf(move: Move, sourceRows: readonly FenceRow[], targetRows: readonly FenceRow[]): Serving {
  const source = sideView(move, 'source', sourceRows);
  const target = sideView(move, 'target', targetRows);
  if (isState(source, 'OPEN') && (isState(target, 'CLOSED') || target.kind === 'missing')) return 'source';
  if (isState(source, 'CLOSED') && isState(target, 'OPEN')) return 'target';
  if (source.kind !== 'missing' && target.kind !== 'missing') return 'between';
  // An ending gives back one side after the other; the rows stay, and say which one is open.
  const are = (ofSource: FenceState, ofTarget: FenceState): boolean => areAll(move, sourceRows, ofSource) && areAll(move, targetRows, ofTarget);
  if (are('OPEN', 'CLOSED')) return 'source-given-back';
  if (are('CLOSED', 'OPEN')) return 'target-given-back';
  // Claiming takes the target first, so a source without rows has never been part of a cutover.
  return source.kind === 'missing' && (isState(target, 'CLOSED') || target.kind === 'missing') ? 'unclaimed' : 'between';
}

/** Whether all the tables are in this state, whoever owns them. */
const areAll = ({ tables }: Move, rows: readonly FenceRow[], state: FenceState): boolean => tables.every((table) => rows.some((row) => row.table === table && row.state === state));
