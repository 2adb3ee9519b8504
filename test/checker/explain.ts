import type { Verdict } from './check.ts';
import type { Operation, Step } from './history.ts';
import type { Violation } from './violation.ts';
import { showList, showState, showTime } from './wording.ts';

/* A verdict for people: what went wrong, and the few operations that show it. */

/** More operations than this of one violation are counted, not shown. */
const mostOperations = 12;

function showStep(step: Step): string {
  if (step.kind === 'append') return `append ${JSON.stringify(step.value)} to ${step.key}`;
  return `read ${step.key}${step.saw === null ? '' : ` = ${showList(step.saw)}`}`;
}

function showAction(operation: Operation): string {
  const answered = operation.outcome === 'ok';
  switch (operation.kind) {
    case 'read':
      return answered ? `read ${showState(operation.saw)}` : 'read';
    case 'write':
      return `write ${showState(operation.value)}`;
    case 'delete':
      return 'delete';
    case 'swap':
      return `write ${showState(operation.value)} if it is ${showState(operation.expected)}${answered ? (operation.swapped === false ? ': it was not' : ': it was') : ''}`;
    case 'increment':
      return `add ${operation.by}${answered && operation.saw !== undefined ? `, making ${operation.saw}` : ''}`;
    case 'transaction':
      return operation.steps.map(showStep).join(', ');
  }
}

const answers = { ok: 'ok', failed: 'refused', unknown: 'outcome unknown' } as const;

/** Lines under each other: when it was called and answered, by whom, what, the answer; the last operation, which cannot be explained, is marked. */
function showOperations(operations: readonly Operation[]): string[] {
  const few = operations.slice(-mostOperations);
  const cells = few.map((operation) => [`${showTime(operation.invoked)} – ${showTime(operation.responded)}`, operation.process, showAction(operation), answers[operation.outcome]]);
  const width = (column: number) => Math.max(...cells.map((row) => row[column]?.length ?? 0));
  const widths = [width(0), width(1), width(2)];
  const lines = cells.map((row, index) => `    ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}${index === few.length - 1 ? '  ←' : ''}`);
  return operations.length > few.length ? [`    (${operations.length - few.length} before these)`, ...lines] : lines;
}

export function explainViolation({ kind, anomaly, key, at, said, operations }: Violation): string {
  return [`${kind}${anomaly === undefined ? '' : ` (${anomaly})`}  ${key}  at ${showTime(at)}: ${said}`, ...showOperations(operations)].join('\n');
}

/** The verdict in one line, and up to `most` violations, the first in time first. */
export function explain({ outcome, violations, undecided, operations }: Verdict, most = 10): string {
  const counts = Map.groupBy(violations, ({ kind }) => kind);
  const kinds = [...counts].map(([kind, of]) => `${of.length} ${kind}`).join(', ');
  const open = undecided.length === 0 ? '' : `, ${undecided.length} rows undecided (${undecided.slice(0, 5).join(', ')})`;
  const line = `${outcome}: ${operations} operations${kinds === '' ? '' : `, ${kinds}`}${open}`;
  const rest = violations.length > most ? [`… and ${violations.length - most} more`] : [];
  return [line, ...violations.slice(0, most).map(explainViolation), ...rest].join('\n\n');
}
