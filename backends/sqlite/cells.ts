import { isUtf8 } from 'node:buffer';
import { assertNever } from '../../core/assert-never.ts';
import { type Cell, cellText, keyText, type ScalarKind } from '../../core/cell.ts';
import { shorten } from '../../core/shorten.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import { declaredType } from './column-types.ts';
import { quoteIdentifier, type SqlValue } from './connection.ts';
import { decimalSize, decimalText } from './decimal-text.ts';
import { isDateText, microsOfTime, microsOfTimestamp, timestampText, timeText } from './time-text.ts';

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const unsignedPattern = /^\d{20}$/;
const INT16_LIMIT = 0x8000;
const INT32_LIMIT = 0x8000_0000;
const INT64_LIMIT = 2n ** 63n;
const UINT64_LIMIT = 2n ** 64n;
const UINT64_DIGITS = 20;

/**
 * A column in a list of what to select (`prefix`: such as "NEW."). Texts come as their bytes: the driver would turn what is no UTF-8 into U+FFFD. A blob in a text column comes as a number, so that it cannot be taken for one of those.
 */
export function selected(column: ColumnSchema, prefix = ''): string {
  return selectedValue(column, `${prefix}${quoteIdentifier(column.name)}`);
}

/** The same of an expression whose values are the column's. */
export function selectedValue(column: ColumnSchema, expression: string): string {
  return isFreeText(column.kind) ? `CASE typeof(${expression}) WHEN 'text' THEN CAST(${expression} AS BLOB) WHEN 'blob' THEN 0 ELSE ${expression} END` : expression;
}

/**
 * What a stored value, as `selected` gives it, means. VALUE_UNSUPPORTED names the column: the value is not of the declared type (an ordinary table takes anything), not in the one form of its type, or has no exact cell.
 */
export function cellFromValue(column: ColumnSchema, value: SqlValue): Cell {
  if (value === null) return null;
  const cell = read(column, scalarKind(column), value);
  if (cell === undefined) throw misfit(column, value);
  return cell;
}

/** The value to store for a cell, as a parameter. VALUE_INVALID: the cell is not of the column's kind or cannot be stored as it is. */
export function valueFromCell(column: ColumnSchema, cell: Cell): SqlValue {
  if (cell === null) return null;
  const value = stored(column, scalarKind(column), cell);
  if (value === undefined) {
    throw new SwitchyardError('VALUE_INVALID', `${shorten(cellText(cell))} cannot be stored in column "${column.name}" (${column.nativeType}) as it is`, {
      metadata: { column: column.name },
    });
  }
  return value;
}

/** Kinds whose texts may be any; those of all other kinds have a form that is checked whole. */
const isFreeText = (kind: ColumnSchema['kind']): boolean => kind === 'text' || kind === 'json' || kind === 'enum';

function scalarKind(column: ColumnSchema): ScalarKind {
  if (column.kind === 'array') throw new SwitchyardError('INTERNAL', `column "${column.name}": there are no arrays in SQLite`);
  return column.kind;
}

/** Undefined: the value is not of that kind. */
function read(column: ColumnSchema, kind: ScalarKind, value: Exclude<SqlValue, null>): Cell | undefined {
  switch (kind) {
    case 'bool':
      return value === 0n || value === 1n ? value === 1n : undefined;
    case 'int16':
      return within(value, INT16_LIMIT);
    case 'int32':
      return within(value, INT32_LIMIT);
    case 'int64':
      return typeof value === 'bigint' ? value : undefined;
    case 'float32':
      return typeof value === 'number' && Object.is(Math.fround(value), value) ? value : undefined;
    case 'float64':
      return typeof value === 'number' ? value : undefined;
    case 'bytes':
      return value instanceof Uint8Array ? value : undefined;
    case 'text':
    case 'enum':
      return textOfBytes(value);
    case 'json': {
      const text = textOfBytes(value);
      return text !== undefined && isJson(text) ? text : undefined;
    }
    case 'uint64':
      return typeof value === 'string' && unsignedPattern.test(value) && BigInt(value) < UINT64_LIMIT ? BigInt(value) : undefined;
    case 'decimal':
      return typeof value === 'string' && decimalText(value, sizeOf(column)) === value ? value : undefined;
    case 'uuid':
      return typeof value === 'string' && uuidPattern.test(value) ? value : undefined;
    case 'date':
      return typeof value === 'string' && isDateText(value) ? value : undefined;
    case 'time':
      return typeof value === 'string' ? (microsOfTime(value) ?? undefined) : undefined;
    case 'timestamp':
    case 'timestamptz':
      return typeof value === 'string' ? (microsOfTimestamp(value, kind === 'timestamptz') ?? undefined) : undefined;
    default:
      return assertNever(kind);
  }
}

