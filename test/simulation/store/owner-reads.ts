import type { SequenceState } from '../../../backends/backend.ts';
import type { FenceRow } from '../../../core/fence.ts';
import type { Transaction } from './transaction.ts';

/** The fence rows of these tables as the statement sees them, in order of table; null: all. */
export const fenceRowsOf = (transaction: Transaction, tables: readonly string[] | null): readonly FenceRow[] =>
  transaction.scan<FenceRow>('fence').flatMap(([table, row]) => (tables === null || tables.includes(table) ? [row] : []));

/** The numbers handed out so far. A sequence takes part in no transaction. */
export const sequencesOf = (transaction: Transaction, tables: readonly string[]): readonly SequenceState[] =>
  transaction.scan<SequenceState>('sequence').flatMap(([, state]) => (tables.includes(state.table) ? [state] : []));
