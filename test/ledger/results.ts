import Table from 'cli-table3';
import { type Entry, type RunKind, runKinds } from './entry.ts';
import { type CodeState, codeState } from './fingerprint.ts';
import { readLedger } from './ledger.ts';
import { type Sum, sumUp } from './sums.ts';
import { counted, plainFlowLimitMs, slownessOf } from './wording.ts';

/** What the ledger of one kind says today. */
export interface KindResults {
  readonly kind: RunKind;
  /** Of the code as it is now: what counts. */
  readonly current: readonly Sum[];
  /** Of code that has changed since: counts for nothing, and says what is to be run again. */
  readonly stale: readonly Sum[];
  readonly unreadable: number;
}

/** Every ledger against the work tree as it is. */
export async function readResults(root: string): Promise<readonly KindResults[]> {
  const states = new Map<string, CodeState | null>();
  const isCurrent = async ({ code }: Entry): Promise<boolean> => {
    const key = code.paths.join('\0');
    // Code that is not there any more has changed.
    if (!states.has(key)) states.set(key, await codeState(root, code.paths).catch(() => null));
    return states.get(key)?.fingerprint === code.fingerprint;
  };
  const results: KindResults[] = [];
  for (const kind of runKinds) {
    const { entries, unreadable } = await readLedger(kind, root);
    const marked: { entry: Entry; current: boolean }[] = [];
    for (const entry of entries) marked.push({ entry, current: await isCurrent(entry) });
    const of = (current: boolean): readonly Sum[] => sumUp(marked.filter((mark) => mark.current === current).map(({ entry }) => entry));
    results.push({ kind, current: of(true), stale: of(false), unreadable });
  }
  return results;
}

const number = (value: number): string => (value === 0 ? '' : value.toLocaleString('en-US', { maximumFractionDigits: 1 }));
const row = (counts: string, sum: Sum): string[] => [
  counts,
  sum.subject,
  String(sum.runs),
  number(sum.failed),
  number(sum.seeds),
  number(sum.minutes),
  shownFigures(sum.figures),
  sum.latest.slice(0, 16),
];

/** Those of two words, as "fault cut", on a line for each first word. */
function shownFigures(figures: Sum['figures']): string {
  const byGroup = Map.groupBy(Object.entries(figures), ([name]) => (name.includes(' ') ? name.slice(0, name.indexOf(' ')) : ''));
  const lines = [...byGroup].map(([group, entries]) => {
    const said = entries.map(([name, value]) => `${group === '' ? name : name.slice(group.length + 1)} ${number(value) || 0}`).join(', ');
    return group === '' ? said : `${group}: ${said}`;
  });
  return lines.join('\n');
}

/** With the width of those that are wrapped. */
const columns: readonly (readonly [name: string, width: number | null])[] = [
  ['counts', null],
  ['subject', 40],
  ['runs', null],
  ['failed', null],
  ['seeds', null],
  ['minutes', null],
  ['figures', 56],
  ['latest (UTC)', null],
];

/** The results for people. */
export function renderResults(results: readonly KindResults[]): string {
  return results.map(renderKind).join('\n\n');
}

/** Whether anything that counts today has failed. */
export const hasFailed = (results: readonly KindResults[]): boolean => results.some(({ current }) => current.some(({ failed }) => failed > 0));

function renderKind({ kind, current, stale, unreadable }: KindResults): string {
  const broken = unreadable === 0 ? '' : `\n${counted(unreadable, 'line')} of test/results/${kind}.jsonl cannot be read`;
  if (current.length + stale.length === 0) return `${kind}: nothing has been run${broken}`;
  const table = new Table({ head: columns.map(([name]) => name), colWidths: columns.map(([, width]) => width), wordWrap: true, style: { head: [], border: [] } });
  for (const sum of current) table.push(row('yes', sum));
  for (const sum of stale) table.push(row('no', sum));
  return [`${kind}: ${verdictOf(current, stale)}`, ...slowOnes(current), `${table.toString()}${broken}`].join('\n');
}

function verdictOf(current: readonly Sum[], stale: readonly Sum[]): string {
  if (current.length === 0) return 'nothing counts: the code has changed since all of it';
  const total = (of: (sum: Sum) => number): number => current.reduce((all, sum) => all + of(sum), 0);
  const [runs, failed, seeds, minutes] = [total((sum) => sum.runs), total((sum) => sum.failed), total((sum) => sum.seeds), total((sum) => sum.minutes)];
  const said = [failed === 0 ? 'passed' : 'FAILED', `${counted(current.length, 'subject')} in ${counted(runs, 'run')}${failed === 0 ? '' : `, ${failed} of which failed`}`];
  if (seeds > 0) said.push(counted(seeds, 'seed'));
  if (minutes > 0) said.push(counted(minutes, 'minute'));
  const outdated = stale.length === 0 ? '' : `; ${counted(stale.length, 'subject')} of code that has changed since`;
  return `${said.join(', ')}${outdated}`;
}

function slowOnes(current: readonly Sum[]): readonly string[] {
  return current.flatMap(({ subject, figures }) => {
    // What kept the limit as it is kept it on however slow a machine.
    const kept = (figures.longestWithoutFlowMs ?? Number.POSITIVE_INFINITY) <= plainFlowLimitMs;
    const said = kept ? null : slownessOf(figures.slowdown ?? 1);
    return said === null ? [] : [`${subject}: ${said}`];
  });
}
