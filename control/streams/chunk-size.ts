import type { ChunkRows } from '../../backends/backend.ts';
import type { Cell } from '../../core/cell.ts';
import type { Clock } from '../../core/clock.ts';
import { chunkBytes } from './cell-bytes.ts';

/** Also what a chunk has at least, however long it takes: a part of that time is the same for any number of rows, such as two round trips and the player's backlog. */
const firstRows = 200;
/** What it has at least when its rows are large. */
const leastRows = 10;
const mostRows = 20_000;
const mostBytes = 8 * 1024 * 1024;
/** What a chunk should take: whatever waits for it, in the stores or in this process, waits as long. */
const chunkMs = 75;

/** How many rows the next chunk of a table should have: begins small, and grows and shrinks with how long chunks take and how large they are. */
export class ChunkSize {
  #rows = firstRows;

  get rows(): number {
    return this.#rows;
  }

  /** Learns from a chunk of full size that took so long. */
  learn(chunk: ChunkRows, tookMs: number): void {
    this.learnSize(chunk.length, chunkBytes(chunk), tookMs);
  }

  /** The same of so many pieces of any sort, which are so large together. */
  learnSize(count: number, bytes: number, tookMs: number): void {
    const byTime = count * Math.min(2, Math.max(0.25, chunkMs / Math.max(1, tookMs)));
    const byBytes = bytes === 0 ? mostRows : (count * mostBytes) / bytes;
    this.#rows = Math.round(Math.min(mostRows, Math.max(leastRows, Math.min(Math.max(firstRows, byTime), byBytes))));
  }

  /** Runs `read`, of a chunk of the present size, and learns from it. */
  async timed(clock: Clock, read: () => Promise<readonly (readonly Cell[])[]>): Promise<readonly (readonly Cell[])[]> {
    const startedAt = clock.monotonic();
    const chunk = await read();
    this.learn(chunk, clock.monotonic() - startedAt);
    return chunk;
  }
}
