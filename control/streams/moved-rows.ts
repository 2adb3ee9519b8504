import type { ReplicationStore } from '../../backends/backend.ts';
import { type Cell, keyText } from '../../core/cell.ts';
import { type ChangedCell, type ChangeEvent, unchanged } from '../../core/change.ts';
import { keyIndexes, type TableSchema } from '../../core/table-schema.ts';
import { keyOf } from './replay.ts';

const keysAtOnce = 500;

type Move = Extract<ChangeEvent, { kind: 'update' }> & { readonly oldKey: readonly Cell[] };

const isIncompleteMove = (event: ChangeEvent): event is Move => event.kind === 'update' && event.oldKey !== null && event.row.includes(unchanged);

/**
 * While a table is being copied, a row that changes its primary key may come from a range that is not copied yet into one that is: then the target has no row to keep the unchanged cells of, and the copier will
 * not come by again. Such cells are read from the source here. What is read may be newer than the event; then the changes in between are still to come and bring every cell to its own last value. A row that is
 * gone by now has its deletion or its next move still to come, so only its old key is deleted.
 * `untilSeen` resolves when a read sees all that the log has shown.
 */
export async function completeMoves(
  from: ReplicationStore,
  untilSeen: () => Promise<void>,
  schemas: ReadonlyMap<string, TableSchema>,
  events: readonly ChangeEvent[],
  signal: AbortSignal,
): Promise<readonly ChangeEvent[]> {
  const moves = events.filter(isIncompleteMove);
  if (moves.length === 0) return events;
  // A row that is not there yet must not be taken for one that is gone.
  await untilSeen();
  const present = new Map<string, readonly Cell[]>();
  for (const [name, ofTable] of Map.groupBy(moves, (move) => move.table)) {
    const table = schemas.get(name);
    if (table === undefined) continue;
    const indexes = keyIndexes(table);
    const keys = ofTable.map((move) => keyOf(indexes, move.row));
    for (let start = 0; start < keys.length; start += keysAtOnce) {
      const rows = await from.readRows(table, keys.slice(start, start + keysAtOnce), signal);
      for (const row of rows) present.set(`${name}:${keyText(keyOf(indexes, row))}`, row);
    }
  }
  return events.map((event) => (isIncompleteMove(event) ? completed(event, schemas, present) : event));
}

function completed(move: Move, schemas: ReadonlyMap<string, TableSchema>, present: ReadonlyMap<string, readonly Cell[]>): ChangeEvent {
  const table = schemas.get(move.table);
  if (table === undefined) return move;
  const now = present.get(`${move.table}:${keyText(keyOf(keyIndexes(table), move.row))}`);
  if (now === undefined) return { kind: 'delete', table: move.table, key: move.oldKey };
  return { ...move, row: move.row.map((cell: ChangedCell, index) => (cell === unchanged ? (now[index] ?? null) : cell)) };
}
