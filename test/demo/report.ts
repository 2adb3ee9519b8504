import { duration, thousands } from '../../cli/render/figures.ts';
import { textTable } from '../../cli/render/text-table.ts';
import { type Violation, violationKinds } from '../bench/cutover/judge.ts';
import type { RunSummary, Summary } from '../bench/cutover/summary.ts';

export interface Outcome {
  readonly writes: number;
  readonly reads: number;
  readonly totals: Summary;
  readonly runs: readonly RunSummary[];
  readonly rowsCompared: number;
  readonly violations: readonly Violation[];
  /** What did not go as the story says, such as a cutover that was refused. */
  readonly problems: readonly string[];
}

const shownViolations = 10;

/** Whether the demo may say that all went well. */
export const isClean = ({ violations, problems }: Outcome): boolean => violations.length === 0 && problems.length === 0;

/** The report at the end, for people. */
export function reportOf(outcome: Outcome): string {
  const { totals, runs, violations, problems } = outcome;
  const times = textTable(
    [{ title: '' }, { title: 'SLOWEST WRITE', align: 'right' }, { title: 'SLOWEST READ', align: 'right' }, { title: 'WRITES HELD FOR', align: 'right' }],
    [
      ['without a cutover, of 999 calls in 1,000', duration(totals.usualWriteMs), duration(totals.usualReadMs), ''],
      ...runs.map((run, index) => [`${index + 1}. ${run.direction}`, duration(run.slowestWriteMs), duration(run.slowestReadMs), duration(run.holdMsMax)]),
    ],
  );
  const count = (kind: Violation['kind']): string => thousands(violations.filter((violation) => violation.kind === kind).length);
  return [
    `Calls      ${thousands(outcome.writes)} writes and ${thousands(outcome.reads)} reads, ${count('error')} failed, ${count('reconnect')} connections lost`,
    `Compared   ${thousands(outcome.rowsCompared)} rows in both stores by \`movetables verify\``,
    `Judged     by the services' own record and by SQL: ${count('missing')} missing, ${count('doubled')} doubled, ${count('different')} different, ${count('stale')} stale answers`,
    '',
    times,
    '',
    ...(isClean(outcome)
      ? ['Nothing was lost, no call failed, and every cutover had a way back.']
      : [
          ...problems.map((problem) => `PROBLEM ${problem}`),
          ...violationKinds
            .flatMap((kind) => violations.filter((violation) => violation.kind === kind))
            .slice(0, shownViolations)
            .map(({ kind, what }) => `VIOLATION ${kind}: ${what}`),
          ...(violations.length > shownViolations ? [`… and ${violations.length - shownViolations} more violations`] : []),
        ]),
  ].join('\n');
}
