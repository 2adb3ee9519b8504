import type { ByteReader } from './byte-reader.ts';
import { protocolFault } from './log-fault.ts';
import { type MapColumn, wire } from './table-map.ts';

/** One row as the log has it: a piece of bytes for each column, null for NULL. The pieces are of the event's memory. */
export type RowImage = readonly (Buffer | null)[];

/** The next row; the images of an event have all columns. */
export function readImage(columns: readonly MapColumn[], images: ByteReader): RowImage {
  const nulls = images.piece((columns.length + 7) >> 3);
  return columns.map((column, i) => (((nulls[i >> 3] ?? 0) & (1 << (i & 7))) !== 0 ? null : images.piece(valueBytes(column, images))));
}

const fixedBytes: ReadonlyMap<number, number> = new Map<number, number>([
  [wire.tiny, 1],
  [wire.year, 1],
  [wire.short, 2],
  [wire.int24, 3],
  [wire.date, 3],
  [wire.long, 4],
  [wire.float, 4],
  [wire.double, 8],
  [wire.longlong, 8],
]);

/** Whole bytes and a part of one hold so many digits: nine take four. */
const bytesOfDigits = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
export const decimalBytes = (digits: number): number => Math.floor(digits / 9) * 4 + (bytesOfDigits[digits % 9] ?? 0);

/** Bytes of the column's next value, behind its length where it has one. */
function valueBytes(column: MapColumn, images: ByteReader): number {
  const fixed = fixedBytes.get(column.type);
  if (fixed !== undefined) return fixed;
  switch (column.type) {
    case wire.varchar:
    case wire.compressedVarchar:
    case wire.string:
      return images.uint(column.size > 255 ? 2 : 1);
    case wire.blob:
    case wire.compressedBlob:
    case wire.geometry:
      return images.uint(column.size);
    case wire.enum:
    case wire.set:
    case wire.bit:
      return column.size;
    case wire.decimal:
      return decimalBytes(column.precision - column.scale) + decimalBytes(column.scale);
    case wire.timestamp:
      return 4 + fractionBytes(column);
    case wire.datetime:
      return 5 + fractionBytes(column);
    case wire.time:
      return 3 + fractionBytes(column);
    default:
      // Among them times in the form that they had before MariaDB 10.1, whose length the log does not tell.
      throw protocolFault(`a column of the type ${column.type}, whose values have no known length`);
  }
}

export const fractionBytes = ({ size }: MapColumn): number => (size + 1) >> 1;
