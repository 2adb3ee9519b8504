import { type Cell, cellsEqual, keyText } from '../../core/cell.ts';
import type { Row, WriteOperation } from '../../core/operation.ts';
import { ownMember, setOwnMember } from '../../core/own-member.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { type ColumnSchema, isGiven } from '../../core/table-schema.ts';
import type { DeleteRequest, InsertRequest, Mutation, UpdateRequest, UpsertRequest } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { Row as WireRow, Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import { columnOf, columnsToReturn, decodeKey } from './columns.ts';
import { decodeCell, invalid, typeText } from '../../runtime/wire/decode-cell.ts';
import { checkRequestId } from './once.ts';
import type { TableHandle } from './table-handle.ts';
import { decodeFilter } from './validate-filter.ts';

/** One write with the primary keys that it touches: two where it changes its row's key, none where the store makes the key. */
export interface DecodedWrite {
  readonly operation: WriteOperation;
  readonly keys: readonly (readonly Cell[])[];
}

export type WriteKind = NonNullable<Mutation['kind']['case']>;
export type WriteRequest = InsertRequest | UpsertRequest | UpdateRequest | DeleteRequest;

const argument = (message: string): SwitchyardError => new SwitchyardError('ARGUMENT_INVALID', message);
const emptyRow: Row = { columns: [], cells: [] };

/** What can be said of a single write before its table is known. */
export function checkWrite(request: WriteRequest): void {
  if (request.table === '') throw argument('table: missing; give "orders" or "keyspace.orders"');
  checkRequestId(request.requestId);
}

/** Checks one write against the table's shape. `at` stands before every field's name: empty, or "mutations[3].update." inside a Mutate; `rowField`: what an inserted row is called, "rows[3]". */
export function decodeWrite(handle: TableHandle, kind: WriteKind, request: WriteRequest, at: string, rowField = `${at}row`): DecodedWrite {
  switch (request.$typeName) {
    case 'switchyard.data.v1.InsertRequest':
    case 'switchyard.data.v1.UpsertRequest':
      return decodeInsert(handle, kind === 'upsert' ? 'upsert' : 'insert', request, at, rowField);
    case 'switchyard.data.v1.UpdateRequest':
      return decodeUpdate(handle, request, at);
    case 'switchyard.data.v1.DeleteRequest':
      return decodeDelete(handle, request, at);
  }
}

function decodeInsert(handle: TableHandle, kind: 'insert' | 'upsert', request: InsertRequest | UpsertRequest, at: string, field: string): DecodedWrite {
  const { schema } = handle;
  const row = withKey(handle, decodeRow(handle, request.row, field), request, at);
  if (kind === 'insert' && row.columns.length === 0 && request.row === undefined) throw argument(`${field}: missing`);
  const key = keyWithin(handle, row);
  if (kind === 'upsert' && key === null) throw argument(`${field}: must hold the whole primary key (${schema.primaryKey.join(', ')})`);
  for (const name of handle.requiredColumns) {
    if (!row.columns.includes(name)) throw missing(handle, name, field);
  }
  const returning = columnsToReturn(handle, request.returning, `${at}returning`, schema.primaryKey);
  const keys = key === null ? [] : [key];
  if (request.$typeName !== 'switchyard.data.v1.UpsertRequest') return { operation: { kind: 'insert', table: schema.name, row, returning }, keys };
  const precondition = decodeFilter(handle, request.precondition, `${at}precondition`);
  return { operation: { kind: 'upsert', table: schema.name, row, precondition, returning }, keys };
}

/** An upsert's row with the key that was given apart from it. */
function withKey(handle: TableHandle, row: Row, request: InsertRequest | UpsertRequest, at: string): Row {
  if (request.$typeName !== 'switchyard.data.v1.UpsertRequest' || request.key === undefined) return row;
  const key = decodeKey(handle, request.key, `${at}key`);
  const columns = [...row.columns];
  const cells = [...row.cells];
  handle.schema.primaryKey.forEach((name, index) => {
    const cell = key[index] ?? null;
    const position = columns.indexOf(name);
    if (position < 0) {
      columns.push(name);
      cells.push(cell);
    } else if (!cellsEqual(cells[position] ?? null, cell)) throw argument(`${at}row.${name}: differs from the key; leave it out of the row`);
  });
  return { columns, cells };
}

function decodeUpdate(handle: TableHandle, request: UpdateRequest, at: string): DecodedWrite {
  const { schema } = handle;
  refuseTag(request.etag, at);
  const key = decodeKey(handle, request.key, `${at}key`);
  const set = decodeRow(handle, maskedRow(handle, request, at), `${at}row`);
  const add = decodeAmounts(handle, request.add, `${at}add`);
  const both = add.columns.find((name) => set.columns.includes(name));
  if (both !== undefined) throw argument(`${at}add.${both}: the column is in row too; a column can be set or added to, not both`);
  if (set.columns.length + add.columns.length === 0) throw argument(`${at}row: nothing to change; give new values in row or amounts in add`);
  const precondition = decodeFilter(handle, request.precondition, `${at}precondition`);
  const returning = columnsToReturn(handle, request.returning, `${at}returning`, schema.primaryKey);
  const newKey = schema.primaryKey.some((name) => set.columns.includes(name)) ? schema.primaryKey.map((name, index) => cellOf(set, name) ?? key[index] ?? null) : null;
  if (add.columns.some((name) => schema.primaryKey.includes(name))) throw argument(`${at}add: a column of the primary key can be set, not added to`);
  return { operation: { kind: 'update', table: schema.name, key, set, add, precondition, returning }, keys: newKey === null ? [key] : [key, newKey] };
}

function decodeDelete(handle: TableHandle, request: DeleteRequest, at: string): DecodedWrite {
  refuseTag(request.etag, at);
  const key = decodeKey(handle, request.key, `${at}key`);
  const precondition = decodeFilter(handle, request.precondition, `${at}precondition`);
  return { operation: { kind: 'delete', table: handle.schema.name, key, precondition, allowMissing: request.allowMissing }, keys: [key] };
}

/** Whoever can serve a tag has compared it by now. */
function refuseTag(etag: string, at: string): void {
  if (etag !== '') throw argument(`${at}etag: not inside a Mutate; give a precondition, or make the write a call of its own or one of a transaction`);
}

/** The row's cells that the mask names, or all. */
function maskedRow(handle: TableHandle, { row, updateMask }: UpdateRequest, at: string): WireRow | undefined {
  if (updateMask.length === 0) return row;
  const given = row?.cells ?? {};
  const cells: Record<string, Value> = {};
  updateMask.forEach((name, index) => {
    columnOf(handle, name, `${at}update_mask[${index}]`);
    const value = ownMember(given, name);
    if (value === undefined) throw argument(`${at}update_mask[${index}]: row holds no "${name}"; give its value, null_value for NULL`);
    setOwnMember(cells, name, value);
  });
  return { $typeName: 'switchyard.data.v1.Row', cells };
}

function decodeRow(handle: TableHandle, row: WireRow | undefined, field: string): Row {
  if (row === undefined) return emptyRow;
  const columns = Object.keys(row.cells);
  const cells = columns.map((name) => {
    const column = columnOf(handle, name, field);
    const value = row.cells[name];
    if (isGiven(column)) throw invalid(value, column, field, 'the store alone gives this column its values');
    const cell = decodeCell(value, column, field);
    if (cell === null && !column.nullable)
      throw new SwitchyardError('NOT_NULL_VIOLATION', `${field}.${name}: got null_value; the column is NOT NULL, of type ${typeText(column)}`, { metadata: { column: name } });
    return cell;
  });
  return { columns, cells };
}

const numberKinds: readonly string[] = ['int16', 'int32', 'int64', 'uint64', 'float32', 'float64', 'decimal'];

function decodeAmounts(handle: TableHandle, add: WireRow | undefined, field: string): Row {
  if (add === undefined) return emptyRow;
  const columns = Object.keys(add.cells);
  const cells = columns.map((name) => {
    const column = columnOf(handle, name, field);
    const value = add.cells[name];
    if (!numberKinds.includes(column.kind)) throw invalid(value, column, field, 'only number columns can be added to');
    if (isGiven(column)) throw invalid(value, column, field, 'the store alone gives this column its values');
    const cell = decodeCell(value, amountColumn(column, value), field);
    if (cell === null) throw invalid(value, column, field, 'an amount is never NULL');
    return cell;
  });
  return { columns, cells };
}

/** An unsigned column is subtracted from by a negative int64. */
const amountColumn = (column: ColumnSchema, value: Value | undefined): ColumnSchema =>
  column.kind === 'uint64' && value?.kind.case === 'int64Value' ? { ...column, kind: 'int64' } : column;

function keyWithin(handle: TableHandle, row: Row): readonly Cell[] | null {
  const key: Cell[] = [];
  for (const name of handle.schema.primaryKey) {
    const cell = cellOf(row, name);
    if (cell === null) return null;
    key.push(cell);
  }
  return key;
}

function cellOf(row: Row, name: string): Cell {
  const index = row.columns.indexOf(name);
  return index < 0 ? null : (row.cells[index] ?? null);
}

function missing(handle: TableHandle, name: string, field: string): SwitchyardError {
  const column = columnOf(handle, name, field);
  return new SwitchyardError('NOT_NULL_VIOLATION', `${field}.${name}: missing; the column is NOT NULL and has no default; expected ${typeText(column)}`, {
    metadata: { column: name },
  });
}

/** Text of a row's key, equal exactly for equal rows of the cluster. `tableKey` is the same under every name of the table. */
export const orderKey = (tableKey: string, key: readonly Cell[]): string => `${tableKey} ${keyText(key)}`;

/** Memory that an operation takes, roughly, in bytes. */
export function sizeOf(operation: WriteOperation): number {
  const cells =
    operation.kind === 'insert' || operation.kind === 'upsert'
      ? operation.row.cells
      : operation.kind === 'update'
        ? [...operation.key, ...operation.set.cells, ...operation.add.cells]
        : operation.key;
  return cells.reduce<number>((sum, cell) => sum + cellSize(cell), 200);
}

function cellSize(cell: Cell): number {
  if (typeof cell === 'string') return 16 + cell.length * 2;
  if (cell instanceof Uint8Array) return 64 + cell.length;
  if (typeof cell === 'object' && cell !== null) return cell.reduce<number>((sum, element) => sum + cellSize(element), 32);
  return 16;
}
