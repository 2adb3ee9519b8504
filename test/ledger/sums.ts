import type { Entry } from './entry.ts';
import { joined, wayOf } from './figures.ts';

/** What entries of one subject come to. */
export interface Sum {
  readonly subject: string;
  readonly runs: number;
  readonly failed: number;
  /** Different seeds that passed; a seed that was run twice counts once. */
  readonly seeds: number;
  /** Time under test that passed. */
  readonly minutes: number;
  /** The figures that are numbers, over the entries that passed: each added up, at its worst or the newest, as its kind of run says. */
  readonly figures: Readonly<Record<string, number>>;
  /** Time of the newest entry. */
  readonly latest: string;
}

/** One sum a subject, in order of name. */
export function sumUp(entries: readonly Entry[]): readonly Sum[] {
  const bySubject = Map.groupBy(entries, (entry) => entry.subject);
  return [...bySubject.keys()].sort().map((subject) => sumOf(subject, bySubject.get(subject) ?? []));
}

function sumOf(subject: string, entries: readonly Entry[]): Sum {
  const passed = entries.filter((entry) => entry.outcome === 'passed').toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at));
  const figures: Record<string, number> = {};
  for (const { kind, figures: found } of passed) {
    for (const [name, value] of Object.entries(found)) if (typeof value === 'number') figures[name] = joined(wayOf(kind, name), figures[name], value);
  }
  return {
    subject,
    runs: entries.length,
    failed: entries.length - passed.length,
    seeds: rangesOf(passed).reduce((sum, range) => sum + range.count, 0),
    minutes: passed.reduce((sum, entry) => sum + (entry.minutes ?? 0), 0),
    figures,
    latest:
      entries
        .map(({ at }) => at)
        .toSorted()
        .at(-1) ?? '',
  };
}

export interface SeedRange {
  readonly first: number;
  readonly count: number;
}

/** The seeds of the entries as ranges that neither touch nor overlap, in order. */
export function rangesOf(entries: readonly Entry[]): readonly SeedRange[] {
  const sorted = entries.flatMap((entry) => (entry.seeds === undefined ? [] : [entry.seeds])).toSorted((a, b) => a.first - b.first);
  const merged: { first: number; count: number }[] = [];
  for (const range of sorted) {
    const last = merged.at(-1);
    if (last === undefined || range.first > last.first + last.count) merged.push({ ...range });
    else last.count = Math.max(last.count, range.first + range.count - last.first);
  }
  return merged;
}

/** The first seed that a run which goes on should take: the lowest that none of the entries, passed or failed, has run; `from` at the lowest. */
export function nextSeed(entries: readonly Entry[], from = 0): number {
  const range = rangesOf(entries).find(({ first, count }) => first <= from && from < first + count);
  return range === undefined ? from : range.first + range.count;
}
