import type { Cell } from '../../../core/cell.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import { cellToParameter } from '../cells.ts';
import { requireFit } from '../column-fit.ts';
import { comparand, comparedCell, converted, narrowCharset, survives } from '../comparison.ts';
import { quoteIdentifier } from '../connection.ts';
import type { Parameter } from '../session.ts';

/** Collects the parameters of one statement; called in the order of the text. Each gives the parameter's place in the text. */
export class Values {
  readonly table: TableSchema;
  readonly #values: Parameter[] = [];

  constructor(table: TableSchema) {
    this.table = table;
  }

  get all(): readonly Parameter[] {
    return this.#values;
  }

  /** A cell to store. VALUE_INVALID: the column would not keep it as it is. NOT_NULL_VIOLATION: a NULL for which the store would put a value of its own. */
  assigned(column: ColumnSchema, cell: Cell): string {
    if (cell === null && !column.nullable && fillsNull(column)) {
      throw new SwitchyardError('NOT_NULL_VIOLATION', `column "${column.name}" of "${this.table.name}" must have a value`, {
        metadata: { table: this.table.name, columns: column.name },
      });
    }
    requireFit(column, cell);
    return this.raw(cellToParameter(column, cell));
  }

  /** A cell as the other side of a comparison with the column, or with `ordered` of it. */
  compared(column: ColumnSchema, cell: Cell): string {
    const value = comparedCell(cell);
    this.raw(cellToParameter(column, value));
    return comparand(column, value);
  }

  raw(value: Parameter): string {
    this.#values.push(value);
    return '?';
  }

  /** A cell as the other side of a comparison with the column itself, by its own collation. A text that the column's charset has not may be another one there. */
  own(column: ColumnSchema, cell: Cell): string {
    const narrow = narrowCharset(column);
    if (narrow === null) return this.compared(column, cell);
    this.raw(cellToParameter(column, cell));
    return converted(narrow);
  }

  /** "The column is equal to this cell", as its own collation says, by its index. */
  ownEqual(column: ColumnSchema, cell: Cell): string {
    const equal = `${quoteIdentifier(column.name)} = ${this.own(column, cell)}`;
    const narrow = narrowCharset(column);
    if (narrow === null) return equal;
    for (let places = 0; places < 2; places += 1) this.raw(cellToParameter(column, cell));
    return `${equal} AND ${survives(narrow)}`;
  }

  /** "It is the row with this key": equal as the key's own columns say. */
  keyCondition(key: readonly Cell[]): string {
    return this.table.primaryKey.map((name, i) => this.ownEqual(columnNamed(this.table, name), key[i] ?? null)).join(' AND ');
  }
}

/** AUTO_INCREMENT takes a NULL for a wish for the next number, and a TIMESTAMP for one for the present time. */
const fillsNull = ({ hasDefault, kind }: ColumnSchema): boolean => hasDefault || kind === 'timestamptz';

/** As many as the next power of two, so that texts of statements are few: filled up with `filler`, or with the last one again. */
export function padded<T>(list: readonly T[], filler = list.at(-1)): readonly T[] {
  if (filler === undefined) return list;
  const length = 2 ** Math.ceil(Math.log2(list.length));
  return [...list, ...new Array<T>(length - list.length).fill(filler)];
}
