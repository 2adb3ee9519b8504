import { type Coding, codings } from './codings.ts';
import type { TagCondition } from '../row-tag.ts';
import { HttpError } from '../../runtime/http/http-error.ts';

/** Behind the tag of a row that was sent packed: other bytes, another tag. */
const suffixOf = (coding: Coding): string => `.${coding}`;
const tagPattern = /^\s*(W\/)?"([!#-~\u0080-\u00ff]*)"\s*$/;

export const quotedTag = (tag: string): string => `"${tag}"`;
/** The header's value for an answer that is packed. */
export const packedTag = (quoted: string, coding: Coding): string => `${quoted.slice(0, -1)}${suffixOf(coding)}"`;
const unpackedTag = (tag: string): string => {
  const suffix = codings.map(suffixOf).find((one) => tag.endsWith(one));
  return suffix === undefined ? tag : tag.slice(0, -suffix.length);
};

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
