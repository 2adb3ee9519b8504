import { assertNever } from '../../core/assert-never.ts';
import { type Cell, cellText, type ScalarKind } from '../../core/cell.ts';
import { shorten } from '../../core/shorten.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import { microsOfTime, microsOfTimestamp, timestampText, timeText } from '../../core/time-text.ts';
import { labelsOf } from './column-fit.ts';
import type { Parameter, Value } from './session.ts';

const integerPattern = /^-?\d+$/;
const decimalPattern = /^(-?)(\d+(?:\.\d+)?)$/;
const decimalCellPattern = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?$/;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const datePattern = /^(\d{4})-(\d\d)-(\d\d)$/;
const INT64_LIMIT = 2n ** 63n;
const UINT64_LIMIT = 2n ** 64n;
const MICROS_PER_DAY = 86_400_000_000n;

/**
 * What a value of a column means that a prepared statement brought. VALUE_UNSUPPORTED: the stored value has no exact cell (a zero date, a time of more than a day, a tinyint(1) that is neither 0 nor 1, a text with U+0000). STORE_FAILED: the value is
 * not of the column's type.
 */
export function cellFromValue(column: ColumnSchema, value: Value): Cell {
  return value === null ? null : read(column, scalarKind(column), value);
}

/**
 * A cell as a parameter, as it is assigned to the column. In a comparison or a sum its type matters too: see `comparand`. VALUE_INVALID: the cell is not of the column's kind or cannot be stored as it is (NaN, infinities, -0, U+0000, a
 * lone surrogate, a year beyond 0000 to 9999). Whether it fits the column's length, scale, range or charset: see `requireFit`; what that leaves, the store refuses.
 */
export function cellToParameter(column: ColumnSchema, cell: Cell): Parameter {
  return cell === null ? null : write(column, scalarKind(column), cell);
}

function scalarKind(column: ColumnSchema): ScalarKind {
  if (column.kind === 'array') throw new SwitchyardError('INTERNAL', `column "${column.name}": there are no arrays in MariaDB`);
  return column.kind;
}

function read(column: ColumnSchema, kind: ScalarKind, value: Exclude<Value, null>): Cell {
  switch (kind) {
    case 'bool':
      if (value !== 0 && value !== 1) throw noExactMapping(column, value);
      return value === 1;
    case 'int16':
      return within(column, value, 0x8000);
    case 'int32':
      return within(column, value, 0x8000_0000);
    case 'int64':
      return integer(column, value, -INT64_LIMIT, INT64_LIMIT);
    case 'uint64':
      return integer(column, value, 0n, UINT64_LIMIT);
    case 'float32':
      return Math.fround(float(column, value));
    case 'float64':
      return float(column, value);
    case 'decimal': {
      // ZEROFILL, and nothing else, writes zeros in front.
      const [, sign = '', digits] = decimalPattern.exec(textOf(column, value)) ?? [];
      return digits === undefined ? fail(notUnderstood(column, value)) : `${sign}${digits.replace(/^0+(?=\d)/, '')}`;
    }
    case 'text':
    case 'json': {
      const text = textOf(column, value);
      return text.includes('\0') ? fail(noExactMapping(column, value)) : text;
    }
    case 'enum':
      // What an invalid value was turned into by somebody without strict mode.
      return value === '' && !labelsOf(column.nativeType).has('') ? fail(noExactMapping(column, value)) : textOf(column, value);
    case 'uuid':
      return uuidPattern.test(textOf(column, value)) ? value : fail(notUnderstood(column, value));
    case 'bytes':
      return value instanceof Buffer ? new Uint8Array(value) : fail(notUnderstood(column, value));
    case 'date':
      return dayOf(textOf(column, value)) ?? fail(noExactMapping(column, value));
    case 'time':
      return microsOfTime(textOf(column, value)) ?? fail(noExactMapping(column, value));
    case 'timestamp':
    case 'timestamptz':
      return microsOfTimestamp(textOf(column, value), false) ?? fail(noExactMapping(column, value));
    default:
      return assertNever(kind);
  }
}

