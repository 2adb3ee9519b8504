import type { ChunkRows } from '../../backends/backend.ts';
import { type ChangedCell, type ChangeEvent, unchanged } from '../../core/change.ts';
import type { RequestRecord } from '../../core/request-record.ts';

function cellBytes(cell: ChangedCell): number {
  if (cell === unchanged || cell === null) return 1;
  if (typeof cell === 'string' || cell instanceof Uint8Array) return cell.length;
  return Array.isArray(cell) ? rowBytes(cell) : 8;
}

/** About how much memory a row takes; to bound what is held at once. */
export const rowBytes = (cells: readonly ChangedCell[]): number => cells.reduce<number>((sum, cell) => sum + cellBytes(cell), 0);

/** The same of a chunk. */
export const chunkBytes = (rows: ChunkRows): number => ('bytes' in rows ? rows.bytes.length : rows.reduce((sum, row) => sum + rowBytes(row), 0));

/** About how much memory the record of a request takes. */
export const recordBytes = ({ caller, id, table, digest, result }: RequestRecord): number => rowBytes([caller, id, table, digest, result]);

/** About how much memory an event takes. */
export function eventBytes(event: ChangeEvent): number {
  switch (event.kind) {
    case 'insert':
    case 'update':
      return rowBytes(event.row);
    case 'delete':
      return rowBytes(event.key);
    case 'request':
      return recordBytes(event.record);
    case 'truncate':
    case 'marker':
    case 'watermark':
      return 8;
  }
}
