/**
 * One cell in memory. Exact for every column kind:
 * bool → boolean; int16, int32 → number; int64, uint64, time, timestamp, timestamptz (microseconds) → bigint; float32, float64 → number;
 * bytes → Uint8Array; decimal, text, uuid, date, json, enum → string; array → readonly Cell[]; SQL NULL → null.
 * ±infinity of a timestamp is the largest or smallest int64.
 */
export type Cell = null | boolean | number | bigint | string | Uint8Array | readonly Cell[];

export type ScalarKind =
  | 'bool'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint64'
  | 'float32'
  | 'float64'
  | 'decimal'
  | 'text'
  | 'bytes'
  | 'uuid'
  | 'date'
  | 'time'
  | 'timestamp'
  | 'timestamptz'
  | 'json'
  | 'enum';
export type ColumnKind = ScalarKind | 'array';

/** Whether two cells of one column hold the same value, bit by bit (NaN equals NaN, −0 differs from 0). */
export function cellsEqual(a: Cell, b: Cell): boolean {
  if (typeof a !== 'object' || a === null || typeof b !== 'object' || b === null) return Object.is(a, b);
  if (a instanceof Uint8Array) return b instanceof Uint8Array && a.length === b.length && a.every((byte, i) => byte === b[i]);
  if (b instanceof Uint8Array) return false;
  return a.length === b.length && a.every((cell, i) => cellsEqual(cell, b[i] ?? null));
}

/** Readable, unambiguous text of a cell for messages and keys of maps; equal texts mean equal cells of one kind. */
export function cellText(cell: Cell): string {
  if (cell === null) return 'NULL';
  if (typeof cell === 'string') return JSON.stringify(cell);
  if (cell instanceof Uint8Array) return `x'${Buffer.from(cell).toString('hex')}'`;
  if (typeof cell === 'object') return `[${cell.map(cellText).join(',')}]`;
  return Object.is(cell, -0) ? '-0' : String(cell);
}

/** Text of a primary key's cells, in key order; equal texts mean equal keys of one table. */
export const keyText = (key: readonly Cell[]): string => key.map(cellText).join(',');
