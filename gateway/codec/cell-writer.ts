import { assertNever } from '../../core/assert-never.ts';
import type { Cell, ColumnKind, ScalarKind } from '../../core/cell.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import { WireWriter } from '../../core/wire-writer.ts';
import { ArrayValueSchema, RowSchema, ValueSchema } from '../../gen/switchyard/data/v1/value_pb.ts';
import type { TableHandle } from './table-handle.ts';
import { valueField } from '../../runtime/wire/value-field.ts';

/* Cells as the bytes of `Value` messages. The same as `encodeCell` says, without a message in between. */

const [varintType, fixed64Type, bytesType] = [0, 1, 2];
const keyNumber = 1;
const valueNumber = 2;
const tagOf = (number: number, type: number): number => (number << 3) | type;
const fieldNumber = (name: keyof typeof ValueSchema.field): number => ValueSchema.field[name].number;
const nullTag = tagOf(fieldNumber('nullValue'), varintType);
const elementTag = tagOf(ArrayValueSchema.field.elements.number, bytesType);
const cellsTag = tagOf(RowSchema.field.cells.number, bytesType);

/** One column of rows, ready to be written. */
export interface CellWriter {
  readonly column: ColumnSchema;
  readonly write: (writer: WireWriter, cell: Cell) => void;
}

const known = new WeakMap<ColumnSchema, CellWriter>();
const keyWriter = new WireWriter();

/** Throws where the table has no such column. */
export function cellWriter(handle: TableHandle, name: string): CellWriter {
  const column = handle.columns.get(name);
  if (column === undefined) throw new Error(`the store answered with a column ${name} that table ${handle.schema.name} does not have`);
  const found = known.get(column);
  if (found !== undefined) return found;
  const writeValue = valueWriter(column.kind, column.elementKind);
  // An entry of the map: its key, which is always the same, and the value's tag.
  keyWriter.byte(tagOf(keyNumber, bytesType));
  keyWriter.text(name);
  keyWriter.byte(tagOf(valueNumber, bytesType));
  const keyBytes = keyWriter.finish();
  const write = (writer: WireWriter, cell: Cell): void => {
    writer.byte(cellsTag);
    const entry = writer.begin(1);
    writer.raw(keyBytes);
    const value = writer.begin(1);
    writeValue(writer, cell);
    writer.end(value, 1);
    writer.end(entry, 1);
  };
  const made: CellWriter = { column, write };
  known.set(column, made);
  return made;
}

type WriteValue = (writer: WireWriter, cell: Cell) => void;

/** Writes the fields of a `Value`. Its tags are of one byte, but for that of an array. */
function valueWriter(kind: ColumnKind, elementKind: ScalarKind | undefined): WriteValue {
  const write = presentWriter(kind, elementKind);
  return (writer, cell) => {
    if (cell !== null) return write(writer, cell);
    writer.byte(nullTag);
    writer.byte(0);
  };
}

function presentWriter(kind: ColumnKind, elementKind: ScalarKind | undefined): WriteValue {
  if (kind === 'array') return arrayWriter(elementKind);
  const field = valueField[kind];
  const tagged = (type: number, write: WriteValue): WriteValue => {
    const tag = tagOf(fieldNumber(field), type);
    return (writer, cell) => {
      writer.byte(tag);
      write(writer, cell);
    };
  };
  switch (field) {
    case 'boolValue':
      return tagged(varintType, (writer, cell) => writer.byte(cell === true ? 1 : 0));
    case 'int64Value':
    case 'uint64Value':
    case 'timeMicros':
    case 'timestampMicros':
    case 'timestamptzMicros':
      return tagged(varintType, (writer, cell) => writer.varint64(cell as bigint | number));
    case 'doubleValue':
      return tagged(fixed64Type, (writer, cell) => writer.double(cell as number));
    case 'bytesValue':
      return tagged(bytesType, (writer, cell) => writer.bytes(cell as Uint8Array));
    case 'decimalValue':
    case 'textValue':
    case 'uuidValue':
    case 'dateValue':
    case 'jsonValue':
    case 'enumValue':
      return tagged(bytesType, (writer, cell) => writer.text(cell as string));
    default:
      return assertNever(field);
  }
}

function arrayWriter(elementKind: ScalarKind | undefined): WriteValue {
  if (elementKind === undefined) throw new Error('an array column needs its element kind');
  const writeElement = valueWriter(elementKind, undefined);
  return (writer, cell) => {
    writer.varint(tagOf(fieldNumber('arrayValue'), bytesType));
    const whole = writer.begin(1);
    for (const element of cell as readonly Cell[]) {
      writer.byte(elementTag);
      const start = writer.begin(1);
      writeElement(writer, element);
      writer.end(start, 1);
    }
    writer.end(whole, 1);
  };
}
