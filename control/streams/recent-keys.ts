import type { Cell } from '../../core/cell.ts';
import { keyText } from '../../core/cell.ts';

interface RecentKey {
  readonly table: string;
  readonly key: readonly Cell[];
}

/** The keys that a stream changed last, each once; the oldest are forgotten beyond `bound`. */
export class RecentKeys {
  readonly #bound: number;
  readonly #keys = new Map<string, RecentKey>();

  constructor(bound: number) {
    this.#bound = bound;
  }

  add(table: string, key: readonly Cell[]): void {
    const text = `${table}:${keyText(key)}`;
    this.#keys.delete(text);
    this.#keys.set(text, { table, key });
    if (this.#keys.size <= this.#bound) return;
    for (const oldest of this.#keys.keys()) {
      this.#keys.delete(oldest);
      return;
    }
  }

  byTable(): ReadonlyMap<string, readonly (readonly Cell[])[]> {
    const tables = new Map<string, (readonly Cell[])[]>();
    for (const { table, key } of this.#keys.values()) {
      const keys = tables.get(table);
      if (keys === undefined) tables.set(table, [key]);
      else keys.push(key);
    }
    return tables;
  }
}
