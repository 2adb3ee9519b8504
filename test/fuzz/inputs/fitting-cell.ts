import type { Cell, ScalarKind } from '../../../core/cell.ts';

/** Whether a cell is what its column's kind says, so that nothing further on meets what it cannot know. */
export function fits(kind: ScalarKind, cell: Cell): boolean {
  switch (kind) {
    case 'int16':
    case 'int32':
      return Number.isInteger(cell);
    case 'int64':
    case 'uint64':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
      return typeof cell === 'bigint';
    case 'float32':
    case 'float64':
      return typeof cell === 'number';
    case 'bool':
      return typeof cell === 'boolean';
    case 'bytes':
      return cell instanceof Uint8Array;
    default:
      return typeof cell === 'string';
  }
}
