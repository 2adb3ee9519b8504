import type { FenceScope, StreamSpec } from '../../backends/backend.ts';
import type { FenceRow, FenceState } from '../../core/fence.ts';
import { type Move, otherSide, type Side, type SideName, streamFrom } from '../move.ts';

/** A move seen in the direction of one switch: `from` is being left, `to` becomes primary. */
export interface Direction {
  readonly move: Move;
  readonly from: Side;
  readonly to: Side;
  /** Flows out of `from`; its row lies in `to`. */
  readonly stream: StreamSpec;
  /** Flows out of `to`, the way back; its row lies in `from`. */
  readonly reverse: StreamSpec;
}

export function directionTo(move: Move, to: SideName): Direction {
  const from = otherSide(to);
  return { move, from: move[from], to: move[to], stream: streamFrom(move, from), reverse: streamFrom(move, to) };
}

/** The tables of the move in the store of `side`, as its transitions ask for them. */
export function scopeOf(move: Move, side: SideName): FenceScope {
  return { workflow: move.name, peer: move[otherSide(side)].keyspace, tables: move.tables };
}

/** All the fence rows of a move in one store, taken together. */
export type SideView =
  /** Every table has its row, all in one state and owned by the move. `attempt` is the highest; `even`: all rows hold it. */
  | { readonly kind: 'rows'; readonly state: FenceState; readonly attempt: number; readonly even: boolean }
  /** No table has a row that the move owns: not claimed yet, or given back. */
  | { readonly kind: 'missing' }
  /** Rows that no step of the protocol leaves behind. */
  | { readonly kind: 'mixed'; readonly message: string }
  | { readonly kind: 'unreachable'; readonly message: string };

export function sideView(move: Move, side: SideName, rows: readonly FenceRow[]): SideView {
  const scope = scopeOf(move, side);
  const owned = rows.filter((row) => scope.tables.includes(row.table) && row.workflow === scope.workflow && row.peer === scope.peer);
  const first = owned[0];
  if (first === undefined) return { kind: 'missing' };
  const attempt = Math.max(...owned.map((row) => row.attempt));
  const even = owned.every((row) => row.attempt === attempt);
  const undecided = first.state === 'FROZEN' || first.state === 'SEALED';
  if (owned.length !== scope.tables.length || owned.some((row) => row.state !== first.state) || (undecided && !even)) {
    return { kind: 'mixed', message: `${move[side].keyspace}: ${rowsText(rows)}` };
  }
  return { kind: 'rows', state: first.state, attempt, even };
}

export const rowsText = (rows: readonly FenceRow[]): string => rows.map((row) => `${row.table} ${row.state}(${row.attempt}) of ${row.workflow ?? 'nobody'}`).join(', ');

/** Whether all the tables are in this state, of this attempt. */
export const isAt = (view: SideView, state: FenceState, attempt: number): boolean => view.kind === 'rows' && view.state === state && view.attempt === attempt && view.even;
export const isState = (view: SideView, ...states: readonly FenceState[]): boolean => view.kind === 'rows' && states.includes(view.state);

export function viewText(view: SideView): string {
  if (view.kind === 'rows') return `${view.state}(${view.attempt})`;
  if (view.kind === 'missing') return 'no rows';
  return `${view.kind}: ${view.message}`;
}
