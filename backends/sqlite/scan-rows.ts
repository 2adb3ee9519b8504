import type { SqlRow, SqlValue } from './connection.ts';

/*
 * Rows on their way from one thread to another. Every array of bytes would be copied as an object of its own, and every text comes as bytes (cells.ts), so all bytes travel in one piece.
 */

/** Rows of several statements without their bytes: where a cell is undefined, its bytes are next in `bytes`. */
export interface PackedRows {
  readonly rows: readonly (readonly (readonly (SqlValue | undefined)[])[])[];
  readonly lengths: Uint32Array;
  /** May be transferred. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export function packRows(statements: readonly (readonly SqlRow[])[]): PackedRows {
  const parts: Uint8Array[] = [];
  let total = 0;
  const rows = statements.map((each) =>
    each.map((row) =>
      row.map((value) => {
        if (!(value instanceof Uint8Array)) return value;
        parts.push(value);
        total += value.length;
        return undefined;
      }),
    ),
  );
  const bytes = new Uint8Array(total);
  const lengths = new Uint32Array(parts.length);
  let offset = 0;
  for (const [i, part] of parts.entries()) {
    bytes.set(part, offset);
    lengths[i] = part.length;
    offset += part.length;
  }
  return { rows, lengths, bytes };
}

/** The rows again; their bytes are parts of one piece of memory. */
export function unpackRows({ rows, lengths, bytes }: PackedRows): readonly (readonly SqlRow[])[] {
  let [place, offset] = [0, 0];
  return rows.map((each) =>
    each.map((row) =>
      row.map((value) => {
        if (value !== undefined) return value;
        const start = offset;
        offset += lengths[place] ?? 0;
        place += 1;
        return bytes.subarray(start, offset);
      }),
    ),
  );
}
