import type { CopyProgress, ReplicationStore } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import { REQUESTS, REQUESTS_CHUNK_BYTES } from '../../core/request-record.ts';
import { recordBytes } from './cell-bytes.ts';
import { ChunkSize } from './chunk-size.ts';
import type { Player } from './player.ts';
import { type ShareBounds, WorkShare } from './work-share.ts';

export interface RequestCopierOptions {
  readonly tables: readonly string[];
  readonly from: ReplicationStore;
  readonly player: Pick<Player, 'state' | 'applyRequests'>;
  readonly clock: Clock;
  readonly share: () => ShareBounds;
  /** Told, under the name `REQUESTS`, of every chunk that is committed on the target. */
  readonly onProgress: (table: string, progress: CopyProgress, bytes: number) => void;
}

/**
 * Copies the records of requests for the tables in chunks by their key. They never change, so no window is needed: one that is written behind the place that the copy has come to is in the log. Goes on from what the stream has
 * recorded; resolves when the last chunk is committed on the target. Rests as the copier of the tables does.
 */
export async function copyRequests({ tables, from, player, clock, share: bounds, onProgress }: RequestCopierOptions, signal: AbortSignal): Promise<void> {
  const size = new ChunkSize();
  const share = new WorkShare(bounds);
  let progress = player.state.copied.get(REQUESTS) ?? { lastKey: null, rows: 0, done: false };
  while (!progress.done) {
    const startedAt = clock.monotonic();
    const limit = size.rows;
    const records = await from.readRequests(tables, progress.lastKey, limit, signal);
    const last = records.at(-1);
    const isLast = records.length < limit && records.reduce((sum, { result }) => sum + result.length, 0) < REQUESTS_CHUNK_BYTES;
    progress = { lastKey: last === undefined ? progress.lastKey : [last.caller, last.id, last.table], rows: progress.rows + records.length, done: isLast };
    await player.applyRequests(records, progress, signal);
    const bytes = records.reduce((sum, record) => sum + recordBytes(record), 0);
    onProgress(REQUESTS, progress, bytes);
    if (progress.done) return;
    const tookMs = clock.monotonic() - startedAt;
    size.learnSize(records.length, bytes, tookMs);
    await clock.sleep(share.restMs(records.length, tookMs), signal);
  }
}
