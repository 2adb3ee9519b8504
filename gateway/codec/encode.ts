import type { ColumnKind } from '../../core/cell.ts';
import type { Row } from '../../core/operation.ts';
import { isGiven, type TableSchema } from '../../core/table-schema.ts';
import { ColumnKind as WireKind, type Row as WireRow, type TableSchema as WireTableSchema } from '../../gen/switchyard/data/v1/value_pb.ts';
import { type CellWriter, cellWriter } from './cell-writer.ts';
import { EncodedRow } from './encoded-row.ts';
import type { TableHandle } from './table-handle.ts';

/** Encodes rows of one table: all their columns, or only these. */
export function rowEncoder(handle: TableHandle, columns?: readonly string[]): (row: Row) => WireRow {
  const wanted = columns === undefined ? null : new Set(columns);
  let named: readonly string[] | null = null;
  let writers: readonly (CellWriter | null)[] = [];
  return (row) => {
    // All rows of an answer have the same columns.
    if (row.columns !== named) {
      named = row.columns;
      writers = named.map((name) => (wanted === null || wanted.has(name) ? cellWriter(handle, name) : null));
    }
    return new EncodedRow(row.cells, writers);
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
      generated: isGiven(column),
      nativeType: column.nativeType,
    })),
    primaryKey: [...schema.primaryKey],
    uniqueKeys: schema.uniqueKeys.map((key) => ({ $typeName: 'switchyard.data.v1.UniqueKey', name: key.name, columns: [...key.columns] })),
    fingerprint: schema.fingerprint,
  };
}
