import { join } from 'node:path';
import type { Entry } from '../ledger/entry.ts';
import { type Ledger, openLedger } from '../ledger/ledger.ts';
import { nextSeed } from '../ledger/sums.ts';
import { type Break, castFor } from './breaks.ts';
import { codePaths } from './code-paths.ts';
import type { Nemesis } from './nemeses/nemesis.ts';
import { allNemeses } from './nemeses/registry.ts';
import { runPiece, type Verdict } from './piece.ts';
import { reportOf, type FaultReport } from './report.ts';

export interface RunOptions {
  readonly minutes: number;
  readonly pieceMinutes: number;
  /** "all" or names with commas. */
  readonly nemesis: string;
  readonly seed?: number;
  readonly consulServers?: '1' | '3';
  readonly logDirectory?: string;
  readonly record: boolean;
  readonly break?: Break;
  readonly disturb?: Break;
  readonly say: (line: string) => void;
}

export function nemesesOf(list: string): readonly Nemesis[] {
  if (list === 'all') return allNemeses;
  return list.split(',').map((name) => {
    const found = allNemeses.find((nemesis) => nemesis.name === name.trim());
    if (found === undefined) throw new Error(`there is no nemesis "${name}": ${allNemeses.map((nemesis) => nemesis.name).join(', ')}`);
    return found;
  });
}

/** Those that the machine permits, and why not the others. */
async function availableOf(nemeses: readonly Nemesis[]): Promise<{ readonly available: readonly Nemesis[]; readonly skipped: Readonly<Record<string, string>> }> {
  const skipped: Record<string, string> = {};
  for (const { name, needs } of nemeses) {
    const why = (await needs?.unavailable?.()) ?? null;
    if (why !== null) skipped[name] = why;
  }
  return { available: nemeses.filter(({ name }) => skipped[name] === undefined), skipped };
}

interface Cast {
  readonly nemeses: readonly Nemesis[];
  readonly consulServers: 1 | 3;
}

/** Who takes part in the piece of this seed: what needs a world of its own making takes turns, so that no world is all special. */
function castOf(nemeses: readonly Nemesis[], seed: number, given: '1' | '3' | undefined): Cast {
  const special = ({ needs }: Nemesis): boolean => needs?.consulServers === 3 || needs?.ownClocks === true || needs?.disks === true;
  if (nemeses.every(special)) return { nemeses, consulServers: given === '1' ? 1 : 3 };
  const consulServers = given === undefined ? (seed % 2 === 0 ? 3 : 1) : given === '3' ? 3 : 1;
  const turn = seed % 3;
  const takesPart = ({ needs }: Nemesis): boolean =>
    (needs?.consulServers === undefined || consulServers === 3) && (needs?.ownClocks === undefined || turn === 1) && (needs?.disks === undefined || turn === 2);
  return { nemeses: nemeses.filter(takesPart), consulServers };
}

/** Pieces until so many minutes passed, those that were recorded for the very same code included. A piece that fails ends the run. */
export async function runFaults(options: RunOptions): Promise<FaultReport> {
  const { break: broken, disturb } = options;
  if (broken !== undefined) return runSafeguard(options, broken, true);
  if (disturb !== undefined) return runSafeguard(options, disturb, false);
  const { minutes, nemesis, record, say } = options;
  const { available, skipped } = await availableOf(nemesesOf(nemesis));
  for (const [name, why] of Object.entries(skipped)) say(`SKIPPED ${name}: ${why}`);
  if (available.length === 0) throw new Error('none of the nemeses can be had on this machine');
  const subject = nemesis === 'all' ? 'all' : available.map(({ name }) => name).join(',');
  const ledger: Ledger | null = record ? await openLedger('fault', codePaths) : null;
  const isOurs = (entry: Entry): boolean => entry.subject === subject;
  const before = ((await ledger?.current()) ?? []).filter(isOurs);
  const run: { readonly seed: number; readonly verdict: Verdict }[] = [];
  const passedMinutes = (): number =>
    before.filter(({ outcome }) => outcome === 'passed').reduce((sum, entry) => sum + (entry.minutes ?? 0), 0) + run.reduce((sum, { verdict }) => sum + verdict.minutes, 0);

  let seed = options.seed ?? nextSeed(before);
  while (passedMinutes() < minutes) {
    const cast = castOf(available, seed, options.consulServers);
    const pieceMinutes = Math.min(options.pieceMinutes, minutes - passedMinutes());
    say(`piece of seed ${seed}: ${pieceMinutes.toFixed(1)} min of ${cast.nemeses.map(({ name }) => name).join(', ')}; ${cast.consulServers} Consul servers`);
    const logs = options.logDirectory === undefined ? {} : { logDirectory: join(options.logDirectory, `seed-${seed}`) };
    const verdict = await runPiece({ seed, minutes: pieceMinutes, ...cast, ...logs, say });
    run.push({ seed, verdict });
    const failed = verdict.violations.length > 0;
    say(
      `seed ${seed}: ${failed ? 'FAILED' : 'passed'}, ${verdict.cutovers} cutovers, ${verdict.operations} operations, flowing at the latest after ${verdict.longestWithoutFlowMs} ms`,
    );
    const { violations: _, minutes: struck, faults, errors, refusals, ...figures } = verdict;
    const flat = (prefix: string, counts: Readonly<Record<string, number>>) => Object.fromEntries(Object.entries(counts).map(([name, count]) => [`${prefix} ${name}`, count]));
    await ledger?.append({
      subject,
      seeds: { first: seed, count: 1 },
      minutes: struck,
      outcome: failed ? 'failed' : 'passed',
      figures: { ...figures, ...flat('fault', faults), ...flat('error', errors), ...flat('refusal', refusals) },
    });
    if (failed) break;
    seed = ledger === null ? seed + 1 : nextSeed((await ledger.current()).filter(isOurs), seed + 1);
  }
  return reportOf(before, run, skipped);
}

/** One piece, with the safeguard or without. Neither counts nor is recorded: it is the judges that are tested. */
async function runSafeguard({ minutes, seed = 1, logDirectory, say }: RunOptions, about: Break, lacksIt: boolean): Promise<FaultReport> {
  const safeguard = castFor(about, lacksIt);
  say(`seed ${seed}: ${minutes} min ${lacksIt ? 'without' : 'with'} the ${about}`);
  const logs = logDirectory === undefined ? {} : { logDirectory };
  const verdict = await runPiece({ seed, minutes, nemeses: safeguard.nemeses, consulServers: 1, safeguard, ...logs, say });
  return reportOf([], [{ seed, verdict }], {});
}
