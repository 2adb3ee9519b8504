import type { Cell } from '../../core/cell.ts';
import { setOwnMember } from '../../core/own-member.ts';
import { type SelfWriting, type WireWriter, WRITE } from '../../core/wire-writer.ts';
import type { Row as WireRow, Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import type { CellWriter } from './cell-writer.ts';
import { encodeCell } from '../../runtime/wire/encode-cell.ts';

/** A row of an answer. It writes its bytes from the store's cells; a message of each cell is only made for who asks for it. */
export class EncodedRow implements WireRow, SelfWriting {
  readonly $typeName = 'switchyard.data.v1.Row' as const;
  readonly #cells: readonly Cell[];
  readonly #writers: readonly (CellWriter | null)[];
  #messages: Record<string, Value> | null = null;

  /** `writers`: of each cell; null: it is left out. */
  constructor(cells: readonly Cell[], writers: readonly (CellWriter | null)[]) {
    this.#cells = cells;
    this.#writers = writers;
  }

  get cells(): Record<string, Value> {
    if (this.#messages !== null) return this.#messages;
    const made: Record<string, Value> = {};
    for (const [index, writer] of this.#writers.entries()) {
      if (writer !== null) setOwnMember(made, writer.column.name, encodeCell(writer.column.kind, this.#cells[index] ?? null, writer.column.elementKind));
    }
    this.#messages = made;
    return made;
  }

  [WRITE](writer: WireWriter): void {
    const writers = this.#writers;
    for (let index = 0; index < writers.length; index += 1) writers[index]?.write(writer, this.#cells[index] ?? null);
  }
}
