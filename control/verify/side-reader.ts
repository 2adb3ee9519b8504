import type { ReplicationStore } from '../../backends/backend.ts';
import { type Cell, cellsEqual, keyText } from '../../core/cell.ts';
import { keyIndexes, type TableSchema } from '../../core/table-schema.ts';
import { keyOf } from '../streams/replay.ts';

interface WaitingRow {
  readonly key: readonly Cell[];
  readonly row: readonly Cell[];
}

/** Reads one side's table from begin to end and keeps the rows whose like has not come yet. */
export class SideReader {
  readonly #store: Pick<ReplicationStore, 'readChunk'>;
  readonly #table: TableSchema;
  readonly #indexes: readonly number[];
  readonly #waiting = new Map<string, WaitingRow>();
  #after: readonly Cell[] | null;
  #ended = false;

  /** `after`: key of the last row that is done already; null: none is. */
  constructor(store: Pick<ReplicationStore, 'readChunk'>, table: TableSchema, after: readonly Cell[] | null) {
    this.#store = store;
    this.#table = table;
    this.#after = after;
    this.#indexes = keyIndexes(table);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Rows that wait for their like. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Key of the last row that was read. */
  get after(): readonly Cell[] | null {
    return this.#after;
  }

  async read(limit: number, signal: AbortSignal): Promise<readonly (readonly Cell[])[]> {
    if (this.#ended) return [];
    const rows = await this.#store.readChunk(this.#table, this.#after, limit, signal);
    const last = rows.at(-1);
    if (last !== undefined) this.#after = keyOf(this.#indexes, last);
    this.#ended = rows.length < limit;
    return rows;
  }

  /** Pairs these rows of this side with waiting ones of the other; the rest waits. Returns the keys of unequal pairs. */
  pair(rows: readonly (readonly Cell[])[], other: SideReader): readonly (readonly Cell[])[] {
    const unequal: (readonly Cell[])[] = [];
    for (const row of rows) {
      const key = keyOf(this.#indexes, row);
      const text = keyText(key);
      const like = other.#waiting.get(text);
      if (like === undefined) this.#waiting.set(text, { key, row });
      else {
        other.#waiting.delete(text);
        if (!cellsEqual(row, like.row)) unequal.push(key);
      }
    }
    return unequal;
  }

  /** Forgets the rows that have waited longest until at most `keep` wait; returns their keys. */
  giveUp(keep: number): readonly (readonly Cell[])[] {
    const keys: (readonly Cell[])[] = [];
    for (const [text, { key }] of this.#waiting) {
      if (this.#waiting.size <= keep) break;
      this.#waiting.delete(text);
      keys.push(key);
    }
    return keys;
  }
}
