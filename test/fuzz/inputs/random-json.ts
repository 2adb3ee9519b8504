import { nastyTexts } from '../mutate.ts';
import type { Random } from '../random.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

const numbers = [0, 1, -1, 0.5, 1000, 1001, 2 ** 31, 2 ** 53, 2 ** 53 + 2, 1e308, -0];

/** Any JSON value, small. */
export function randomJson(random: Random, depth = 0): Json {
  const kind = random.below(depth > 3 ? 4 : 6);
  if (kind === 0) return null;
  if (kind === 1) return random.chance(50);
  if (kind === 2) return random.pick(numbers);
  if (kind === 3) return random.pick(nastyTexts);
  const length = random.size(6);
  if (kind === 4) return Array.from({ length }, () => randomJson(random, depth + 1));
  return Object.fromEntries(Array.from({ length }, () => [random.pick(nastyTexts), randomJson(random, depth + 1)]));
}

/** A JSON text like `sample`, some of whose parts are left out, doubled, renamed, exchanged with others or replaced by anything. */
export function strayJson(random: Random, sample: Json, percent = 6): string {
  return JSON.stringify(stray(random, sample, percent));
}

function stray(random: Random, value: Json, percent: number): Json {
  if (random.chance(percent)) return random.chance(10) ? nested(random, value) : randomJson(random);
  if (Array.isArray(value)) {
    const items = value.flatMap((item: Json) => (random.chance(percent) ? [] : random.chance(percent) ? [stray(random, item, percent), item] : [stray(random, item, percent)]));
    return random.chance(percent) ? items.concat(Array.from({ length: random.below(50) }, () => items[0] ?? null)) : items;
  }
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value as { readonly [name: string]: Json }).flatMap(([name, member]): [string, Json][] => {
    if (random.chance(percent)) return [];
    return [[random.chance(percent) ? random.pick(nastyTexts) : name, stray(random, member, percent)]];
  });
  if (random.chance(percent)) members.push([random.pick(nastyTexts), randomJson(random)]);
  // Not by assignment: that would take "__proto__" for the prototype.
  return Object.fromEntries(members);
}

function nested(random: Random, value: Json): Json {
  let deep = value;
  for (let depth = random.pick([10, 101, 1_000]); depth > 0; depth -= 1) deep = random.chance(50) ? [deep] : { and: deep };
  return deep;
}
