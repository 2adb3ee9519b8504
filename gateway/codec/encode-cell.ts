import { assertNever } from '../../core/assert-never.ts';
import type { Cell, ColumnKind, ScalarKind } from '../../core/cell.ts';
import { NullValue } from '@bufbuild/protobuf/wkt';
import type { Value } from '../../gen/switchyard/data/v1/value_pb.ts';

// Messages are written as literals with their type's name: what `create` would make of them, without walking them again.
const wireValue = (kind: Value['kind']): Value => ({ $typeName: 'switchyard.data.v1.Value', kind });
const nullValue = wireValue({ case: 'nullValue', value: NullValue.NULL_VALUE });

/** A cell of a column of this kind on the wire. */
export function encodeCell(kind: ColumnKind, cell: Cell, elementKind?: ScalarKind): Value {
  if (cell === null) return nullValue;
  switch (kind) {
    case 'bool':
      return wireValue({ case: 'boolValue', value: cell as boolean });
    case 'int16':
    case 'int32':
      return wireValue({ case: 'int64Value', value: BigInt(cell as number) });
    case 'int64':
      return wireValue({ case: 'int64Value', value: cell as bigint });
    case 'uint64':
      return wireValue({ case: 'uint64Value', value: cell as bigint });
    case 'float32':
    case 'float64':
      return wireValue({ case: 'doubleValue', value: cell as number });
    case 'decimal':
      return wireValue({ case: 'decimalValue', value: cell as string });
    case 'text':
      return wireValue({ case: 'textValue', value: cell as string });
    case 'bytes':
      return wireValue({ case: 'bytesValue', value: cell as Uint8Array });
    case 'uuid':
      return wireValue({ case: 'uuidValue', value: cell as string });
    case 'date':
      return wireValue({ case: 'dateValue', value: cell as string });
    case 'time':
      return wireValue({ case: 'timeMicros', value: cell as bigint });
    case 'timestamp':
      return wireValue({ case: 'timestampMicros', value: cell as bigint });
    case 'timestamptz':
      return wireValue({ case: 'timestamptzMicros', value: cell as bigint });
    case 'json':
      return wireValue({ case: 'jsonValue', value: cell as string });
    case 'enum':
      return wireValue({ case: 'enumValue', value: cell as string });
    case 'array': {
      if (elementKind === undefined) throw new Error('an array column needs its element kind');
      const elements = (cell as readonly Cell[]).map((element) => encodeCell(elementKind, element));
      return wireValue({ case: 'arrayValue', value: { $typeName: 'switchyard.data.v1.ArrayValue', elements } });
    }
    default:
      return assertNever(kind);
  }
}