function write(column: ColumnSchema, kind: ScalarKind, cell: Exclude<Cell, null>): Parameter {
  switch (kind) {
    case 'bool':
      return typeof cell === 'boolean' ? (cell ? '1' : '0') : fail(invalid(column, cell));
    case 'int16':
    case 'int32':
      return typeof cell === 'number' && Number.isInteger(cell) ? String(cell) : fail(invalid(column, cell));
    case 'int64':
      return typeof cell === 'bigint' && cell >= -INT64_LIMIT && cell < INT64_LIMIT ? String(cell) : fail(invalid(column, cell));
    case 'uint64':
      return typeof cell === 'bigint' && cell >= 0n && cell < UINT64_LIMIT ? String(cell) : fail(invalid(column, cell));
    case 'float32':
    case 'float64':
      // -0 would silently become 0.
      return typeof cell === 'number' && Number.isFinite(cell) && !Object.is(cell, -0) ? String(kind === 'float32' ? Math.fround(cell) : cell) : fail(invalid(column, cell));
    case 'decimal':
      return typeof cell === 'string' && decimalCellPattern.test(cell) ? cell : fail(invalid(column, cell));
    case 'text':
    case 'json':
    case 'enum':
      // A lone surrogate would silently become U+FFFD on the way.
      return typeof cell === 'string' && cell.isWellFormed() && !cell.includes('\0') ? cell : fail(invalid(column, cell));
    case 'uuid': {
      const text = typeof cell === 'string' ? cell.toLowerCase() : '';
      return uuidPattern.test(text) ? text : fail(invalid(column, cell));
    }
    case 'bytes':
      return cell instanceof Uint8Array ? bufferOf(cell) : fail(invalid(column, cell));
    case 'date':
      return (typeof cell === 'string' ? dayOf(cell) : null) ?? fail(invalid(column, cell));
    case 'time':
      return typeof cell === 'bigint' && cell >= 0n && cell <= MICROS_PER_DAY ? timeText(cell) : fail(invalid(column, cell));
    case 'timestamp':
    case 'timestamptz': {
      const text = typeof cell === 'bigint' ? timestampText(cell, false) : '';
      // A sign: a year beyond 0000 to 9999. A word: infinity.
      return /^\d{4}-/.test(text) ? text.replace('T', ' ') : fail(invalid(column, cell));
    }
    default:
      return assertNever(kind);
  }
}

function within(column: ColumnSchema, value: Value, bound: number): number {
  const number = typeof value === 'string' && integerPattern.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= -bound && number < bound ? number : fail(notUnderstood(column, value));
}

/** From `lowest` up to below `end`. */
function integer(column: ColumnSchema, value: Value, lowest: bigint, end: bigint): bigint {
  const isInteger = typeof value === 'number' ? Number.isSafeInteger(value) : typeof value === 'string' && integerPattern.test(value);
  const number = isInteger ? BigInt(value as number | string) : fail(notUnderstood(column, value));
  return number >= lowest && number < end ? number : fail(notUnderstood(column, value));
}

function float(column: ColumnSchema, value: Value): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : fail(notUnderstood(column, value));
}

function textOf(column: ColumnSchema, value: Value): string {
  return typeof value === 'string' ? value : fail(notUnderstood(column, value));
}

/** The text, where it is a day of the calendar: MariaDB has days and months that are 0. */
function dayOf(text: string): string | null {
  const [, year = '', month = '', day = ''] = datePattern.exec(text) ?? [];
  if (year === '') return null;
  // Not Date.UTC, which takes the years 0 to 99 for 1900 to 1999.
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  return date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day) ? text : null;
}

/** The same memory as a Buffer. */
export const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function fail(error: Error): never {
  throw error;
}

const shown = (value: Value): string => shorten(cellText(value));

function invalid(column: ColumnSchema, cell: Cell): SwitchyardError {
  return new SwitchyardError('VALUE_INVALID', `${shorten(cellText(cell))} is no value of column "${column.name}" (${column.nativeType})`, { metadata: { column: column.name } });
}

function noExactMapping(column: ColumnSchema, value: Value): SwitchyardError {
  return new SwitchyardError('VALUE_UNSUPPORTED', `column "${column.name}" (${column.nativeType}) holds ${shown(value)}, which has no exact mapping: correct it in the store`, {
    metadata: { column: column.name },
  });
}

function notUnderstood(column: ColumnSchema, value: Value): SwitchyardError {
  return new SwitchyardError('STORE_FAILED', `the store sent ${shown(value)} for column "${column.name}" (${column.nativeType})`, { metadata: { column: column.name } });
}
