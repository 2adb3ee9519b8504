import { type Cell, keyText } from '../../../core/cell.ts';
import { type ChangedCell, type RowChange, unchanged } from '../../../core/change.ts';
import { keyIndexes, type TableSchema } from '../../../core/table-schema.ts';

/** What is left of many changes: keys whose rows are gone or made anew, and the rows to make. */
export interface FinalRows {
  readonly gone: readonly { readonly table: TableSchema; readonly key: readonly Cell[] }[];
  readonly made: readonly { readonly table: TableSchema; readonly row: readonly Cell[] }[];
}

/**
 * What the changes come to in the end, whatever their order says about unique keys in between: all the touched rows can be deleted first and then made. Null when that cannot be told from the changes alone (cells that were not
 * sent, a truncate).
 */
export function finalRows(changes: readonly RowChange[], schemas: ReadonlyMap<string, TableSchema>): FinalRows | null {
  const touched = new Map<string, { readonly table: TableSchema; readonly key: readonly Cell[]; row: readonly Cell[] | null }>();
  for (const change of changes) {
    const table = change.kind === 'truncate' ? undefined : schemas.get(change.table);
    if (change.kind === 'truncate' || table === undefined) return null;
    const put = (key: readonly Cell[], row: readonly Cell[] | null): void => void touched.set(`${table.name}\0${keyText(key)}`, { table, key, row });
    if (change.kind === 'delete') put(change.key, null);
    else {
      const { row } = change;
      if (!isWhole(row)) return null;
      if (change.kind === 'update' && change.oldKey !== null) put(change.oldKey, null);
      put(
        keyIndexes(table).map((i) => row[i] ?? null),
        row,
      );
    }
  }
  const all = [...touched.values()];
  return { gone: all, made: all.flatMap(({ table, row }) => (row === null ? [] : [{ table, row }])) };
}

export const isWhole = (row: readonly ChangedCell[]): row is readonly Cell[] => !row.includes(unchanged);
