import {
  type CopyPace,
  type Cutover,
  type CutoverLimits,
  type TableComparison,
  type Verification,
  type Verifying,
  type Workflow,
  WorkflowState,
} from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { bytes, counted, duration, moment, percent, roughly, thousands } from './figures.ts';
import { textTable } from './text-table.ts';

const stateNames = new Map<number, string>(Object.entries(WorkflowState).map(([name, value]) => [value, name.toLowerCase()]));
export const stateName = (state: WorkflowState): string => stateNames.get(state) ?? `state ${state}`;

/** One line that fits a log: state, copy, lag. */
export function workflowLine(workflow: Workflow): string {
  const copied = workflow.progress.reduce((sum, table) => sum + table.rowsCopied, 0n);
  const total = workflow.progress.reduce((sum, table) => sum + (table.done || table.rowsTotal < table.rowsCopied ? table.rowsCopied : table.rowsTotal), 0n);
  const parts = [`${workflow.name}: ${stateName(workflow.state)}`];
  // Before the store has said how many rows there are, there is nothing to say of them.
  if (workflow.state === WorkflowState.COPYING && total > 0n) parts.push(`${thousands(copied)} of about ${counted(total, 'row')} copied ${percent(copied, total)}`);
  if (workflow.state === WorkflowState.COPYING && workflow.pace !== undefined) parts.push(...paceTexts(workflow.pace));
  if (workflow.lagMs !== undefined) parts.push(`lag ${duration(workflow.lagMs)}`);
  if (workflow.message !== '') parts.push(workflow.message);
  return parts.join(', ');
}

function paceTexts({ rowsPerSecond, bytesPerSecond, secondsLeft }: CopyPace): readonly string[] {
  const left = secondsLeft === undefined ? [] : [`about ${roughly(secondsLeft)} left`];
  return [`${counted(rowsPerSecond, 'row')} and ${bytes(bytesPerSecond)} a second`, ...left];
}

export function verificationText(verification: Verification): string {
  if (verification.error !== '') return `verification failed at ${moment(verification.finishedAt)}: ${verification.error}`;
  const { differences, repaired, rowsCompared, sample } = verification;
  const verdict = differences === 0n ? 'no difference' : counted(differences, 'DIFFERENCE', 'DIFFERENCES');
  const mended = repaired === 0n ? '' : `, ${thousands(repaired)} repaired`;
  const head = `verified ${moment(verification.finishedAt)} in ${duration(Number(verification.durationMs))}: ${counted(rowsCompared, 'row')} compared, ${verdict}${mended}`;
  if (sample.length === 0) return head;
  const [shown, all] = [BigInt(new Set(sample.map(({ table, key }) => JSON.stringify([table, key]))).size), differences + repaired];
  const cut = shown < all ? [`${thousands(shown)} of ${counted(all, 'difference')} shown`] : [];
  const rows = sample.map((one) => [one.table, one.key, `${one.what}${one.repaired ? ' (repaired)' : ''}`, one.sourceValue, one.targetValue]);
  return [head, textTable([{ title: 'TABLE' }, { title: 'KEY' }, { title: 'WHAT' }, { title: 'SOURCE' }, { title: 'TARGET' }], rows), ...cut].join('\n');
}

/** How far a verification has come. The rows that there are: about as many as were copied. */
function verifyingParts({ tables }: Verifying, { progress, tables: all }: Workflow): readonly string[] {
  const total = (of: (table: TableComparison) => bigint): bigint => tables.reduce((sum, table) => sum + of(table), 0n);
  const compared = total((table) => table.rowsCompared);
  const rows = progress.reduce((sum, table) => sum + table.rowsTotal, 0n);
  const found = total((table) => table.differences + table.repaired);
  return [
    compared <= rows && rows > 0n ? `${thousands(compared)} of about ${counted(rows, 'row')} compared ${percent(compared, rows)}` : `${counted(compared, 'row')} compared`,
    `${tables.filter((table) => table.done).length} of ${counted(all.length, 'table')} done`,
    ...(found === 0n ? [] : [`${counted(found, 'difference')} so far`]),
  ];
}

/** One line that fits a log; null while nothing is verified. */
export const verifyingLine = (workflow: Workflow): string | null =>
  workflow.verifying === undefined ? null : [`${workflow.name}: verifying`, ...verifyingParts(workflow.verifying, workflow)].join(', ');

