import type { Entry } from '../ledger/entry.ts';
import type { Verdict } from './piece.ts';

/** What all the pieces came to. Counts are sums; the time without flow is the longest. */
export interface FaultReport {
  readonly pieces: number;
  readonly minutes: number;
  readonly cutovers: number;
  readonly operations: number;
  readonly lost: number;
  readonly doubled: number;
  readonly stale: number;
  readonly differing: number;
  readonly unresolved: number;
  readonly longestWithoutFlowMs: number;
  /** How much slower than alone a process was served at worst after a healing. */
  readonly slowdown: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
  /** Orders of cutovers that were refused or came to nothing, by reason: the operator said "again". */
  readonly refusals: Readonly<Record<string, number>>;
  /** Nemeses that this machine does not permit, with the reason. */
  readonly skipped: Readonly<Record<string, string>>;
  readonly violations: readonly string[];
}

const sums = ['cutovers', 'operations', 'lost', 'doubled', 'stale', 'differing', 'unresolved'] as const;
const groups = { faults: 'fault ', errors: 'error ', refusals: 'refusal ' } as const;

/** Adds up what was recorded before and what was run now. */
export function reportOf(before: readonly Entry[], run: readonly { readonly seed: number; readonly verdict: Verdict }[], skipped: Readonly<Record<string, string>>): FaultReport {
  const verdicts = run.map(({ verdict }) => verdict);
  const figure = (entry: Entry, name: string): number => Number(entry.figures[name] ?? 0);
  const sum = (name: (typeof sums)[number]): number => before.reduce((all, entry) => all + figure(entry, name), 0) + verdicts.reduce((all, verdict) => all + verdict[name], 0);
  const group = (name: keyof typeof groups): Readonly<Record<string, number>> => {
    const prefix = groups[name];
    const counts: Record<string, number> = {};
    const add = (key: string, count: number): void => {
      counts[key] = (counts[key] ?? 0) + count;
    };
    for (const { figures } of before) for (const [key, value] of Object.entries(figures)) if (key.startsWith(prefix)) add(key.slice(prefix.length), Number(value));
    for (const verdict of verdicts) for (const [key, value] of Object.entries(verdict[name])) add(key, value);
    return counts;
  };
  const failed = before.filter(({ outcome }) => outcome === 'failed');
  return {
    pieces: before.length + run.length,
    minutes: Math.round((before.reduce((all, entry) => all + (entry.minutes ?? 0), 0) + verdicts.reduce((all, verdict) => all + verdict.minutes, 0)) * 10) / 10,
    cutovers: sum('cutovers'),
    operations: sum('operations'),
    lost: sum('lost'),
    doubled: sum('doubled'),
    stale: sum('stale'),
    differing: sum('differing'),
    unresolved: sum('unresolved'),
    longestWithoutFlowMs: Math.max(0, ...before.map((entry) => figure(entry, 'longestWithoutFlowMs')), ...verdicts.map((verdict) => verdict.longestWithoutFlowMs)),
    slowdown: Math.max(1, ...before.map((entry) => figure(entry, 'slowdown')), ...verdicts.map((verdict) => verdict.slowdown)),
    faults: group('faults'),
    errors: group('errors'),
    refusals: group('refusals'),
    skipped,
    violations: [
      ...failed.map(({ seeds, at }) => `the piece of seed ${seeds?.first} has failed, recorded at ${at}: run it again with --seed ${seeds?.first} --no-record`),
      ...run.flatMap(({ seed, verdict }) => verdict.violations.map((violation) => `seed ${seed}: ${violation}`)),
    ],
  };
}
