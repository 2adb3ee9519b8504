import { createHash } from 'node:crypto';
import type { Row as WireRow } from '../../gen/switchyard/data/v1/value_pb.ts';
import { type Coding, codings } from './codings.ts';
import { HttpError } from './http-error.ts';
import { jsonFromValue } from './json/cell-json.ts';

/** Behind the tag of a row that was sent packed: other bytes, another tag. */
const suffixOf = (coding: Coding): string => `.${coding}`;
const tagPattern = /^\s*(W\/)?"([!#-~\u0080-\u00ff]*)"\s*$/;

/** The tag of a whole row, without its quotes: the same for the same cells, whichever store and gateway the row comes from. */
export function rowTag(row: WireRow): string {
  const cells = Object.entries(row.cells).map(([name, value]) => [name, value.kind.case, jsonFromValue(value)]);
  cells.sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(cells)).digest('base64url').slice(0, 27);
}

export const quotedTag = (tag: string): string => `"${tag}"`;
/** The header's value for an answer that is packed. */
export const packedTag = (quoted: string, coding: Coding): string => `${quoted.slice(0, -1)}${suffixOf(coding)}"`;
const unpackedTag = (tag: string): string => {
  const suffix = codings.map(suffixOf).find((one) => tag.endsWith(one));
  return suffix === undefined ? tag : tag.slice(0, -suffix.length);
};

/** What If-Match or If-None-Match asks for: any row, or one with one of these tags. */
export type TagCondition = 'any' | ReadonlySet<string>;

/** The condition in a header; null where there is none. A weak tag never matches strongly: `weak` says whether they count. */
export function tagCondition(name: string, value: string | undefined, weak: boolean): TagCondition | null {
  if (value === undefined) return null;
  if (value.trim() === '*') return 'any';
  const tags = new Set<string>();
  for (const part of value.split(',')) {
    const [, isWeak, tag] = tagPattern.exec(part) ?? [];
    if (tag === undefined) throw new HttpError(400, `${name}: must be "*" or entity tags in double quotes, as an ETag header gave them`);
    if (weak || isWeak === undefined) tags.add(unpackedTag(tag));
  }
  return tags;
}

export const isMatch = (condition: TagCondition, tag: string): boolean => condition === 'any' || condition.has(tag);
