import type { Attempt } from './ids.ts';

/** State of one table in one store; the store itself refuses what the state does not allow. The table is in docs of the cutover protocol. */
export const fenceStates = ['OPEN', 'FROZEN', 'SEALED', 'CLOSED', 'READABLE'] as const;
export type FenceState = (typeof fenceStates)[number];

/** One row of a store's `switchyard.fence`. Rows are kept for ever; a table without one is unmanaged. */
export interface FenceRow {
  readonly table: string;
  readonly state: FenceState;
  readonly attempt: Attempt;
  /** Keyspace at the other end of the table's present or last workflow. */
  readonly peer: string;
  /** Workflow that owns the table, null when none does. */
  readonly workflow: string | null;
}

/** Whether gateways may read a table in this state: everywhere but CLOSED. */
export const mayRead = (state: FenceState): boolean => state !== 'CLOSED';
/** Whether gateways may write a table in this state: OPEN only. */
export const mayWrite = (state: FenceState): boolean => state === 'OPEN';