/** Undefined: the cell is not of that kind, or has no stored form. */
function stored(column: ColumnSchema, kind: ScalarKind, cell: Exclude<Cell, null>): SqlValue | undefined {
  switch (kind) {
    case 'bool':
      return typeof cell === 'boolean' ? BigInt(cell) : undefined;
    case 'int16':
    case 'int32': {
      const limit = kind === 'int16' ? INT16_LIMIT : INT32_LIMIT;
      return typeof cell === 'number' && Number.isInteger(cell) && cell >= -limit && cell < limit ? BigInt(cell) : undefined;
    }
    case 'int64':
      return typeof cell === 'bigint' && cell >= -INT64_LIMIT && cell < INT64_LIMIT ? cell : undefined;
    case 'uint64':
      return typeof cell === 'bigint' && cell >= 0n && cell < UINT64_LIMIT ? String(cell).padStart(UINT64_DIGITS, '0') : undefined;
    case 'float32':
    case 'float64': {
      // SQLite stores NaN as NULL and -0 as 0.
      if (typeof cell !== 'number' || Number.isNaN(cell) || Object.is(cell, -0)) return undefined;
      return kind === 'float64' || Object.is(Math.fround(cell), cell) ? cell : undefined;
    }
    case 'bytes':
      return cell instanceof Uint8Array ? cell : undefined;
    case 'text':
    case 'enum':
      return storedText(cell);
    case 'json': {
      const text = storedText(cell);
      return text !== undefined && isJson(text) ? text : undefined;
    }
    case 'decimal':
      return typeof cell === 'string' ? (decimalText(cell, sizeOf(column)) ?? undefined) : undefined;
    case 'uuid': {
      const text = typeof cell === 'string' ? cell.toLowerCase() : '';
      return uuidPattern.test(text) ? text : undefined;
    }
    case 'date':
      return typeof cell === 'string' && isDateText(cell) ? cell : undefined;
    case 'time':
      return typeof cell === 'bigint' ? (timeText(cell) ?? undefined) : undefined;
    case 'timestamp':
    case 'timestamptz':
      return typeof cell === 'bigint' ? (timestampText(cell, kind === 'timestamptz') ?? undefined) : undefined;
    default:
      return assertNever(kind);
  }
}

const sizeOf = (column: ColumnSchema) => decimalSize(declaredType(column.nativeType)?.modifiers ?? []);

function within(value: SqlValue, limit: number): number | undefined {
  return typeof value === 'bigint' && value >= -limit && value < limit ? Number(value) : undefined;
}

/** A text's bytes as text. U+0000 is none of a text: SQLite's own functions end there, other engines do not take it. */
function textOfBytes(value: SqlValue): string | undefined {
  if (!(value instanceof Uint8Array) || value.includes(0) || !isUtf8(value)) return undefined;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8');
}

/** A lone surrogate would silently become U+FFFD on the way. */
const storedText = (cell: Cell): string | undefined => (typeof cell === 'string' && cell.isWellFormed() && !cell.includes('\0') ? cell : undefined);

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function misfit(column: ColumnSchema, value: Exclude<SqlValue, null>): SwitchyardError {
  const isBytes = value instanceof Uint8Array;
  const shown = isBytes && isFreeText(column.kind) ? `the text ${JSON.stringify(Buffer.from(value).toString('utf8'))} (bytes ${cellText(value)})` : cellText(value);
  const what = isFreeText(column.kind) && value === 0n ? 'a blob' : shorten(shown);
  const message = `column "${column.name}" (${column.nativeType}) holds ${what}, which is no exact value of that type: correct it in the store`;
  return new SwitchyardError('VALUE_UNSUPPORTED', message, { metadata: { column: column.name } });
}

/** The key as it is stored, whether it fits its types or not. */
export function rawKeyText(row: readonly SqlValue[], places: readonly number[]): string {
  return keyText(
    places.map((place) => {
      const value = row[place] ?? null;
      // Texts were selected as their bytes.
      return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : value;
    }),
  );
}
