import type { Cell, ColumnKind, ScalarKind } from '../../core/cell.ts';
import { NullValue } from '@bufbuild/protobuf/wkt';
import type { Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import { valueField } from './value-field.ts';

// Messages are written as literals with their type's name: what `create` would make of them, without walking them again.
const wireValue = (kind: Value['kind']): Value => ({ $typeName: 'switchyard.data.v1.Value', kind });
const nullValue = wireValue({ case: 'nullValue', value: NullValue.NULL_VALUE });

/** A cell of a column of this kind on the wire. */
export function encodeCell(kind: ColumnKind, cell: Cell, elementKind?: ScalarKind): Value {
  if (cell === null) return nullValue;
  if (kind === 'array') {
    if (elementKind === undefined) throw new Error('an array column needs its element kind');
    const elements = (cell as readonly Cell[]).map((element) => encodeCell(elementKind, element));
    return wireValue({ case: 'arrayValue', value: { $typeName: 'switchyard.data.v1.ArrayValue', elements } });
  }
  // A cell is what its kind's field holds, but that short integers are numbers in memory.
  const value = kind === 'int16' || kind === 'int32' ? BigInt(cell as number) : cell;
  return wireValue({ case: valueField[kind], value } as Value['kind']);
}
