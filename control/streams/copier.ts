import type { ChunkRows, CopyProgress, ReplicationStore } from '../../backends/backend.ts';
import type { Cell } from '../../core/cell.ts';
import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { keyIndexes, type TableSchema } from '../../core/table-schema.ts';
import { chunkBytes } from './cell-bytes.ts';
import { ChunkSize } from './chunk-size.ts';
import type { Player } from './player.ts';
import { keyOf } from './replay.ts';
import { partOf, type ShareBounds, WorkShare } from './work-share.ts';

export interface CopierOptions {
  readonly tables: readonly TableSchema[];
  readonly from: ReplicationStore;
  readonly to: ReplicationStore;
  /** The tables as the target describes them. */
  readonly target: ReadonlyMap<string, TableSchema>;
  readonly player: Player;
  readonly clock: Clock;
  readonly share: () => ShareBounds;
  /** Told of every chunk that is committed on the target, and about how much memory its rows take. */
  readonly onProgress: (table: string, progress: CopyProgress, bytes: number) => void;
}

/** Tables that are copied at once: while one waits for the source's log or for the network, another is read or written. */
const atOnce = 3;

/**
 * Copies the tables' rows, of some tables at once, in chunks by primary key, each within a window of the source's log (DBLog): no long snapshot, no lock. Goes on from what the stream has recorded; resolves when every table's last chunk
 * is committed on the target. The next chunk is read while the last one is applied, after a rest that leaves the stores to the services when they are busy.
 */
export async function copyTables(options: CopierOptions, signal: AbortSignal): Promise<void> {
  const left = options.tables.values();
  const failure = new AbortController();
  const both = AbortSignal.any([signal, failure.signal]);
  let running = 0;
  const each = { ...options, share: () => partOf(options.share(), running) };
  const copySome = async (): Promise<void> => {
    running += 1;
    for (const table of left) {
      const progress = options.player.state.copied.get(table.name) ?? { lastKey: null, rows: 0, done: false };
      if (!progress.done) await copyTable(each, table, progress, both);
    }
    running -= 1;
  };
  const copiers = Array.from({ length: atOnce }, () => copySome().catch((error: unknown) => failure.abort(error)));
  // All have let go of the stores before this one ends; the first failure is told.
  await Promise.all(copiers);
  failure.signal.throwIfAborted();
}

async function copyTable(options: CopierOptions, table: TableSchema, from: CopyProgress, signal: AbortSignal): Promise<void> {
  const { player, clock } = options;
  const size = new ChunkSize();
  const share = new WorkShare(options.share);
  const read = readerOf(options, table);
  let progress = from;
  let before: Promise<CopiedChunk> | null = null;
  while (!progress.done) {
    const startedAt = clock.monotonic();
    const limit = size.rows;
    const chunk: { progress: CopyProgress; rows: ChunkRows } = { progress, rows: [] };
    const { applied } = await player.copyChunk(
      table,
      async () => {
        const rows = await read(progress.lastKey, limit, signal);
        const done = rows.length < limit && !('cut' in rows && rows.cut);
        if (done) await requireSameShape(options, table, signal);
        const last = rows.at(-1);
        chunk.rows = rows;
        chunk.progress = { lastKey: last === undefined ? progress.lastKey : keyOf(keyIndexes(table), last), rows: progress.rows + rows.length, done };
        return { rows, progress: chunk.progress };
      },
      signal,
    );
    const reading = clock.monotonic() - startedAt;
    const last = await before;
    before = finish(options, table.name, chunk, reading, applied);
    before.catch(() => undefined); // it is awaited in the next round; until then a fault must not count as unhandled
    progress = chunk.progress;
    if (last === null || progress.done) continue;
    size.learn(last.rows, Math.max(last.readMs, last.applyMs));
    await clock.sleep(share.restMs(last.rows.length, last.readMs + last.applyMs), signal);
  }
  await before;
}

/** The log shows a changed definition only with the table's next change; chunks behind it were read as it says. */
async function requireSameShape({ from }: CopierOptions, table: TableSchema, signal: AbortSignal): Promise<void> {
  const now = await from.describe(table.name, signal);
  if (now !== null && formOf(now) === formOf(table)) return;
  throw new SwitchyardError('STREAM_FAILED', `table ${table.name} was altered in the source while it was copied: create the workflow anew`, {
    metadata: { problem: 'SCHEMA_CHANGED', table: table.name },
  });
}

/** What the values of rows depend on. */
const formOf = ({ columns, primaryKey }: TableSchema): string => JSON.stringify([columns.map(({ name, nativeType, storedType }) => [name, nativeType, storedType]), primaryKey]);

type ReadChunk = (after: readonly Cell[] | null, limit: number, signal: AbortSignal) => Promise<ChunkRows>;

/** Between two stores of one kind rows need not be understood on their way. */
function readerOf({ from, to, target }: CopierOptions, table: TableSchema): ReadChunk {
  const raw = from.raw !== undefined && from.raw.form === to.raw?.form && target.get(table.name)?.fingerprint === table.fingerprint ? from.raw : null;
  return async (after, limit, signal) => (await raw?.readChunk(table, after, limit, signal)) ?? (await from.readChunk(table, after, limit, signal));
}

interface CopiedChunk {
  readonly rows: ChunkRows;
  readonly readMs: number;
  /** From its window's end on, or from the commit of the chunk before it where that was later. */
  readonly applyMs: number;
}

/** Resolves when the chunk is committed on the target. */
async function finish(
  { clock, onProgress }: CopierOptions,
  table: string,
  chunk: { readonly rows: CopiedChunk['rows']; readonly progress: CopyProgress },
  readMs: number,
  applied: Promise<unknown>,
): Promise<CopiedChunk> {
  const startedAt = clock.monotonic();
  await applied;
  onProgress(table, chunk.progress, chunkBytes(chunk.rows));
  return { rows: chunk.rows, readMs, applyMs: clock.monotonic() - startedAt };
}
