import type { RowOperation, State } from '../history.ts';

/** What an operation gives where what it was told cannot be true of the row's state. */
export const illegal = Symbol('illegal');

/** What an increment tells of the row, where its answer came. */
function sumTold(operation: RowOperation): number | undefined {
  return operation.kind === 'increment' && operation.outcome === 'ok' ? operation.saw : undefined;
}

/** The row's state after an operation that took effect on it: the whole sequential specification of a row. */
export function apply(state: State, operation: RowOperation): State | typeof illegal {
  switch (operation.kind) {
    case 'read':
      return state === operation.saw ? state : illegal;
    case 'write':
      return operation.value;
    case 'delete':
      return null;
    case 'swap':
      if (operation.outcome === 'ok' && operation.swapped === false) return state === operation.expected ? illegal : state;
      return state === operation.expected ? operation.value : illegal;
    case 'increment': {
      if (typeof state === 'string') return illegal;
      const next = (state ?? 0) + operation.by;
      const told = sumTold(operation);
      return told === undefined || told === next ? next : illegal;
    }
  }
}

/** Whether an operation only tells what the row held. */
export function observes(operation: RowOperation): boolean {
  return operation.kind === 'read' || (operation.kind === 'swap' && operation.outcome === 'ok' && operation.swapped === false);
}

/** What the row holds right after the operation, as far as the operation alone tells: undefined for increments, and for what leaves the row as it is. */
export function stateSet(operation: RowOperation): State | undefined {
  switch (operation.kind) {
    case 'write':
      return operation.value;
    case 'delete':
      return null;
    case 'swap':
      return observes(operation) ? undefined : operation.value;
    case 'increment':
      return sumTold(operation);
    case 'read':
      return undefined;
  }
}

/** Operations that do the same to every row, and are told the same, have the same key. */
export function actionKey(operation: RowOperation): string {
  switch (operation.kind) {
    case 'read':
    case 'delete':
      return operation.kind;
    case 'write':
      return `write ${JSON.stringify(operation.value)}`;
    case 'swap':
      return `swap ${JSON.stringify([operation.expected, operation.value])}`;
    case 'increment':
      return `increment ${operation.by} ${sumTold(operation)}`;
  }
}

/** What the row held when the operation took effect, where its answer tells. */
export function stateSeen(operation: RowOperation): State | undefined {
  if (operation.outcome !== 'ok') return undefined;
  if (operation.kind === 'read') return operation.saw;
  return operation.kind === 'swap' && operation.swapped !== false ? operation.expected : undefined;
}