/** A cutover's steps with their times, as somebody reads them at 3 a.m. */
export function cutoverText(cutover: Cutover): string {
  const to = cutover.to === 2 ? 'source → target' : 'target → source';
  const tries = cutover.attempts > 1 ? ` after ${cutover.attempts} attempts` : '';
  const why = cutover.reason === '' ? '' : `: ${cutover.reason}${cutover.message === '' ? '' : ` (${cutover.message})`}`;
  const lines = [`cutover ${to}, attempt ${cutover.attempt}, ${moment(cutover.startedAt)}: ${cutover.outcome}${tries}${why}`];
  lines.push(...cutover.aborted.map(({ attempt, reason, message }) => `attempt ${attempt} came to nothing: ${reason}${message === '' ? '' : ` (${message})`}`));
  if (cutover.outcome === 'switched' || cutover.outcome === 'repaired') lines.push(`writes were held for ${duration(cutover.holdMs)}; reads went on`);
  if (cutover.traceId !== '') lines.push(`trace ${cutover.traceId}`);
  const rows = cutover.steps.map((step) => [step.name, duration(step.startMs), duration(step.durationMs), step.detail]);
  return `${lines.join('\n')}\n${textTable([{ title: 'STEP' }, { title: 'BEGAN', align: 'right' }, { title: 'TOOK', align: 'right' }, { title: '' }], rows, '')}`;
}

export function limitsText(limits: CutoverLimits): string {
  const { holdBudgetMs, attempts, lagMs, verificationAgeS, transactionAgeMs, leastCopyShare, mostCopyShare } = limits;
  const rows = [
    ['--hold-budget-ms', String(holdBudgetMs), 'longest hold of writes before an attempt is given up'],
    ['--attempts', String(attempts), 'attempts of one cutover'],
    ['--lag-ms', String(lagMs), 'largest lag at which a hold may begin'],
    ['--verification-age-s', String(verificationAgeS), 'oldest verification that counts'],
    ['--transaction-age-ms', String(transactionAgeMs), 'longest running transaction at which a hold may begin'],
    ['--least-copy-share', String(leastCopyShare), 'percent of the time that the copy takes at least'],
    ['--most-copy-share', String(mostCopyShare), 'percent of the time that the copy takes at most'],
  ];
  return textTable([{ title: 'LIMIT' }, { title: 'IS', align: 'right' }, { title: 'MEANS' }], rows);
}

/** The command that goes on with a workflow in this state, where there is one and no choice. */
export function nextStep({ name, state, verification }: Workflow): string | null {
  switch (state) {
    case WorkflowState.CREATED:
    case WorkflowState.COPYING:
      return `switchyard movetables status ${name} --watch   (then verify, once it is running)`;
    case WorkflowState.RUNNING:
      return verification === undefined ? `switchyard movetables verify ${name}` : null;
    case WorkflowState.FAILED:
      return `switchyard movetables cancel ${name}   (the tables are served where they were); mend the cause, then switchyard movetables create, under another name`;
    default:
      return null;
  }
}

/** Everything about one workflow. */
export function workflowText(workflow: Workflow): string {
  const parts = [
    workflowLine(workflow),
    `${workflow.source} → ${workflow.target}, created ${moment(workflow.createdAt)}${workflow.runner === '' ? ', no control process runs it' : `, run by ${workflow.runner}`}`,
  ];
  const progress = workflow.tables.map((name) => {
    const table = workflow.progress.find((entry) => entry.table === name);
    if (table === undefined) return [name, '–', '–', ''];
    const { rowsCopied, rowsTotal, bytesCopied, done } = table;
    return [name, `${thousands(rowsCopied)}${done || rowsTotal === 0n ? '' : ` of about ${thousands(rowsTotal)}`}`, bytes(bytesCopied), done ? 'done' : ''];
  });
  parts.push(textTable([{ title: 'TABLE' }, { title: 'ROWS COPIED', align: 'right' }, { title: 'BYTES', align: 'right' }, { title: '' }], progress));
  const fences = workflow.fences.map((row) => [row.table, row.keyspace, row.state, String(row.attempt), row.peer, row.workflow || '–']);
  if (fences.length > 0)
    parts.push(textTable([{ title: 'FENCE OF' }, { title: 'IN' }, { title: 'STATE' }, { title: 'ATTEMPT', align: 'right' }, { title: 'PEER' }, { title: 'OWNER' }], fences));
  if (workflow.verifying !== undefined) {
    const { startedAt, repair } = workflow.verifying;
    parts.push(`verifying${repair ? ' with --repair' : ''} since ${moment(startedAt)}: ${verifyingParts(workflow.verifying, workflow).join(', ')}`);
  }
  parts.push(workflow.verification === undefined ? 'not verified yet' : verificationText(workflow.verification));
  const last = workflow.cutovers.at(-1);
  if (last !== undefined) parts.push(cutoverText(last));
  return parts.join('\n\n');
}
