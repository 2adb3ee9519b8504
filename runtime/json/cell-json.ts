import { assertNever } from '../../core/assert-never.ts';
import type { ScalarKind } from '../../core/cell.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import type { Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import { rangeText, typeText } from '../wire/decode-cell.ts';
import { encodeCell } from '../wire/encode-cell.ts';
import { doubleOf, doubleText, exactInteger, mostAddedDigits, plainDecimal } from '../wire/number-text.ts';
import { type JsonNode, shownNode } from './json-node.ts';
import { microsOfTime, microsOfTimestamp, timestampText, timeText } from '../../core/time-text.ts';

/* A cell in plain JSON. Written: integers of 64 bits and decimals as strings, since most JSON parsers round them; 16 and 32 bits and finite floats as numbers. Read: numbers or strings, as long as they are exact. */

/** Wraps a JSON value that would read as something else: `{"$json": null}` is JSON's null where null is SQL's NULL. */
const wrapper = '$json';
const base64Pattern = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

/** How a column of this kind is written in JSON, for messages and the OpenAPI document. */
export const jsonForms: Readonly<Record<ScalarKind, string>> = {
  bool: 'true or false',
  int16: `an integer from ${rangeText('int16')}, as a number or a string`,
  int32: `an integer from ${rangeText('int32')}, as a number or a string`,
  int64: `an integer from ${rangeText('int64')}, as a string or a number`,
  uint64: `an integer from ${rangeText('uint64')}, as a string or a number`,
  float32: 'a number that a float32 holds exactly, "NaN", "Infinity" or "-Infinity"',
  float64: 'a number, "NaN", "Infinity" or "-Infinity"',
  decimal: `a decimal number, as a string or a number (an exponent of at most ${mostAddedDigits}), "NaN", "Infinity" or "-Infinity"`,
  text: 'a string',
  bytes: 'a string in base64',
  uuid: 'a UUID as a string with hyphens',
  date: 'a day as "YYYY-MM-DD", "infinity" or "-infinity"',
  time: 'a time of day as "HH:MM:SS.ffffff"',
  timestamp: 'a time as "YYYY-MM-DDTHH:MM:SS.ffffff" without an offset, "infinity" or "-infinity"',
  timestamptz: 'a time as "YYYY-MM-DDTHH:MM:SS.ffffffZ" or with an offset, "infinity" or "-infinity"',
  json: 'any JSON value',
  enum: 'a string',
};

/** The value that a JSON node means for this column. VALUE_INVALID names field, node and the form expected. `field` is where the row stands in the request. */
export function valueFromJson(node: JsonNode, column: ColumnSchema, field: string): Value {
  if (column.kind !== 'array') return scalarFromJson(node, column, column.kind, `${field}.${column.name}`);
  const { elementKind } = column;
  if (node.kind === 'null') return encodeCell('array', null);
  if (node.kind !== 'array' || elementKind === undefined) throw misfit(node, column, `${field}.${column.name}`);
  const elements = node.elements.map((element, index) => scalarFromJson(element, column, elementKind, `${field}.${column.name}[${index}]`));
  return { $typeName: 'switchyard.data.v1.Value', kind: { case: 'arrayValue', value: { $typeName: 'switchyard.data.v1.ArrayValue', elements } } };
}

function scalarFromJson(node: JsonNode, column: ColumnSchema, kind: ScalarKind, field: string): Value {
  if (node.kind === 'null') return encodeCell(kind, null);
  const fail = (): never => {
    throw misfit(node, column, field);
  };
  const string = (): string => (node.kind === 'string' ? node.value : fail());
  const numeric = (): string => (node.kind === 'number' ? node.source : string());
  switch (kind) {
    case 'bool':
      return encodeCell(kind, node.kind === 'boolean' ? node.value : fail());
    case 'int16':
    case 'int32':
    case 'int64': {
      const value = exactInteger(numeric()) ?? fail();
      // Narrower ranges are checked with the table; beyond int64 there is no message to say it in.
      return BigInt.asIntN(64, value) === value ? encodeCell('int64', value) : fail();
    }
    case 'uint64': {
      const value = exactInteger(numeric()) ?? fail();
      return BigInt.asUintN(64, value) === value ? encodeCell(kind, value) : fail();
    }
    case 'float32':
    case 'float64':
      return encodeCell(kind, notFinite(node) ?? doubleOf(numeric()) ?? fail());
    case 'decimal':
      return encodeCell(kind, notFinite(node) === null ? (plainDecimal(numeric()) ?? fail()) : string());
    case 'text':
    case 'date':
    case 'enum':
    case 'uuid':
      return encodeCell(kind, string());
    case 'bytes':
      return encodeCell(kind, bytesOf(string()) ?? fail());
    case 'time':
      return encodeCell(kind, microsOfTime(string()) ?? fail());
    case 'timestamp':
    case 'timestamptz':
      return encodeCell(kind, microsOfTimestamp(string(), kind === 'timestamptz') ?? fail());
    case 'json':
      return encodeCell(kind, unwrapped(node).source);
    default:
      return assertNever(kind);
  }
}

