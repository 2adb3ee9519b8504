import type { CopyProgress, ReplicationStore } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import { keyIndexes, type TableSchema } from '../../core/table-schema.ts';
import type { Player } from './player.ts';
import { keyOf } from './replay.ts';

const firstRows = 1_000;
const leastRows = 100;
const mostRows = 20_000;
/** What reading or applying a chunk should take: the player's other changes wait as long. */
const chunkMs = 150;

export interface CopierOptions {
  readonly tables: readonly TableSchema[];
  readonly from: ReplicationStore;
  readonly player: Player;
  readonly clock: Clock;
  /** Told of every chunk that is committed on the target. */
  readonly onProgress: (table: string, progress: CopyProgress) => void;
}

/** Number of rows of the next chunk, from how long the last one took. */
export function nextChunkRows(rows: number, tookMs: number): number {
  const factor = Math.min(2, Math.max(0.25, chunkMs / Math.max(1, tookMs)));
  return Math.round(Math.min(mostRows, Math.max(leastRows, rows * factor)));
}

/**
 * Copies the tables' rows in chunks by primary key, each within a window of the source's log (DBLog): no long snapshot, no lock. Goes on from what the stream has recorded; resolves when every table's last chunk
 * is committed on the target. The next chunk is read while the last one is applied.
 */
export async function copyTables(options: CopierOptions, signal: AbortSignal): Promise<void> {
  for (const table of options.tables) {
    const progress = options.player.state.copied.get(table.name) ?? { lastKey: null, rows: 0, done: false };
    if (!progress.done) await copyTable(options, table, progress, signal);
  }
}

async function copyTable(options: CopierOptions, table: TableSchema, from: CopyProgress, signal: AbortSignal): Promise<void> {
  const { player, clock } = options;
  let progress = from;
  let limit = firstRows;
  let applying: Promise<number> = Promise.resolve(0);
  while (!progress.done) {
    const startedAt = clock.monotonic();
    const chunk = { progress };
    const { applied } = await player.copyChunk(
      table,
      async () => {
        const rows = await options.from.readChunk(table, progress.lastKey, limit, signal);
        const last = rows.at(-1);
        chunk.progress = { lastKey: last === undefined ? progress.lastKey : keyOf(keyIndexes(table), last), rows: progress.rows + rows.length, done: rows.length < limit };
        return { rows, progress: chunk.progress };
      },
      signal,
    );
    const readMs = clock.monotonic() - startedAt;
    const applyMs = await applying;
    applying = finish(options, table.name, chunk.progress, applied, clock.monotonic());
    applying.catch(() => undefined); // it is awaited in the next round; until then a fault must not count as unhandled
    limit = nextChunkRows(limit, Math.max(readMs, applyMs));
    progress = chunk.progress;
  }
  await applying;
}

/** Resolves, with how long it took, when the chunk is committed on the target. */
async function finish(options: CopierOptions, table: string, progress: CopyProgress, applied: Promise<unknown>, startedAt: number): Promise<number> {
  await applied;
  options.onProgress(table, progress);
  return options.clock.monotonic() - startedAt;
}
