import { declareClassPlugin, PluginKind } from '@stryker-mutator/api/plugin';
import type { Reporter } from '@stryker-mutator/api/report';
import { type Equivalent, equivalents } from './equivalents.ts';

/** What became of a mutant: `survived` also of one that no test reaches, `left out` of one that is not judged. */
export type Fate = 'killed' | 'survived' | 'left out';

/** A mutant that was tried: its lines before and after, as the list of equivalents writes them. */
export interface Tried {
  readonly file: string;
  readonly line: number;
  readonly was: string;
  readonly is: string;
  readonly fate: Fate;
}

export interface Verdict {
  /** Survived, and nobody has said that they may. */
  readonly gaps: readonly Tried[];
  /** On the list and not among the survivors of a file that took part, with why not. */
  readonly stale: readonly { readonly file: string; readonly entry: Equivalent; readonly why: string }[];
  readonly counts: ReadonlyMap<string, { readonly killed: number; readonly equivalent: number; readonly gaps: number }>;
}

/** Lines of code as the list writes them: on one line. */
export const onOneLine = (code: string): string => code.replaceAll(/\s+/g, ' ').trim();

/** Judges the survivors by the list, and the list by the survivors: of the files that took part. */
export function judge(tried: readonly Tried[], list: Readonly<Record<string, readonly Equivalent[]>>): Verdict {
  const isListed = ({ file, was, is }: Tried): boolean => (list[file] ?? []).some((entry) => entry.was === was && entry.is === is);
  const files = [...new Set(tried.map(({ file }) => file))].toSorted();
  const stale = files.flatMap((file) =>
    (list[file] ?? []).flatMap((entry) => {
      const same = tried.filter((mutant) => mutant.file === file && mutant.was === entry.was && mutant.is === entry.is);
      if (same.some(({ fate }) => fate === 'survived')) return [];
      return [{ file, entry, why: same.some(({ fate }) => fate === 'killed') ? 'a test kills it' : 'there is no such mutant' }];
    }),
  );
  const counts = files.map((file) => {
    const of = tried.filter((mutant) => mutant.file === file);
    const survivors = of.filter(({ fate }) => fate === 'survived');
    const equivalent = survivors.filter(isListed).length;
    return [file, { killed: of.filter(({ fate }) => fate === 'killed').length, equivalent, gaps: survivors.length - equivalent }] as const;
  });
  return { gaps: tried.filter((mutant) => mutant.fate === 'survived' && !isListed(mutant)), stale, counts: new Map(counts) };
}

function textOf({ gaps, stale, counts }: Verdict): string {
  const lines = gaps.flatMap(({ file, line, was, is }) => [`SURVIVED ${file}:${line}`, `  was ${was}`, `  is  ${is}`]);
  for (const { file, entry, why } of stale) lines.push(`NOT NEEDED in test/mutation/equivalents.ts: ${why}: ${file}`, `  was ${entry.was}`, `  is  ${entry.is}`);
  lines.push('killed equivalent survived');
  for (const [file, { killed, equivalent, gaps: open }] of counts)
    lines.push(`${String(killed).padStart(6)} ${String(equivalent).padStart(10)} ${String(open).padStart(8)}  ${file}`);
  return lines.join('\n');
}

const fates: Readonly<Record<string, Fate>> = { Killed: 'killed', Timeout: 'killed', Survived: 'survived', NoCoverage: 'survived' };

/** Says what survived although nobody has found it equivalent, and what the list names in vain; either fails the run. */
class VerdictReporter implements Reporter {
  onMutationTestReportReady(...[, { systemUnderTestMetrics }]: Parameters<NonNullable<Reporter['onMutationTestReportReady']>>): void {
    const tried: Tried[] = [];
    const visit = ({ file, childResults }: typeof systemUnderTestMetrics): void => {
      for (const mutant of file?.mutants ?? []) {
        const [was, is] = [onOneLine(mutant.getOriginalLines()), onOneLine(mutant.getMutatedLines())];
        tried.push({ file: mutant.fileName, line: mutant.location.start.line, was, is, fate: fates[mutant.status] ?? 'left out' });
      }
      for (const child of childResults) visit(child);
    };
    visit(systemUnderTestMetrics);
    const verdict = judge(tried, equivalents);
    console.log(textOf(verdict));
    if (tried.length === 0 || verdict.gaps.length > 0 || verdict.stale.length > 0) process.exitCode = 1;
  }
}

export const strykerPlugins = [declareClassPlugin(PluginKind.Reporter, 'verdict', VerdictReporter)];
