import type { Operation, State } from '../history.ts';

/*
 * Whether some order explains a history, by trying all of them: to be compared with the checker on histories of a few operations. It has rules of its own.
 */

type Cell = State | readonly (string | number)[];
type Cells = ReadonlyMap<string, Cell>;

/** The cells afterwards, or null where the operation cannot have been answered like that. */
function after(cells: Cells, operation: Operation, initial: State): Cells | null {
  const answered = operation.outcome === 'ok';
  if (operation.kind === 'transaction') {
    const next = new Map(cells);
    for (const step of operation.steps) {
      const list = (next.get(step.key) ?? []) as readonly (string | number)[];
      if (step.kind === 'append') next.set(step.key, [...list, step.value]);
      else if (answered && step.saw !== null && JSON.stringify(step.saw) !== JSON.stringify(list)) return null;
    }
    return next;
  }
  const now = (cells.has(operation.key) ? cells.get(operation.key) : initial) as State;
  const set = (value: State) => new Map(cells).set(operation.key, value);
  if (operation.kind === 'read') return !answered || now === operation.saw ? cells : null;
  if (operation.kind === 'write') return set(operation.value);
  if (operation.kind === 'delete') return set(null);
  if (operation.kind === 'swap') {
    const holds = now === operation.expected;
    if (answered && holds !== (operation.swapped ?? true)) return null;
    return holds ? set(operation.value) : cells;
  }
  if (typeof now === 'string') return null;
  const sum = (now ?? 0) + operation.by;
  return answered && operation.saw !== undefined && operation.saw !== sum ? null : set(sum);
}

export function someOrderExplains(history: readonly Operation[], initial: State): boolean {
  const told = history.filter(({ outcome }) => outcome !== 'failed');
  const tryFrom = (cells: Cells, left: readonly Operation[]): boolean => {
    if (left.every(({ outcome }) => outcome === 'unknown')) return true;
    return left.some((next) => {
      if (left.some((other) => other.outcome === 'ok' && other.responded < next.invoked)) return false;
      const changed = after(cells, next, initial);
      return (
        changed !== null &&
        tryFrom(
          changed,
          left.filter((other) => other !== next),
        )
      );
    });
  };
  return tryFrom(new Map(), told);
}
