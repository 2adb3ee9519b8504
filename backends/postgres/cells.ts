import { assertNever } from '../../core/assert-never.ts';
import { type Cell, cellText, type ScalarKind } from '../../core/cell.ts';
import { shorten } from '../../core/shorten.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import { elementsFromText, textFromElements } from './array-text.ts';
import {
  isoDateFromText,
  microsFromTime,
  microsFromTimestamp,
  TIMESTAMP_INFINITY,
  TIMESTAMP_MINUS_INFINITY,
  textFromIsoDate,
  timeFromMicros,
  timestampFromMicros,
} from './date-text.ts';

const integerPattern = /^-?\d+$/;

/**
 * What a column's text, as a session with the settings of connection.ts sends it, means. VALUE_UNSUPPORTED: the stored value has no exact cell (an array of several
 * dimensions or another lower bound than 1, a timestamp after the year 294246). STORE_FAILED: the text is not of the column's type.
 */
export function cellFromText(column: ColumnSchema, text: string | null): Cell {
  if (text === null) return null;
  if (column.kind !== 'array') return scalarFromText(column, column.kind, text);
  const elements = elementsFromText(text);
  if (elements === undefined) throw notUnderstood(column, text);
  if (elements === null) throw noExactMapping(column, text);
  const kind = elementKindOf(column);
  return elements.map((element) => (element === null ? null : scalarFromText(column, kind, element)));
}

/** Text of a cell, as a text parameter or in a COPY. VALUE_INVALID: the cell is not of the column's kind or cannot be stored as it is. */
export function cellToText(column: ColumnSchema, cell: Cell): string | null {
  if (cell === null) return null;
  if (column.kind !== 'array') return scalarToText(column, column.kind, cell);
  if (typeof cell !== 'object' || cell instanceof Uint8Array) throw invalid(column, cell);
  const kind = elementKindOf(column);
  return textFromElements(cell.map((element) => (element === null ? null : scalarToText(column, kind, element))));
}

function elementKindOf(column: ColumnSchema): ScalarKind {
  if (column.elementKind === undefined) throw new SwitchyardError('INTERNAL', `array column "${column.name}" has no element kind`);
  return column.elementKind;
}

function scalarFromText(column: ColumnSchema, kind: ScalarKind, text: string): Cell {
  switch (kind) {
    case 'text':
    case 'decimal':
    case 'uuid':
    case 'json':
    case 'enum':
      return text;
    case 'int16':
    case 'int32':
      return shortIntegerFromText(column, text, kind === 'int16' ? 0x8000 : 0x8000_0000);
    case 'int64':
      return integerFromText(column, text);
    case 'uint64':
      if (!integerPattern.test(text)) throw notUnderstood(column, text);
      return BigInt(text);
    case 'float32':
      return Math.fround(floatFromText(column, text));
    case 'float64':
      return floatFromText(column, text);
    case 'bool':
      if (text !== 't' && text !== 'f') throw notUnderstood(column, text);
      return text === 't';
    case 'bytes':
      return bytesFromText(text) ?? fail(notUnderstood(column, text));
    case 'date':
      return isoDateFromText(text) ?? fail(notUnderstood(column, text));
    case 'time':
      return microsFromTime(text) ?? fail(notUnderstood(column, text));
    case 'timestamp':
    case 'timestamptz': {
      const micros = microsFromTimestamp(text) ?? fail(notUnderstood(column, text));
      if (micros >= TIMESTAMP_INFINITY && text !== 'infinity') throw noExactMapping(column, text);
      return micros;
    }
    default:
      return assertNever(kind);
  }
}

const [zeroCode, minusCode] = [48, 45];
/** So many digits a double holds exactly. */
const mostDigits = 15;

/** Several times faster than a pattern and BigInt, which make up much of what a row of numbers costs. Null: it is longer, or no integer. */
function shortInteger(text: string): number | null {
  const begin = text.charCodeAt(0) === minusCode ? 1 : 0;
  if (text.length === begin || text.length - begin > mostDigits) return null;
  let value = 0;
  for (let index = begin; index < text.length; index += 1) {
    const digit = text.charCodeAt(index) - zeroCode;
    if (digit < 0 || digit > 9) return null;
    value = value * 10 + digit;
  }
  return begin === 1 ? 0 - value : value;
}

