import type { Cell } from '../../../core/cell.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { RawRows } from '../../backend.ts';
import { COPY_FORM, cellsOfLine } from '../copy-text.ts';
import { rowsFromText } from './chunk.ts';

const lineEnd = 0x0a;

/** Whole rows of a table without generated columns, which no COPY takes. */
export class RawChunk implements RawRows {
  readonly form = COPY_FORM;
  readonly bytes: Buffer;
  readonly length: number;
  readonly #table: TableSchema;
  #cells: readonly (readonly Cell[])[] | null = null;

  constructor(table: TableSchema, bytes: Buffer, length: number) {
    this.#table = table;
    this.bytes = bytes;
    this.length = length;
  }

  at(index: number): readonly Cell[] | undefined {
    if (this.length === 0) return undefined;
    const { bytes } = this;
    // An end of a line within a value is escaped.
    if (index === 0) return this.#read(bytes.subarray(0, bytes.indexOf(lineEnd) + 1))[0];
    if (index === -1) return this.#read(bytes.subarray(bytes.lastIndexOf(lineEnd, -2) + 1))[0];
    return this.cells().at(index);
  }

  cells(): readonly (readonly Cell[])[] {
    this.#cells ??= this.#read(this.bytes);
    return this.#cells;
  }

  #read(lines: Buffer): readonly (readonly Cell[])[] {
    return rowsFromText(this.#table, lines.toString().split('\n').slice(0, -1).map(cellsOfLine));
  }
}
