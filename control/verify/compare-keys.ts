import { type Cell, keyText } from '../../core/cell.ts';
import type { StreamSupervisor } from '../streams/stream-supervisor.ts';
import { type RowDifference, rowDifference } from './row-difference.ts';

const batchKeys = 500;
/** A difference must show as often at different places of the history before it counts. */
const looks = 3;

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
    let differences: readonly RowDifference[] = [];
    for (let look = 0; look < looks && suspects.length > 0; look += 1) {
      const rows = await stream.readBoth(table, suspects, signal);
      const schema = stream.schemas.from.get(table);
      if (schema === undefined) return found;
      differences = suspects.flatMap((key) => {
        const text = keyText(key);
        return rowDifference(schema, key, rows.from.get(text), rows.to.get(text)) ?? [];
      });
      suspects = differences.map(({ key }) => key);
    }
    found.push(...differences);
  }
  return found;
}
