import type { ScalarKind } from '../../core/cell.ts';

/** Field of a `Value` that a column of this kind is given and answered in. */
export const valueField = {
  bool: 'boolValue',
  int16: 'int64Value',
  int32: 'int64Value',
  int64: 'int64Value',
  uint64: 'uint64Value',
  float32: 'doubleValue',
  float64: 'doubleValue',
  decimal: 'decimalValue',
  text: 'textValue',
  bytes: 'bytesValue',
  uuid: 'uuidValue',
  date: 'dateValue',
  time: 'timeMicros',
  timestamp: 'timestampMicros',
  timestamptz: 'timestamptzMicros',
  json: 'jsonValue',
  enum: 'enumValue',
} as const satisfies Readonly<Record<ScalarKind, string>>;
