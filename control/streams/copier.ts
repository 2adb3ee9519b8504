import type { CopyProgress, ReplicationStore } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import { keyIndexes, type TableSchema } from '../../core/table-schema.ts';
import { ChunkSize } from './chunk-size.ts';
import type { Player } from './player.ts';
import { keyOf } from './replay.ts';

export interface CopierOptions {
  readonly tables: readonly TableSchema[];
  readonly from: ReplicationStore;
  readonly player: Player;
  readonly clock: Clock;
  /** Told of every chunk that is committed on the target. */
  readonly onProgress: (table: string, progress: CopyProgress) => void;
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
  const size = new ChunkSize();
  let progress = from;
  let applying: Promise<number> = Promise.resolve(0);
  while (!progress.done) {
    const startedAt = clock.monotonic();
    const limit = size.rows;
    const chunk = { progress, rows: [] as Awaited<ReturnType<ReplicationStore['readChunk']>> };
    const { applied } = await player.copyChunk(
      table,
      async () => {
        const rows = await options.from.readChunk(table, progress.lastKey, limit, signal);
        const last = rows.at(-1);
        chunk.rows = rows;
        chunk.progress = { lastKey: last === undefined ? progress.lastKey : keyOf(keyIndexes(table), last), rows: progress.rows + rows.length, done: rows.length < limit };
        return { rows, progress: chunk.progress };
      },
      signal,
    );
    const readMs = clock.monotonic() - startedAt;
    size.learn(chunk.rows, Math.max(readMs, await applying));
    applying = finish(options, table.name, chunk.progress, applied, clock.monotonic());
    applying.catch(() => undefined); // it is awaited in the next round; until then a fault must not count as unhandled
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
