import { keyText } from '../../core/cell.ts';
import type { Verification } from '../../core/workflow-document.ts';
import { otherSide, type SideName } from '../move.ts';
import type { RowDifference } from './row-difference.ts';

type Entry = Verification['sample'][number];
type Sort = 'cells' | `missing in ${SideName}`;
interface Row {
  readonly sort: Sort;
  readonly entries: readonly Entry[];
}

/** Entries of a sample, as the workflow's document takes them. */
const mostEntries = 20;
/** Of one row: so many that one row of each sort finds a place. */
const mostOfRow = 10;

/** Some of the rows that differ, for people: whole rows, the first ones, and one of each sort that there is. */
export class DifferenceSample {
  #rows: Row[];

  /** `entries`: of a sample that is gone on with. */
  constructor(entries: Verification['sample']) {
    const rows = Map.groupBy(entries, ({ table, key, repaired }) => JSON.stringify([table, key, repaired]));
    this.#rows = [...rows.values()].map((of) => ({ sort: sortOf(of), entries: of }));
  }

  get entries(): Verification['sample'] {
    return this.#rows.flatMap(({ entries }) => entries);
  }

  add(difference: RowDifference, primary: SideName, repaired: boolean): void {
    const row = rowOf(difference, primary, repaired);
    if (this.#rows.some(({ sort }) => sort === row.sort)) {
      if (this.#size + row.entries.length <= mostEntries) this.#rows.push(row);
      return;
    }
    // The first of its sort: the last ones of those that are there more than once make room.
    while (this.#size + row.entries.length > mostEntries) {
      const spare = this.#rows.findLastIndex(({ sort }, index) => this.#rows.findIndex((other) => other.sort === sort) < index);
      if (spare === -1) return;
      this.#rows.splice(spare, 1);
    }
    this.#rows.push(row);
  }

  get #size(): number {
    return this.#rows.reduce((sum, { entries }) => sum + entries.length, 0);
  }
}

function rowOf({ table, key, kind, columns }: RowDifference, primary: SideName, repaired: boolean): Row {
  const sort: Sort = kind === 'cells' ? 'cells' : `missing in ${kind === 'missing in from' ? primary : otherSide(primary)}`;
  const base = { table, key: keyText(key), repaired };
  const entries = columns.map(({ column, fromValue, toValue }): Entry => {
    const [sourceValue, targetValue] = primary === 'source' ? [fromValue, toValue] : [toValue, fromValue];
    return { ...base, what: sort === 'cells' ? column : sort, sourceValue, targetValue };
  });
  if (entries.length <= mostOfRow) return { sort, entries };
  const shown = entries.slice(0, mostOfRow - 1);
  return { sort, entries: [...shown, { ...base, what: `and ${entries.length - shown.length} columns more`, sourceValue: '', targetValue: '' }] };
}

function sortOf(entries: readonly Entry[]): Sort {
  const what = entries.length === 1 ? entries[0]?.what : undefined;
  return what === 'missing in source' || what === 'missing in target' ? what : 'cells';
}
