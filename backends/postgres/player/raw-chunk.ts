import type { Cell, ColumnKind } from '../../../core/cell.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { RawRows } from '../../backend.ts';
import type { CopiedLines } from '../batch.ts';
import { COPY_FORM, cellsOfLine } from '../copy-text.ts';
import { rowsFromText } from './chunk.ts';

/** However many rows were asked for: they are held as a whole, here and on their way. */
export const RAW_CHUNK_BYTES = 8 * 1024 * 1024;
const lineEnd = 0x0a;

/** No COPY takes a generated column. */
export const maySendRaw = ({ columns }: TableSchema): boolean => columns.every(({ generated }) => !generated);

/** What every text has that has no cell, by kind, and seldom another: a timestamp beyond the year 294246, an array of several dimensions, one that begins elsewhere than at 1. */
const suspicious: Readonly<Partial<Record<ColumnKind, readonly string[]>>> = { timestamp: ['2942'], timestamptz: ['2942'], array: ['{{', ']={'] };

/** Whole rows. Constructed only where each has its cells: VALUE_UNSUPPORTED names one that has not. */
export class RawChunk implements RawRows {
  readonly form = COPY_FORM;
  readonly bytes: Buffer;
  readonly length: number;
  readonly cut: boolean;
  readonly #table: TableSchema;
  #cells: readonly (readonly Cell[])[] | null = null;

  constructor(table: TableSchema, { bytes, count, cut }: CopiedLines & { readonly cut: boolean }) {
    this.#table = table;
    this.bytes = bytes;
    this.length = count;
    this.cut = cut;
    const signs = new Set(table.columns.flatMap(({ kind }) => suspicious[kind] ?? []));
    if ([...signs].some((sign) => bytes.includes(sign))) this.cells();
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
