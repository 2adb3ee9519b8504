import type { MessageInitShape } from '@bufbuild/protobuf';
import { NullValue } from '@bufbuild/protobuf/wkt';
import { assertNever } from '../core/assert-never.ts';
import type { ScalarKind } from '../core/cell.ts';
import { ownMember, setOwnMember } from '../core/own-member.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { microsOfTime, microsOfTimestamp, timestampText, timeText } from '../core/time-text.ts';
import type { Row, RowSchema, Value, ValueSchema } from '../gen/switchyard/data/v1/value_pb.ts';
import type { ColumnType, TableType } from './table-type.ts';

type WireValue = MessageInitShape<typeof ValueSchema>;

/** A program's value of a column on the wire. VALUE_INVALID names the column and what it should be; what only the store can tell, the gateway does. */
export function wireValue(column: ColumnType, name: string, value: unknown): WireValue {
  if (value === null) return { kind: { case: 'nullValue', value: NullValue.NULL_VALUE } };
  if (column.kind !== 'array') return scalarToWire(column.kind, name, value);
  const { element } = column;
  if (!Array.isArray(value) || element === undefined) throw misfit(name, value, 'an array');
  const elements = value.map((each, index) => (each === null ? wireValue(column, name, null) : scalarToWire(element, `${name}[${index}]`, each)));
  return { kind: { case: 'arrayValue', value: { elements } } };
}

/** The reverse. */
export function programValue(column: ColumnType, value: Value): unknown {
  if (value.kind.case === 'nullValue') return null;
  if (value.kind.case === 'arrayValue') return value.kind.value.elements.map((element) => scalarFromWire(column.element ?? 'text', element));
  return column.kind === 'array' ? null : scalarFromWire(column.kind, value);
}

/** An object of a table's columns on the wire. COLUMN_UNKNOWN. Members that are undefined are left out. */
export function wireRow(table: TableType, row: Readonly<Record<string, unknown>>): MessageInitShape<typeof RowSchema> {
  const cells: Record<string, WireValue> = {};
  for (const [name, value] of Object.entries(row)) if (value !== undefined) setOwnMember(cells, name, wireValue(columnOf(table, name), name, value));
  return { cells };
}

/** The reverse; columns that came since the module was generated are left out. */
export function programRow(table: TableType, row: Row | undefined): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(row?.cells ?? {})) {
    const column = ownMember(table.columns, name);
    if (column !== undefined) setOwnMember(found, name, programValue(column, value));
  }
  return found;
}

export function columnOf(table: TableType, name: string): ColumnType {
  const column = ownMember(table.columns, name);
  if (column === undefined) throw new SwitchyardError('COLUMN_UNKNOWN', `table "${table.name}" had no column "${name}" when its module was generated: generate it anew`);
  return column;
}

function scalarToWire(kind: ScalarKind, name: string, value: unknown): WireValue {
  switch (kind) {
    case 'bool':
      if (typeof value === 'boolean') return { kind: { case: 'boolValue', value } };
      throw misfit(name, value, 'a boolean');
    case 'int16':
    case 'int32':
      if (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= Number.MAX_SAFE_INTEGER) return { kind: { case: 'int64Value', value: BigInt(value) } };
      throw misfit(name, value, 'an integer, as a number');
    case 'int64':
      if (typeof value === 'bigint' && BigInt.asIntN(64, value) === value) return { kind: { case: 'int64Value', value } };
      throw misfit(name, value, 'a bigint of 64 bits');
    case 'uint64':
      // A negative amount to add.
      if (typeof value === 'bigint' && (value < 0n ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value)) === value)
        return { kind: value < 0n ? { case: 'int64Value', value } : { case: 'uint64Value', value } };
      throw misfit(name, value, 'a bigint of 64 bits');
    case 'float32':
    case 'float64':
      if (typeof value === 'number') return { kind: { case: 'doubleValue', value } };
      throw misfit(name, value, 'a number');
    case 'bytes':
      if (value instanceof Uint8Array) return { kind: { case: 'bytesValue', value } };
      throw misfit(name, value, 'a Uint8Array');
    case 'time': {
      const micros = typeof value === 'string' ? microsOfTime(value) : null;
      if (micros === null) throw misfit(name, value, 'a time of day such as "23:59:59.000001"');
      return { kind: { case: 'timeMicros', value: micros } };
    }
    case 'timestamp':
    case 'timestamptz': {
      const isZoned = kind === 'timestamptz';
      const micros = typeof value === 'string' ? microsOfTimestamp(value, isZoned) : null;
      if (micros === null) throw misfit(name, value, `a time such as "2026-01-31T23:59:59.000001${isZoned ? 'Z", with an offset' : '", without an offset'}`);
      return { kind: { case: isZoned ? 'timestamptzMicros' : 'timestampMicros', value: micros } };
    }
    case 'decimal':
    case 'text':
    case 'uuid':
    case 'date':
    case 'json':
    case 'enum':
      if (typeof value === 'string') return { kind: { case: `${kind}Value`, value: wellFormed(name, value) } };
      throw misfit(name, value, 'a string');
    default:
      return assertNever(kind);
  }
}

function scalarFromWire(kind: ScalarKind, { kind: found }: Value): unknown {
  switch (found.case) {
    case undefined:
    case 'nullValue':
      return null;
    case 'int64Value':
      return kind === 'int16' || kind === 'int32' ? Number(found.value) : found.value;
    case 'bytesValue': {
      // Whatever the transport made of them; a Buffer has methods that mean other things.
      const { buffer, byteOffset, byteLength } = found.value;
      return new Uint8Array(buffer, byteOffset, byteLength);
    }
    case 'timeMicros':
      return timeText(found.value);
    case 'timestampMicros':
      return timestampText(found.value, false);
    case 'timestamptzMicros':
      return timestampText(found.value, true);
    default:
      return found.value;
  }
}

/** The text itself. VALUE_INVALID for half a surrogate, of which the wire would make another character. */
export function wellFormed(name: string, text: string): string {
  if (text.isWellFormed()) return text;
  throw new SwitchyardError('VALUE_INVALID', `${name}: the text holds half of a surrogate pair, which is no character`, { metadata: { column: name } });
}

function misfit(name: string, value: unknown, expected: string): SwitchyardError {
  return new SwitchyardError('VALUE_INVALID', `${name}: got ${shown(value)}; must be ${expected}`, { metadata: { column: name } });
}

/** What was given, for a message: a bigint as one writes it, so that it is not taken for a number. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 64));
  if (typeof value === 'bigint') return `the bigint ${value}n`;
  return typeof value === 'object' || typeof value === 'function' ? Object.prototype.toString.call(value) : String(value);
}
