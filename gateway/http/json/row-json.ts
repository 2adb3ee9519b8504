import { ownMember, setOwnMember } from '../../../core/own-member.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { ColumnSchema } from '../../../core/table-schema.ts';
import type { Row as WireRow, Value } from '../../../gen/switchyard/data/v1/value_pb.ts';
import { columnOf } from '../../codec/columns.ts';
import type { TableHandle } from '../../codec/table-handle.ts';
import { amountFromJson, jsonFromValue, valueFromJson, valueFromText } from '../../../runtime/json/cell-json.ts';
import { type JsonNode, type JsonObject, shownNode } from '../../../runtime/json/json-node.ts';
import { parseJson } from '../../../runtime/json/json-parser.ts';

/** `{"$add": 5}` in the place of a number column's value adds to what is there. */
const adder = '$add';
const deepestKey = 32;

const row = (cells: Record<string, Value>): WireRow => ({ $typeName: 'switchyard.data.v1.Row', cells });

/** The node as an object, or ARGUMENT_INVALID naming the field. */
export function objectOf(node: JsonNode, field: string): JsonObject {
  if (node.kind !== 'object') throw new SwitchyardError('ARGUMENT_INVALID', `${field}: got ${shownNode(node)}; must be a JSON object`);
  return node;
}

/** A plain JSON object of a table's columns as a row. COLUMN_UNKNOWN, VALUE_INVALID. */
export function rowFromJson(node: JsonNode, handle: TableHandle, field: string): WireRow {
  const cells: Record<string, Value> = {};
  for (const [name, value] of objectOf(node, field).members) setOwnMember(cells, name, valueFromJson(value, columnOf(handle, name, field), field));
  return row(cells);
}

/** The changes of an update: new values, and amounts where a number column has `{"$add": …}`. */
export function changesFromJson(node: JsonNode, handle: TableHandle, field: string): { readonly set: WireRow; readonly add: WireRow } {
  const set: Record<string, Value> = {};
  const add: Record<string, Value> = {};
  for (const [name, value] of objectOf(node, field).members) {
    const column = columnOf(handle, name, field);
    const amount = amountIn(value, column);
    if (amount === null) setOwnMember(set, name, valueFromJson(value, column, field));
    else setOwnMember(add, name, amountFromJson(amount, column, field));
  }
  return { set: row(set), add: row(add) };
}

/** Amounts to add, by column. */
export function amountsFromJson(node: JsonNode, handle: TableHandle, field: string): WireRow {
  const cells: Record<string, Value> = {};
  for (const [name, value] of objectOf(node, field).members) setOwnMember(cells, name, amountFromJson(value, columnOf(handle, name, field), field));
  return row(cells);
}

function amountIn(value: JsonNode, column: ColumnSchema): JsonNode | null {
  if (value.kind !== 'object' || value.members.size !== 1 || column.kind === 'json') return null;
  return value.members.get(adder) ?? null;
}

/** A primary key from its place in a path: parts joined by commas, each percent-encoded. `raw` is the segment as it was sent. */
export function keyFromPath(raw: string, handle: TableHandle): WireRow {
  const { keyColumns, schema } = handle;
  const parts = raw.split(',');
  if (parts.length !== keyColumns.length)
    throw new SwitchyardError(
      'ARGUMENT_INVALID',
      `key: got ${parts.length} parts; the primary key of "${schema.name}" is (${schema.primaryKey.join(', ')}): one part each, joined by commas; a comma within a part is %2C`,
    );
  const cells: Record<string, Value> = {};
  keyColumns.forEach((column, index) => {
    const text = percentDecoded(parts[index] ?? '', 'key');
    setOwnMember(
      cells,
      column.name,
      valueFromText(text, column, 'key', (json, field) => parseJson(json, field, deepestKey)),
    );
  });
  return row(cells);
}

/** A row's primary key as a path segment; null where the row lacks a part of it. */
export function keyToPath(found: WireRow, handle: TableHandle): string | null {
  const parts: string[] = [];
  for (const column of handle.keyColumns) {
    const value = ownMember(found.cells, column.name);
    if (value === undefined) return null;
    const json = value.kind.case === 'jsonValue' ? value.kind.value : jsonFromValue(value, column);
    parts.push(encodeURIComponent(json.startsWith('"') && column.kind !== 'json' ? (JSON.parse(json) as string) : json));
  }
  return parts.join(',');
}

/** ARGUMENT_INVALID where an escape is malformed or not UTF-8. */
export function percentDecoded(text: string, field: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new SwitchyardError('ARGUMENT_INVALID', `${field}: malformed percent-encoding; it must be UTF-8`);
  }
}

/** JSON text of a row: its columns in the table's order. `only` leaves others out. */
export function rowToJson(found: WireRow, handle: TableHandle | null, only?: ReadonlySet<string>): string {
  const members: string[] = [];
  const write = (name: string, value: Value, column?: ColumnSchema): void => {
    if (only === undefined || only.has(name)) members.push(`${JSON.stringify(name)}:${jsonFromValue(value, column)}`);
  };
  for (const column of handle?.schema.columns ?? []) {
    const value = ownMember(found.cells, column.name);
    if (value !== undefined) write(column.name, value, column);
  }
  // The route may have led to a shape with more columns than the one that was looked at.
  for (const [name, value] of Object.entries(found.cells)) if (handle?.columns.has(name) !== true) write(name, value);
  return `{${members.join(',')}}`;
}
