import { assertNever } from '../../core/assert-never.ts';
import type { Cell, ColumnKind, ScalarKind } from '../../core/cell.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import { WireWriter } from '../../core/wire-writer.ts';
import { ArrayValueSchema, RowSchema, ValueSchema } from '../../gen/switchyard/data/v1/value_pb.ts';
import type { TableHandle } from './table-handle.ts';

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
  const integer = (name: keyof typeof ValueSchema.field): WriteValue => {
    const tag = tagOf(fieldNumber(name), varintType);
    return (writer, cell) => {
      writer.byte(tag);
      writer.varint64(cell as bigint | number);
    };
  };
  const text = (name: keyof typeof ValueSchema.field): WriteValue => {
    const tag = tagOf(fieldNumber(name), bytesType);
    return (writer, cell) => {
      writer.byte(tag);
      writer.text(cell as string);
    };
  };
  switch (kind) {
    case 'bool':
      return (writer, cell) => {
        writer.byte(tagOf(fieldNumber('boolValue'), varintType));
        writer.byte(cell === true ? 1 : 0);
      };
    case 'int16':
    case 'int32':
    case 'int64':
      return integer('int64Value');
    case 'uint64':
      return integer('uint64Value');
    case 'time':
      return integer('timeMicros');
    case 'timestamp':
      return integer('timestampMicros');
    case 'timestamptz':
      return integer('timestamptzMicros');
    case 'float32':
    case 'float64':
      return (writer, cell) => {
        writer.byte(tagOf(fieldNumber('doubleValue'), fixed64Type));
        writer.double(cell as number);
      };
    case 'decimal':
      return text('decimalValue');
    case 'text':
      return text('textValue');
    case 'uuid':
      return text('uuidValue');
    case 'date':
      return text('dateValue');
    case 'json':
      return text('jsonValue');
    case 'enum':
      return text('enumValue');
    case 'bytes':
      return (writer, cell) => {
        writer.byte(tagOf(fieldNumber('bytesValue'), bytesType));
        writer.bytes(cell as Uint8Array);
      };
    case 'array':
      return arrayWriter(elementKind);
    default:
      return assertNever(kind);
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
