import type { Row } from '../../core/operation.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { Row as WireRow, TableSchema as WireTableSchema } from '../../gen/switchyard/data/v1/value_pb.ts';
import { columnMessage, uniqueKeyMessage } from '../../runtime/wire/table-schema.ts';
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

/** A table's shape on the wire, under the name that it was asked for by. */
export function encodeSchema(schema: TableSchema, name: string): WireTableSchema {
  return {
    $typeName: 'switchyard.data.v1.TableSchema',
    name,
    columns: schema.columns.map(columnMessage),
    primaryKey: [...schema.primaryKey],
    uniqueKeys: schema.uniqueKeys.map(uniqueKeyMessage),
    fingerprint: schema.fingerprint,
  };
}
