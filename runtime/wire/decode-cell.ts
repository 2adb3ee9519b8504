import { assertNever } from '../../core/assert-never.ts';
import type { Cell, ScalarKind } from '../../core/cell.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import type { Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import { mostAddedDigits, plainDecimal } from './number-text.ts';
import { valueField } from './value-field.ts';

/** A column's type as messages show it: "int64 (bigint)". */
export const typeText = (column: ColumnSchema): string =>
  column.kind === 'array' ? `array of ${column.elementKind ?? 'unknown'} (${column.nativeType})` : `${column.kind} (${column.nativeType})`;

const mostShown = 64;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const datePattern = /^[+-]?(\d{4,7})-(\d\d)-(\d\d)$/;
const notFinite: readonly string[] = ['NaN', 'Infinity', '-Infinity'];
const integerRanges = {
  int16: [-0x8000n, 0x7fffn],
  int32: [-0x8000_0000n, 0x7fff_ffffn],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
} as const;
/** "-32768 to 32767" */
export const rangeText = (kind: keyof typeof integerRanges): string => integerRanges[kind].join(' to ');
const dayMicros = 86_400_000_000n;

/** Turns a wire value into the cell of its column. VALUE_INVALID names the field, the value given and the type expected. `field` is the message field that holds the row, such as "row". */
export function decodeCell(value: Value | undefined, column: ColumnSchema, field: string): Cell {
  const kind = value?.kind;
  if (kind === undefined || kind.case === undefined) throw invalid(value, column, field, 'a Value without a kind (NULL is null_value)');
  if (kind.case === 'nullValue') return null;
  if (column.kind !== 'array') return decodeScalar(value as Value, column, column.kind, field);
  const { elementKind } = column;
  if (kind.case !== 'arrayValue' || elementKind === undefined) throw invalid(value, column, field);
  return kind.value.elements.map((element, index) => {
    if (element.kind.case === 'nullValue') return null;
    return decodeScalar(element, column, elementKind, field, index);
  });
}

function decodeScalar(value: Value, column: ColumnSchema, columnKind: ScalarKind, field: string, index?: number): Cell {
  const { kind } = value;
  const fail = (why?: string): SwitchyardError => invalid(value, column, index === undefined ? field : `${field}[${index}]`, why);
  switch (columnKind) {
    case 'bool':
      if (kind.case === 'boolValue') return kind.value;
      throw fail();
    case 'int16':
    case 'int32': {
      if (kind.case !== 'int64Value') throw fail();
      const [least, most] = integerRanges[columnKind];
      if (kind.value < least || kind.value > most) throw fail(`must be ${rangeText(columnKind)}`);
      return Number(kind.value);
    }
    case 'int64':
      if (kind.case === 'int64Value') return kind.value;
      throw fail();
    case 'uint64':
      if (kind.case === 'uint64Value') return kind.value;
      throw fail();
    case 'float32':
      if (kind.case !== 'doubleValue') throw fail();
      if (!Object.is(Math.fround(kind.value), kind.value)) throw fail(`not exactly a float32; the nearest one is ${Math.fround(kind.value)}`);
      return kind.value;
    case 'float64':
      if (kind.case === 'doubleValue') return kind.value;
      throw fail();
    case 'decimal': {
      if (kind.case !== 'decimalValue') throw fail();
      const decimal = notFinite.includes(kind.value) ? kind.value : plainDecimal(kind.value);
      if (decimal === null) throw fail(`must be a decimal number (an exponent of at most ${mostAddedDigits}), "NaN", "Infinity" or "-Infinity"`);
      return decimal;
    }
    case 'text':
      if (kind.case === 'textValue') return kind.value;
      throw fail();
    case 'bytes':
      if (kind.case === 'bytesValue') return kind.value;
      throw fail();
    case 'uuid':
      if (kind.case !== 'uuidValue') throw fail();
      if (!uuidPattern.test(kind.value)) throw fail('must be a UUID with hyphens');
      return kind.value.toLowerCase();
    case 'date':
      if (kind.case !== 'dateValue') throw fail();
      if (!isDate(kind.value)) throw fail('must be a day of the calendar as "YYYY-MM-DD", "infinity" or "-infinity"');
      return kind.value;
    case 'time':
      if (kind.case !== 'timeMicros') throw fail();
      if (kind.value < 0n || kind.value > dayMicros) throw fail(`must be 0 to ${dayMicros}`);
      return kind.value;
    case 'timestamp':
      if (kind.case === 'timestampMicros') return kind.value;
      throw fail();
    case 'timestamptz':
      if (kind.case === 'timestamptzMicros') return kind.value;
      throw fail();
    case 'json':
      if (kind.case !== 'jsonValue') throw fail();
      if (!isJson(kind.value)) throw fail('not well-formed JSON');
      return kind.value;
    case 'enum':
      if (kind.case === 'enumValue') return kind.value;
      throw fail();
    default:
      return assertNever(columnKind);
  }
}

function isDate(text: string): boolean {
  if (text === 'infinity' || text === '-infinity') return true;
  const [, year = '', month = '', day = ''] = datePattern.exec(text) ?? [];
  if (year === '') return false;
  // The calendar repeats every 400 years, and Date reads years below 100 as 19xx.
  const days = new Date(Date.UTC(2000 + (Number(year) % 400), Number(month), 0)).getUTCDate();
  return Number(month) >= 1 && Number(month) <= 12 && Number(day) >= 1 && Number(day) <= days;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false; // the parser's message would name positions in the text, which may be secret
  }
}

/** What was given, for a message: the field of the Value that is set, and its content. */
function givenText(value: Value | undefined): string {
  const kind = value?.kind;
  if (kind === undefined) return 'nothing';
  switch (kind.case) {
    case undefined:
      return 'nothing';
    case 'nullValue':
      return 'null_value';
    case 'arrayValue':
      return `array_value of ${kind.value.elements.length} elements`;
    case 'bytesValue':
      return `bytes_value of ${kind.value.length} bytes`;
    case 'timeMicros':
    case 'timestampMicros':
    case 'timestamptzMicros':
    case 'boolValue':
    case 'int64Value':
    case 'uint64Value':
    case 'doubleValue':
      return `${snakeCase(kind.case)} ${kind.value}`;
    default: {
      const text = kind.value.length > mostShown ? `${kind.value.slice(0, mostShown)}…` : kind.value;
      return `${snakeCase(kind.case)} ${JSON.stringify(text)}`;
    }
  }
}

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** VALUE_INVALID for a value that does not fit its column. */
export function invalid(value: Value | undefined, column: ColumnSchema, field: string, why?: string): SwitchyardError {
  const fieldOf = (kind: ScalarKind): string => snakeCase(valueField[kind]);
  const wanted = column.kind !== 'array' ? fieldOf(column.kind) : `array_value${column.elementKind === undefined ? '' : ` of ${fieldOf(column.elementKind)}`}`;
  const message = `${field}.${column.name}: got ${givenText(value)}${why === undefined ? '' : ` (${why})`}; expected ${typeText(column)} as ${wanted}`;
  return new SwitchyardError('VALUE_INVALID', message, { metadata: { field, column: column.name } });
}
