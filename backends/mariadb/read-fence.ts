import { type FenceRow, type FenceState, mayRead } from '../../core/fence.ts';
import { attempt } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { quoteText } from './connection.ts';
import { FENCE_TABLE } from './names.ts';
import type { Value, ValueRow } from './session.ts';

/*
 * The read fence: the table's fence row is read in the very statement that reads the table's rows, and so in its snapshot. Only a statement of a store that is prepared can name the fence's table: see `isUnprepared`.
 */

/** The table's state, as a column of a statement that reads rows of the table. Such a statement that has no rows tells nothing of it. */
export const fenceColumn = (table: string): string => `(SELECT state FROM ${FENCE_TABLE} WHERE table_name = ${quoteText(table)})`;

/**
 * The rows of `inner`, each behind the table's state and a 1, where the table may be read; else, and where `inner` has no rows, one row with the state and NULLs. `inner` selects 1 AS found, and so many columns named c0, c1, ….
 */
export const fencedRows = (table: string, inner: string, columns: number): string => joined(table, inner, columns, `f.state IS NULL OR f.state <> 'CLOSED'`);

/** The same, whatever the state is: for who asks something else of it. */
export const besideFence = (table: string, inner: string, columns: number): string => joined(table, inner, columns, 'TRUE');

function joined(table: string, inner: string, columns: number, on: string): string {
  const cells = Array.from({ length: columns }, (_, i) => `, q.c${i}`).join('');
  return `SELECT f.state, q.found${cells} FROM (SELECT MAX(state) AS state FROM ${FENCE_TABLE} WHERE table_name = ${quoteText(table)}) f LEFT JOIN (${inner}) q ON ${on}`;
}

/** FENCED when gateways may not read (or do what `may` says to) a table in this state. Null: a table without a fence row. */
export function checkState(table: string, state: Value, may: (state: FenceState) => boolean = mayRead): void {
  if (state === null || may(state as FenceState)) return;
  throw new SwitchyardError('FENCED', `the fence of table "${table}" is ${String(state)}`, { metadata: { table } });
}

/** Columns of a fence row, in the order of `fenceRow`. */
export const fenceColumns = 'table_name, state, attempt, peer, workflow';

export const fenceRow = ([table, state, number, peer, workflow]: ValueRow): FenceRow => ({
  table: String(table),
  state: String(state) as FenceState,
  attempt: attempt(Number(number)),
  peer: String(peer),
  workflow: workflow === null || workflow === undefined ? null : String(workflow),
});
