import { assertNever } from '../../core/assert-never.ts';
import type { Cell, ColumnKind, ScalarKind } from '../../core/cell.ts';
import type { Row } from '../../core/operation.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import { NullValue } from '@bufbuild/protobuf/wkt';
import { ColumnKind as WireKind, type Row as WireRow, type TableSchema as WireTableSchema, type Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import type { TableHandle } from './table-handle.ts';

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

/** Encodes rows of one table: all their columns, or only these. */
export function rowEncoder(handle: TableHandle, columns?: readonly string[]): (row: Row) => WireRow {
  const wanted = columns === undefined ? null : new Set(columns);
  return (row) => {
    const cells: Record<string, Value> = {};
    for (let index = 0; index < row.columns.length; index += 1) {
      const name = row.columns[index] as string;
      if (wanted !== null && !wanted.has(name)) continue;
      const column = handle.columns.get(name);
      if (column === undefined) throw new Error(`the store answered with a column ${name} that table ${handle.schema.name} does not have`);
      cells[name] = encodeCell(column.kind, row.cells[index] ?? null, column.elementKind);
    }
    return { $typeName: 'switchyard.data.v1.Row', cells };
  };
}

const wireKinds: Readonly<Record<ColumnKind, WireKind>> = {
  bool: WireKind.BOOL,
  int16: WireKind.INT16,
  int32: WireKind.INT32,
  int64: WireKind.INT64,
  uint64: WireKind.UINT64,
  float32: WireKind.FLOAT32,
  float64: WireKind.FLOAT64,
  decimal: WireKind.DECIMAL,
  text: WireKind.TEXT,
  bytes: WireKind.BYTES,
  uuid: WireKind.UUID,
  date: WireKind.DATE,
  time: WireKind.TIME,
  timestamp: WireKind.TIMESTAMP,
  timestamptz: WireKind.TIMESTAMPTZ,
  json: WireKind.JSON,
  enum: WireKind.ENUM,
  array: WireKind.ARRAY,
};

/** A table's shape on the wire, under the name that it was asked for by. */
export function encodeSchema(schema: TableSchema, name: string): WireTableSchema {
  return {
    $typeName: 'switchyard.data.v1.TableSchema',
    name,
    columns: schema.columns.map((column) => ({
      $typeName: 'switchyard.data.v1.Column',
      name: column.name,
      kind: wireKinds[column.kind],
      elementKind: column.elementKind === undefined ? WireKind.UNSPECIFIED : wireKinds[column.elementKind],
      nullable: column.nullable,
      hasDefault: column.hasDefault,
      generated: column.generated,
      nativeType: column.nativeType,
    })),
    primaryKey: [...schema.primaryKey],
    uniqueKeys: schema.uniqueKeys.map((key) => ({ $typeName: 'switchyard.data.v1.UniqueKey', name: key.name, columns: [...key.columns] })),
    fingerprint: schema.fingerprint,
  };
}
