import type { Cell } from '../../../core/cell.ts';
import type { Row } from '../../../core/operation.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import { unreadable } from '../../unreadable-value.ts';
import { cellFromValue, rawKeyText } from '../cells.ts';
import type { SqlRow } from '../connection.ts';

/** Reads rows of one selection of columns. */
export interface RowReader {
  /** Columns to select: the asked ones, and behind them what is missing of the key. */
  readonly columns: readonly string[];
  /** The asked columns' cells. VALUE_UNSUPPORTED names table, column and key of a stored value that is not of its column's type, or of a key that is NULL. */
  read(row: SqlRow): Row;
}

export function rowReader(table: TableSchema, asked: readonly string[]): RowReader {
  const columns = [...asked, ...table.primaryKey.filter((name) => !asked.includes(name))];
  const schemas = columns.map((name) => columnNamed(table, name));
  const keyPlaces = table.primaryKey.map((name) => columns.indexOf(name));
  return {
    columns,
    read: (row) => {
      const cells = schemas.map((column, i): Cell => {
        try {
          return cellFromValue(column, row[i] ?? null);
        } catch (error) {
          throw unreadable(error, table.name, rawKeyText(row, keyPlaces));
        }
      });
      for (const place of keyPlaces) {
        if (cells[place] === null) throw unreadable(nullKey(columns[place] ?? ''), table.name, rawKeyText(row, keyPlaces));
      }
      return { columns: asked, cells: cells.slice(0, asked.length) };
    },
  };
}

const nullKey = (column: string): SwitchyardError =>
  new SwitchyardError('VALUE_UNSUPPORTED', `column "${column}" of the primary key holds NULL: correct it in the store`, { metadata: { column } });