/** An amount to add to a number column; an unsigned one is subtracted from by a negative integer. */
export function amountFromJson(node: JsonNode, column: ColumnSchema, field: string): Value {
  return column.kind === 'uint64' && node.source.replace('"', '').startsWith('-') ? valueFromJson(node, { ...column, kind: 'int64' }, field) : valueFromJson(node, column, field);
}

/** A value from a path or a query parameter, where everything is text. */
export function valueFromText(text: string, column: ColumnSchema, field: string, parse: (json: string, field: string) => JsonNode): Value {
  const node: JsonNode = { kind: 'string', value: text, source: JSON.stringify(text) };
  if (column.kind === 'json') return valueFromJson({ kind: 'object', members: new Map([[wrapper, parse(text, field)]]), source: '' }, column, field);
  if (column.kind === 'bool' && (text === 'true' || text === 'false')) return encodeCell('bool', text === 'true');
  return valueFromJson(node, column, field);
}

/** JSON text of a value. The column tells integers of 32 bits from those of 64; a value without one is written by what it says itself. */
export function jsonFromValue(value: Value, column?: ColumnSchema): string {
  const { kind } = value;
  switch (kind.case) {
    case undefined:
    case 'nullValue':
      return 'null';
    case 'boolValue':
      return kind.value ? 'true' : 'false';
    case 'int64Value': {
      const narrow = column?.kind === 'array' ? column.elementKind : column?.kind;
      return narrow === 'int16' || narrow === 'int32' ? String(kind.value) : `"${kind.value}"`;
    }
    case 'uint64Value':
      return `"${kind.value}"`;
    case 'doubleValue':
      return Number.isFinite(kind.value) ? doubleText(kind.value) : `"${kind.value}"`;
    case 'bytesValue':
      return `"${Buffer.from(kind.value.buffer, kind.value.byteOffset, kind.value.byteLength).toString('base64')}"`;
    case 'timeMicros':
      return `"${timeText(kind.value)}"`;
    case 'timestampMicros':
      return `"${timestampText(kind.value, false)}"`;
    case 'timestamptzMicros':
      return `"${timestampText(kind.value, true)}"`;
    case 'jsonValue':
      return wrapped(kind.value);
    case 'arrayValue':
      return `[${kind.value.elements.map((element) => jsonFromValue(element, column)).join(',')}]`;
    case 'textValue':
    case 'decimalValue':
    case 'uuidValue':
    case 'dateValue':
    case 'enumValue':
      return JSON.stringify(kind.value);
    default:
      return assertNever(kind);
  }
}

/** Only an object whose single member is the wrapper stands for that member. */
function unwrapped(node: JsonNode): JsonNode {
  if (node.kind !== 'object' || node.members.size !== 1) return node;
  return node.members.get(wrapper) ?? node;
}

// An object whose first member's name begins as the wrapper's does, or with an escape that may hide it, is wrapped too: that is always right.
const needsWrapper = /^\s*(?:null\s*$|\{\s*"[$\\])/;
const wrapped = (json: string): string => (needsWrapper.test(json) ? `{"${wrapper}":${json}}` : json);

function notFinite(node: JsonNode): number | null {
  if (node.kind !== 'string') return null;
  return node.value === 'NaN' || node.value === 'Infinity' || node.value === '-Infinity' ? Number(node.value) : null;
}

function bytesOf(text: string): Uint8Array | null {
  const standard = text.replaceAll('-', '+').replaceAll('_', '/');
  if (!base64Pattern.test(standard)) return null;
  return new Uint8Array(Buffer.from(standard, 'base64'));
}

function misfit(node: JsonNode, column: ColumnSchema, field: string): SwitchyardError {
  const kind = column.kind === 'array' ? column.elementKind : column.kind;
  const form = kind === undefined ? '' : jsonForms[kind];
  const wanted = column.kind === 'array' && !field.endsWith(']') ? `an array, each element ${form}` : form;
  return new SwitchyardError('VALUE_INVALID', `${field}: got ${shownNode(node)}; expected ${typeText(column)} as ${wanted}`, { metadata: { field, column: column.name } });
}
