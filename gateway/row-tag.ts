import { createHash } from 'node:crypto';
import type { Row as WireRow } from '../gen/switchyard/data/v1/value_pb.ts';
import { jsonFromValue } from '../runtime/json/cell-json.ts';

/** The tag of a whole row: the same for the same cells, whichever store and gateway the row comes from. */
export function rowTag(row: WireRow): string {
  const cells = Object.entries(row.cells).map(([name, value]) => [name, value.kind.case, jsonFromValue(value)]);
  cells.sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(cells)).digest('base64url').slice(0, 27);
}

/** What a condition asks for: any row, or one with one of these tags. */
export type TagCondition = 'any' | ReadonlySet<string>;

export const isMatch = (condition: TagCondition, tag: string): boolean => condition === 'any' || condition.has(tag);