/** From `-bound` up to below it. */
function shortIntegerFromText(column: ColumnSchema, text: string, bound: number): number {
  const value = shortInteger(text);
  return value !== null && value >= -bound && value < bound ? value : fail(notUnderstood(column, text));
}

function integerFromText(column: ColumnSchema, text: string): bigint {
  const short = shortInteger(text);
  if (short !== null) return BigInt(short);
  const value = integerPattern.test(text) ? BigInt(text) : fail(notUnderstood(column, text));
  return BigInt.asIntN(64, value) === value ? value : fail(notUnderstood(column, text));
}

function scalarToText(column: ColumnSchema, kind: ScalarKind, cell: Cell): string {
  switch (kind) {
    case 'text':
    case 'decimal':
    case 'uuid':
    case 'json':
    case 'enum':
      // A lone surrogate would silently become U+FFFD on the way; U+0000 exists in no text of the store.
      if (typeof cell !== 'string' || !cell.isWellFormed() || cell.includes('\0')) throw invalid(column, cell);
      return cell;
    case 'int16':
    case 'int32':
      if (typeof cell !== 'number' || !Number.isInteger(cell)) throw invalid(column, cell);
      return String(cell);
    case 'int64':
    case 'uint64':
      if (typeof cell !== 'bigint') throw invalid(column, cell);
      return String(cell);
    case 'float32':
    case 'float64':
      if (typeof cell !== 'number') throw invalid(column, cell);
      return Object.is(cell, -0) ? '-0' : String(cell);
    case 'bool':
      if (typeof cell !== 'boolean') throw invalid(column, cell);
      return cell ? 't' : 'f';
    case 'bytes':
      if (!(cell instanceof Uint8Array)) throw invalid(column, cell);
      return `\\x${bufferOf(cell).toString('hex')}`;
    case 'date':
      return (typeof cell === 'string' ? textFromIsoDate(cell) : null) ?? fail(invalid(column, cell));
    case 'time':
      return (typeof cell === 'bigint' ? timeFromMicros(cell) : null) ?? fail(invalid(column, cell));
    case 'timestamp':
    case 'timestamptz':
      if (typeof cell !== 'bigint' || cell > TIMESTAMP_INFINITY || cell < TIMESTAMP_MINUS_INFINITY) throw invalid(column, cell);
      return timestampFromMicros(cell, kind === 'timestamptz');
    default:
      return assertNever(kind);
  }
}

/** What the text of a bytea stands for; null: not such a text. */
export function bytesFromText(text: string): Uint8Array | null {
  const bytes = new Uint8Array(Buffer.from(text.slice(2), 'hex'));
  return text.startsWith('\\x') && bytes.length * 2 === text.length - 2 ? bytes : null;
}

function floatFromText(column: ColumnSchema, text: string): number {
  const value = Number(text);
  if (text === '' || (Number.isNaN(value) && text !== 'NaN')) throw notUnderstood(column, text);
  return value;
}

/** The same memory as a Buffer. */
export const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function fail(error: Error): never {
  throw error;
}

function invalid(column: ColumnSchema, cell: Cell): SwitchyardError {
  return new SwitchyardError('VALUE_INVALID', `${shorten(cellText(cell))} is no value of column "${column.name}" (${column.nativeType})`, { metadata: { column: column.name } });
}

function noExactMapping(column: ColumnSchema, text: string): SwitchyardError {
  return new SwitchyardError('VALUE_UNSUPPORTED', `column "${column.name}" (${column.nativeType}) holds ${shorten(text)}, which has no exact mapping: correct it in the store`, {
    metadata: { column: column.name },
  });
}

function notUnderstood(column: ColumnSchema, text: string): SwitchyardError {
  return new SwitchyardError('STORE_FAILED', `the store sent ${shorten(text)} for column "${column.name}" (${column.nativeType})`, { metadata: { column: column.name } });
}
