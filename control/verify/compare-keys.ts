import { type Cell, cellsEqual, cellText, keyText } from '../../core/cell.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { StreamSupervisor } from '../streams/stream-supervisor.ts';

type WholeRow = readonly Cell[];

/** Where a stream's two sides differ in one row. Values are readable text; the row's absence is empty text. */
export interface RowDifference {
  readonly table: string;
  readonly key: string;
  readonly kind: 'missing in to' | 'missing in from' | 'cell';
  /** The first column that differs; empty for a missing row. */
  readonly column: string;
  readonly fromValue: string;
  readonly toValue: string;
}

const batchKeys = 500;
/** A difference must show as often at different places of the history before it counts. */
const looks = 3;
const shownText = 200;

/** How two rows of one key differ, null when they are the same. */
export function rowDifference(table: TableSchema, key: string, from: WholeRow | undefined, to: WholeRow | undefined): RowDifference | null {
  const base = { table: table.name, key };
  if (from === undefined && to === undefined) return null;
  if (to === undefined) return { ...base, kind: 'missing in to', column: '', fromValue: rowText(from), toValue: '' };
  if (from === undefined) return { ...base, kind: 'missing in from', column: '', fromValue: '', toValue: rowText(to) };
  for (const [index, column] of table.columns.entries()) {
    const a = from[index] ?? null;
    const b = to[index] ?? null;
    if (!cellsEqual(a, b)) return { ...base, kind: 'cell', column: column.name, fromValue: short(cellText(a)), toValue: short(cellText(b)) };
  }
  return null;
}

/** Compares the rows of these keys, each time as both sides are at one and the same place of the stream's history. Only what differs at every look is a difference. */
export async function compareKeys(
  stream: Pick<StreamSupervisor, 'readBoth' | 'schemas'>,
  table: string,
  keys: readonly (readonly Cell[])[],
  signal: AbortSignal,
): Promise<readonly RowDifference[]> {
  const found: RowDifference[] = [];
  for (let start = 0; start < keys.length; start += batchKeys) {
    let suspects = keys.slice(start, start + batchKeys);
    let differences: readonly (RowDifference & { readonly cells: readonly Cell[] })[] = [];
    for (let look = 0; look < looks && suspects.length > 0; look += 1) {
      const rows = await stream.readBoth(table, suspects, signal);
      const schema = stream.schemas.from.get(table);
      if (schema === undefined) return found;
      differences = suspects.flatMap((cells) => {
        const key = keyText(cells);
        const difference = rowDifference(schema, key, rows.from.get(key), rows.to.get(key));
        return difference === null ? [] : [{ ...difference, cells }];
      });
      suspects = differences.map((difference) => difference.cells);
    }
    found.push(...differences.map(({ cells: _, ...difference }) => difference));
  }
  return found;
}

const short = (text: string): string => (text.length > shownText ? `${text.slice(0, shownText)}…` : text);
const rowText = (row: WholeRow | undefined): string => (row === undefined ? '' : short(row.map(cellText).join(', ')));
