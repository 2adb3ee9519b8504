import { type Cell, keyText } from '../../../core/cell.ts';
import type { Row } from '../../../core/operation.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import { columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import { cellFromValue } from '../cells.ts';
import type { SqlRow } from '../connection.ts';

/** Reads rows of one selection of columns. */
export interface RowReader {
  /** Columns to select: the asked ones, and behind them what is missing of the key. */
  readonly columns: readonly string[];
  /** The asked columns' cells. VALUE_INVALID names table, column and key of a stored value that is not of its column's type, or of a key that is NULL. */
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
          if (!hasReason(error, 'VALUE_INVALID')) throw error;
          throw misfit(table, column.name, rawKeyText(row, keyPlaces), error.message);
        }
      });
      for (const place of keyPlaces) {
        if (cells[place] === null)
          throw misfit(table, columns[place] ?? '', rawKeyText(row, keyPlaces), `column "${columns[place]}" of the primary key holds NULL: correct it in the store`);
      }
      return { columns: asked, cells: cells.slice(0, asked.length) };
    },
  };
}

function misfit(table: TableSchema, column: string, key: string, why: string): SwitchyardError {
  return new SwitchyardError('VALUE_INVALID', `table "${table.name}", row ${key}: ${why}`, { metadata: { table: table.name, column, key } });
}

/** The key as it is stored, whether it fits its types or not. */
function rawKeyText(row: SqlRow, places: readonly number[]): string {
  return keyText(
    places.map((place) => {
      const value = row[place] ?? null;
      // Texts were selected as their bytes.
      return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : value;
    }),
  );
}
