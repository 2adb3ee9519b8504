import type { Cell } from '../../core/cell.ts';
import { closestName, didYouMean } from '../../core/closest-name.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import type { Row as WireRow } from '../../gen/switchyard/data/v1/value_pb.ts';
import { decodeCell, invalid, typeText } from '../../runtime/wire/decode-cell.ts';
import type { TableHandle } from './table-handle.ts';

/** The column of this name. COLUMN_UNKNOWN names the closest one. */
export function columnOf(handle: TableHandle, name: string, field: string): ColumnSchema {
  const column = handle.columns.get(name);
  if (column !== undefined) return column;
  const closest = closestName(name, handle.columnNames);
  const message = `${field}: table "${handle.schema.name}" has no column "${name}"${didYouMean(closest)}`;
  throw new SwitchyardError('COLUMN_UNKNOWN', message, { metadata: { table: handle.schema.name, column: name, ...(closest === null ? {} : { closest }) } });
}

/** Columns to return: those asked for, each once, or the default where none is. */
export function columnsToReturn(handle: TableHandle, asked: readonly string[], field: string, otherwise: readonly string[]): readonly string[] {
  if (asked.length === 0) return otherwise;
  for (const name of asked) columnOf(handle, name, field);
  return new Set(asked).size === asked.length ? asked : [...new Set(asked)];
}

/** A primary key in key order: all of its columns, no other, none of them null. */
export function decodeKey(handle: TableHandle, key: WireRow | undefined, field: string): readonly Cell[] {
  const cells = key?.cells ?? {};
  const names = Object.keys(cells);
  const { keyColumns, schema } = handle;
  for (const name of names) {
    if (!schema.primaryKey.includes(columnOf(handle, name, field).name)) {
      throw new SwitchyardError('ARGUMENT_INVALID', `${field}.${name}: not a column of the primary key, which is (${schema.primaryKey.join(', ')})`);
    }
  }
  return keyColumns.map((column) => {
    const value = Object.hasOwn(cells, column.name) ? cells[column.name] : undefined;
    if (value === undefined)
      throw new SwitchyardError('ARGUMENT_INVALID', `${field}.${column.name}: missing; the primary key is (${schema.primaryKey.join(', ')}), of type ${typeText(column)}`);
    const cell = decodeCell(value, column, field);
    if (cell === null) throw invalid(value, column, field, 'a primary key is never NULL');
    return cell;
  });
}
