import { counted, slownessOf } from '../ledger/wording.ts';
import type { Break } from './breaks.ts';
import type { EachStepReport } from './coordinator/coordinator-run.ts';
import { flowLimitMs } from './flow.ts';
import type { FaultReport } from './report.ts';

export interface Summary {
  /** For people; a sentence a line. */
  readonly text: string;
  /** Whether the run came to what it has to: no violation, or without a safeguard harm. */
  readonly isWell: boolean;
}

const harms = ['lost', 'doubled', 'stale', 'differing'] as const;

/** What a run came to. `without`: the safeguard that it lacked, null for none. */
export function summaryOf(report: FaultReport | EachStepReport, without: Break | null): Summary {
  if (without !== null && 'minutes' in report) return withoutSafeguard(report, without);
  const { violations } = report;
  if (violations.length > 0) return { text: `FAILED: ${counted(violations.length, 'violation')}`, isWell: false };
  if (!('minutes' in report)) return { text: passedSteps(report), isWell: true };
  // What kept the limit as it is kept it on however slow a machine.
  const slow = report.longestWithoutFlowMs > flowLimitMs ? slownessOf(report.slowdown) : null;
  return { text: [passedStrikes(report), ...(slow === null ? [] : [slow])].join('\n'), isWell: true };
}

/** Violations of other kinds do not show what the safeguard is there for. */
function withoutSafeguard(report: FaultReport, without: Break): Summary {
  const found = harms.filter((harm) => report[harm] > 0).map((harm) => `${report[harm]} ${harm}`);
  if (found.length > 0) return { text: `found without the ${without}, as it has to be: ${found.join(', ')}`, isWell: true };
  const others = report.violations.length === 0 ? '' : `; ${counted(report.violations.length, 'violation')} of other kinds`;
  return { text: `NOT NOTICED: nothing lost, doubled, stale or differing without the ${without}${others}`, isWell: false };
}

function passedStrikes({ pieces, minutes, cutovers, operations, longestWithoutFlowMs }: FaultReport): string {
  const what = `${counted(pieces, 'piece')}, ${counted(minutes, 'minute')} under strikes, ${counted(cutovers, 'cutover')}, ${counted(operations, 'operation')}`;
  return `passed: ${what}; nothing lost, doubled or stale, and everything flowed again ${counted(longestWithoutFlowMs, 'millisecond')} after a healing at the latest`;
}

function passedSteps({ eachStep, steps, cases, worstOutageMs }: EachStepReport): string {
  const what = `each of ${counted(steps.length, 'step')} followed by ${counted(eachStep, 'death')} and ${counted(eachStep, 'pause')}, ${counted(cases, 'case')}`;
  return `passed: ${what}; nothing lost, doubled or stale, and writes flowed again ${counted(worstOutageMs, 'millisecond')} beyond the hold's budget at the latest`;
}
