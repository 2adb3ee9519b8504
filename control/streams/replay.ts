import type { Cell } from '../../core/cell.ts';
import { keyText } from '../../core/cell.ts';
import { type ChangedCell, type RowChange, unchanged } from '../../core/change.ts';
import { keyIndexes, type TableSchema } from '../../core/table-schema.ts';

type WholeRow = readonly Cell[];

const isWhole = (row: readonly ChangedCell[]): row is WholeRow => !row.includes(unchanged);

/** The primary key's cells of a positional row. A source sends key cells always, so one that is missing is a fault. */
export function keyOf(indexes: readonly number[], row: readonly ChangedCell[]): readonly Cell[] {
  return indexes.map((index) => {
    const cell = row[index];
    if (cell === undefined || cell === unchanged) throw new Error('a change came without a cell of its primary key');
    return cell;
  });
}

/**
 * The state of a set of rows at the end of a log window, from their state at *any* moment within it and the window's changes (DBLog): replays every change in order onto the rows by key. Changes that the rows
 * had already seen are replayed too, which is harmless: the last known value of a cell wins, and a cell that no change names did not change within the window, so the value that was read is the right one.
 * `changes` are those of `table` alone (with the truncates that name it). Returns the rows that exist at the end, by the text of their key: rows that were inserted within the window among them.
 */
export function replay(table: TableSchema, rows: readonly WholeRow[], changes: readonly RowChange[]): Map<string, WholeRow> {
  const indexes = keyIndexes(table);
  const state = new Map<string, WholeRow>(rows.map((row) => [keyText(keyOf(indexes, row)), row]));
  for (const change of changes) replayOne(indexes, state, change);
  return state;
}

function replayOne(indexes: readonly number[], state: Map<string, WholeRow>, change: RowChange): void {
  switch (change.kind) {
    case 'truncate':
      state.clear();
      return;
    case 'delete':
      state.delete(keyText(change.key));
      return;
    case 'insert':
      state.set(keyText(keyOf(indexes, change.row)), change.row);
      return;
    case 'update': {
      const key = keyText(keyOf(indexes, change.row));
      const oldKey = change.oldKey === null ? key : keyText(change.oldKey);
      const before = state.get(oldKey) ?? state.get(key);
      state.delete(oldKey);
      if (isWhole(change.row)) state.set(key, change.row);
      else if (before !== undefined) state.set(key, overlay(before, change.row));
      return;
    }
  }
}

/** `before` with the cells of `change` that are known. */
function overlay(before: WholeRow, change: readonly ChangedCell[]): WholeRow {
  return before.map((cell, index) => {
    const changed = change[index];
    return changed === undefined || changed === unchanged ? cell : changed;
  });
}
