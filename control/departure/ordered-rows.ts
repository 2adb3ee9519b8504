import type { DataStore, ReplicationStore } from '../../backends/backend.ts';
import type { Cell } from '../../core/cell.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { columnNamed, keyIndexes, type TableSchema } from '../../core/table-schema.ts';

export type WholeRow = readonly Cell[];
/** Whole rows behind a key, in order of the key; fewer than asked for say nothing. */
export type ReadPage = (after: readonly Cell[] | null, limit: number, signal: AbortSignal) => Promise<readonly WholeRow[]>;

const orderedKinds: readonly string[] = ['int16', 'int32', 'int64', 'uint64', 'uuid'];

/** The first column of the key whose order is not the same for every store and service; null: there is none. */
export const unorderedColumn = (table: TableSchema): string | null => table.primaryKey.find((name) => !orderedKinds.includes(columnNamed(table, name).kind)) ?? null;

export function sourcePages(store: DataStore, table: TableSchema): ReadPage {
  const columns = table.columns.map(({ name }) => name);
  const orderBy = table.primaryKey.map((column) => ({ column, descending: false }));
  return async (after, limit, signal) => (await store.query(table, { filter: null, orderBy, columns, limit, after }, signal)).rows.map(({ cells }) => cells);
}

export const targetPages =
  (player: ReplicationStore, table: TableSchema): ReadPage =>
  (after, limit, signal) =>
    player.readChunk(table, after, limit, signal);

/** Below zero: the first key comes first. */
export function compareKeys(a: readonly Cell[], b: readonly Cell[]): number {
  for (const [index, cell] of a.entries()) {
    const other = b[index] ?? null;
    if (cell === other || cell === null || other === null) continue;
    if (cell < other) return -1;
    if (cell > other) return 1;
  }
  return 0;
}

/**
 * A table's rows from the first to the last, one at a time. It ends at an empty page alone: a service may give fewer rows than it was asked for and have more. STREAM_FAILED: they do not come in order of the key, so that some
 * might never come.
 */
export class OrderedRows {
  readonly #read: ReadPage;
  readonly #table: TableSchema;
  readonly #indexes: readonly number[];
  readonly #pageRows: number;
  #page: readonly WholeRow[] = [];
  #next = 0;
  #last: readonly Cell[] | null = null;
  #ended = false;

  constructor(read: ReadPage, table: TableSchema, pageRows: number) {
    this.#read = read;
    this.#table = table;
    this.#pageRows = pageRows;
    this.#indexes = keyIndexes(table);
  }

  keyOf(row: WholeRow): readonly Cell[] {
    return this.#indexes.map((index) => row[index] ?? null);
  }

  /** The row that `take` would give; null: there is none. */
  async peek(signal: AbortSignal): Promise<WholeRow | null> {
    if (this.#next === this.#page.length && !this.#ended) {
      this.#page = await this.#read(this.#last, this.#pageRows, signal);
      this.#next = 0;
      this.#ended = this.#page.length === 0;
      for (const row of this.#page) this.#check(this.keyOf(row));
    }
    return this.#page[this.#next] ?? null;
  }

  take(): void {
    this.#next += 1;
  }

  #check(key: readonly Cell[]): void {
    if (this.#last !== null && compareKeys(this.#last, key) >= 0) {
      const { name } = this.#table;
      throw new SwitchyardError('STREAM_FAILED', `rows of table "${name}" do not come in order of its key: ${this.#last.join(', ')} before ${key.join(', ')}`, {
        metadata: { table: name },
      });
    }
    this.#last = key;
  }
}
